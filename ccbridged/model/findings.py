"""What a look found, each of one moment: whether it is well, and why it is thought so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ccbridged.model.effects import Json
from ccbridged.model.memory import Moment

COMPONENTS = ("docker_daemon", "fifo_pipes", "container", "agent", "program", "store")
SHARED = ("docker_daemon", "store")
"""Those of which there is one for all instances."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``at``: wall time. ``excuse``: why it proves nothing, in a word: it is ``paused``, ``unknown``, ``new``,
    ``unreachable``, or ``alive`` all the same; "" if it counts."""

    ok: bool
    detail: str
    at: float
    excuse: str = ""

    def told(self, component: str, at: Moment) -> Json:
        age = round(max(at.wall - self.at, 0.0), 3)
        return {"name": component, "ok": self.ok, "detail": self.detail, "checked_at": self.at, "age_s": age}


@dataclass(frozen=True, slots=True)
class Findings:
    """``shared``: component -> finding. ``own``: instance -> component -> finding."""

    shared: Mapping[str, Finding] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Finding]] = field(default_factory=dict)

    def components(self, at: Moment, only: str = "") -> list[Json]:
        """As ``health`` tells them: one verdict for each component, and each instance's own."""
        told: list[Json] = []
        for component in COMPONENTS:
            found = {name: own[component] for name, own in self.own.items() if component in own}
            if only not in ("", component):
                continue
            if component in self.shared:
                told.append(self.shared[component].told(component, at))
            elif component not in SHARED:
                each = {name: {"ok": one.ok, "detail": one.detail} for name, one in found.items()}
                told.append({**_sum(found, at).told(component, at), "instances": each})
        return told

    def of(self, name: str, at: Moment) -> list[Json]:
        """All that is known of one instance."""
        own = self.own.get(name, {})
        return [own[component].told(component, at) for component in COMPONENTS if component in own]


def _sum(found: Mapping[str, Finding], at: Moment) -> Finding:
    """Of all instances one verdict, as old as the oldest."""
    bad = [f"{name}: {one.detail}" for name, one in found.items() if not one.ok]
    since = min((one.at for one in found.values()), default=at.wall)
    return Finding(not bad, "; ".join(bad) or (f"{len(found)} well" if found else "no instance needs it"), since)
