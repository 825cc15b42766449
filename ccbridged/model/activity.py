"""What a turn is at and since when, in a person's words: as Claude Code says it, never guessed from silence."""

from __future__ import annotations

from dataclasses import dataclass

from ccbridged.model.effects import Json

WORDS = {
    "starting": "starting",
    "waiting_for_model": "waiting for the model",
    "answering": "answering",
    "running_tool": "running",
    "waiting_for_approval": "waiting for approval of",
    "waiting_for_person": "waiting for a person's answer",
    "rate_limited": "rate limited by the API",
    "overloaded": "the API is overloaded",
    "no_connection": "no connection to the API",
    "not_logged_in": "not logged in",
    "api_error": "the API fails",
    "compacting": "compacting its conversation",
    "stopping": "stopping",
    "usage_limit": "usage limit reached",
}
"""Every kind of activity; "starting": delivered, and nothing heard of it yet."""
RETRIES = ("rate_limited", "overloaded", "no_connection", "not_logged_in", "api_error")
"""A call of the model failed, and Claude Code tries again by itself."""


@dataclass(frozen=True, slots=True)
class Activity:
    """``kind``: of WORDS. ``detail``: which tool, or which try of how many. Wall times: ``since``; ``until``: of the
    next try, or when the limit ends, None: nobody has said; ``heard``: of the last sign of progress, None: not yet in
    this daemon's life."""

    kind: str
    detail: str = ""
    since: float = 0.0
    until: float | None = None
    heard: float | None = None

    def words(self, wall: float) -> str:
        """``running Bash 312 s``, ``rate limited by the API 12 s, try 3 of 10 in 9 s``."""
        if self.kind == "usage_limit":
            ends = f", it ends{_in(self.until, wall)}" if self.until else ""
            return f"{WORDS[self.kind]} ({self.detail.replace('_', ' ')}){ends}"
        if self.kind in RETRIES:
            return f"{WORDS[self.kind]} {span(wall - self.since)}, {self.detail}{_in(self.until, wall)}"
        told = " ".join(filter(None, (WORDS[self.kind], self.detail, span(wall - self.since))))
        silent = self.kind == "answering" and self.heard is not None
        return f"{told}, last heard {span(wall - (self.heard or 0.0))} ago" if silent else told

    def told(self) -> Json:
        """The JSON object of the client contract."""
        names = {"kind": self.kind, "detail": self.detail, "since": self.since}
        return {**names, "until": self.until, "heard_at": self.heard}


def span(seconds: float) -> str:
    """A duration; a clock that was put back makes none negative."""
    seconds = max(seconds, 0.0)
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _in(until: float | None, wall: float) -> str:
    return f" in {span(until - wall)}" if until is not None and until - wall >= 0.5 else " now"
