"""The program around its turns: lines in, frames out, a queue, and the control protocol. One thread, one ``select``."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, NoReturn

import frames
from control import BadLine, hear
from frames import as_line
from output import Output
from session import Session, begin
from turn import FOREVER, Ask, Interrupted, Prompt, Steps, Turn

Json = dict[str, Any]

CAPABILITIES = ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"]
COST_PER_CALL = 0.0001
TERM_DRAIN = 2.0


class Settings(NamedTuple):
    """What command line and environment say. ``format``: text, json or stream-json; ``asks``: the host is asked for
    permissions; ``faults``: no-lifecycle, no-hooks."""

    version: str
    format: str
    mode: str
    allowed: frozenset[str]
    asks: bool
    partial: bool
    faults: frozenset[str]
    record: str
    max_retries: int
    tells_state: bool


class Host:
    def __init__(self, settings: Settings, session: Session, prompts: Sequence[Prompt]) -> None:
        """``prompts`` given: they are all there is, and stdin is not read."""
        self.settings = settings
        self.session = session
        self.allowed = set(settings.allowed)
        self.mode = settings.mode
        self.output = Output(1)
        self.queue = list(prompts)
        self.at_end = bool(prompts)
        self.buffer = b""
        self.seen: set[str] = set()
        self.hooks: dict[str, list[Json]] = {}
        self.turn: Turn | None = None
        self.steps: Steps | None = None
        self.waiting = ""
        self.due = FOREVER
        self.flush_at = FOREVER
        self.unsolicited = 0
        self.tool: subprocess.Popen[bytes] | None = None
        self.calls = 0
        self.results = 0
        self.spent = (0, 0)
        self.cost = 0.0
        self.failed = False

    # What turns use.

    @property
    def partial(self) -> bool:
        return self.settings.partial

    @property
    def max_retries(self) -> int:
        return self.settings.max_retries

    @property
    def asks(self) -> bool:
        return self.settings.asks

    def say(self, frame: Json) -> None:
        frame = {**frame, "session_id": self.session.id}
        if self.settings.format == "stream-json":
            self.write(as_line(frame))
        elif frame["type"] == "result":
            self.write(as_line(frame) if self.settings.format == "json" else f"{frame.get('result', '')}\n".encode())

    def write(self, data: bytes) -> None:
        self.output.write(data)

    def stream(self, event: Json, api_message: str, uuids: Sequence[str] = ()) -> None:
        if self.partial:
            self.say(frames.stream(event, api_message, uuids))

    def lifecycle(self, uuids: Sequence[str], state: str) -> None:
        if "no-lifecycle" not in self.settings.faults:
            for prompt in uuids:
                self.say(frames.lifecycle(prompt, state))

    def tell_state(self, state: str) -> None:
        if self.settings.tells_state:
            self.say(frames.session_state(state))

    def say_init(self, uuids: Sequence[str]) -> None:
        self.tell_state("running")
        old = self.settings.faults & {"no-lifecycle"}
        capabilities = [name for name in CAPABILITIES if not old or name != "msg_lifecycle_v1"]
        self.say(frames.init(os.getcwd(), self.settings.version, self.mode, capabilities, uuids))

    def say_result(self, uuids: Sequence[str], outcome: Json) -> None:
        usage = dict(zip(("input_tokens", "output_tokens"), self.spent, strict=True))
        spent = {"total_cost_usd": self.cost, "usage": usage, "modelUsage": {}}
        numbers = {"queued_turn_count": len(self.queue), "result_index": self.results}
        self.results += 1
        self.spent = (0, 0)
        self.failed = bool(outcome["is_error"])
        self.say(frames.result(uuids, outcome, {**spent, **numbers}))
        self.tell_state("idle")

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        self.spent = (self.spent[0] + tokens_in, self.spent[1] + tokens_out)
        self.cost += COST_PER_CALL

    def ask(self, request: Json) -> str:
        """Say a control request; the id that its answer will bear."""
        request_id = frames.fresh()
        if request["subtype"] == "can_use_tool":
            self.tell_state("requires_action")
        self.write(as_line({"type": "control_request", "request_id": request_id, "request": request}))
        return request_id

    def ask_hook(self, callback: str, event: str, facts: Json) -> str:
        where = {"session_id": self.session.id, "transcript_path": self.session.path, "cwd": os.getcwd()}
        given = {**where, "permission_mode": self.mode, "hook_event_name": event, **facts}
        return self.ask(
            {"subtype": "hook_callback", "callback_id": callback, "input": given, "tool_use_id": frames.fresh()}
        )

    def callbacks(self, event: str, tool: str) -> Iterator[tuple[Json, str]]:
        """The hooks to ask about an event, with their callback ids."""
        for hook in self.hooks.get(event, ()):
            if not tool or fnmatchcase(tool, hook.get("matcher") or "*"):
                yield from ((hook, callback) for callback in hook.get("hookCallbackIds", ()))

    def may(self, tool: str) -> bool:
        return self.mode in ("bypassPermissions", "dontAsk") or tool in self.allowed

    def record(self, prompts: Sequence[Prompt]) -> None:
        """Durable before anything comes of the prompt, so that counting lines counts runs."""
        if not self.settings.record:
            return
        facts = {"pid": os.getpid(), "at": time.time(), "session": self.session.id}
        data = b"".join(as_line({"prompt": prompt.text, "uuid": prompt.uuid, **facts}) for prompt in prompts)
        fd = os.open(self.settings.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)

    def flush_in(self, seconds: float) -> None:
        self.flush_at = time.monotonic() + seconds

    def local_command(self, text: str) -> None:
        if text.split(maxsplit=1)[0] == "/clear":
            self.session = begin("")
            self.say({"type": "system", "subtype": "conversation_reset", "uuid": frames.fresh()})

    def exit(self, code: int, drain: float = FOREVER) -> NoReturn:
        self.output.drain(drain)
        sys.stderr.flush()
        os._exit(code)

    # The loop.

    def run(self) -> NoReturn:
        wake = _signals()
        while True:
            self._start_next()
            if self.turn is None and self.at_end:
                self.exit(1 if self.failed else 0)
            due = min(self.due, self.flush_at)
            timeout = None if due == FOREVER else max(0.0, due - time.monotonic())
            inputs = [wake] if self.at_end else [wake, 0]
            readable, writable, _ = select.select(inputs, [1] if self.output.backlog else [], [], timeout)
            if wake in readable:
                self._signalled(signal.Signals(os.read(wake, 1)[0]))
            if writable:
                self.output.pump()
            if 0 in readable:
                self._read()
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        if now >= self.flush_at:
            self.flush_at = FOREVER
            self.session.flush()
        if self.steps is not None and now >= self.due:
            self.advance({"subtype": "timeout"})

    def _start_next(self) -> None:
        """The prompts that waited become one turn, as far as they are of one kind."""
        if self.turn is not None:
            return
        batch: list[Prompt] = []
        while self.queue and (not batch or batch[0].composed == self.queue[0].composed):
            batch.append(self.queue.pop(0))
        if not batch and not self.unsolicited:
            return
        if not batch:
            self.unsolicited -= 1
        self.turn = Turn(self, batch)
        self.steps = self.turn.run()
        self._follow(next(self.steps))

    def advance(self, answer: Json) -> None:
        assert self.steps is not None
        try:
            self._follow(self.steps.send(answer))
        except StopIteration:
            self.turn_over()

    def interrupt(self) -> None:
        assert self.steps is not None
        try:
            self._follow(self.steps.throw(Interrupted()))
        except StopIteration:
            self.turn_over()

    def turn_over(self) -> None:
        self.turn, self.steps, self.waiting, self.due = None, None, "", FOREVER

    def _follow(self, step: "float | Ask") -> None:
        asked = isinstance(step, Ask)
        self.waiting = step.request_id if isinstance(step, Ask) else ""
        self.due = time.monotonic() + (step.timeout if isinstance(step, Ask) else step)
        if asked and self.at_end:
            self.advance({"subtype": "eof"})

    def _read(self) -> None:
        chunk = os.read(0, 65536)
        *lines, self.buffer = (self.buffer + chunk).split(b"\n")
        if not chunk:
            lines, self.buffer = [self.buffer], b""
        for line in lines:
            try:
                hear(self, line)
            except BadLine as error:
                print(error, file=sys.stderr)
                self.kill_tool()
                self.exit(1)
            self._start_next()
        if not chunk:
            self.at_end = True
            if self.waiting:
                self.advance({"subtype": "eof"})

    def _signalled(self, number: signal.Signals) -> None:
        if number == signal.SIGINT and self.turn and self.turn.started:
            if self.turn.in_tool:
                self.interrupt()
            else:
                self.turn.show_aborted()
        self.kill_tool()
        self.exit(0 if number == signal.SIGINT else 128 + number, TERM_DRAIN)

    def kill_tool(self) -> None:
        if self.tool is not None:
            os.killpg(self.tool.pid, signal.SIGKILL)


def _signals() -> int:
    """A descriptor that gives one byte, its number, for every signal."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return readable
