"""A conversation with a scripted Claude Code, step by step; the model is a parameter, so that mutants can be tried."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from types import ModuleType
from typing import Any

from ccbridged.model import claude
from ccbridged.model.config import ApprovalsConfig, SessionConfig
from ccbridged.model.conversation import Step
from ccbridged.model.effects import SaveEvent, SaveRequest, Spec
from ccbridged.model.memory import Moment
from ccbridged.model.requests import Request
from ccbridged.protocol.messages import Exited, Feed, Output, Start, Tailed

Json = dict[str, Any]
EPOCH = 1e9
READY = {"hooks_applied": True, "hook_on_failure_supported": True, "claude_code_version": "2"}
OLDER = {"claude_code_version": "1"}
CALM = SessionConfig(idle_timeout=0.0, request_timeout=0.0)
FILE = "/t.jsonl"


def at(now: float) -> Moment:
    return Moment(now, EPOCH + now, int(now * 1000))


def request(id_: str, **facts: Any) -> Request:
    return replace(Request(id_, "web", f"prompt of {id_}", EPOCH), **facts)


def rows(uuid: str, *answers: str) -> str:
    """A session's file: the prompt of this uuid, and what was answered, each as the end of its turn."""
    told = [{"type": "user", "uuid": uuid, "message": {"role": "user", "content": "do it"}}]
    blocks = [[{"type": "text", "text": answer}] for answer in answers]
    ends = [{"message": {"role": "assistant", "stop_reason": "end_turn", "content": block}} for block in blocks]
    return "\n".join(json.dumps(row) for row in [*told, *ends])


class Talk:
    """A conversation and its program's half; ``done``: what was to be done since the last look."""

    def __init__(self, model: ModuleType, approvals: ApprovalsConfig = ApprovalsConfig(), **session: float) -> None:
        self.model = model
        self.now = 0.0
        self.session = replace(CALM, **session)  # type: ignore[arg-type]
        self.approvals = approvals
        self.done: list[Step] = []
        self._moments = itertools.count(1)
        self.it = self._conversation(model.memory.Memory(), model.requests.Queue(max_queue=100, max_history=100))

    def moment(self) -> Moment:
        """Now; no two are the same."""
        return at(self.now)._replace(entropy=next(self._moments))

    def _conversation(self, memory: Any, queue: Any) -> Any:
        desk = self.model.approvals.Desk(self.approvals)
        return self.model.conversation.Conversation(Spec("web", "process"), memory, queue, desk, self.session)

    def restart(self) -> None:
        """Another daemon, which knows what the last one saved."""
        memory = self.model.memory.remember(json.loads(json.dumps(self.it.memory.body())))
        old, queue = self.it.queue, self.model.requests.Queue(max_queue=100, max_history=100)
        open_ = [one for one in (old.current, *old.waiting) if one]
        again = [self.model.requests.from_body(json.loads(json.dumps(one.body())), one.prompt) for one in open_]
        queue.load(again, old.ended.items(), old.spent.items(), self.moment())
        self.it = self._conversation(memory, queue)
        self.it.reachable = False

    def do(self, steps: list[Step]) -> list[Step]:
        self.done = steps
        return steps

    def hear(self, message: Any) -> list[Step]:
        return self.do(self.it.hear(message, self.moment()))

    def begin(self) -> list[Step]:
        return self.do(self.it.begin(self.moment()))

    def ready(self, body: Json = READY) -> None:
        """A life begins, and Claude Code says that it is there."""
        self.begin()
        if self.it.phase == "looking":
            self.tailed("", "no such file")
        self.answer(claude.INITIALIZE, body)

    def tailed(self, text: str, error: str = "") -> list[Step]:
        return self.hear(Tailed(self.it.memory.life, text, error))

    def answer(self, id_: str, body: Json) -> list[Step]:
        response = {"subtype": "success", "request_id": id_, "response": body}
        return self.say({"type": "control_response", "response": response})

    def say(self, frame: Json | str) -> list[Step]:
        line = frame if isinstance(frame, str) else json.dumps(frame)
        return self.hear(Output("main", self.it.memory.life, line))

    def barrier(self, id_: str = "b1", path: str = FILE) -> list[Step]:
        hook = {"subtype": "hook_callback", "callback_id": claude.BARRIER, "input": {"transcript_path": path}}
        return self.say({"type": "control_request", "request_id": id_, "request": hook})

    def ask(self, tool: str, id_: str = "q1", **given: str) -> list[Step]:
        asked = {"subtype": "can_use_tool", "tool_name": tool, "input": given}
        return self.say({"type": "control_request", "request_id": id_, "request": asked})

    def lifecycle(self, state: str, uuid: str = "") -> list[Step]:
        return self.say({"type": "command_lifecycle", "command_uuid": uuid or self.attempt, "state": state})

    def result(self, **facts: Any) -> list[Step]:
        good = {"subtype": "success", "is_error": False, "terminal_reason": "completed", "result": "fine"}
        uuids = [self.attempt] if self.it.queue.current else []
        return self.say({"type": "result", "user_message_uuids": uuids, "session_id": "s", **good, **facts})

    def tool_begins(self, id_: str = "t1", name: str = "Bash") -> list[Step]:
        block = {"type": "tool_use", "id": id_, "name": name}
        return self.say({"type": "assistant", "message": {"content": [block]}})

    def tool_ends(self, id_: str = "t1") -> list[Step]:
        return self.say({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": id_}]}})

    def submit(self, id_: str = "r1", **facts: Any) -> list[Step]:
        return self.do(self.it.submit(request(id_, **facts), self.moment()))

    def stop(self, state: str = "cancelled") -> list[Step]:
        return self.do(self.it.stop_turn(state, self.moment()))

    def exit(self, code: int = -9) -> list[Step]:
        return self.hear(Exited("main", self.it.memory.life, code, False))

    def agent_is_new(self) -> list[Step]:
        return self.do(self.it.agent_is_new(self.moment()))

    def reach(self) -> list[Step]:
        return self.do(self.it.reached(self.moment()))

    def later(self, seconds: float) -> list[Step]:
        self.now += seconds
        return self.do(self.it.tick(self.moment()))

    def running(self, id_: str = "r1", **facts: Any) -> None:
        """A prompt that was let start."""
        self.submit(id_, **facts)
        self.barrier()

    @property
    def doing(self) -> str:
        """Kind and detail of what the turn is at."""
        activity = self.it.turn.activity
        return " ".join(filter(None, (activity.kind, activity.detail))) if activity else ""

    @property
    def attempt(self) -> str:
        assert self.it.queue.current
        return str(self.it.queue.current.attempt)

    def states(self) -> list[str]:
        """What became of requests, as saved."""
        return [str(step.body["state"]) for step in self.done if isinstance(step, SaveRequest)]

    def results(self) -> list[Json]:
        events = [step for step in self.done if isinstance(step, SaveEvent) and step.type == "result"]
        return [json.loads(event.body) for event in events]

    def said(self) -> list[Json]:
        """What the program was told."""
        return [json.loads(step.line) for step in self.done if isinstance(step, Feed)]

    def verdicts(self) -> list[Json]:
        """What the program was answered."""
        return [one["response"]["response"] for one in self.said() if one["type"] == "control_response"]

    def starts(self) -> list[list[str]]:
        """Command lines of the lives that were begun."""
        return [step.argv for step in self.done if isinstance(step, Start)]
