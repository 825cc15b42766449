"""A conversation, its store, an agent and a program that die at any moment; every promise is checked at every step.

The link between daemon and agent is perfect here (``link_chaos`` tries that one): what has been committed arrives, in
order, once. What a program runs, and what its session's file keeps of it, is on record.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ccbridged.model import claude
from ccbridged.model.config import ApprovalsConfig, SessionConfig
from ccbridged.model.effects import SaveEvent, SaveRequest, Spec
from ccbridged.model.memory import Moment
from ccbridged.model.requests import FINAL, TRANSITIONS, Request
from ccbridged.protocol.messages import End, Exited, Feed, Output, Start, Started, Tail, Tailed

Json = dict[str, Any]
EPOCH = 1e9
ACTS = ("output", "tool", "ask", "finish", "fail", "stray", "start", "lose")
CODES = (-9, 0, 1, 143)


@dataclass
class Home:
    """What outlives programs: sessions' files, and which prompts were begun and finished. ``flushes``: whether what
    is said is also written down."""

    barrier: bool
    lifecycle: bool
    files: dict[str, list[Json]] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    finished: set[str] = field(default_factory=set)
    flushes: bool = True


class Program:
    """One life; ``say`` is heard in order, also after its death."""

    def __init__(self, home: Home, start: Start, say: Callable[[Any], None]) -> None:
        self.home = home
        self.life = start.life
        self.dead = False
        self.waiting: tuple[str, str] | None = None
        self.running: tuple[str, str] | None = None
        self._say = say
        self._count = 0
        resumed = start.argv[-1].startswith("--resume=")
        self.path = "/" + start.argv[-1].removeprefix("--resume=")
        if resumed is not bool(home.files.get(self.path)):
            words = "No conversation found" if resumed else "Session ID is already in use"
            self._frame(type="result", subtype="error", is_error=True, errors=[words])
            self.exit(1)

    def hear(self, line: str) -> None:
        match json.loads(line):
            case {"type": "user", "uuid": uuid, "message": {"content": [{"text": text}]}}:
                assert not (self.waiting or self.running), "two prompts in flight"
                self.waiting = (uuid, text)
                self._lifecycle(uuid, "queued")
                if not self.home.barrier:
                    self._run()
                else:
                    self._ask_to_start(uuid)
            case {"type": "control_request", "request_id": id_, "request": {"subtype": subtype}}:
                self._asked(id_, subtype)
            case {"type": "control_response", "response": {"request_id": id_, "response": verdict}}:
                if self.waiting and id_ == f"barrier-{self.waiting[0]}":
                    self._block() if verdict else self._run()

    def act(self, what: str) -> None:
        self._count += 1
        id_ = f"{self.life}-{self._count}"
        match what:
            case "ask":
                request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
                self._frame(type="control_request", request_id=id_, request=request)
            case "tool":
                block = {"type": "tool_use", "id": id_, "name": "Bash"}
                self._frame(type="assistant", message={"content": [block]})
            case "stray":
                self._frame(type="result", subtype="success", result="nobody asked")
            case "start" if self.running and self.home.barrier:
                self._ask_to_start(f"of its own {id_}")
            case "finish" | "fail" if self.running:
                self._finish(what == "finish")
            case "lose" if self.running and self.home.lifecycle:
                (uuid, _), self.running = self.running, None
                self._lifecycle(uuid, "completed")
            case _:
                self._frame(type="assistant", message={"content": []})

    def exit(self, code: int) -> None:
        self.dead = True
        self._say(Exited("main", self.life, code, False))

    def _asked(self, id_: str, subtype: str) -> None:
        body = {"hooks_applied": self.home.barrier, "hook_on_failure_supported": True}
        self._frame(type="control_response", response={"subtype": "success", "request_id": id_, "response": body})
        if subtype in ("interrupt", "end_session"):
            if self.running:
                self._end(self.running[0], "cancelled", subtype="error", terminal_reason="aborted_tools")
            if self.waiting:
                self._lifecycle(self.waiting[0], "cancelled" if subtype == "interrupt" else "discarded")
            self.running = self.waiting = None

    def _ask_to_start(self, uuid: str) -> None:
        hook = {"subtype": "hook_callback", "callback_id": claude.BARRIER}
        request = {**hook, "input": {"transcript_path": self.path}}
        self._frame(type="control_request", request_id=f"barrier-{uuid}", request=request)

    def _run(self) -> None:
        assert self.waiting
        self.running, self.waiting = self.waiting, None
        uuid, prompt = self.running
        self.home.begun[prompt] += 1
        self._keep({"type": "user", "uuid": uuid, "message": {"role": "user", "content": prompt}})
        self._lifecycle(uuid, "started")

    def _block(self) -> None:
        assert self.waiting
        (uuid, _), self.waiting = self.waiting, None
        self._end(uuid, "completed", subtype="success", is_error=False, num_turns=0)

    def _finish(self, well: bool) -> None:
        assert self.running
        (uuid, prompt), self.running = self.running, None
        if not well:
            self._end(uuid, "cancelled", subtype="success", is_error=True, terminal_reason="api_error")
            return
        self.home.finished.add(prompt)
        content = [{"type": "text", "text": f"echo: {prompt}"}]
        self._keep({"message": {"role": "assistant", "stop_reason": "end_turn", "content": content}})
        good = {"subtype": "success", "is_error": False, "terminal_reason": "completed"}
        self._end(uuid, "completed", result=f"echo: {prompt}", **good)

    def _end(self, uuid: str, how: str, **facts: object) -> None:
        self._frame(type="result", user_message_uuids=[uuid], **facts)
        self._lifecycle(uuid, how)

    def _keep(self, row: Json) -> None:
        if self.home.flushes:
            self.home.files.setdefault(self.path, []).append(row)

    def _lifecycle(self, uuid: str, state: str) -> None:
        if self.home.lifecycle:
            self._frame(type="command_lifecycle", command_uuid=uuid, state=state)

    def _frame(self, **frame: object) -> None:
        self._say(Output("main", self.life, json.dumps(frame)))


class Chaos:
    """All of it. ``store``: the last body saved of each request; ``memory``: that of the conversation."""

    def __init__(self, model: ModuleType, *, barrier: bool, lifecycle: bool, patience: float = 0.0) -> None:
        self.model = model
        self.home = Home(barrier, lifecycle)
        self.session = SessionConfig(idle_timeout=90.0, request_timeout=patience)
        self.now = 0.0
        self.store: dict[str, Json] = {}
        self.prompts: dict[str, str] = {}
        self.results: dict[str, Json] = {}
        self.memory: Json = {}
        self.outbox: deque[Any] = deque()
        self.inbox: deque[Any] = deque(["agent"])
        self.program: Program | None = None
        self._moments = 0
        self.it = self._load()

    # Whatever can happen.

    def submit(self, *, retry: bool = False, timeout: float = 0.0) -> None:
        id_ = f"r{len(self.store)}"
        expires = self.now + timeout if timeout else None
        one = Request(id_, "web", f"prompt of {id_}", EPOCH + self.now, timeout, retry, expires=expires)
        self._take(lambda at: self.it.submit(one, at))

    def stop(self) -> None:
        self._take(lambda at: self.it.stop_turn("cancelled", at))

    def answer(self) -> None:
        if self.it.memory.approvals:
            approval = self.it.memory.approvals[0]
            line = claude.allow(approval.request_id, {})
            self._take(lambda at: self.it.answer(approval, line, "allowed", at))

    def hear(self, *, crash: bool = False) -> None:
        """The daemon takes what was said next; ``crash``: and dies of it before it has committed what follows."""
        if self.inbox:
            message = self.inbox[0]
            if crash:
                self._answer_to(message, self._moment())
                self.restart()
            self._take(lambda at: self._answer_to(message, at))
            self.inbox.popleft()

    def obey(self) -> None:
        """The agent does what it was told next."""
        if not self.outbox:
            return
        program = self.program if self.program and not self.program.dead else None
        match self.outbox.popleft():
            case Start() as start:
                if program:
                    program.exit(0)
                self.inbox.append(Started("main", start.life, 1))
                self.program = Program(self.home, start, self.inbox.append)
            case Feed(_, life, line) if program and program.life == life:
                program.hear(line)
            case End(_, life) if program and program.life == life:
                program.hear(claude.end_session())
                program.exit(0)
            case Tail(query, path, _):
                rows = self.home.files.get(path)
                text = "\n".join(json.dumps(row) for row in rows or ())
                self.inbox.append(Tailed(query, text, "" if rows else "no such file"))
            case _:
                pass

    def act(self, what: str) -> None:
        if self.program and not self.program.dead:
            self.program.act(what)

    def kill(self, code: int) -> None:
        if self.program and not self.program.dead:
            self.program.exit(code)

    def kill_agent(self) -> None:
        """And its program with it, without a word; what was said is still heard."""
        if self.program:
            self.program.dead = True
        self.inbox.append("agent")

    def restart(self) -> None:
        """The next daemon knows what was committed, and finds the agent."""
        self.it = self._load()
        self._take(self.it.reached)
        if self.it.phase == "none":
            self.it.lives.retry_at = self.now + 1  # As the instance does.

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self._take(self.it.tick)

    def heal(self) -> None:
        """Nothing dies any more, all that was said is heard, every turn ends: then every request ends, and the next
        one succeeds, be it after a sleep."""
        self.home.flushes = True
        self._come_to_rest()
        self.advance(100)
        last = f"r{len(self.store)}"
        self.submit()
        self._come_to_rest()
        assert self.store[last]["state"] == "succeeded"

    def _come_to_rest(self) -> None:
        for _ in range(100):
            while self.inbox or self.outbox:
                self.hear()
                self.obey()
            while self.it.memory.approvals:
                self.answer()
            if all(body["state"] in FINAL for body in self.store.values()):
                return
            if self.program and self.program.running and not self.program.dead:
                self.act("finish")
            else:
                self.advance(min(max((self.it.deadline or self.now) - self.now, 0.0), 60.0))
        raise AssertionError(f"never ended: {self.store}, {self.it.memory}")

    # The daemon.

    def _moment(self) -> Moment:
        self._moments += 1
        return Moment(self.now, EPOCH + self.now, self._moments)

    def _load(self) -> Any:
        model = self.model
        queue = model.requests.Queue(max_queue=1000, max_history=1000)
        open_ = [body for body in self.store.values() if body["state"] not in FINAL]
        ended = [(id_, body["state"]) for id_, body in self.store.items() if body["state"] in FINAL]
        requests = [model.requests.from_body(body, self.prompts[body["id"]]) for body in open_]
        queue.load(requests, ended, [], self._moment())
        desk = model.approvals.Desk(ApprovalsConfig())
        memory = model.memory.remember(self.memory)
        it = model.conversation.Conversation(Spec("web", "process"), memory, queue, desk, self.session)
        it.reachable = False
        return it

    def _answer_to(self, message: Any, at: Moment) -> list[Any]:
        if message != "agent":
            return list(self.it.hear(message, at))
        steps = self.it.agent_is_new(at)
        if self.it.phase != "asleep" or self.it.queue.waiting:
            steps = [*steps, *self.it.begin(at)]
        return [*steps, *self.it.reached(at)]

    def _take(self, handle: Callable[[Moment], list[Any]]) -> None:
        """One input: all that follows from it is committed at once, after which its orders go out."""
        for step in handle(self._moment()):
            match step:
                case SaveRequest():
                    self._save(step)
                case SaveEvent(_, id_, "result", body):
                    assert id_ not in self.results, f"{id_} has ended twice"
                    self.results[id_] = json.loads(body)
                case Feed(_, _, line):
                    self._check_start(json.loads(line))
                    self.outbox.append(step)
                case Start() | End() | Tail():
                    self.outbox.append(step)
        self.memory = json.loads(json.dumps(self.it.memory.body()))
        self.check()

    def _save(self, step: SaveRequest) -> None:
        body = json.loads(json.dumps(step.body))
        old, new = self.store.get(step.id, {}).get("state"), body["state"]
        assert step.open is (new not in FINAL)
        if old is None:
            assert (new, step.prompt) == ("queued", f"prompt of {step.id}")
            self.prompts[step.id] = str(step.prompt)
        else:
            assert new == old or new in TRANSITIONS[old], f"{step.id}: {old} → {new}"
            assert old not in FINAL
            assert (old, new) != ("running", "queued") or body["retry_uncertain"]
        self.store[step.id] = body

    def _check_start(self, line: Json) -> None:
        """What is let start is the one that the store, by the same commit, knows as running."""
        running = [body["attempt"] for body in self.store.values() if body["state"] == "running"]
        match line:
            case {"type": "control_response", "response": {"request_id": id_, "response": {**verdict}}}:
                if id_.startswith("barrier-") and not verdict:
                    assert running == [id_.removeprefix("barrier-")], f"{id_} may start, {running} is saved"
            case {"type": "user", "uuid": uuid} if not self.home.barrier:
                assert running == [uuid]

    def check(self) -> None:
        """The promise, as far as it has been put to the test."""
        flight = [id_ for id_, body in self.store.items() if body["state"] in ("delivered", "running")]
        assert len(flight) <= 1, f"in flight: {flight}"
        for id_, body in self.store.items():
            begun = self.home.begun[self.prompts[id_]]
            assert begun <= 1 or body["retry_uncertain"], f"{id_} ran {begun} times"
            assert (body["state"] in FINAL) is (id_ in self.results)
            if body["state"] == "succeeded":
                assert self.prompts[id_] in self.home.finished
                assert self.results[id_]["text"] == f"echo: {self.prompts[id_]}"
            if body["state"] in ("queued", "delivered") and not body["retry_uncertain"]:
                assert not begun, f"{id_} is {body['state']} and has run"


def history(model: ModuleType, seed: int, steps: int = 120) -> Chaos:
    """A random life. Raises AssertionError where a promise is broken."""
    dice = random.Random(seed)
    chaos = Chaos(
        model, barrier=dice.random() < 0.8, lifecycle=dice.random() < 0.8, patience=dice.choice((0.0, 0.0, 20.0))
    )
    acts: list[tuple[float, Callable[[], None]]] = [
        (6, lambda: chaos.submit(retry=dice.random() < 0.3, timeout=dice.choice((0.0, 0.0, 0.0, 15.0)))),
        (30, chaos.hear),
        (3, lambda: chaos.hear(crash=True)),
        (30, chaos.obey),
        (14, lambda: chaos.act(dice.choice(ACTS))),
        (8, lambda: chaos.act("finish")),
        (3, lambda: chaos.kill(dice.choice(CODES))),
        (1, chaos.kill_agent),
        (4, chaos.restart),
        (2, chaos.stop),
        (3, chaos.answer),
        (6, lambda: chaos.advance(dice.choice((0.1, 1.0, 10.0, 100.0)))),
        (1, lambda: setattr(chaos.home, "flushes", dice.random() < 0.5)),
    ]
    for act in dice.choices([act for _, act in acts], [weight for weight, _ in acts], k=steps):
        act()
    chaos.heal()
    return chaos
