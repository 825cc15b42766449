"""What a session's file proves: an answer that is in it was given; nothing follows from what is not."""

from __future__ import annotations

import json

from ccbridged.model.transcript import Transcript, read_transcript

PROMPT = {"type": "user", "uuid": "mine", "message": {"role": "user", "content": "do it"}}
OTHER = {"type": "user", "uuid": "other", "message": {"role": "user", "content": [{"type": "text", "text": "x"}]}}
RESULT = {"type": "user", "uuid": "t", "message": {"role": "user", "content": [{"type": "tool_result"}]}}


def spoke(text: str, stop: str | None) -> dict[str, object]:
    content = [{"type": "text", "text": text}, {"type": "tool_use"}]
    return {"type": "assistant", "message": {"role": "assistant", "content": content, "stop_reason": stop}}


def transcript(*rows: object) -> Transcript:
    return read_transcript("\n".join(json.dumps(row) for row in rows), "mine")


def test_a_session_file_proves_an_answer_only_if_it_ended_the_turn_of_this_prompt() -> None:
    whole = transcript(OTHER, PROMPT, spoke("one", "tool_use"), RESULT, spoke("two", "end_turn"))
    assert whole == Transcript(True, "one\ntwo")
    assert transcript(PROMPT, spoke("one", None)).finished is None
    assert transcript(PROMPT, spoke("one", "tool_use"), RESULT).finished is None
    assert transcript(OTHER, spoke("one", "end_turn")).finished is None
    assert transcript(spoke("one", "end_turn"), PROMPT).finished is None


def test_an_answer_stays_proven_when_another_prompt_came_later() -> None:
    assert transcript(PROMPT, spoke("one", "end_turn"), OTHER, spoke("no", "end_turn")).finished == "one"


def test_a_torn_session_file_is_read_as_far_as_it_goes() -> None:
    text = "not JSON\n" + json.dumps(PROMPT) + "\n" + json.dumps({"type": "summary"}) + '\n{"type": "assi'
    assert read_transcript(text, "mine") == Transcript(True, None)


def test_a_session_without_a_user_row_cannot_be_resumed_unless_only_its_end_was_seen() -> None:
    assert transcript({"type": "summary"}) == Transcript(False, None)
    assert read_transcript("", "mine", "no such file").resumable is False
    assert read_transcript("", "mine").resumable is True
    assert read_transcript('{"type":"x"}\n' * 300_000, "mine").resumable is True


def test_a_prompt_that_was_cut_off_is_not_finished_by_what_came_after_it() -> None:
    stopped = {"type": "user", "message": {"role": "user", "content": "[Request interrupted by user]"}}
    assert transcript(PROMPT, spoke("one", None), stopped, spoke("two", "end_turn")).finished is None


def test_a_line_ends_with_a_newline_and_with_nothing_else() -> None:
    rows = [{**PROMPT, "message": {"content": "\u2028\x85"}}, spoke("one\u2028\x85", "end_turn")]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert read_transcript(text, "mine").finished == "one\u2028\x85"


def test_an_answer_without_words_is_an_answer() -> None:
    content = [3, {"type": "text"}, {"type": "thinking", "text": "hm"}]
    silent = {"message": {"role": "assistant", "content": content, "stop_reason": "end_turn"}}
    assert transcript(PROMPT, silent).finished == ""


def test_a_row_nested_without_end_is_passed_over() -> None:
    text = "[" * 200_000 + "\n" + "\n".join(json.dumps(row) for row in (PROMPT, spoke("one", "end_turn")))
    assert read_transcript(text, "mine").finished == "one"
