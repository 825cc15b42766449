"""The health loop: when everything is looked at next, who else asked for a look, and what was found last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccbridged.model import mending
from ccbridged.model.config import HealthConfig
from ccbridged.model.effects import Effect, Json, Reply, Say
from ccbridged.model.findings import SHARED, Finding, Findings
from ccbridged.model.health import Look
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment
from ccbridged.protocol.errors import BridgeError


class Rounds:
    """``found``: by the last look of the loop's own. ``choked``: why the store cannot be written, if it cannot."""

    def __init__(self) -> None:
        self.found = Findings()
        self.choked: Finding | None = None
        self._interval: float | None = None
        self._next_at: float | None = None
        self._looks: dict[str, Look] = {}

    @property
    def deadline(self) -> float | None:
        times = [look.by for look in self._looks.values() if look.probes is not None]
        times += [] if self._next_at is None else [self._next_at]
        return min(times, default=None)

    def follow(self, config: HealthConfig, at: Moment) -> None:
        """From now on by this configuration."""
        interval = config.check_interval if config.enabled else None
        if interval != self._interval:
            self._interval = interval
            self._next_at = None if interval is None else at.now + interval

    def look(self, client: str, component: str, instances: Iterable[Instance], at: Moment) -> list[Effect]:
        """Look at everything now; ``client`` gets the answer, "": the loop itself."""
        look = Look(at.uuid(client, "health"), client, component, at)
        self._looks[look.token] = look
        return look.begin(instances)

    def told(self, at: Moment, component: str = "") -> list[Json]:
        """What is known of every component, or of one; before the first look no more than what nobody has to ask."""
        shared = {**self.found.shared, "store": self.choked} if self.choked else self.found.shared
        told = Findings(shared, self.found.own).components(at, component)
        return told if "store" in self.found.shared else [one for one in told if one["name"] in shared]

    def choke(self, trouble: str, at: Moment) -> list[Effect]:
        """The store cannot be written, so nobody can be asked: looks that have begun are over, without a verdict."""
        self.choked = Finding(False, trouble, at.wall)
        looks, self._looks = self._looks.values(), {}
        return [self.known(look.client, look.component, at) for look in looks if look.client]

    def breathe(self) -> None:
        """The store can be written."""
        self.choked = None

    def known(self, client: str, component: str, at: Moment) -> Effect:
        """The answer where nobody can be asked."""
        unknown = Finding(False, "has not been looked at yet, and cannot be while the store cannot be written", at.wall)
        return Reply(client, _document(self.told(at, component) or [unknown.told(component, at)]))

    def leave(self, name: str) -> None:
        """There is no such instance any more."""
        own = {other: found for other, found in self.found.own.items() if other != name}
        self.found = Findings(self.found.shared, own)

    def forget(self, client: str) -> None:
        self._looks = {token: look for token, look in self._looks.items() if look.client != client}

    def probed(self, token: str, facts: Json, error: BridgeError | None) -> None:
        """What could not be found out because the probe failed is not well."""
        if token in self._looks:
            failed: Json = {name: [False, f"could not be looked at: {error}"] for name in SHARED} if error else {}
            self._looks[token].probes = {**failed, **facts}

    def tick(self, instances: Mapping[str, Instance], at: Moment) -> list[Effect]:
        """The next look, if it is due and the last one is over."""
        if self._next_at is None or self._interval is None or at.now < self._next_at:
            return []
        self._next_at = at.now + self._interval
        late = any(not look.client for look in self._looks.values())
        return [] if late or not instances else self.look("", "", instances.values(), at)

    def conclude(self, instances: Mapping[str, Instance], at: Moment) -> list[Effect]:
        """Of every look that is over: the answer, or what is done about it."""
        effects: list[Effect] = []
        for look in [look for look in self._looks.values() if look.over(at)]:
            del self._looks[look.token]
            found = look.findings(at)
            if look.client:
                effects.append(Reply(look.client, _document(found.components(at, look.component))))
                continue
            effects += self._take(found)
            for name, own in found.own.items():
                effects += mending.looked(instances[name], own, look.began.now, at)
        return effects

    def engine(self, finding: Finding) -> list[Effect]:
        """The engine came or went, between two looks."""
        return self._take(Findings({**self.found.shared, "docker_daemon": finding}, self.found.own))

    def _take(self, found: Findings) -> list[Effect]:
        """What has changed of that which is there for all."""
        effects: list[Effect] = []
        for name, finding in found.shared.items():
            before = self.found.shared.get(name)
            if finding.ok is not (before is None or before.ok):
                level, words = ("info", "well again") if finding.ok else ("warning", "not well")
                effects.append(Say(level, f"{name} is {words}: {finding.detail}"))
        self.found = found
        return effects


def _document(components: list[Json]) -> Json:
    return {"v": 1, "ok": all(one["ok"] for one in components), "components": components}
