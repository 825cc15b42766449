"""The file that Claude Code keeps of a session: what it proves of a prompt whose program has died.

It is not written ahead: that a prompt is not in it proves nothing. That an answer is, does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

TAIL = 4 * 1024 * 1024
"""Bytes of its end that are looked at."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """``resumable``: it has a user row. ``finished``: the text of the answer, when the prompt asked about was followed
    by an assistant row that ended its turn; else None."""

    resumable: bool
    finished: str | None


def read_transcript(text: str, uuid: str, error: str = "") -> Transcript:
    """Rows of JSON; a torn or foreign line is passed over, as Claude Code itself does. Only the end of a long file is
    seen: then its user rows may be earlier. ``error``: why there is no file."""
    resumable = not error and (not text or len(text) > TAIL // 2)
    ours, finished = False, None
    said: list[str] = []
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        match row:
            case {"type": "user", "message": {"content": content}, **rest}:
                resumable = True
                if not _is_tool_result(content):
                    ours = rest.get("uuid") == uuid
                    finished = finished if not ours else None
            case {"message": {"role": "assistant", "content": list(content), **message}} if ours:
                said += [block["text"] for block in content if _is_text(block)]
                if message.get("stop_reason") == "end_turn":
                    finished = "\n".join(filter(None, said))
            case _:
                pass
    return Transcript(resumable, finished)


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _is_tool_result(content: object) -> bool:
    return isinstance(content, list) and any(isinstance(b, dict) and b.get("type") == "tool_result" for b in content)
