"""Events of a request to what is printed, and to what the quiet line says."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridgectl.document import Json
from ccbridgectl.stream import Event
from ccbridgectl.transcript import Transcript

RECORDED = sorted((Path(__file__).parents[1] / "transcripts").glob("*/*/stdout.jsonl"))


def printed(*events: Json) -> str:
    transcript = Transcript()
    return "".join([transcript.read(Event(event)) for event in events]) + transcript.finish()


def output(frame: Json) -> Json:
    return {"type": "output", "message": frame}


def begin(id_: str) -> Json:
    return output({"type": "stream_event", "event": {"type": "message_start", "message": {"id": id_}}})


def block(index: int = 0) -> Json:
    return output({"type": "stream_event", "event": {"type": "content_block_start", "index": index}})


def delta(text: str, parent: str | None = None) -> Json:
    event: Json = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    return output({"type": "stream_event", "event": event, "parent_tool_use_id": parent})


def whole(id_: str, *texts: str, **more: object) -> Json:
    content = [{"type": "text", "text": text} for text in texts]
    return output({"type": "assistant", "message": {"id": id_, "content": content}, **more})


def result(text: str, state: str = "succeeded", error: str | None = None) -> Json:
    return {"type": "result", "state": state, "text": text, "error": error}


@given(st.lists(st.text(alphabet="ab\n", min_size=1), min_size=1), st.integers(0, 20))
def test_however_much_had_streamed_a_message_is_printed_once(pieces: list[str], lost: int) -> None:
    text = "".join(pieces)
    events = [begin("m"), block(), *map(delta, pieces[: max(0, len(pieces) - lost)]), whole("m", text), result(text)]
    assert printed(*events) == (text if text.endswith("\n") else text + "\n")


def test_blocks_of_one_message_begin_on_lines_of_their_own() -> None:
    streamed = [begin("m"), block(0), delta("a"), whole("m", "a"), block(1), delta("b"), whole("m", "b"), result("b")]
    assert printed(*streamed) == "a\nb\n"
    assert printed(whole("m", "a"), whole("m", "b"), result("b")) == "a\nb\n"


def test_a_newline_that_is_there_is_not_doubled() -> None:
    assert printed(whole("m", "a\n"), whole("n", "b\n")) == "a\nb\n"


def test_a_message_that_broke_off_and_came_again_under_another_id_goes_on() -> None:
    assert printed(begin("m"), block(), delta("Hel"), whole("n", "Hello"), result("Hello")) == "Hello\n"


def test_what_turned_out_otherwise_is_printed_anew() -> None:
    assert printed(begin("m"), block(), delta("Hel"), whole("n", "Other")) == "Hel\nOther\n"


def test_the_results_text_is_printed_only_if_nothing_else_was() -> None:
    assert printed(result("cost: $1")) == "cost: $1\n"
    assert printed(whole("m", "said"), result("said")) == "said\n"


def test_after_a_second_attempt_the_first_ones_words_do_not_count() -> None:
    again: Json = {"type": "state", "state": "queued"}
    assert printed(whole("m", "half"), again, result("whole")) == "half\nwhole\n"


def test_a_failure_is_not_part_of_the_answer() -> None:
    error = "API Error: 500"
    assert printed(whole("m", error, is_api_error_message=True), result(error, "failed", error)) == ""


def test_sub_agents_and_thoughts_are_not_the_answer() -> None:
    thought = output({"type": "assistant", "message": {"id": "m", "content": [{"type": "thinking", "thinking": "hm"}]}})
    assert printed(thought, delta("sub", parent="t"), whole("s", "sub", parent_tool_use_id="t")) == ""


@pytest.mark.parametrize(
    "frame", [None, 1, [], {}, {"type": "assistant"}, {"type": "assistant", "message": {"content": 3}}]
)
def test_frames_of_a_later_version_pass(frame: object) -> None:
    assert printed({"type": "output", "message": frame}) == ""


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.parent.name)
def test_every_recorded_conversation_is_printed_as_its_blocks(file: Path) -> None:
    frames = [json.loads(line) for line in file.read_text().splitlines()]
    texts = [
        item["text"].rstrip("\n")
        for frame in frames
        if frame["type"] == "assistant" and not frame.get("is_api_error_message")
        for item in frame["message"]["content"]
        if item["type"] == "text"
    ]
    assert printed(*map(output, frames)).split("\n") == [*texts, ""]
