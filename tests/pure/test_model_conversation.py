"""One program's lives and turns, step by step: what is saved, what is said, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ccbridged.model import claude
from ccbridged.model.approvals import Desk
from ccbridged.model.config import ApprovalsConfig, Rule, SessionConfig
from ccbridged.model.conversation import READY_WITHIN, Conversation, Step
from ccbridged.model.effects import SaveEvent, SaveLog, SaveRequest, Spec
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.requests import Queue, Request
from ccbridged.model.turn import INTERRUPT_GRACE, MAX_APPROVALS, MAX_ATTEMPTS
from ccbridged.protocol.messages import (
    End,
    Errors,
    Exited,
    Feed,
    NotStarted,
    Output,
    Overlong,
    Start,
    Started,
    Tail,
    Tailed,
)

Json = dict[str, Any]
READY = {"hooks_applied": True, "hook_on_failure_supported": True, "claude_code_version": "2"}
OLDER = {"claude_code_version": "1"}


def at(now: float) -> Moment:
    return Moment(now, 1e9 + now, int(now * 1000))


def request(id_: str, **facts: Any) -> Request:
    return replace(Request(id_, "web", f"prompt of {id_}", 1e9), **facts)


class Talk:
    """A conversation and its program's half; what was to be done since the last look."""

    def __init__(self, approvals: ApprovalsConfig = ApprovalsConfig(), **session: float) -> None:
        self.now = 0.0
        queue = Queue(max_queue=100, max_history=100)
        config = replace(SessionConfig(idle_timeout=0.0, request_timeout=0.0), **session)  # type: ignore[arg-type]
        self.it = Conversation(Spec("web", "process"), Memory(), queue, Desk(approvals), config)
        self.done: list[Step] = []

    def do(self, steps: list[Step]) -> list[Step]:
        self.done = steps
        return steps

    def ready(self, body: Json = READY) -> None:
        self.do(self.it.begin(at(self.now)))
        self.answer(claude.INITIALIZE, body)

    def answer(self, id_: str, body: Json) -> list[Step]:
        return self.say(
            {"type": "control_response", "response": {"subtype": "success", "request_id": id_, "response": body}}
        )

    def say(self, frame: Json | str) -> list[Step]:
        line = frame if isinstance(frame, str) else json.dumps(frame)
        return self.do(self.it.hear(Output("main", self.it.memory.life, line), at(self.now)))

    def barrier(self, id_: str = "b1") -> list[Step]:
        hook = {"subtype": "hook_callback", "callback_id": claude.BARRIER, "input": {"transcript_path": "/t.jsonl"}}
        return self.say({"type": "control_request", "request_id": id_, "request": hook})

    def ask(self, tool: str, id_: str = "q1", **given: str) -> list[Step]:
        asked = {"subtype": "can_use_tool", "tool_name": tool, "input": given}
        return self.say({"type": "control_request", "request_id": id_, "request": asked})

    def lifecycle(self, state: str) -> list[Step]:
        return self.say({"type": "command_lifecycle", "command_uuid": self.attempt, "state": state})

    def result(self, **facts: Any) -> list[Step]:
        good = {"subtype": "success", "is_error": False, "terminal_reason": "completed", "result": "fine"}
        uuids = [self.attempt] if self.it.queue.current else []
        return self.say({"type": "result", "user_message_uuids": uuids, "session_id": "s", **good, **facts})

    def submit(self, id_: str = "r1", **facts: Any) -> list[Step]:
        return self.do(self.it.submit(request(id_, **facts), at(self.now)))

    def exit(self, code: int = -9) -> list[Step]:
        return self.do(self.it.hear(Exited("main", self.it.memory.life, code, False), at(self.now)))

    def later(self, seconds: float) -> list[Step]:
        self.now += seconds
        return self.do(self.it.tick(at(self.now)))

    @property
    def attempt(self) -> str:
        assert self.it.queue.current
        return self.it.queue.current.attempt

    def states(self) -> list[str]:
        return [str(step.body["state"]) for step in self.done if isinstance(step, SaveRequest)]

    def said(self) -> list[Json]:
        """What the program was told."""
        return [json.loads(step.line) for step in self.done if isinstance(step, Feed)]

    def running(self, id_: str = "r1", **facts: Any) -> None:
        self.submit(id_, **facts)
        self.barrier()


