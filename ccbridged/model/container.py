"""What the engine says of an instance's container: that it died, and whether somebody wanted that.

Docker sends a container that it is to stop whatever signal the image asks for, and KILL at once only to one that it is
to kill. So a container that was sent another signal before it died was stopped, and is left alone until somebody
starts it.
"""

from __future__ import annotations

from typing import NamedTuple

from ccbridged.model.effects import EngineSaid


class Died(NamedTuple):
    """``ordered``: somebody stopped it."""

    words: str
    ordered: bool


class Frozen(NamedTuple):
    """Somebody paused it: all is there, and nothing moves."""

    words: str


class Back(NamedTuple):
    """It runs."""


class Container:
    """``stopped``: that somebody stopped or paused it, in a sentence; "" otherwise."""

    def __init__(self) -> None:
        self.stopped = ""
        self._signalled = self._starved = False

    def said(self, event: EngineSaid) -> Died | Frozen | Back | None:
        """What that means; None: nothing."""
        match event.action:
            case "kill":
                self._signalled = self._signalled or event.details.get("signal") != "9"
            case "oom":
                self._starved = True
            case "die":
                return self._died(event)
            case "pause":
                self.stopped = f"its container {event.called} is paused; let it go on: docker unpause {event.called}"
                return Frozen(self.stopped)
            case "start" | "unpause":
                self._signalled = self._starved = False
                self.stopped = ""
                return Back()
        return None

    def _died(self, event: EngineSaid) -> Died:
        name, ordered, starved = event.called, self._signalled, self._starved
        self._signalled = self._starved = False
        if ordered:
            self.stopped = f"its container {name} was stopped; start it again: docker start {name}"
            return Died(self.stopped, ordered=True)
        how = f"its container {name} ended with status {event.details.get('exit_code', '?')}"
        return Died(how + (": it ran out of memory" if starved else ""), ordered=False)
