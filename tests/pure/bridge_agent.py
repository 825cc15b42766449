"""The far side of a bridge: an agent with a real link and a journal, and a scripted program that speaks stream-json.

Both are instantaneous and honest unless told otherwise. What the program does with a prompt is in the prompt:
``[[hang]]`` works until it is told to finish, ``[[tool NAME COMMAND]]`` asks first, ``[[fail]]`` is an API error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ccbridged.protocol.link import Link, LinkState, Message, PeerReset
from ccbridged.protocol.messages import (
    MAIN,
    Alive,
    End,
    Errors,
    Exited,
    Feed,
    FromAgent,
    Output,
    Quit,
    Start,
    Started,
    Tail,
    Tailed,
    decode,
    encode,
)

VERSION = "2.1.329"


@dataclass
class Home:
    """What outlives agent and program: the journal, the sessions' files, the record of what was run; and manners.

    ``started``: (attempt, prompt) in order. ``barrier``, ``lifecycle``: what this Claude Code can. ``mute``: it says
    nothing; ``deaf``: nothing once it is ready. ``frozen``: its agents say nothing
    at all. ``fault``: its last words instead of a start.
    """

    journal: str
    digest: str = "digest-1"
    epoch: int = 0
    state: LinkState = field(default_factory=LinkState)
    held: list[tuple[int, str]] = field(default_factory=list)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    started: list[tuple[str, str]] = field(default_factory=list)
    starts: list[list[str]] = field(default_factory=list)
    barrier: bool = True
    lifecycle: bool = True
    mute: bool = False
    deaf: bool = False
    frozen: bool = False
    fault: str = ""


class Program:
    """One life. ``turn``: the attempt and prompt that run now."""

    def __init__(self, home: Home, start: Start, say: Callable[[FromAgent], None]) -> None:
        self.home = home
        self.life = start.life
        self.turn: tuple[str, str] | None = None
        self.queued: tuple[str, str] | None = None
        self.dead = False
        self._say = say
        self._farewell = start.farewell
        resumed = [word.partition("=")[2] for word in start.argv if word.startswith("--resume=")]
        self.session = resumed[0] if resumed else start.argv[start.argv.index("--session-id") + 1]
        self.path = f"/sessions/{self.session}.jsonl"
        home.starts.append(start.argv)
        if home.fault:
            self.exit(1, home.fault)
        elif resumed and not home.files.get(self.path):
            self.exit(1, f"No conversation found with session ID: {self.session}")
        elif not resumed and self.path in home.files:
            self.exit(1, f"Session ID {self.session} is already in use.")

    def hear(self, line: str) -> None:
        if self.dead or self.home.mute:
            return
        match json.loads(line):
            case {"type": "user", "uuid": uuid, "message": {"content": [{"text": text}]}}:
                self._prompted(uuid, text)
            case {"type": "control_request", "request_id": id_, "request": {"subtype": subtype}}:
                self._asked(id_, subtype)
            case {"type": "control_response", "response": {"request_id": id_, "response": verdict}}:
                self._answered(id_, verdict)

    def end(self) -> None:
        """The agent was told to end it: farewell first."""
        self.hear(self._farewell)
        self.exit(0, expected=True)

    def exit(self, code: int, words: str = "", *, expected: bool = False) -> None:
        """It is gone; all it said was said before. Not twice."""
        if not self.dead:
            self.dead = True
            if words:
                self._say(Errors(MAIN, self.life, words))
            self._say(Exited(MAIN, self.life, code, expected))

    def finish(self, state: str = "completed", **result: object) -> None:
        """The end of the running turn."""
        assert self.turn
        (uuid, prompt), self.turn = self.turn, None
        answer = f"echo: {prompt}"
        if state == "completed":
            message = {"role": "assistant", "stop_reason": "end_turn", "content": [{"type": "text", "text": answer}]}
            self.home.files[self.path].append({"type": "assistant", "message": message})
        frame = {"subtype": "success", "is_error": False, "terminal_reason": "completed", "result": answer, **result}
        self.say("result", user_message_uuids=[uuid], total_cost_usd=0.01, usage={"output_tokens": 3}, **frame)
        self._lifecycle(uuid, state)

    def say(self, kind: str, **fields: object) -> None:
        line = json.dumps({"type": kind, "session_id": self.session, **fields})
        self._say(Output(MAIN, self.life, line))

    def ask_permission(self, id_: str, tool: str, **given: str) -> None:
        request = {"subtype": "can_use_tool", "tool_name": tool, "input": given, "permission_suggestions": []}
        self.say("control_request", request_id=id_, request=request)

    def _prompted(self, uuid: str, text: str) -> None:
        self.queued = (uuid, text)
        self._lifecycle(uuid, "queued")
        if self.home.barrier:
            request = {
                "subtype": "hook_callback",
                "callback_id": "ccbridged-start",
                "input": {"transcript_path": self.path},
            }
            self.say("control_request", request_id=f"barrier-{uuid}", request=request)
        else:
            self._run()

    def _run(self) -> None:
        assert self.queued
        (uuid, text), self.queued = self.queued, None
        self.turn = (uuid, text)
        self.home.started.append((uuid, text))
        row = {"type": "user", "uuid": uuid, "message": {"role": "user", "content": [{"type": "text", "text": text}]}}
        self.home.files.setdefault(self.path, []).append(row)
        self._lifecycle(uuid, "started")
        self.say("assistant", message={"content": [{"type": "text", "text": "thinking"}]})
        if tool := re.search(r"\[\[tool (\S+) (.*)\]\]", text):
            self.ask_permission(f"tool-{uuid}", tool[1], command=tool[2])
        elif "[[fail]]" in text:
            self.finish("cancelled", is_error=True, terminal_reason="api_error", result="API Error: 500")
        elif "[[hang]]" not in text:
            self.finish()

    def _asked(self, id_: str, subtype: str) -> None:
        body: dict[str, object] = {}
        if subtype == "initialize":
            body = {"claude_code_version": VERSION, "hooks_applied": True, "hook_on_failure_supported": True}
            body |= {} if self.home.barrier else {"hooks_applied": False}
        elif self.home.deaf:
            return
        self.say("control_response", response={"subtype": "success", "request_id": id_, "response": body})
        if subtype in ("interrupt", "end_session") and self.turn:
            self.finish("cancelled", subtype="error_during_execution", is_error=True, terminal_reason="aborted_tools")
        if subtype in ("interrupt", "end_session") and self.queued:
            (uuid, _), self.queued = self.queued, None
            self._lifecycle(uuid, "cancelled" if subtype == "interrupt" else "discarded")

    def _answered(self, id_: str, verdict: dict[str, object]) -> None:
        if id_.startswith("barrier-"):
            if not self.queued or id_ != f"barrier-{self.queued[0]}":
                return
            if verdict:
                uuid, self.queued = self.queued[0], None
                self._lifecycle(uuid, "cancelled")
            else:
                self._run()
        elif self.turn and id_ == f"tool-{self.turn[0]}":
            self.finish(result=f"tool {verdict['behavior']}")

    def _lifecycle(self, uuid: str, state: str) -> None:
        if self.home.lifecycle:
            self.say("command_lifecycle", command_uuid=uuid, state=state)


class Agent:
    """One life of an agent: its end of the link, and at most one program.

    ``acknowledges``: whether it does what it is told, and says that it has it. ``silent``: it says nothing at all.
    """

    def __init__(self, home: Home, *, silent: bool = False) -> None:
        home.epoch += 1
        self.home = home
        silent = silent or home.frozen
        self.silent = silent
        self.acknowledges = True
        self.undying = False
        self.heard: list[Any] = []
        self._parked: list[Message] = []
        self.link = Link(journal=home.journal, epoch=home.epoch, state=home.state, held=home.held, digest=home.digest)
        self.program: Program | None = None
        if not silent:
            self.introduce()

    def introduce(self) -> None:
        self.say(Alive(40 + self.home.epoch, "1.0", "3.11", "node", False, {}))

    def say(self, message: FromAgent) -> None:
        self.link.send(encode(message))
        self._keep()

    def hear(self, chunk: bytes, now: float) -> None:
        for event in self.link.hear(chunk, now):
            match event:
                case Message():
                    self.heard.append(decode(event.text))
                    self._parked.append(event)
                case PeerReset():
                    self._parked.clear()
                    self.kill_program()
                    self.introduce()
                case _:
                    pass
        while self._parked and self.acknowledges:
            seq, text = self._parked.pop(0)
            self._obey(decode(text))
            self.link.commit(seq)
        self._keep()

    def output(self, now: float) -> bytes:
        return b"" if self.silent else self.link.output(now)

    def end(self) -> None:
        """As it ends by itself: its program first, with what that says."""
        if self.program:
            self.program.end()

    def kill_program(self) -> None:
        """Nothing of it is said: it dies with its agent."""
        if self.program:
            self.program.dead = True
            self.program = None

    def _obey(self, message: object) -> None:
        program = self.program
        match message:
            case Start() as start if program and not program.dead and program.life == start.life:
                self.say(Started(MAIN, start.life, 1000 + start.life))
            case Start() as start:
                if program:
                    program.end()
                self.say(Started(MAIN, start.life, 1000 + start.life))
                self.program = Program(self.home, start, self.say)
            case Feed(_, life, line) if program and program.life == life:
                program.hear(line)
            case End() if self.undying:
                pass
            case End(_, life) if program and program.life == life:
                program.end()
            case Tail(query, path, _):
                rows = self.home.files.get(path)
                text = "".join(json.dumps(row) + "\n" for row in rows or ())
                self.say(Tailed(query, text, "" if rows is not None else "no such file"))
            case Quit():
                self.end()

    def _keep(self) -> None:
        self.home.state = self.link.state
        self.home.held = list(self.link.held)