def test_running_is_saved_before_the_prompt_is_let_start() -> None:
    talk = Talk()
    talk.ready()
    talk.submit()
    assert (talk.states(), talk.said()[-1]["type"]) == (["queued", "delivered"], "user")
    steps = talk.barrier()
    assert talk.states() == ["running"]
    assert isinstance(steps[-1], Feed)
    assert talk.said() == [json.loads(claude.let_start("b1"))]


def test_without_a_barrier_running_is_saved_before_the_prompt_is_fed() -> None:
    talk = Talk()
    talk.ready(OLDER)
    steps = talk.submit()
    assert talk.states() == ["queued", "delivered", "running"]
    assert isinstance(steps[-1], Feed)


def test_a_prompt_that_nobody_sent_is_blocked() -> None:
    talk = Talk()
    talk.ready()
    talk.barrier()
    assert talk.said()[0]["response"]["response"]["decision"] == "block"
    talk.running()
    talk.barrier("again")
    assert talk.said()[0]["response"]["response"]["decision"] == "block"


def test_the_next_prompt_waits_for_the_last_word_on_the_one_before() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    attempt = talk.attempt
    talk.lifecycle("started")
    talk.submit("r2")
    talk.result()
    assert talk.states() == ["succeeded"]
    assert not talk.said()
    talk.say({"type": "command_lifecycle", "command_uuid": attempt, "state": "completed"})
    assert talk.states() == ["delivered"]


def test_a_turn_that_nobody_asked_for_touches_no_request() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    talk.result(user_message_uuids=["somebody-elses"])
    assert talk.states() == []
    assert talk.it.queue.current


@pytest.mark.parametrize(
    ("started", "how", "state"),
    [
        (False, "discarded", "delivered"),
        (True, "discarded", "cancelled"),
        (True, "completed", "uncertain"),
        (False, "refused", "failed"),
    ],
)
def test_a_turn_that_ends_without_a_result_is_judged_by_its_last_word(started: bool, how: str, state: str) -> None:
    talk = Talk()
    talk.ready()
    talk.submit()
    if started:
        talk.barrier()
    talk.lifecycle(how)
    assert talk.states()[-1] == state


def test_a_cancelled_prompt_is_blocked_at_the_barrier_and_ends_as_cancelled() -> None:
    talk = Talk()
    talk.ready()
    talk.submit()
    talk.do(talk.it.stop_turn("cancelled", at(talk.now)))
    assert talk.said()[0]["request"] == {"subtype": "interrupt", "cancel_queued": True}
    assert talk.do(talk.it.stop_turn("cancelled", at(talk.now))) == []
    talk.barrier()
    assert talk.said()[0]["response"]["response"]["reason"] == "it was cancelled"
    talk.lifecycle("cancelled")
    assert talk.states() == ["cancelled"]


def test_a_turn_that_does_not_stop_costs_the_program_its_life() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    talk.do(talk.it.stop_turn("cancelled", at(talk.now)))
    assert talk.it.turn.doing == "stopping"
    assert talk.later(INTERRUPT_GRACE) == [End("main", 1, 5.0)]
    talk.exit()
    assert talk.states() == ["cancelled"]


def test_the_result_of_a_turn_that_was_faster_than_its_end_counts() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    talk.do(talk.it.stop_turn("timed_out", at(talk.now)))
    talk.result()
    assert talk.states() == ["succeeded"]


def test_a_stopped_turn_ends_as_it_was_asked_to() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    talk.do(talk.it.stop_turn("timed_out", at(talk.now)))
    talk.result(terminal_reason="aborted_streaming")
    assert talk.states() == ["timed_out"]


