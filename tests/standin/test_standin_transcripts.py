"""The stand-in against recordings of the real Claude Code: the same lines in, frames of the same shape out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.standin.conversation import ASKING, Starter

Json = dict[str, Any]

RECORDED = sorted(path.parent for path in (Path(__file__).parents[1] / "transcripts").glob("*/*/stdout.jsonl"))
UNLIKE = {
    *("uuid", "session_id", "timestamp", "id", "api_message_id", "request_id", "prompt_id", "tool_use_id", "pid"),
    *("duration_ms", "duration_api_ms", "total_cost_usd", "modelUsage", "usage", "transcript_path", "cwd", "model"),
    *("tools", "capabilities", "retry_delay_ms", "permission_suggestions", "account", "max_retries"),
}
"""Keys whose values belong to one life, one machine, or one model."""


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def skeleton(frame: Json) -> str:
    """What kind of frame this is."""
    event = frame.get("event", {}).get("type", "")
    asked = frame.get("request", {}).get("subtype", "")
    return "/".join(
        str(part) for part in (frame["type"], frame.get("subtype", ""), frame.get("state", ""), event, asked)
    )


def compare(ours: Any, theirs: Any, path: str) -> None:
    """Everything that the stand-in says is said by the real one too, in the same place."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert not ours.keys() - theirs.keys(), f"{path}: invented"
        for key in ours.keys() - UNLIKE:
            compare(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            compare(our, their, f"{path}[{number}]")
    elif "API Error" in str(theirs) or "ede_diagnostic" in str(theirs):
        assert str(ours).split()[:2] == str(theirs).split()[:2]
    else:
        assert ours == theirs, path


@pytest.mark.parametrize("case", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_stand_in_speaks_as_recorded(case: Path, start: Starter) -> None:
    theirs = lines(case / "stdout.jsonl")
    said = lines(case / "stdin.jsonl")
    resuming = ("--resume=00000000-0000-4000-8000-000000000000",) if case.name == "no-conversation" else ()
    program = start(*ASKING, *resuming, CLAUDE_CODE_MAX_RETRIES="1")
    program.say(said.pop(0))
    for number, frame in enumerate(theirs):
        ours = program.hear()
        assert skeleton(ours) == skeleton(frame), f"frame {number}"
        compare(ours, frame, f"frame {number}")
        if reply_to(frame, said):
            message = said.pop(0)
            if message["type"] == "control_response":
                message["response"]["request_id"] = ours["request_id"]
            program.say(message)
    assert program.ended() == (1 if resuming else 0)


def reply_to(frame: Json, said: list[Json]) -> bool:
    """Whether the recording host said its next line because of this frame."""
    match said[:1], frame:
        case [{"type": "user"}], {"type": "control_response"}:
            return True
        case [{"type": "control_response", "response": {"request_id": asked}}], {"request_id": heard}:
            return bool(asked == heard)
        case [{"request": {"subtype": "interrupt"}}], {"type": "stream_event"}:
            return bool(frame["event"]["type"] == "content_block_delta")
        case [{"request": {"subtype": "end_session"}}], {"type": "command_lifecycle", "state": state}:
            return state in ("completed", "cancelled")
        case _:
            return False
