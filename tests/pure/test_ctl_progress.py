"""The quiet line of ``send``: the same words as ``status``, from the same frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccbridgectl.progress import Progress
from ccbridgectl.stream import Event
from ccbridged.model import claude
from ccbridged.model.course import Course
from ccbridged.model.frames import Frame
from ccbridged.model.memory import Memory, Moment

RECORDED = sorted((Path(__file__).parents[1] / "transcripts").glob("*/*/stdout.jsonl"))
Json = dict[str, Any]


def output(frame: object, at: float = 0.0) -> Event:
    return Event({"type": "output", "at": at, "message": frame})


def retry(**facts: object) -> Json:
    common = {"attempt": 3, "max_retries": 10, "retry_delay_ms": 9000, "error_status": None, "error": "unknown"}
    return {"type": "system", "subtype": "api_retry", **common, **facts}


MADE_UP = [
    {"type": "system", "subtype": "init"},
    {"type": "system", "subtype": "status", "status": "compacting"},
    {"type": "system", "subtype": "status", "status": None, "compact_result": "success"},
    {"type": "system", "subtype": "thinking_tokens"},
    retry(),
    retry(error_status=429, error="rate_limit"),
    {"type": "stream_event", "event": {"type": "message_start"}},
    retry(error_status=529),
    retry(error_status=401),
    retry(error_status=503, error="server_error"),
    {"type": "system", "subtype": "status", "status": "requesting"},
    retry(error_status=429, retry_delay_ms=0),
    {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}},
    {"type": "system", "subtype": "of tomorrow"},
    {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t"}]}},
]


@pytest.mark.parametrize(
    "frames",
    [MADE_UP, *([json.loads(line) for line in file.read_text().splitlines()] for file in RECORDED)],
    ids=["made up", *(file.parent.name for file in RECORDED)],
)
def test_the_quiet_line_says_what_status_says(frames: list[Json]) -> None:
    course, progress = Course(Memory()), Progress("web", 0.0)
    now = 1000.0
    for frame in frames:
        now += 3.0
        said = claude.read_line(json.dumps(frame))
        if isinstance(said, Frame):
            course.hear(said, Moment(now, now, 1))
            progress.read(output(frame, now), now + 1)
            activity = course.activity(None, ())
            told = activity.words(now + 2) if activity else "sending"
            line = progress.line(now + 2, 200)
            assert line.startswith(f"web: {told}"), frame


def test_the_quiet_line_tells_what_goes_on() -> None:
    progress = Progress("web", 100.0)

    def after(event: Json) -> str:
        progress.read(Event({"at": 110.0, **event}), 111.0)
        return progress.line(112.7, 70)

    asked: Json = {"id": "41c0", "tool": "Bash", "input": {}, "tool_use_id": "t"}
    use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls\n\x1b[2J"}}
    waiting = {"type": "request", "instance": "web", "state": "queued", "position": 2}
    assert progress.line(101.0, 70) == "web: sending 1 s"
    assert after(waiting) == "web: queued, 2 before it 3 s (13 s in all)"
    assert after({"type": "state", "state": "queued"}) == "web: queued 3 s (13 s in all)"
    assert after({"type": "state", "state": "delivered"}) == "web: starting 3 s (13 s in all)"
    running = "web: running Bash 3 s (13 s in all): ls \\x1b[2J"
    assert after({"type": "output", "message": {"type": "assistant", "message": {"content": [use]}}}) == running
    assert after({"type": "approval", **asked}) == "web: waiting for approval of Bash 3 s (13 s in all)"
    assert after({"type": "approval_closed", **asked, "at": 112.0}) == running.replace("3 s", "1 s", 1)
    assert after({"type": "approval_closed", "id": "of tomorrow"}) == running.replace("3 s", "1 s", 1)
    ended = {"content": [{"type": "tool_result", "tool_use_id": "t"}, "odd"]}
    assert after({"type": "output", "message": {"message": ended}}) == "web: waiting for the model 3 s (13 s in all)"
    assert after({"type": "program"}).startswith("web: waiting for the model")
    assert progress.line(112.7, 10) == "web: wait…"


def test_what_began_before_this_client_is_older_than_it() -> None:
    progress = Progress("web", 1000.0)
    progress.read(output({"type": "assistant"}, 100.0), 1000.0)
    assert progress.line(1000.0, 70) == "web: answering 15 min, last heard 15 min ago"
    assert progress.line(9000.0, 70) == "web: answering 2 h, last heard 2 h ago"
