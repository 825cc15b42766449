"""How the lives of one program went: how many failed in a row and why, and when the next may begin."""

from __future__ import annotations

from collections import deque

READY_WITHIN = 60.0
"""Seconds from a start to the answer to ``initialize``."""
FIRST_DELAY, MAX_DELAY = 0.5, 60.0
"""Seconds before a second start in a row, doubled for each further one."""


class Lives:
    """``failures``: deaths in a row without a prompt that came as far as its start; ``unborn``: those of them before
    it was ready. ``complaint``: why it is down. ``hopeless``: no further start would help. ``retry_at``: when the
    next begins. ``late_at``: when the present one should have been ready.
    """

    def __init__(self) -> None:
        self.failures = self.unborn = 0
        self.complaint = ""
        self.hopeless = False
        self.retry_at: float | None = None
        self.late_at = 0.0
        self._words: deque[str] = deque(maxlen=5)

    @property
    def words(self) -> str:
        """The last that it has said on stderr."""
        return "; ".join(filter(None, self._words))

    def forgive(self) -> None:
        """Somebody wants it to start: what has been before does not count."""
        self.hopeless = False
        self.failures = self.unborn = 0

    def begin(self) -> None:
        self.retry_at = None
        self.hopeless = False
        self._words.clear()

    def wait(self, now: float) -> None:
        """Until it is ready, counted from now."""
        self.late_at = now + READY_WITHIN

    def complain(self, line: str) -> None:
        self._words.append(line.strip())

    def ready(self) -> None:
        self.unborn, self.complaint = 0, ""

    def started(self) -> None:
        """A prompt came as far as its start."""
        self.failures = 0

    def refused(self, reason: str) -> None:
        """It cannot be started at all."""
        self.complaint, self.hopeless = reason, True

    def unable(self, reason: str, now: float) -> None:
        """It could not be started this time: a passing trouble, for however long."""
        self.failures += 1
        self.complaint = reason
        self.retry_at = now + _delay(self.failures)

    def died(self, code: int, now: float, *, early: bool) -> None:
        """Nobody wanted that. ``early``: it had not been ready; one that had is started again at once."""
        how = f"signal {-code}" if code < 0 else f"status {code}"
        self.complaint = f"Claude Code ended with {how}" + (f": {self.words}" if self.words else "")
        row = self.failures + early
        self.retry_at = now + (_delay(row) if row else 0.0)
        self.failures += 1
        self.unborn += early


def _delay(row: int) -> float:
    """Before the start that follows so many failures in a row."""
    return min(FIRST_DELAY * 2.0 ** min(row - 1, 16), MAX_DELAY)
