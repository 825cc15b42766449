"""What one prompt goes through: delivered, held at the barrier, let start, stopped, ended; and its questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest

from ccbridged.model import claude
from ccbridged.model.config import ApprovalsConfig, Rule
from ccbridged.model.effects import SaveEvent, SaveRequest
from ccbridged.model.turn import INTERRUPT_GRACE, MAX_APPROVALS, MAX_ATTEMPTS
from ccbridged.protocol.messages import (
    End,
    Feed,
)
from tests.pure.model_kit import CALM, EPOCH, OLDER, READY, Talk


def test_running_is_saved_before_the_prompt_is_let_start(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    assert (talk.states(), talk.said()[-1]["type"]) == (["queued", "delivered"], "user")
    steps = talk.barrier()
    assert talk.states() == ["running"]
    assert isinstance(steps[-1], Feed)
    assert talk.said() == [json.loads(claude.let_start("b1"))]


def test_without_a_barrier_running_is_saved_before_the_prompt_is_fed(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready(OLDER)
    steps = talk.submit()
    assert talk.states() == ["queued", "delivered", "running"]
    assert isinstance(steps[-1], Feed)


def test_a_prompt_that_nobody_sent_is_blocked(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.barrier()
    assert talk.said()[0]["response"]["response"]["decision"] == "block"
    talk.running()
    talk.barrier("again")
    assert talk.said()[0]["response"]["response"]["decision"] == "block"


def test_the_next_prompt_waits_for_the_last_word_on_the_one_before(model: ModuleType) -> None:
    talk = Talk(model)
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


def test_a_turn_that_nobody_asked_for_touches_no_request(model: ModuleType) -> None:
    talk = Talk(model)
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
def test_a_turn_that_ends_without_a_result_is_judged_by_its_last_word(
    model: ModuleType, started: bool, how: str, state: str
) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    if started:
        talk.barrier()
    talk.lifecycle(how)
    assert talk.states()[-1] == state


def test_a_cancelled_prompt_is_blocked_at_the_barrier_and_ends_as_cancelled(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    talk.stop()
    assert talk.said()[0]["request"] == {"subtype": "interrupt", "cancel_queued": True}
    assert talk.stop() == []
    talk.barrier()
    assert talk.said()[0]["response"]["response"]["reason"] == "it was cancelled"
    talk.lifecycle("cancelled")
    assert talk.states() == ["cancelled"]


def test_a_turn_that_does_not_stop_costs_the_program_its_life(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.stop()
    assert talk.doing == "stopping"
    assert talk.later(INTERRUPT_GRACE) == [End("main", 1, 5.0)]
    talk.exit()
    assert talk.states() == ["cancelled"]


def test_the_result_of_a_turn_that_was_faster_than_its_end_counts(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.stop("timed_out")
    talk.result()
    assert talk.states() == ["succeeded"]


def test_a_stopped_turn_ends_as_it_was_asked_to(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.stop("timed_out")
    talk.result(terminal_reason="aborted_streaming")
    assert talk.states() == ["timed_out"]


def test_no_progress_ends_a_turn_but_not_while_a_tool_runs_or_a_person_thinks(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.running()
    block = {"type": "tool_use", "id": "t1", "name": "Bash"}
    talk.say({"type": "assistant", "message": {"content": [block]}})
    assert talk.doing == "running_tool Bash"
    assert talk.later(1000) == []
    talk.ask("Bash", command="ls")
    assert talk.doing == "waiting_for_approval Bash"
    assert talk.later(1000) == []
    talk.say({"type": "control_cancel_request", "request_id": "q1"})
    talk.say({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1"}]}})
    assert talk.it.deadline == talk.now + 10
    assert talk.later(9) == []
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_an_absolute_limit_counts_for_those_that_wait_and_for_the_one_that_runs(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running(expires=5.0, timeout=5.0)
    talk.submit("r2", expires=4.0, timeout=4.0)
    assert talk.it.deadline == 4.0
    talk.later(4)
    assert talk.states() == ["timed_out"]
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_the_policy_answers_before_any_person_is_asked(model: ModuleType) -> None:
    rules = (Rule("Bash", "git *", "allow"), Rule("Web*", "*", "deny"))
    talk = Talk(model, ApprovalsConfig(rules=rules))
    talk.ready()
    talk.running()
    for tool, given, behavior in (("Bash", {"command": "git log"}, "allow"), ("WebFetch", {"url": "x"}, "deny")):
        talk.ask(tool, **given)
        assert talk.said()[0]["response"]["response"]["behavior"] == behavior
    assert talk.ask("Bash", command="rm") == [*talk.done]
    assert len(talk.it.memory.approvals) == 1
    talk.ask("Strange", what="ever")
    assert len(talk.it.memory.approvals) == 2


def test_questions_are_bounded_and_expire_if_they_may(model: ModuleType) -> None:
    talk = Talk(model, ApprovalsConfig(timeout=60.0))
    talk.ready()
    for number in range(MAX_APPROVALS):
        talk.ask("Bash", f"q{number}", command="ls")
    talk.ask("Bash", "one too many", command="ls")
    assert "too many" in talk.said()[0]["response"]["response"]["message"]
    talk.later(60)
    assert len(talk.said()) == MAX_APPROVALS
    assert {one["response"]["response"]["behavior"] for one in talk.said()} == {"deny"}
    assert talk.it.memory.approvals == ()


def test_what_was_delivered_and_not_started_is_fed_again_and_at_last_given_up(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    for _ in range(MAX_ATTEMPTS - 1):
        talk.exit()
        assert talk.states() == ["queued"]
        talk.ready()
        assert talk.states() == ["delivered"]
    talk.exit()
    assert talk.states() == ["failed"]


def test_a_prompt_is_told_literally_under_a_uuid_of_its_own(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    first, told = talk.attempt, talk.said()[-1]
    content = [{"type": "text", "text": "prompt of r1"}]
    assert told == {
        "type": "user",
        "uuid": first,
        "client_composed": True,
        "message": {"role": "user", "content": content},
    }
    talk.exit()
    talk.later(1)
    talk.answer(claude.INITIALIZE, READY)
    assert talk.it.queue.current.attempts == 2
    assert talk.attempt not in ("", first)


def test_only_one_prompt_is_in_flight(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    for id_ in ("r1", "r2", "r3"):
        talk.submit(id_)
    assert talk.states() == ["queued"]
    talk.barrier()
    assert (talk.states(), len(talk.said())) == (["running"], 1)
    talk.result()
    assert [step.id for step in talk.done if isinstance(step, SaveRequest)] == ["r1", "r2"]
    assert talk.it.queue.current.id == "r2"


def test_a_prompt_is_fed_only_to_a_program_that_is_ready(model: ModuleType) -> None:
    talk = Talk(model)
    talk.submit()
    assert not talk.said()
    talk.begin()
    assert [one["request"]["subtype"] for one in talk.said()] == ["initialize"]
    talk.answer(claude.INITIALIZE, READY)
    assert talk.said()[-1]["type"] == "user"


@pytest.mark.parametrize("how", ["queued", "started"])
def test_a_word_that_is_not_the_last_changes_nothing(model: ModuleType, how: str) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    assert talk.lifecycle(how) == []
    assert talk.it.queue.state("r1") == "running"


def test_the_last_word_on_another_turn_is_not_that_on_the_one_before(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    attempt = talk.attempt
    talk.lifecycle("started")
    talk.result()
    talk.submit("r2")
    talk.lifecycle("completed", "somebody-elses")
    talk.lifecycle("started", attempt)
    assert talk.states() == []
    talk.lifecycle("completed", attempt)
    assert talk.states() == ["delivered"]


def test_where_no_last_words_are_said_the_result_is_enough(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.submit("r2")
    talk.result()
    assert talk.states() == ["succeeded", "delivered"]


def test_a_program_that_says_no_last_words_is_not_waited_for_because_the_one_before_it_did(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.lifecycle("started")
    talk.exit()
    talk.ready()
    talk.running("r2")
    talk.submit("r3")
    talk.result()
    assert talk.states() == ["succeeded", "delivered"]


def test_the_result_says_what_claude_code_said(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.now = 1.0
    talk.submit()
    talk.now = 3.5
    talk.barrier()
    usage = {"output_tokens": 3}
    talk.result(total_cost_usd=0.25, usage=usage)
    assert talk.results() == [
        {
            "id": "r1",
            "state": "succeeded",
            "text": "fine",
            "session_id": "s",
            "cost_usd": 0.25,
            "usage": usage,
            "duration_ms": 2500,
            "attempts": 1,
            "error": None,
        }
    ]


def test_a_failed_turn_says_why(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.result(is_error=True, terminal_reason="api_error", result="API Error: 529")
    assert [(one["state"], one["error"]) for one in talk.results()] == [("failed", "API Error: 529")]


def test_a_turn_that_a_hook_of_somebody_elses_blocked_has_failed(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    talk.result(terminal_reason="", num_turns=0, result="")
    assert talk.states() == ["failed"]
    assert "a hook blocked it" in talk.results()[0]["error"]


def test_a_turn_that_nobody_asked_for_has_events_and_questions_of_its_own(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    (event,) = talk.tool_begins()
    (question,) = talk.ask("Bash", command="ls")
    assert isinstance(event, SaveEvent)
    assert isinstance(question, SaveEvent)
    assert (event.request, question.request, question.type) == ("", "", "approval")
    talk.barrier()
    (event,) = talk.say({"type": "assistant"})
    (question,) = talk.ask("Bash", "q2", command="ls")
    assert isinstance(event, SaveEvent)
    assert isinstance(question, SaveEvent)
    assert (event.request, question.request) == ("r1", "r1")


def test_a_tool_of_a_turn_that_nobody_asked_for_ends_with_it(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.tool_begins()
    assert talk.doing == "running_tool Bash"
    talk.result(user_message_uuids=[])
    assert talk.doing == ""
    talk.running()
    assert talk.it.deadline == talk.now + 10


def test_the_output_of_a_turn_is_an_event_of_its_request_up_to_its_result(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.result()
    events = [step for step in talk.done if isinstance(step, SaveEvent)]
    assert [(event.type, event.request) for event in events] == [("output", "r1"), ("result", "r1")]
    assert json.loads(events[0].body)["message"]["type"] == "result"


def test_a_question_is_withdrawn_with_its_turn(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    ends: tuple[Callable[[], object], ...] = (talk.result, talk.stop, talk.exit, lambda: talk.lifecycle("completed"))
    for end in ends:
        if not talk.it.queue.current:
            talk.running()
        talk.ask("Bash", command="ls")
        end()
        closed = [step for step in talk.done if isinstance(step, SaveEvent) and step.type == "approval_closed"]
        assert [json.loads(event.body)["verdict"] for event in closed] == ["withdrawn"]
        assert talk.it.memory.approvals == ()
        talk.exit()
        talk.ready()


def test_an_answer_is_told_to_claude_and_to_whoever_looks(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.running()
    talk.ask("Bash", command="ls")
    talk.ask("Read", "q2")
    one, two = talk.it.memory.approvals
    talk.now = 500.0
    closed, fed = talk.do(talk.it.answer(one, claude.deny("q1", "no"), "denied", talk.moment()))
    assert isinstance(closed, SaveEvent)
    assert json.loads(closed.body) == {"id": one.id, "tool": "Bash", "verdict": "denied"}
    assert talk.verdicts() == [{"behavior": "deny", "message": "no"}]
    assert isinstance(fed, Feed)
    assert talk.it.memory.approvals == (two,)
    talk.say({"type": "control_cancel_request", "request_id": "q2"})
    assert talk.it.deadline == 510.0


def test_only_the_question_that_claude_takes_back_is_withdrawn(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.ask("Bash", "q1")
    talk.ask("Read", "q2")
    talk.say({"type": "control_cancel_request", "request_id": "q1"})
    assert [approval.request_id for approval in talk.it.memory.approvals] == ["q2"]


def test_any_sign_of_life_is_progress(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.submit()
    assert talk.it.deadline == 10.0
    talk.later(9)
    talk.say({"type": "stream_event"})
    assert talk.it.deadline == 19.0
    talk.later(10)
    assert [one["request"]["subtype"] for one in talk.said()] == ["interrupt"]
    talk.lifecycle("cancelled")
    assert [(one["state"], one["error"]) for one in talk.results()] == [
        ("timed_out", "timed out; its turn was stopped")
    ]


def test_patience_begins_with_the_prompt_not_with_the_last_word_of_the_turn_before(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.now = 1000.0
    talk.submit()
    assert talk.it.deadline == 1010.0


def test_since_tells_when_the_present_kind_of_waiting_began(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    since, kinds = [], []
    for step in (
        talk.running,
        lambda: talk.say({"type": "stream_event", "event": {"type": "content_block_delta"}}),
        lambda: talk.say({"type": "stream_event", "event": {"type": "content_block_delta"}}),
        talk.tool_begins,
        lambda: talk.ask("Bash", command="ls"),
        lambda: talk.do(talk.it.answer(talk.it.memory.approvals[0], claude.allow("q1", {}), "allowed", talk.moment())),
        talk.stop,
    ):
        talk.now += 1
        step()
        since.append(talk.it.turn.activity.since - EPOCH)
        kinds.append(talk.doing)
    assert since == [1, 2, 2, 4, 5, 4, 7]
    tool = "running_tool Bash"
    assert kinds == ["starting", "answering", "answering", tool, "waiting_for_approval Bash", tool, "stopping"]


def test_a_limit_is_that_of_the_one_that_waits_and_says_so(model: ModuleType) -> None:
    talk = Talk(model)
    talk.submit("r1", expires=7.0, timeout=7.0)
    talk.submit("r2")
    talk.later(6.9)
    assert talk.states() == []
    talk.later(0.1)
    assert [(one["id"], one["state"], one["error"]) for one in talk.results()] == [
        ("r1", "timed_out", "not started within 7 s")
    ]


def test_the_limit_of_a_turn_that_is_being_stopped_stops_it_no_second_time(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=3.0)
    talk.ready()
    talk.running(expires=5.0, timeout=5.0)
    talk.stop()
    assert talk.it.deadline == INTERRUPT_GRACE
    assert talk.later(INTERRUPT_GRACE - 1) == []
    assert talk.later(1) == [End("main", 1, 5.0)]
    assert talk.it.deadline == 2 * INTERRUPT_GRACE


def test_a_turn_whose_program_dies_while_it_is_stopped_ends_as_it_was_asked_to(model: ModuleType) -> None:
    for state, error in (("cancelled", "cancelled"), ("timed_out", "timed out; its turn was stopped")):
        talk = Talk(model)
        talk.ready()
        talk.running(retry_uncertain=True)
        talk.stop(state)
        talk.exit()
        assert [(one["state"], one["error"]) for one in talk.results()] == [(state, error)]


def test_a_stopped_prompt_that_is_discarded_is_not_fed_again(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    talk.stop()
    talk.lifecycle("discarded")
    assert talk.states() == ["cancelled"]


def test_nothing_is_stopped_where_nothing_runs(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    assert talk.stop() == []
    talk.it.session = replace(CALM, idle_timeout=1.0)
    assert talk.doing == ""


def test_a_question_without_a_tool_call_is_no_standstill_either(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0)
    talk.ready()
    talk.running()
    talk.ask("AskUserQuestion")
    assert talk.it.deadline is None
    assert talk.later(1000) == []


def test_the_limit_of_a_turn_is_kept_and_woken_for(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running(expires=5.0, timeout=5.0)
    talk.tool_begins()
    assert talk.it.deadline == 5.0
    talk.later(5)
    talk.result(terminal_reason="aborted_tools", is_error=True)
    assert talk.states() == ["timed_out"]


def test_the_end_of_a_wait_for_an_answer_is_woken_for(model: ModuleType) -> None:
    talk = Talk(model, ApprovalsConfig(timeout=60.0))
    talk.ready()
    talk.ask("Bash")
    assert talk.it.deadline == 60.0
