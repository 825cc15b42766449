"""What is done about one instance that does not answer: looks in, at most one remedy out.

Only what was asked and gave no answer counts, and only as often in a row as is configured: silence alone is nothing.
The least remedy that may help comes first, each further one later, no more than ``BUDGET`` in an hour; after the
greatest the instance is given up. That concerns what is alive and would be ended; what is dead is started again as
often as it dies, ever more slowly where it does not come to life.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import NamedTuple

LADDERS = {
    "fifo_pipes": ("reconnect", "restart-agent", "restart-container"),
    "agent": ("reconnect", "restart-agent", "restart-container"),
    "program": ("restart-program", "restart-agent", "restart-container"),
}
"""What may help, least first; a component stands upon those before it, so the first that is at fault is mended."""
GIVE_UP = "give-up"
MAX_DELAY = 300.0
BUDGET, HOUR = 10, 3600.0


class Limits(NamedTuple):
    """``failures``: looks in a row. ``delay``: seconds before the first remedy, doubled for each further one."""

    failures: int
    delay: float


class Remedy(NamedTuple):
    """``seen``: why, in a person's words."""

    kind: str
    component: str
    seen: str


class Recovery:
    """``limits`` None: nothing is done. ``contained``: there is a container that can be started again.

    ``deadline``: when the next remedy is due. ``pending``: the last one, until it is known what came of it.
    """

    def __init__(self, limits: Limits | None, *, contained: bool) -> None:
        self.limits = limits
        self.contained = contained
        self.deadline: float | None = None
        self.pending: Remedy | None = None
        self._since = 0.0
        self._strikes: Counter[str] = Counter()
        self._faults: dict[str, str] = {}
        self._tried: list[str] = []
        self._spent: deque[float] = deque()

    def look(self, faults: Mapping[str, str], well: Collection[str], now: float) -> None:
        """The result of one look: component -> what is wrong with it, and those that are well. Of the others nothing
        is known."""
        for component in well:
            self.excuse(component)
        for component, seen in faults.items():
            self._strike(component, seen)
        if not faults and {"agent", "program"} <= set(well):
            self._tried.clear()
        self._arm(now)

    def mute(self, seen: str, now: float) -> None:
        """An agent is there and said nothing when it was connected to: as good as a look, and as a first remedy. If
        that was one already, nothing is left to be seen."""
        self._strike("agent", seen)
        if self.limits and self.pending and self.pending.kind == "reconnect":
            self._strikes["agent"] = self.limits.failures
        self._tried += [] if "reconnect" in self._tried else ["reconnect"]
        self._arm(now)

    def excuse(self, component: str) -> None:
        """It is well, or as somebody wants it."""
        self._strikes.pop(component, None)
        self._faults.pop(component, None)
        if not self._due():
            self.deadline = None

    @property
    def component(self) -> str:
        """What the next remedy is for; "" if none is due."""
        return self._due() if self.deadline is not None else ""

    def rest(self) -> None:
        """There is nothing to be mended now."""
        self.deadline = None
        self._strikes.clear()
        self._faults.clear()

    def postpone(self, now: float) -> None:
        """It must be left alone for now."""
        if self.limits and self.deadline is not None:
            self.deadline = now + max(self.limits.delay, 1.0)

    def remedy(self, now: float) -> Remedy | None:
        """The one that is due by now."""
        if self.deadline is None or now < self.deadline:
            return None
        component = self._due()
        if not component:
            self.deadline = None
            return None
        self.pending, self._since = Remedy(self._next(component, now), component, self._faults[component]), now
        self.rest()
        return self.pending

    def note(self, remedy: Remedy, now: float) -> bool:
        """What is done anyway is a remedy too; whether it is a new one."""
        if self.pending:
            return False
        self.pending, self._since = remedy, now
        return True

    def came(self, now: float) -> tuple[Remedy, float] | None:
        """The instance is well again: after which remedy, and how many seconds that took."""
        remedy, self.pending = self.pending, None
        return (remedy, now - self._since) if remedy else None

    def _strike(self, component: str, seen: str) -> None:
        self._strikes[component] += 1
        self._faults[component] = seen

    def _due(self) -> str:
        if self.limits is None:
            return ""
        return next((name for name in LADDERS if self._strikes[name] >= self.limits.failures), "")

    def _arm(self, now: float) -> None:
        if self.limits and self.deadline is None and self._due():
            self.deadline = now + min(self.limits.delay * 2.0 ** min(len(self._tried), 16), MAX_DELAY)

    def _next(self, component: str, now: float) -> str:
        while self._spent and self._spent[0] <= now - HOUR:
            self._spent.popleft()
        if len(self._spent) >= BUDGET:
            return GIVE_UP
        steps = [step for step in LADDERS[component] if self.contained or step != "restart-container"]
        step = next((step for step in steps if step not in self._tried), GIVE_UP)
        self._spent.append(now)
        self._tried.append(step)
        return step
