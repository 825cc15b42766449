"""What the engine says of an instance's container: that it died, and whether somebody wanted that.

Docker sends a container that it is to stop whatever signal the image asks for, and KILL at once only to one that it is
to kill. So a container that was sent another signal before it died was stopped, and is left alone until somebody
starts it. A signal long before was for something else, and so was memory that ran out then: of whatever process.
"""

from __future__ import annotations

from typing import NamedTuple

from ccbridged.model.effects import EngineSaid

OBEDIENCE = 120.0
"""Seconds that a container may take to end when it is stopped."""
STARVATION = 10.0
"""Seconds that it may take to end when memory has run out."""


class Died(NamedTuple):
    """``ordered``: somebody stopped it."""

    words: str
    ordered: bool


class Frozen(NamedTuple):
    """Somebody paused it, so all is there, and nothing moves; or has removed what was stopped before."""

    words: str


class Back(NamedTuple):
    """It runs."""


class Container:
    """``stopped``: that somebody stopped or paused it, in a sentence; "" otherwise. ``again``: what brings back one
    that was removed."""

    def __init__(self, again: str) -> None:
        self.stopped = ""
        self._again = again
        self._starved_at: float | None = None
        self._signalled_at: float | None = None

    def said(self, event: EngineSaid, now: float) -> Died | Frozen | Back | None:
        """What that means; None: nothing."""
        match event.action:
            case "kill" if event.details.get("signal") != "9":
                self._signalled_at = now
            case "oom":
                self._starved_at = now
            case "die":
                return self._died(event, now)
            case "pause":
                self.stopped = f"its container {event.called} is paused; let it go on: docker unpause {event.called}"
                return Frozen(self.stopped)
            case "destroy" if self.stopped:
                self.stopped = f"its container {event.called} was stopped and removed; {self._again}"
                return Frozen(self.stopped)
            case "start" | "unpause":
                self._starved_at = self._signalled_at = None
                self.stopped = ""
                return Back()
        return None

    def _died(self, event: EngineSaid, now: float) -> Died:
        name, starved_at, signalled_at = event.called, self._starved_at, self._signalled_at
        self._starved_at = self._signalled_at = None
        self.stopped = ""
        told = signalled_at is not None and now - signalled_at <= OBEDIENCE
        starved = starved_at is not None and now - starved_at <= STARVATION
        if told and not starved:
            self.stopped = f"its container {name} was stopped; start it again: docker start {name}"
            return Died(self.stopped, ordered=True)
        how = f"its container {name} ended with status {event.details.get('exit_code', '?')}"
        return Died(how + (": it ran out of memory" if starved else ""), ordered=False)
