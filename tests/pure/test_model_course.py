"""Busy is not stuck: what a turn is at is what Claude Code says, and only silence without a reason is a standstill."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ccbridged.model import claude
from ccbridged.model.activity import WORDS, Activity
from ccbridged.model.config import ApprovalsConfig
from ccbridged.model.frames import MAX_DELAY, Background, Doing, Frame, Limit, Session
from tests.pure.model_kit import EPOCH, FILE, READY, Talk

RECORDED = Path(__file__).parents[1] / "transcripts" / "2.1.329"
Json = dict[str, Any]


def news(frame: Json) -> object:
    said = claude.read_line(json.dumps(frame))
    assert isinstance(said, Frame)
    return said.news


def system(subtype: str, **facts: object) -> Json:
    return {"type": "system", "subtype": subtype, **facts}


def retry(attempt: int = 1, delay_ms: int = 9000, status: int | None = 429, error: str = "rate_limit") -> Json:
    numbers = {"attempt": attempt, "max_retries": 10, "retry_delay_ms": delay_ms}
    return system("api_retry", **numbers, error_status=status, error=error)


def delta() -> Json:
    return {"type": "stream_event", "event": {"type": "content_block_delta"}}


def requesting() -> Json:
    return system("status", status="requesting")


def state(word: str) -> Json:
    return system("session_state_changed", state=word)


# What frames say.


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (system("init"), Doing("waiting_for_model")),
        (requesting(), Doing("waiting_for_model")),
        (delta(), Doing("answering")),
        ({"type": "stream_event", "event": {"type": "message_start"}}, Doing("answering")),
        ({"type": "stream_event", "event": {"type": "message_stop"}}, None),
        ({"type": "assistant", "message": {"content": []}}, Doing("answering")),
        ({"type": "assistant", "is_api_error_message": True}, None),
        (system("thinking_tokens", estimated_tokens=3), Doing("answering")),
        (system("status", status="compacting"), Doing("compacting")),
        (system("status", status=None, compact_result="success"), Doing("waiting_for_model")),
        (system("status", status=None, permissionMode="plan"), None),
        (state("requires_action"), Session("requires_action")),
        (system("background_tasks_changed", tasks=[{}, {"ambient": True}, "odd"]), Background(1)),
        (system("task_notification"), None),
        ({"type": "system"}, None),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning"}}, Limit("")),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}, Limit("subscription")),
        ({"type": "rate_limit_event"}, None),
        (retry(3), Doing("rate_limited", "try 3 of 10", 9.0)),
        (retry(status=529, error="overloaded"), Doing("overloaded", "try 1 of 10", 9.0)),
        (retry(status=401, error="authentication_failed"), Doing("not_logged_in", "try 1 of 10", 9.0)),
        (retry(status=None, error="unknown"), Doing("no_connection", "try 1 of 10", 9.0)),
        (retry(status=500, error="server_error"), Doing("api_error", "status 500, try 1 of 10", 9.0)),
        (retry(status=429, error="of tomorrow"), Doing("rate_limited", "try 1 of 10", 9.0)),
        (retry(delay_ms=10**12), Doing("rate_limited", "try 1 of 10", MAX_DELAY)),
        (retry(delay_ms=-5), Doing("rate_limited", "try 1 of 10", 0.0)),
    ],
)
def test_a_frame_says_what_the_turn_is_at(frame: Json, said: object) -> None:
    assert news(frame) == said


def test_a_limit_has_a_name_and_an_end() -> None:
    info = {"status": "rejected", "resetsAt": 1795260763, "rateLimitType": "five_hour"}
    assert news({"type": "rate_limit_event", "rate_limit_info": info}) == Limit("five_hour", 1795260763.0)


def test_a_try_of_a_sub_agent_is_one_too() -> None:
    told = {"attempt": 2, "max_retries": 10, "retry_delay_ms": 500, "error_status": 529, "error_category": "overloaded"}
    assert news({"type": "tool_progress", "subagent_retry": told}) == Doing("overloaded", "try 2 of 10", 0.5)
    assert news({"type": "tool_progress", "tool_use_id": "t"}) is None


def test_the_end_of_a_tool_is_the_models_turn() -> None:
    content = [{"type": "tool_result", "tool_use_id": "t1"}]
    assert news({"type": "user", "message": {"content": content}}) == Doing("waiting_for_model")


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("tool-allowed", ["waiting_for_model", "answering"] * 2),
        ("rate-limited", ["waiting_for_model", "rate_limited", "answering"]),
        ("api-error", ["waiting_for_model", "overloaded"]),
    ],
)
def test_the_real_one_says_in_order_what_its_turn_is_at(case: str, kinds: list[str]) -> None:
    frames = [claude.read_line(line) for line in (RECORDED / case / "stdout.jsonl").read_text().splitlines()]
    said = [one.news.kind for one in frames if isinstance(one, Frame) and isinstance(one.news, Doing)]
    assert [kind for kind, before in zip(said, ["", *said], strict=False) if kind != before] == kinds


# In words.


@pytest.mark.parametrize(
    ("activity", "words"),
    [
        (Activity("starting", since=90.0), "starting 10 s"),
        (Activity("answering", since=60.0, heard=98.0), "answering 40 s, last heard 2 s ago"),
        (Activity("answering", since=60.0), "answering 40 s"),
        (Activity("waiting_for_model", since=60.0, heard=98.0), "waiting for the model 40 s"),
        (Activity("running_tool", "Bash", -212.0), "running Bash 312 s"),
        (Activity("running_tool", "Bash", -500.0), "running Bash 10 min"),
        (Activity("running_tool", "Bash", -7100.0), "running Bash 2 h"),
        (Activity("waiting_for_approval", "Bash", 59.0), "waiting for approval of Bash 41 s"),
        (Activity("rate_limited", "try 3 of 10", 88.0, 109.0), "rate limited by the API 12 s, try 3 of 10 in 9 s"),
        (Activity("overloaded", "try 3 of 10", 88.0, 99.0), "the API is overloaded 12 s, try 3 of 10 now"),
        (Activity("usage_limit", "seven_day", 1.0), "usage limit reached (seven day)"),
        (Activity("stopping", since=150.0), "stopping 0 s"),
    ],
)
def test_an_activity_is_told_in_words_with_its_age(activity: Activity, words: str) -> None:
    assert activity.words(100.0) == words


# In a turn.


def begun(model: ModuleType, request_timeout: float = 0.0) -> Talk:
    talk = Talk(model, request_timeout=request_timeout)
    talk.ready()
    talk.running()
    return talk


def test_a_turn_is_at_what_was_said_last(model: ModuleType) -> None:
    talk = begun(model)
    seen = [talk.doing]
    for frame in (system("init"), delta(), retry(), delta(), system("status", status="compacting"), requesting()):
        talk.say(frame)
        seen.append(talk.doing)
    retried = ("answering", "rate_limited try 1 of 10", "answering")
    assert seen == ["starting", "waiting_for_model", *retried, "compacting", "waiting_for_model"]
    assert {one.split()[0] for one in seen} <= set(WORDS)
    talk.result()
    assert talk.doing == ""


def test_tries_in_a_row_are_one_wait(model: ModuleType) -> None:
    talk = begun(model)
    talk.now = 5.0
    talk.say(retry(1, 3000))
    talk.now = 8.0
    talk.say(retry(2, 3500))
    assert talk.it.turn.activity == Activity("rate_limited", "try 2 of 10", EPOCH + 5, EPOCH + 11.5, EPOCH + 8)


def test_a_try_that_was_announced_is_waited_for_and_then_has_its_time(model: ModuleType) -> None:
    talk = begun(model, request_timeout=10.0)
    talk.say(retry(delay_ms=60_000))
    assert talk.it.deadline == 70.0
    assert talk.later(69) == []
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_after_a_try_that_went_well_patience_is_what_it_was(model: ModuleType) -> None:
    talk = begun(model, request_timeout=10.0)
    talk.say(retry(delay_ms=60_000))
    talk.now = 5.0
    talk.say(delta())
    assert talk.it.deadline == 15.0


def test_a_try_that_was_announced_is_waited_for_after_a_restart(model: ModuleType) -> None:
    talk = begun(model, request_timeout=10.0)
    talk.say(retry(delay_ms=60_000))
    talk.now = 20.0
    talk.restart()
    talk.reach()
    assert talk.doing == "rate_limited try 1 of 10"
    assert talk.it.deadline == 70.0
    talk.now = -(10.0**9)
    talk.restart()
    talk.reach()
    assert talk.it.deadline == talk.now + MAX_DELAY + 10.0


def test_slow_words_are_progress_and_mere_existence_is_not(model: ModuleType) -> None:
    talk = begun(model, request_timeout=10.0)
    for _ in range(5):
        talk.later(9)
        talk.say(delta())
    assert talk.states() == []
    talk.later(9)
    talk.say({"type": "keep_alive"})
    talk.answer("ping", {})
    talk.later(1)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"


def test_a_person_whom_somebody_else_asks_is_no_standstill(model: ModuleType) -> None:
    talk = begun(model, request_timeout=10.0)
    talk.say(state("requires_action"))
    assert talk.doing == "waiting_for_person"
    assert talk.later(1000) == []
    talk.say(state("running"))
    assert talk.it.deadline == talk.now + 10


def test_an_answer_ends_the_wait_for_a_person_at_once(model: ModuleType) -> None:
    talk = begun(model)
    talk.say(requesting())
    talk.say(state("requires_action"))
    talk.ask("ExitPlanMode")
    assert talk.doing == "waiting_for_approval ExitPlanMode"
    talk.do(talk.it.answer(talk.it.memory.approvals[0], claude.allow("q1", {}), "allowed", talk.moment()))
    assert talk.doing == "waiting_for_model"


def test_what_the_policy_answers_waits_for_nobody(model: ModuleType) -> None:
    talk = Talk(model, ApprovalsConfig(default="allow"), request_timeout=10.0)
    talk.ready()
    talk.running()
    talk.say(state("requires_action"))
    talk.ask("Bash")
    assert (talk.doing, talk.it.deadline) == ("starting", 10.0)


def test_a_tool_runs_only_since_a_person_has_let_it(model: ModuleType) -> None:
    talk = begun(model)
    talk.tool_begins("t1", "Bash")
    talk.tool_begins("t2", "Bash")
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t2"}
    talk.say({"type": "control_request", "request_id": "q1", "request": request})
    talk.now = 30.0
    talk.do(talk.it.answer(talk.it.memory.approvals[0], claude.allow("q1", {}), "allowed", talk.moment()))
    assert (talk.doing, talk.it.turn.activity.since) == ("running_tool Bash", EPOCH + 30)
    talk.tool_ends("t2")
    assert talk.it.turn.activity.since == EPOCH


def test_a_tool_has_its_own_age_however_many_run(model: ModuleType) -> None:
    talk = begun(model)
    talk.now = 1.0
    talk.tool_begins("t1", "Bash")
    talk.now = 2.0
    talk.tool_begins("t2", "Read")
    assert (talk.doing, talk.it.turn.activity.since) == ("running_tool Read", EPOCH + 2)
    talk.tool_ends("t2")
    assert (talk.doing, talk.it.turn.activity.since) == ("running_tool Bash", EPOCH + 1)
    talk.restart()
    talk.reach()
    assert (talk.doing, talk.it.turn.activity.since) == ("running_tool Bash", EPOCH + 1)


def test_a_try_of_a_tools_own_is_seen_while_it_runs(model: ModuleType) -> None:
    talk = begun(model)
    talk.tool_begins("t1", "Task")
    told = {"attempt": 1, "max_retries": 10, "retry_delay_ms": 500, "error_status": 529, "error_category": "overloaded"}
    talk.say({"type": "tool_progress", "subagent_retry": told})
    assert talk.doing == "overloaded try 1 of 10"
    talk.say({"type": "assistant", "parent_tool_use_id": "t1"})
    assert talk.doing == "running_tool Task"


def test_a_turn_that_is_being_stopped_is_at_nothing_else(model: ModuleType) -> None:
    talk = begun(model)
    talk.tool_begins()
    talk.stop()
    talk.say(delta())
    assert talk.doing == "stopping"
    talk.say(state("idle"))
    assert talk.doing == "stopping"


def test_idle_ends_whatever_nobody_asked_for(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.say(requesting())
    assert talk.doing == "waiting_for_model"
    talk.say(state("idle"))
    assert talk.doing == ""
    talk.submit()
    talk.say(state("idle"))
    assert talk.doing == "starting"


def test_what_an_older_version_has_begun_is_starting(model: ModuleType) -> None:
    talk = begun(model)
    talk.restart()
    talk.it.turn.course.stage = None
    assert talk.doing == "starting"


def test_a_task_in_the_background_keeps_awake_until_it_ends(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=10.0)
    talk.ready()
    talk.say(system("background_tasks_changed", tasks=[{"task_id": "b"}]))
    talk.restart()
    talk.reach()
    assert talk.it.deadline is None
    talk.say(system("background_tasks_changed", tasks=[]))
    assert talk.it.deadline == 10.0
    talk.say(state("running"))
    assert talk.it.deadline is None
    talk.say(state("idle"))
    assert talk.it.deadline == 10.0


def test_what_went_on_in_the_background_died_with_its_program(model: ModuleType) -> None:
    talk = Talk(model, idle_timeout=10.0)
    talk.ready()
    talk.say(system("background_tasks_changed", tasks=[{"task_id": "b"}]))
    talk.say(state("running"))
    talk.exit()
    talk.ready()
    assert talk.it.deadline == 10.0


# While nobody can be told.


def apart(model: ModuleType, body: Json = READY, *, lifecycle: bool = True) -> Talk:
    """A turn that runs, with five seconds for all of it, when its agent goes out of reach."""
    talk = Talk(model)
    talk.begin()
    talk.answer(claude.INITIALIZE, body)
    talk.submit(expires=5.0, timeout=5.0)
    if lifecycle:
        talk.barrier()
        talk.lifecycle("started")
    talk.tool_begins()
    talk.it.reachable = False
    return talk


def test_a_limit_is_kept_while_the_agent_cannot_be_reached(model: ModuleType) -> None:
    talk = apart(model)
    attempt = talk.attempt
    assert talk.it.deadline == 5.0
    assert talk.later(4.9) == []
    talk.later(0.1)
    (result,) = talk.results()
    assert (result["state"], "cannot be reached" in result["error"]) == ("timed_out", True)
    assert talk.said()[0]["request"]["subtype"] == "interrupt"
    assert talk.it.deadline is None
    talk.submit("r2")
    talk.restart()
    assert talk.reach() == []
    assert (talk.said(), talk.doing) == ([], "stopping")
    talk.result(user_message_uuids=[attempt], terminal_reason="aborted_tools")
    assert talk.said() == []
    talk.lifecycle("cancelled", attempt)
    assert (talk.states(), talk.doing) == (["delivered"], "starting")


def test_a_turn_out_of_reach_that_does_not_stop_costs_the_program_its_life(model: ModuleType) -> None:
    talk = apart(model)
    talk.later(5)
    talk.now = 100.0
    talk.reach()
    assert talk.it.deadline == 110.0
    talk.later(10)
    assert [type(step).__name__ for step in talk.done] == ["End"]
    talk.submit("r2")
    talk.exit()
    talk.begin()
    talk.tailed("", "no such file")
    talk.answer(claude.INITIALIZE, READY)
    assert talk.states() == ["delivered"]


def test_without_lifecycles_a_result_is_the_last_word_of_a_turn_out_of_reach(model: ModuleType) -> None:
    talk = apart(model, {"claude_code_version": "1"}, lifecycle=False)
    attempt = talk.attempt
    talk.later(5)
    talk.reach()
    talk.submit("r2")
    assert talk.said() == []
    talk.result(user_message_uuids=["another"])
    assert talk.it.queue.current is None
    talk.result(user_message_uuids=[attempt])
    assert talk.states() == ["delivered", "running"]


def test_a_prompt_out_of_reach_that_had_not_begun_never_does(model: ModuleType) -> None:
    talk = Talk(model)
    talk.ready()
    talk.submit(expires=5.0, timeout=5.0)
    talk.it.reachable = False
    talk.later(5)
    assert [one["state"] for one in talk.results()] == ["timed_out"]
    talk.reach()
    talk.barrier(path=FILE)
    assert talk.verdicts()[0]["decision"] == "block"


def test_one_that_was_cancelled_out_of_reach_ends_so_when_its_time_is_over(model: ModuleType) -> None:
    talk = apart(model)
    talk.stop("cancelled")
    talk.later(5)
    assert [one["state"] for one in talk.results()] == ["cancelled"]


def test_a_dead_program_out_of_reach_is_told_nothing(model: ModuleType) -> None:
    talk = apart(model)
    talk.exit()
    talk.it.reachable = False
    talk.later(5)
    assert ([one["state"] for one in talk.results()], talk.said()) == (["timed_out"], [])
    talk.submit("r2")
    talk.reach()
    talk.begin()
    talk.tailed("", "no such file")
    talk.answer(claude.INITIALIZE, READY)
    assert talk.states() == ["delivered"]
