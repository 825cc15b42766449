"""One program's lives: started, fed, judged when it died, put to sleep, found again by another daemon."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import pytest

from ccbridged.model import claude
from ccbridged.model.course import MAX_TOOLS
from ccbridged.model.effects import SaveEvent, SaveLog
from ccbridged.model.lives import READY_WITHIN
from ccbridged.model.transcript import TAIL
from ccbridged.model.turn import INTERRUPT_GRACE, MAX_APPROVAL, MAX_ATTEMPTS, SETTLE_GRACE
from ccbridged.protocol.messages import (
    End,
    Errors,
    Feed,
    NotStarted,
    Output,
    Overlong,
    Start,
    Started,
    Tail,
    Tailed,
    Unable,
)
from tests.pure.model_kit import EPOCH, FILE, OLDER, READY, Talk, rows


def test_one_that_cannot_be_looked_after_any_more_is_uncertain(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    assert talk.it.bury(talk.moment()) == []
    talk.exit()
    talk.done = list(talk.it.bury(talk.moment()))
    assert talk.states() == ["uncertain"]


def test_a_session_that_can_be_neither_resumed_nor_made_gets_another_id(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    first = talk.it.memory.session_id
    talk.hear(Errors("main", 1, f"Error: Session ID {first} is already in use."))
    talk.exit(1)
    assert "already in use" in talk.it.lives.complaint
    talk.begin()
    assert talk.it.memory.session_id != first


def test_a_result_before_it_was_ready_says_why_it_died(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    talk.result(subtype="error", errors=["No conversation found"], terminal_reason="")
    talk.exit(1)
    assert "No conversation found" in talk.it.lives.complaint
    assert talk.it.lives.unborn == 1


def test_one_that_is_never_ready_is_ended(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    assert talk.it.deadline == READY_WITHIN
    assert talk.later(READY_WITHIN) == [End("main", 1, 5.0)]
    talk.exit()
    assert "not ready within" in talk.it.lives.complaint


def test_starts_in_a_row_are_ever_further_apart_until_a_prompt_comes_as_far_as_its_start(model: ModuleType) -> None:
    talk = Talk(model)
    delays = []
    for _ in range(10):
        talk.ready()
        talk.exit()
        assert talk.it.lives.retry_at is not None
        delays.append(talk.it.lives.retry_at - talk.now)
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert any(isinstance(step, Start) for step in talk.later(60))
    talk.answer(claude.INITIALIZE, READY)
    talk.running()
    talk.result()
    talk.exit()
    assert talk.it.lives.retry_at == talk.now


def test_an_idle_program_is_put_to_sleep_and_woken_by_the_next_prompt(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=300.0)
    talk.ready()
    assert talk.later(299) == []
    assert talk.later(1) == [End("main", 1, 5.0)]
    talk.submit()
    assert not talk.said()
    talk.exit(0)
    assert [step.life for step in talk.done if isinstance(step, Start)] == [2]
    talk.answer(claude.INITIALIZE, READY)
    assert talk.states() == ["delivered"]


def test_lines_of_another_life_and_of_no_meaning_change_nothing(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    life = talk.it.memory.life
    assert talk.hear(Output("main", life + 1, "{}")) == []
    assert talk.hear(Started("main", life, 7)) == []
    assert talk.say("not JSON") == [SaveLog("web", "program", "not JSON")]
    (told,) = talk.hear(Overlong("main", life, 99))
    assert isinstance(told, SaveLog)
    assert "99 bytes" in told.line
    assert talk.hear(Errors("", 0, "agent: hm")) == [SaveLog("web", "agent", "agent: hm")]
    assert talk.say({"type": "control_response", "response": {"request_id": "p", "subtype": "success"}}) == []


def test_a_program_that_cannot_be_started_now_is_tried_again_for_as_long_as_it_takes(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    delays = []
    for _ in range(9):
        talk.hear(Unable("main", talk.it.memory.life, "no process could be made for it: Too many open files"))
        assert (talk.it.phase, talk.it.lives.hopeless, talk.it.lives.unborn) == ("none", False, 0)
        delays.append(talk.it.lives.retry_at - talk.now)
        talk.later(delays[-1])
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert talk.it.lives.complaint == "no process could be made for it: Too many open files"
    assert talk.it.phase == "starting"


def test_a_program_that_ended_before_it_had_begun_goes_on_to_what_it_was_ended_for(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    talk.do(talk.it.restart(talk.moment()))
    talk.hear(Unable("main", 1, "it was ended before it had begun"))
    assert [step.life for step in talk.done if isinstance(step, Start)] == [2]
    assert (talk.it.phase, talk.it.lives.retry_at) == ("starting", None)
    talk.it.retire()
    assert talk.hear(Unable("main", 2, "the agent is ending")) == []
    assert (talk.it.phase, talk.it.lives.retry_at) == ("none", None)


def test_a_session_without_the_hook_goes_on_as_well(model: ModuleType) -> None:
    """Nobody has told where its file is; that it has had a turn is enough."""
    old = {"claude_code_version": "1"}
    talk = Talk(model)
    talk.ready(old)
    talk.exit()
    talk.later(0)
    ((*_, flag, _),) = talk.starts()
    assert flag == "--session-id"
    talk.answer(claude.INITIALIZE, old)
    talk.submit()
    talk.result()
    session = talk.it.memory.session_id
    talk.restart()
    talk.reach()
    talk.exit()
    talk.later(0)
    ((*_, resumed),) = talk.starts()
    assert resumed == f"--resume={session}"
    talk.hear(Errors("main", talk.it.memory.life, "No conversation found with session ID"))
    talk.exit(1)
    talk.later(1)
    ((*_, flag, fresh),) = talk.starts()
    assert (flag, fresh == session) == ("--session-id", False)


def test_an_ended_turn_of_which_the_last_word_never_comes_holds_up_nobody(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.lifecycle("started")
    talk.submit("next")
    talk.result()
    assert talk.states() == ["succeeded"]
    assert talk.later(SETTLE_GRACE - 1) == []
    assert talk.later(1) == [End("main", 1, 5.0)]
    talk.exit()
    talk.later(0)
    talk.tailed("", "no such file")
    talk.answer(claude.INITIALIZE, READY)
    assert talk.it.queue.current.id == "next"


def test_a_program_that_is_not_there_is_hopeless(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    assert talk.hear(NotStarted("main", 1, "there is no claude")) == []
    assert (talk.it.lives.hopeless, talk.it.lives.complaint, talk.it.phase) == (True, "there is no claude", "none")


def test_every_output_is_an_event_of_the_request_that_runs(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    (event,) = talk.say({"type": "system", "subtype": "init", "session_id": "s9", "text": "ü"})
    assert isinstance(event, SaveEvent)
    assert (event.request, event.body.isascii()) == ("r1", True)
    assert talk.it.memory.session_id == "s9"


@pytest.mark.parametrize(
    ("answers", "retry", "state"), [(1, True, "succeeded"), (0, False, "uncertain"), (0, True, "queued")]
)
def test_a_running_one_is_judged_by_its_sessions_file(model: ModuleType, answers: int, retry: bool, state: str) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running(retry_uncertain=retry)
    text = rows(talk.attempt, *["the answer"] * answers)
    talk.exit()
    assert (talk.states(), talk.it.queue.state("r1")) == ([], "running")
    assert talk.begin() == [Tail(1, FILE, TAIL)]
    talk.tailed(text)
    assert talk.states() == [state]
    assert [one["text"] for one in talk.results() if one["state"] == "succeeded"] == ["the answer"] * answers
    assert talk.starts()[0][-1] == f"--resume={talk.it.memory.session_id}"
    assert talk.tailed(text) == []


def test_one_that_may_be_repeated_is_for_a_while(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running(retry_uncertain=True)
    for _ in range(MAX_ATTEMPTS - 1):
        talk.exit()
        talk.ready()
        talk.barrier()
        assert talk.states() == ["running"]
    talk.exit()
    talk.begin()
    talk.tailed("", "no such file")
    assert talk.states() == ["uncertain"]


def test_without_a_session_file_to_look_at_nothing_is_proven(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready(OLDER)
    talk.submit()
    talk.exit()
    talk.begin()
    assert talk.states() == ["uncertain"]
    assert "may have run" in talk.results()[0]["error"]
    assert "--session-id" in talk.starts()[0]


@pytest.mark.parametrize("looking", [False, True])
def test_a_turn_of_a_dead_program_that_should_stop_has(model: ModuleType, looking: bool) -> None:
    for by_limit in (False, True):
        talk = Talk(model)
        talk.ready()
        talk.running(retry_uncertain=True, expires=9.0, timeout=9.0)
        talk.exit()
        talk.it.lives.retry_at = None
        if looking:
            talk.begin()
        talk.later(9) if by_limit else talk.stop()
        assert talk.states()[-1] in ("cancelled", "timed_out")
        assert (talk.said(), talk.it.deadline) == ([], None)


def test_a_prompt_that_waits_does_not_end_with_the_turn_of_a_dead_program(model: ModuleType) -> None:
    talk = Talk(model)
    talk.submit()
    assert talk.stop() == []
    assert talk.later(100) == []
    assert talk.it.queue.state("r1") == "queued"


def test_one_of_which_nobody_will_know_more_is_uncertain_even_while_its_file_is_looked_for(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.exit()
    talk.begin()
    talk.done = list(talk.it.bury(talk.moment()))
    assert talk.states() == ["uncertain"]


def test_a_file_that_comes_when_the_agent_is_to_end_is_judged_by_and_nothing_is_started(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    text = rows(talk.attempt, "done")
    talk.exit()
    talk.begin()
    talk.it.retire()
    talk.tailed(text)
    assert (talk.states(), talk.starts(), talk.it.phase) == (["succeeded"], [], "none")


def test_the_file_of_another_life_is_not_looked_at(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    text = rows(talk.attempt, "done")
    assert talk.hear(Tailed(1, text, "")) == []
    talk.exit()
    talk.begin()
    assert talk.hear(Tailed(2, text, "")) == []
    assert talk.it.phase == "looking"


def test_a_session_is_gone_on_with_only_if_there_is_something_in_it(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    first = talk.it.memory.session_id
    for text, resumed in ((rows("x"), True), ('{"type":"summary"}', False)):
        talk.running()
        talk.exit()
        talk.begin()
        talk.tailed(text)
        assert (talk.it.memory.session_id == first) is resumed
        assert (talk.it.memory.transcript == FILE) is resumed
        talk.answer(claude.INITIALIZE, READY)


def test_a_start_says_how_claude_code_is_run(model: ModuleType) -> None:
    talk = Talk(model)
    talk.it.spec = replace(talk.it.spec, program=("claude", "x"), args=("--model", "y"), workdir="/w")
    start, fed = talk.begin()
    session = talk.it.memory.session_id
    line = claude.argv(("claude", "x"), ("--model", "y"), session, resume=False)
    assert start == Start("main", 1, line, "/w", claude.VARIABLES, claude.SCRUB, claude.end_session())
    assert fed == Feed("main", 1, claude.initialize())
    assert (talk.it.phase, talk.it.memory.life) == ("starting", 1)


def test_a_session_that_goes_by_another_id_is_gone_on_with_by_that(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.say({"type": "system", "session_id": "fork"})
    talk.say({"type": "system"})
    talk.exit()
    talk.begin()
    talk.tailed(rows("x"))
    assert talk.starts()[0][-1] == "--resume=fork"


def test_each_turn_has_its_own_price_whatever_became_of_the_program(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()

    def price(total: float) -> float:
        talk.running()
        talk.result(total_cost_usd=total)
        return float(talk.results()[0]["cost_usd"])

    def again(code: int, text: str) -> None:
        talk.exit(code)
        talk.begin()
        talk.tailed(text)
        talk.answer(claude.INITIALIZE, READY)

    assert [price(1.0), price(3.0)] == [1.0, 2.0]
    again(0, rows("x"))
    assert price(4.0) == 1.0
    again(-9, rows("x"))
    assert price(3.5) == 0.5  # Killed, Claude Code goes on from what it knew when it was last ended.
    again(143, rows("x"))
    talk.agent_is_new()
    talk.ready()
    assert price(5.0) == 5.0  # Another session.
    assert price(4.0) == 4.0


def test_an_agents_death_is_a_kill_of_its_program(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.result(total_cost_usd=3.0)
    talk.submit("r2")
    assert talk.agent_is_new() != []
    assert (talk.states(), talk.it.phase, talk.it.memory.spent) == (["queued"], "none", 0.0)
    assert talk.agent_is_new() == []
    assert talk.it.lives.failures == 0


def test_one_that_sleeps_does_not_notice_a_new_agent(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=10.0)
    talk.ready()
    talk.later(10)
    talk.exit(0)
    assert (talk.it.phase, talk.starts(), talk.it.deadline) == ("asleep", [], None)
    assert talk.agent_is_new() == []
    assert talk.it.phase == "asleep"
    talk.it.reachable = False
    assert [type(step).__name__ for step in talk.submit()] == ["SaveRequest", "SaveEvent"]
    talk.reach()
    assert len(talk.starts()) == 1


def test_sleep_comes_only_when_nothing_is_going_on(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=10.0)
    talk.begin()
    assert talk.it.deadline == 60.0
    talk.now = 5.0
    talk.answer(claude.INITIALIZE, READY)
    assert talk.it.deadline == 15.0
    talk.running()
    assert talk.it.deadline is None
    talk.now = 20.0
    talk.result()
    assert talk.it.deadline == 30.0
    talk.now = 25.0
    talk.say({"type": "system", "subtype": "task_notification"})
    assert talk.it.deadline == 35.0
    talk.tool_begins()
    assert talk.it.deadline is None
    talk.tool_ends()
    talk.ask("Bash", command="ls")
    assert talk.it.deadline is None
    talk.say({"type": "control_cancel_request", "request_id": "q1"})
    assert talk.later(10) == [End("main", 1, 5.0)]
    assert talk.later(100) == []


def test_nothing_waits_longer_because_its_program_was_about_to_sleep(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=10.0)
    talk.ready()
    talk.later(10)
    talk.submit()
    assert not talk.said()
    talk.agent_is_new()
    assert talk.it.phase == "none"
    talk.ready()
    assert talk.states() == ["delivered"]


def test_nothing_is_begun_where_no_agent_is_but_what_waits_can_expire(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.it.reachable = False
    talk.submit(expires=5.0, timeout=5.0)
    assert (talk.states(), talk.it.deadline) == (["queued"], 5.0)
    talk.later(5)
    assert talk.states() == ["timed_out"]
    assert talk.later(1000) == []
    talk.it.retire()
    assert talk.reach() == []
    talk.submit("r2")
    assert talk.states() == ["queued", "delivered"]


def test_a_program_that_is_to_end_is_told_nothing_new(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.it.retire()
    talk.submit()
    assert talk.states() == ["queued"]
    talk.exit(0)
    assert (talk.it.phase, talk.it.lives.retry_at, talk.it.lives.complaint) == ("none", None, "")


def test_a_time_without_an_agent_is_no_time_without_progress(model: ModuleType) -> None:
    talk = Talk(model, request_timeout=10.0, idle_timeout=10.0)
    talk.ready()
    talk.running()
    talk.it.reachable = False
    assert talk.it.deadline is None
    assert talk.later(1000) == []
    talk.reach()
    assert talk.it.deadline == 1010.0
    talk.result()
    talk.it.reachable = False
    talk.later(1000)
    talk.reach()
    assert talk.it.deadline == 2010.0


def test_a_daemon_that_comes_back_goes_on_where_the_last_one_ended(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.lifecycle("started")
    talk.tool_begins()
    talk.ask("Bash", command="ls")
    talk.submit("r2")
    talk.submit("r3")
    before = talk.it.memory
    talk.restart()
    assert talk.it.memory == before
    talk.reach()
    assert talk.doing == "waiting_for_approval Bash"
    assert [one.id for one in talk.it.queue.waiting] == ["r2", "r3"]
    attempt = talk.attempt
    talk.result()
    assert talk.states() == ["succeeded"]
    talk.restart()
    assert talk.reach() == []
    talk.lifecycle("completed", attempt)
    assert (talk.states(), talk.it.queue.current.id) == (["delivered"], "r2")


def test_a_daemon_that_comes_back_lets_a_delivered_prompt_start_and_no_other(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit()
    talk.restart()
    talk.reach()
    talk.barrier()
    assert (talk.states(), talk.verdicts()) == (["running"], [{}])
    talk.restart()
    talk.reach()
    talk.barrier()
    assert (talk.states(), talk.verdicts()[0]["decision"]) == ([], "block")


def test_a_daemon_that_comes_back_gives_a_stopping_turn_and_a_start_their_time_again(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    talk.now = 100.0
    talk.restart()
    talk.reach()
    assert talk.it.deadline == 100.0 + READY_WITHIN
    talk.answer(claude.INITIALIZE, READY)
    talk.running()
    talk.stop()
    talk.now = 200.0
    talk.restart()
    talk.reach()
    assert talk.it.deadline == 200.0 + INTERRUPT_GRACE
    assert talk.it.turn.activity.since == EPOCH + 100.0


def test_an_early_death_is_not_followed_by_a_start_at_once(model: ModuleType) -> None:
    talk = Talk(model)
    delays = []
    for _ in range(3):
        talk.begin()
        talk.exit(1)
        delays.append(talk.it.lives.retry_at - talk.now)
    assert (delays, talk.it.lives.unborn) == ([0.5, 1.0, 2.0], 3)
    talk.it.lives.forgive()
    talk.ready()
    talk.exit(1)
    assert (talk.it.lives.retry_at, talk.it.lives.unborn) == (talk.now, 0)


def test_a_turn_without_a_barrier_is_a_start_as_well(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready(OLDER)
    talk.exit()
    assert talk.it.lives.failures == 1
    talk.ready(OLDER)
    talk.submit()
    talk.result()
    assert talk.it.lives.failures == 0


def test_a_death_is_told_with_its_last_words_and_as_an_event(model: ModuleType) -> None:
    talk = Talk(model)
    talk.begin()
    for number in range(9):
        talk.hear(Errors("main", 1, f" line {number} "))
    talk.hear(Errors("main", 1, "  "))
    talk.exit(2)
    assert talk.it.lives.complaint == "Claude Code ended with status 2: line 5; line 6; line 7; line 8"
    (event,) = [step for step in talk.done if isinstance(step, SaveEvent)]
    assert (event.type, event.request, json.loads(event.body)) == ("program", "", {"program": "exited", "code": 2})
    talk.begin()
    talk.exit(-11)
    assert talk.it.lives.complaint == "Claude Code ended with signal 11"
    talk.ready()
    assert talk.it.lives.complaint == ""


def test_a_program_is_asked_when_it_can_answer_and_whatever_it_says_then_is_a_sign_of_life(model: ModuleType) -> None:
    talk = Talk(model)
    assert talk.it.ask(claude.ping("p1")) == []
    talk.ready()
    assert talk.it.ask(claude.ping("p1")) == [Feed("main", 1, claude.ping("p1"))]
    talk.later(3)
    assert talk.it.heard_at == 0
    talk.answer("p1", {})
    assert talk.it.heard_at == 3
    talk.later(1)
    talk.say({"type": "keep_alive"})
    assert talk.it.heard_at == 4
    talk.it.reachable = False
    assert talk.it.ask(claude.ping("p2")) == []


def test_a_restart_ends_the_program_and_begins_it_anew_at_once(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    assert talk.do(talk.it.restart(talk.moment())) == [End("main", 1, 5.0)]
    assert talk.it.restarting
    talk.submit("r2")
    assert [request.id for request in talk.it.queue.waiting] == ["r2"]
    talk.exit(-9)
    assert (talk.it.restarting, talk.it.phase) == (False, "looking")
    assert talk.it.lives.failures == 0
    talk.tailed("")
    assert talk.it.phase == "starting"
    assert [result["state"] for result in talk.results()] == ["uncertain"]
    talk.answer(claude.INITIALIZE, READY)
    assert talk.it.queue.current.state == "delivered"


def test_a_restart_that_the_agent_never_heard_of_is_forgotten_with_it(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.do(talk.it.restart(talk.moment()))
    talk.reach()
    assert not talk.it.restarting
    talk.submit("r1")
    assert talk.it.queue.current.state == "delivered"


def test_a_session_that_cannot_be_resumed_is_given_up(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    first = talk.it.memory.session_id
    talk.running()
    talk.exit()
    talk.begin()
    talk.tailed(rows("x"))
    talk.result(subtype="error", is_error=True, errors=["No conversation found"], terminal_reason="")
    talk.exit(1)
    assert "No conversation found" in talk.it.lives.complaint
    talk.begin()
    (line,) = talk.starts()
    assert line[-2:] == ["--session-id", talk.it.memory.session_id]
    assert talk.it.memory.session_id != first


def test_a_death_in_the_middle_of_a_turn_is_the_first_in_a_row(model: ModuleType) -> None:
    talk = Talk(model)
    for _ in range(3):
        talk.ready()
        talk.exit()
    talk.ready()
    talk.running()
    talk.exit()
    assert (talk.it.lives.failures, talk.it.lives.retry_at) == (1, talk.now)


@pytest.mark.parametrize("odd", ["\ud800", "\0", "x" * 100_000, "\u202e"])
def test_no_text_that_a_program_may_say_is_too_odd(model: ModuleType, odd: str) -> None:
    """Lone surrogates are legal in JSON. One program must not end the daemon of all."""
    talk = Talk(model)
    talk.ready({**READY, "claude_code_version": odd, "account": {"apiKeySource": odd, "tokenSource": odd}})
    talk.submit()
    talk.barrier(odd, odd)
    talk.say({"type": odd, "subtype": odd, "session_id": odd})
    talk.tool_begins(odd, odd)
    talk.ask(odd, odd, command=odd)
    talk.tool_ends(odd)
    for kind in ("api_retry", "session_state_changed", "status", "init", "compact_boundary"):
        talk.say({"type": "system", "subtype": kind, "state": odd, "status": odd, "error": odd, "attempt": odd})
    talk.say({"type": "control_cancel_request", "request_id": odd})
    talk.lifecycle(odd, odd)
    talk.say({"type": "rate_limit_event", "rate_limit_info": {"status": odd, "rateLimitType": odd}})
    talk.result(result=odd, session_id=odd, errors=[odd], terminal_reason=odd)
    assert talk.states() == ["failed"]
    assert len(json.dumps(talk.it.memory.body())) < 20_000
    talk.restart()


def test_a_program_that_begins_calls_without_end_costs_no_memory(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    for number in range(3 * MAX_TOOLS):
        talk.tool_begins(f"t{number}")
    assert [id_ for id_, *_ in talk.it.memory.tools] == [f"t{number}" for number in range(2 * MAX_TOOLS, 3 * MAX_TOOLS)]


def test_a_question_too_long_to_be_kept_is_denied(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.running()
    talk.ask("Write", content="x" * MAX_APPROVAL)
    assert [one["behavior"] for one in talk.verdicts()] == ["deny"]
    assert talk.it.turn.approvals == ()
