"""One turn: what happens between a prompt, or several merged ones, and its result.

A turn is a generator. It yields seconds to wait, or an Ask whose answer it is sent; an interrupt is thrown into it. So
the program stays one thread, and every place where a turn can be killed or interrupted is a ``yield``.
"""

import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import frames
from script import Plan, make_plan

if TYPE_CHECKING:
    from host import Host

Json = dict[str, Any]

START_DELAY = 0.004
"""Between the receipt and the start: an interrupt that comes in it does not find the turn yet, as in the real one."""
FLUSH_DELAY = 0.06
FOREVER = float("inf")


class Prompt(NamedTuple):
    """``composed``: to be taken literally. ``uuid`` "" where the host gave none."""

    uuid: str
    text: str
    composed: bool


class Ask(NamedTuple):
    """Wait for the answer to a control request of the program's own, so many seconds.

    What is sent back is the response, or ``{"subtype": "timeout"}``, or ``{"subtype": "eof"}``.
    """

    request_id: str
    timeout: float = FOREVER


class Interrupted(Exception):
    """The host wants this turn to stop."""


class ApiError(Exception):
    """The model's endpoint failed for good; ``status`` None: the network did."""

    def __init__(self, status: int | None) -> None:
        super().__init__()
        self.status = status


Wait = float | Ask
Steps = Generator[Wait, Json, None]


class Turn:
    """``prompts`` empty: a turn that nobody asked for. ``started``: its lifecycle frame is out."""

    def __init__(self, host: "Host", prompts: Sequence[Prompt]) -> None:
        self.host = host
        self.prompts = prompts
        self.uuids = [prompt.uuid for prompt in prompts if prompt.uuid]
        self.text = "\n".join(prompt.text for prompt in prompts) or "a background task ended"
        self.started = False
        self.in_tool = False
        self.said = ""
        """What of the present message has been streamed."""
        self.api_message = ""
        self.calls = 0
        self.denials: list[Json] = []

    def run(self) -> Steps:
        yield START_DELAY
        self.started = True
        self.host.lifecycle(self.uuids, "started")
        state = "completed"
        try:
            yield from self._run()
        except Interrupted:
            state = "cancelled"
            self._abort()
        except ApiError as error:
            state = "cancelled"
            self._fail(error)
        self.host.lifecycle(self.uuids, state)

    def _run(self) -> Steps:
        if self.prompts and not self.prompts[0].composed and self.text.startswith("/"):
            self.host.say_init(self.uuids)
            self.host.local_command(self.text)
            return self.end(subtype="success", is_error=False, num_turns=0, result=f"{self.text}: done here")
        refusal = yield from self._barrier()
        self.host.say_init(self.uuids)
        if refusal:
            self.host.say(refusal)
            return self.end(subtype="success", is_error=False, num_turns=0, result=refusal["content"])
        plan = make_plan(self.text)
        self._begin(plan)
        yield from self._converse(plan)
        return None

    def _barrier(self) -> Generator[Wait, Json, Json | None]:
        """Asks the host's hooks; the frame that says why the prompt must not start, or None."""
        facts = {"prompt_id": frames.fresh(), "prompt": self.text}
        for hook, callback in self.host.callbacks("UserPromptSubmit", "") if self.prompts else ():
            answer = yield Ask(self.host.ask_hook(callback, "UserPromptSubmit", facts), hook.get("timeout", 60))
            body = answer.get("response") or {}
            match answer["subtype"]:
                case "timeout":
                    return frames.blocked("no_verdict", "no answer in time", self.text)
                case "error" if hook.get("onFailure") == "block":
                    return frames.blocked("no_verdict", str(answer.get("error")), self.text)
                case "success" if body.get("decision") == "block":
                    return frames.blocked("blocked_by_hook", str(body.get("reason", "")), self.text)
                case "success" if body.get("continue") is False:
                    return frames.blocked("stopped_by_hook", str(body.get("stopReason", "")), self.text)
                case _:
                    """Let start; at the end of stdin the real one fails open too."""
        return None

    def _begin(self, plan: Plan) -> None:
        """From here on the prompt really runs."""
        host = self.host
        host.record(self.prompts)
        for prompt in self.prompts:
            host.session.add("user", {"role": "user", "content": prompt.text}, prompt.uuid or frames.fresh())
        host.flush_in(FLUSH_DELAY)
        if plan.stderr:
            print(plan.stderr, file=sys.stderr, flush=True)
        if plan.garbage:
            host.write(b"this is \x01 no JSON {\n")
        if plan.exit is not None:
            host.exit(plan.exit)
        if plan.unsolicited:
            host.unsolicited += 1

    def _converse(self, plan: Plan) -> Steps:
        import answer  # it imports this module

        yield from answer.converse(self, plan)
        for hook, callback in self.host.callbacks("Stop", ""):
            facts = {"last_assistant_message": self.said}
            yield Ask(self.host.ask_hook(callback, "Stop", facts), hook.get("timeout", 60))
        self.end(
            subtype="success",
            is_error=False,
            terminal_reason="completed",
            stop_reason="end_turn",
            num_turns=self.calls,
            api_error_status=None,
            result=self.said,
        )

    def show_aborted(self) -> None:
        """What the host sees of a turn that stops half-way."""
        if self.said and not self.in_tool:
            body = frames.message(self.api_message, [{"type": "text", "text": self.said}], None)
            self.host.say(frames.assistant(body, self.uuids) | {"aborted": True})
        self.host.say(frames.user([{"type": "text", "text": "[Request interrupted by user]"}]))

    def _abort(self) -> None:
        self.show_aborted()
        if self.said and not self.in_tool:
            for event in (
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta"},
                {"type": "message_stop"},
            ):
                self.host.stream(event, self.api_message)
        reason = "aborted_tools" if self.in_tool else "aborted_streaming"
        errors = ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"]
        self.end(subtype="error_during_execution", is_error=True, terminal_reason=reason, num_turns=2, errors=errors)

    def _fail(self, error: ApiError) -> None:
        text = f"API Error: {error.status or 'Connection error.'} as the prompt asked for."
        self.host.say(frames.api_error(text, error.status, self.uuids))
        self.end(
            subtype="success",
            is_error=True,
            terminal_reason="api_error",
            stop_reason="stop_sequence",
            num_turns=1,
            api_error_status=error.status,
            result=text,
        )

    def end(self, **outcome: object) -> None:
        self.host.session.flush()
        origin = {} if self.prompts else {"origin": {"kind": "task-notification"}}
        facts = {"permission_denials": self.denials, "stop_reason": None, **origin}
        self.host.say_result(self.uuids, {**facts, **outcome})