def test_no_progress_ends_a_turn_but_not_while_a_tool_runs_or_a_person_thinks() -> None:
    talk = Talk(request_timeout=10.0)
    talk.ready()
    talk.running()
    block = {"type": "tool_use", "id": "t1", "name": "Bash"}
    talk.say({"type": "assistant", "message": {"content": [block]}})
    assert talk.it.turn.doing == "running Bash"
    assert talk.later(1000) == []
    talk.ask("Bash", command="ls")
    assert talk.it.turn.doing == "waiting for approval of Bash"
    assert talk.later(1000) == []
    talk.say({"type": "control_cancel_request", "request_id": "q1"})
    talk.say({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1"}]}})
    assert talk.it.deadline == talk.now + 10
    assert talk.later(9) == []
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_an_absolute_limit_counts_for_those_that_wait_and_for_the_one_that_runs() -> None:
    talk = Talk()
    talk.ready()
    talk.running(expires=5.0, timeout=5.0)
    talk.submit("r2", expires=4.0, timeout=4.0)
    assert talk.it.deadline == 4.0
    talk.later(4)
    assert talk.states() == ["timed_out"]
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_the_policy_answers_before_any_person_is_asked() -> None:
    rules = (Rule("Bash", "git *", "allow"), Rule("Web*", "*", "deny"))
    talk = Talk(ApprovalsConfig(rules=rules))
    talk.ready()
    talk.running()
    for tool, given, behavior in (("Bash", {"command": "git log"}, "allow"), ("WebFetch", {"url": "x"}, "deny")):
        talk.ask(tool, **given)
        assert talk.said()[0]["response"]["response"]["behavior"] == behavior
    assert talk.ask("Bash", command="rm") == [*talk.done]
    assert len(talk.it.memory.approvals) == 1
    talk.ask("Strange", what="ever")
    assert len(talk.it.memory.approvals) == 2


def test_questions_are_bounded_and_expire_if_they_may() -> None:
    talk = Talk(ApprovalsConfig(timeout=60.0))
    talk.ready()
    for number in range(MAX_APPROVALS):
        talk.ask("Bash", f"q{number}", command="ls")
    talk.ask("Bash", "one too many", command="ls")
    assert "too many" in talk.said()[0]["response"]["response"]["message"]
    talk.later(60)
    assert len(talk.said()) == MAX_APPROVALS
    assert {one["response"]["response"]["behavior"] for one in talk.said()} == {"deny"}
    assert talk.it.memory.approvals == ()


def test_what_was_delivered_and_not_started_is_fed_again_and_at_last_given_up() -> None:
    talk = Talk()
    talk.ready()
    talk.submit()
    for _ in range(MAX_ATTEMPTS - 1):
        talk.exit()
        assert talk.states() == ["queued"]
        talk.ready()
        assert talk.states() == ["delivered"]
    talk.exit()
    assert talk.states() == ["failed"]


def test_a_running_one_is_judged_by_its_sessions_file() -> None:
    for row, retry, state in ((True, False, "succeeded"), (False, False, "uncertain"), (False, True, "queued")):
        talk = Talk()
        talk.ready()
        talk.running(retry_uncertain=retry)
        user = {"type": "user", "uuid": talk.attempt, "message": {"content": "x"}}
        done = {"message": {"role": "assistant", "stop_reason": "end_turn", "content": [{"type": "text", "text": "a"}]}}
        talk.exit()
        assert talk.states() == []
        assert talk.do(talk.it.begin(at(1))) == [Tail(1, "/t.jsonl", claude.TRANSCRIPT_TAIL)]
        text = json.dumps(user) + ("\n" + json.dumps(done) if row else "")
        talk.do(talk.it.hear(Tailed(1, text, ""), at(1)))
        assert talk.states() == [state]
        (start,) = [step for step in talk.done if isinstance(step, Start)]
        assert start.argv[-1].startswith("--resume=")
        assert talk.it.hear(Tailed(1, text, ""), at(1)) == []


def test_one_that_cannot_be_looked_after_any_more_is_uncertain() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    assert talk.it.bury(at(0)) == []
    talk.exit()
    talk.done = list(talk.it.bury(at(0)))
    assert talk.states() == ["uncertain"]


def test_a_session_that_can_be_neither_resumed_nor_made_gets_another_id() -> None:
    talk = Talk()
    talk.do(talk.it.begin(at(0)))
    first = talk.it.memory.session_id
    talk.it.hear(Errors("main", 1, f"Error: Session ID {first} is already in use."), at(0))
    talk.exit(1)
    assert "already in use" in talk.it.complaint
    talk.do(talk.it.begin(at(1)))
    assert talk.it.memory.session_id != first


def test_a_result_before_it_was_ready_says_why_it_died() -> None:
    talk = Talk()
    talk.do(talk.it.begin(at(0)))
    talk.result(subtype="error", errors=["No conversation found"], terminal_reason="")
    talk.exit(1)
    assert "No conversation found" in talk.it.complaint
    assert talk.it.unborn == 1


def test_one_that_is_never_ready_is_ended() -> None:
    talk = Talk()
    talk.do(talk.it.begin(at(0)))
    assert talk.it.deadline == READY_WITHIN
    assert talk.later(READY_WITHIN) == [End("main", 1, 5.0)]
    talk.exit()
    assert "not ready within" in talk.it.complaint


def test_starts_in_a_row_are_ever_further_apart_until_a_prompt_comes_as_far_as_its_start() -> None:
    talk = Talk()
    delays = []
    for _ in range(10):
        talk.ready()
        talk.exit()
        assert talk.it.retry_at is not None
        delays.append(talk.it.retry_at - talk.now)
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert any(isinstance(step, Start) for step in talk.later(60))
    talk.answer(claude.INITIALIZE, READY)
    talk.running()
    talk.result()
    talk.exit()
    assert talk.it.retry_at == talk.now


def test_an_idle_program_is_put_to_sleep_and_woken_by_the_next_prompt() -> None:
    talk = Talk(idle_timeout=300.0)
    talk.ready()
    assert talk.later(299) == []
    assert talk.later(1) == [End("main", 1, 5.0)]
    talk.submit()
    assert not talk.said()
    talk.exit(0)
    assert [step.life for step in talk.done if isinstance(step, Start)] == [2]
    talk.answer(claude.INITIALIZE, READY)
    assert talk.states() == ["delivered"]


def test_nothing_is_begun_where_no_agent_is_but_what_waits_can_expire() -> None:
    talk = Talk()
    talk.ready()
    talk.it.reachable = False
    talk.submit(expires=5.0, timeout=5.0)
    assert (talk.states(), talk.it.deadline) == (["queued"], 5.0)
    talk.later(5)
    assert talk.states() == ["timed_out"]
    talk.it.retire()
    assert talk.it.reached(at(6)) == []
    talk.submit("r2")
    assert talk.states() == ["queued", "delivered"]


def test_lines_of_another_life_and_of_no_meaning_change_nothing() -> None:
    talk = Talk()
    talk.ready()
    life = talk.it.memory.life
    assert talk.it.hear(Output("main", life + 1, "{}"), at(0)) == []
    assert talk.it.hear(Started("main", life, 7), at(0)) == []
    assert talk.say("not JSON") == [SaveLog("web", "program", "not JSON")]
    (told,) = talk.it.hear(Overlong("main", life, 99), at(0))
    assert isinstance(told, SaveLog)
    assert "99 bytes" in told.line
    assert talk.it.hear(Errors("", 0, "agent: hm"), at(0)) == [SaveLog("web", "agent", "agent: hm")]
    assert talk.say({"type": "control_response", "response": {"request_id": "p", "subtype": "success"}}) == []
    assert talk.it.take_answers() == {"p"}
    assert talk.it.take_answers() == set()


def test_a_program_that_is_not_there_is_hopeless() -> None:
    talk = Talk()
    talk.do(talk.it.begin(at(0)))
    assert talk.it.hear(NotStarted("main", 1, "there is no claude"), at(0)) == []
    assert (talk.it.hopeless, talk.it.complaint, talk.it.phase) == (True, "there is no claude", "none")


def test_every_output_is_an_event_of_the_request_that_runs() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    (event,) = talk.say({"type": "system", "subtype": "init", "session_id": "s9", "text": "ü"})
    assert isinstance(event, SaveEvent)
    assert (event.request, event.body.isascii()) == ("r1", True)
    assert talk.it.memory.session_id == "s9"


def test_a_daemon_that_comes_back_gives_a_stopping_turn_its_time_again() -> None:
    talk = Talk()
    talk.ready()
    talk.running()
    talk.do(talk.it.stop_turn("cancelled", at(0)))
    talk.it.resume(at(100))
    assert talk.it.deadline == 100 + INTERRUPT_GRACE
