"""What Claude Code says, as it was recorded from the real one, and what is made of what nobody should say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccbridged.model import claude
from ccbridged.model.claude import Frame, Noise, PermissionAsked, TurnEnded
from ccbridged.model.effects import Json

RECORDED = Path(__file__).parents[1] / "transcripts" / "2.1.329"


def said(case: str) -> list[claude.Said]:
    """What was said, as if it had been said to us: the recording host had other ids for the same."""
    text = (RECORDED / case / "stdout.jsonl").read_text()
    text = text.replace('"initialize-1"', f'"{claude.INITIALIZE}"')
    text = text.replace('"callback_id":"start"', f'"callback_id":"{claude.BARRIER}"')
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


@pytest.mark.parametrize(("given", "kept"), [([{"a": 1}, 3], ({"a": 1},)), ("nonsense", ())])
def test_rules_that_are_none_are_not_passed_on(given: object, kept: tuple[Json, ...]) -> None:
    asked = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "permission_suggestions": given}
    request = {"type": "control_request", "request_id": "r", "request": asked}
    assert claude.read_line(json.dumps(request)) == PermissionAsked("r", "Bash", {}, kept)


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


def test_a_line_becomes_ascii_without_a_change_of_meaning() -> None:
    line = '{"text":"ü☃🎉"}'
    assert claude.as_ascii(line).isascii()
    assert json.loads(claude.as_ascii(line)) == json.loads(line)
    assert claude.as_ascii('{"a" : 1}') == '{"a" : 1}'


PROMPT = {"type": "user", "uuid": "mine", "message": {"role": "user", "content": "do it"}}
OTHER = {"type": "user", "uuid": "other", "message": {"role": "user", "content": [{"type": "text", "text": "x"}]}}
RESULT = {"type": "user", "uuid": "t", "message": {"role": "user", "content": [{"type": "tool_result"}]}}


def spoke(text: str, stop: str | None) -> dict[str, object]:
    content = [{"type": "text", "text": text}, {"type": "tool_use"}]
    return {"type": "assistant", "message": {"role": "assistant", "content": content, "stop_reason": stop}}


def transcript(*rows: object) -> claude.Transcript:
    return claude.read_transcript("\n".join(json.dumps(row) for row in rows), "mine")


def test_a_session_file_proves_an_answer_only_if_it_ended_the_turn_of_this_prompt() -> None:
    whole = transcript(OTHER, PROMPT, spoke("one", "tool_use"), RESULT, spoke("two", "end_turn"))
    assert whole == claude.Transcript(True, "one\ntwo")
    assert transcript(PROMPT, spoke("one", None)).finished is None
    assert transcript(PROMPT, spoke("one", "tool_use"), RESULT).finished is None
    assert transcript(OTHER, spoke("one", "end_turn")).finished is None
    assert transcript(spoke("one", "end_turn"), PROMPT).finished is None


def test_an_answer_stays_proven_when_another_prompt_came_later() -> None:
    assert transcript(PROMPT, spoke("one", "end_turn"), OTHER, spoke("no", "end_turn")).finished == "one"


def test_a_torn_session_file_is_read_as_far_as_it_goes() -> None:
    text = "not JSON\n" + json.dumps(PROMPT) + "\n" + json.dumps({"type": "summary"}) + '\n{"type": "assi'
    assert claude.read_transcript(text, "mine") == claude.Transcript(True, None)


def test_a_session_without_a_user_row_cannot_be_resumed_unless_only_its_end_was_seen() -> None:
    assert transcript({"type": "summary"}) == claude.Transcript(False, None)
    assert claude.read_transcript("", "mine", "no such file").resumable is False
    assert claude.read_transcript("", "mine").resumable is True
    assert claude.read_transcript('{"type":"x"}\n' * 300_000, "mine").resumable is True
