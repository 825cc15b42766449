"""What Claude Code says, as it was recorded from the real one, and what is made of what nobody should say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccbridged.model import claude
from ccbridged.model.claude import Noise, PermissionAsked, TurnEnded
from ccbridged.model.effects import Json
from ccbridged.model.frames import Frame

RECORDED = Path(__file__).parents[1] / "transcripts" / "2.1.329"


OURS = {'"initialize-1"': f'"{claude.INITIALIZE}"', '"callback_id":"start"': f'"callback_id":"{claude.BARRIER}"'}
"""Ids that the recording host chose, and those that this one chooses."""


def said(case: str) -> list[claude.Said]:
    text = (RECORDED / case / "stdout.jsonl").read_text()
    for theirs, ours in OURS.items():
        text = text.replace(theirs, ours)
    return [claude.read_line(line) for line in text.splitlines()]


def results(case: str) -> list[TurnEnded]:
    return [one for one in said(case) if isinstance(one, TurnEnded)]


def test_a_plain_turn_is_understood_from_its_first_frame_to_its_last() -> None:
    heard = said("plain-turn")
    assert any(isinstance(one, claude.Ready) and one.barrier for one in heard)
    assert any(isinstance(one, claude.StartAsked) and one.transcript for one in heard)
    assert [one.state for one in heard if isinstance(one, claude.Lifecycle)][-1] == "completed"
    assert [one.state for one in results("plain-turn")] == ["succeeded"] * len(results("plain-turn"))
    assert not any(isinstance(one, Noise) for one in heard)


@pytest.mark.parametrize(
    ("case", "state", "words"),
    [
        ("api-error", "failed", "API Error"),
        ("interrupt", "cancelled", "interrupted"),
        ("no-conversation", "failed", "No conversation found"),
        ("blocked-by-hook", "failed", ""),
    ],
)
def test_a_turn_that_went_wrong_is_no_success_whatever_its_subtype(case: str, state: str, words: str) -> None:
    ended = results(case)[0]
    assert ended.state == state
    assert words in ended.error
    assert ended.error


@pytest.mark.parametrize("case", ["tool-allowed", "tool-denied"])
def test_a_tool_call_is_seen_to_begin_be_asked_for_and_end(case: str) -> None:
    heard = said(case)
    frames = [one for one in heard if isinstance(one, Frame)]
    (began,) = [pair for frame in frames for pair in frame.began]
    assert [asked.tool for asked in heard if isinstance(asked, PermissionAsked)] == [began[1]]
    assert [id_ for frame in frames for id_ in frame.ended] == [began[0]]


@pytest.mark.parametrize(
    "line",
    ["", "no JSON", "[1]", "3", '{"type": 3}', '{"no": "type"}', "[" * 100_000],
)
def test_what_is_no_frame_is_noise(line: str) -> None:
    assert claude.read_line(line) == Noise(line)


def test_requests_and_answers_of_a_later_version_are_passed_over() -> None:
    request = {"type": "control_request", "request_id": "r", "request": {"subtype": "new_thing"}}
    assert claude.read_line(json.dumps(request)) == Frame("control_request/new_thing", "")
    withdrawn = {"type": "control_cancel_request", "request_id": "r"}
    assert claude.read_line(json.dumps(withdrawn)) == claude.PermissionWithdrawn("r")
    refused = {"type": "control_response", "response": {"request_id": "r", "subtype": "error", "error": "no"}}
    assert claude.read_line(json.dumps(refused)) == claude.Answered("r", "no")


def test_rules_that_are_none_are_not_passed_on() -> None:
    asked = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    cases: tuple[tuple[object, list[Json]], ...] = (([{"a": 1}, 3], [{"a": 1}]), ("nonsense", []))
    for given, kept in cases:
        request = {"type": "control_request", "request_id": "r", "request": {**asked, "permission_suggestions": given}}
        assert claude.read_line(json.dumps(request)) == PermissionAsked("r", "Bash", {}, tuple(kept))


def test_rules_are_taken_for_the_session_and_never_for_the_workspace() -> None:
    answer = json.loads(claude.allow("r", {"a": 1}, [{"destination": "localSettings", "b": 2}]))
    verdict = answer["response"]["response"]
    assert verdict == {
        "behavior": "allow",
        "updatedInput": {"a": 1},
        "updatedPermissions": [{"destination": "session", "b": 2}],
    }


def test_a_result_without_anything_is_a_failure_with_a_reason() -> None:
    bare = claude.read_line('{"type": "result", "num_turns": 0}')
    assert isinstance(bare, TurnEnded)
    assert (bare.uuids, bare.state, bare.cost_usd, bare.usage) == ((), "failed", 0.0, {})
    assert "a hook blocked it" in bare.error
    listed = claude.read_line('{"type": "result", "errors": ["one", "two"], "subtype": "error"}')
    assert isinstance(listed, TurnEnded)
    assert listed.error == "one; two"


def control(request_id: str, body: object, **rest: object) -> claude.Said:
    response = {"subtype": "success", "request_id": request_id, "response": body, **rest}
    return claude.read_line(json.dumps({"type": "control_response", "response": response}))


@pytest.mark.parametrize(
    ("applied", "supported", "barrier"), [(True, True, True), (True, None, False), (None, True, False), (1, 1, False)]
)
def test_a_barrier_is_there_only_if_it_holds_when_nobody_answers(
    applied: object, supported: object, barrier: bool
) -> None:
    body = {"claude_code_version": "2", "hooks_applied": applied, "hook_on_failure_supported": supported}
    assert control(claude.INITIALIZE, body) == claude.Ready("2", barrier)


@pytest.mark.parametrize(
    ("account", "login"),
    [
        ({"tokenSource": "none", "apiProvider": "firstParty"}, "none"),
        (
            {"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY", "apiProvider": "firstParty"},
            "ANTHROPIC_API_KEY",
        ),
        ({"tokenSource": "CLAUDE_CODE_OAUTH_TOKEN", "apiProvider": "firstParty"}, "CLAUDE_CODE_OAUTH_TOKEN"),
        ({"tokenSource": "claude.ai", "apiKeySource": "none"}, "claude.ai"),
        ({"apiProvider": "bedrock"}, "bedrock"),
        ({}, ""),
        (None, ""),
        ({"tokenSource": 1, "apiKeySource": None, "apiProvider": []}, ""),
    ],
)
def test_with_what_it_logs_in_is_what_claude_code_says(account: object, login: str) -> None:
    """Recorded from 2.1.329, but the last four."""
    ready = control(claude.INITIALIZE, {"claude_code_version": "2", "account": account})
    assert isinstance(ready, claude.Ready)
    assert ready.login == login
    assert any(isinstance(one, claude.Ready) and one.login == "ANTHROPIC_API_KEY" for one in said("plain-turn"))


def test_an_initialize_that_failed_is_no_start() -> None:
    assert control(claude.INITIALIZE, {}, subtype="error", error="no") == claude.Answered(claude.INITIALIZE, "no")
    assert control(claude.INITIALIZE, None) == claude.Answered(claude.INITIALIZE, "")
    assert control("p", {}, subtype="error") == claude.Answered("p", "refused")


def test_another_hook_is_no_barrier() -> None:
    asked = {"subtype": "hook_callback", "callback_id": "theirs", "input": {}}
    line = json.dumps({"type": "control_request", "request_id": "r", "request": asked})
    assert claude.read_line(line) == Frame("control_request/hook_callback", "")
    ours = line.replace("theirs", claude.BARRIER)
    assert claude.read_line(ours) == claude.StartAsked("r", "")


@pytest.mark.parametrize("how", ["completed", "cancelled", "discarded", "refused"])
def test_the_last_word_on_a_turn_is_one_of_four(how: str) -> None:
    assert claude.Lifecycle("u", how).terminal
    assert not claude.Lifecycle("u", "queued").terminal
    assert not claude.Lifecycle("u", "started").terminal


@pytest.mark.parametrize(
    ("given", "state", "error"),
    [
        ({}, "succeeded", ""),
        ({"is_error": None}, "failed", "done"),
        ({"is_error": True, "result": "API Error: 529"}, "failed", "API Error: 529"),
        ({"terminal_reason": "aborted_streaming"}, "cancelled", "interrupted"),
        ({"terminal_reason": "max_turns", "subtype": "error_max_turns", "errors": ["of 2"]}, "failed", "of 2"),
        ({"terminal_reason": "", "result": ""}, "failed", "success"),
        ({"terminal_reason": "image_error", "result": None}, "failed", "image_error"),
        ({"terminal_reason": None, "num_turns": 0, "result": "/cost is 3"}, "failed", "/cost is 3"),
    ],
)
def test_success_is_what_is_completed_and_no_error(given: dict[str, object], state: str, error: str) -> None:
    frame = {"type": "result", "subtype": "success", "is_error": False, "terminal_reason": "completed"}
    ended = claude.read_line(json.dumps({**frame, "result": "done", **given}))
    assert isinstance(ended, TurnEnded)
    assert (ended.state, ended.error) == (state, error)


def test_a_recorded_result_tells_whose_it_was_and_what_it_cost() -> None:
    (ended,) = results("plain-turn")
    assert ended.uuids == ("prompt-1",)
    assert (ended.text, ended.error) == ("echo: [[words]] one two", "")
    assert ended.cost_usd > 0
    assert ended.usage["output_tokens"]
    assert len(ended.session_id) == 36


@pytest.mark.parametrize("cost", ["1" + "0" * 400, "-1", "1e12", '"3"', "null"])
def test_a_price_that_is_none_is_nothing(cost: str) -> None:
    ended = claude.read_line('{"type":"result","total_cost_usd":' + cost + ',"usage":[],"user_message_uuids":3}')
    assert isinstance(ended, TurnEnded)
    assert (ended.cost_usd, ended.usage, ended.uuids) == (0.0, {}, ())


def test_of_a_message_only_its_tool_calls_are_looked_at() -> None:
    blocks = [{"type": "text", "text": "x"}, "odd", {"type": "tool_use", "id": 3, "name": "Bash"}]
    for message in (None, {"content": "text"}, {"content": blocks}):
        assert claude.read_line(json.dumps({"type": "odd", "message": message})) == Frame("odd", "")


def test_every_line_that_is_written_is_one_line_of_ascii() -> None:
    text = 'two\nlines "ü" \x00 \u2028'
    lines = [claude.initialize(), claude.prompt("u", text), claude.let_start("r"), claude.block_start("r", text)]
    lines += [claude.interrupt("i"), claude.ping("p"), claude.end_session(), claude.allow("r", {"a": text})]
    lines += [claude.deny("r", text)]
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["type"] in ("control_request", "control_response", "user")
    assert json.loads(lines[1])["message"]["content"] == [{"type": "text", "text": text}]


@pytest.mark.parametrize(("case", "hook"), [("plain-turn", {}), ("blocked-by-hook", {"decision": "block"})])
def test_what_is_written_has_the_shape_of_what_the_real_one_took(case: str, hook: dict[str, str]) -> None:
    taken = [json.loads(line) for line in (RECORDED / case / "stdin.jsonl").read_text().splitlines()]
    given = json.loads(claude.initialize())["request"]["hooks"]["UserPromptSubmit"][0]
    assert given.keys() == taken[0]["request"]["hooks"]["UserPromptSubmit"][0].keys()
    assert given["onFailure"] == "block"
    assert json.loads(claude.prompt("prompt-1", taken[1]["message"]["content"][0]["text"])) == taken[1]
    answer = claude.block_start("r", "not authorised") if hook else claude.let_start("r")
    taken[2]["response"]["request_id"] = "r"
    assert json.loads(answer) == taken[2]


def test_permissions_are_answered_in_the_shape_that_the_real_one_took() -> None:
    for case, answer in (("tool-allowed", claude.allow("r", {})), ("tool-denied", claude.deny("r", "not today"))):
        taken = json.loads((RECORDED / case / "stdin.jsonl").read_text().splitlines()[3])
        told = json.loads(answer)["response"]["response"]
        assert told.items() >= taken["response"]["response"].items()


def test_a_session_is_resumed_in_one_word_and_arguments_come_last() -> None:
    line = claude.argv(["claude"], ["--model", "x"], "id", resume=True)
    assert (line[0], line[-3:]) == ("claude", ["--resume=id", "--model", "x"])
    assert claude.argv(["claude"], [], "id", resume=False)[-2:] == ["--session-id", "id"]
    assert "--permission-prompt-tool" in line


def test_a_complaint_tells_whether_its_session_can_be_used() -> None:
    assert claude.session_unusable("No conversation found with session ID: x")
    assert claude.session_unusable("Error: Session ID x is already in use.")
    assert not claude.session_unusable("Error: no network")
