"""Looking after one instance: what looks and the engine found, what is done about it, and the record of both."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ccbridged.model.container import Back, Container, Died, Frozen
from ccbridged.model.conversation import Conversation
from ccbridged.model.effects import Effect, EngineSaid, Json, SaveEvent, Spec
from ccbridged.model.findings import Finding
from ccbridged.model.memory import Moment
from ccbridged.model.recovery import Limits, Recovery, Remedy
from ccbridged.protocol.link import Link

AFTERMATH = 60.0
"""Seconds between the end of a container and that of its engine, for the one to have been part of the other."""


class Care:
    """``limits`` None: what is wrong is shown, and nothing done about it."""

    def __init__(self, spec: Spec, limits: Limits | None) -> None:
        self.name = spec.name
        made = f"make it anew: ccbridgectl start {spec.name}"
        self._again = made if spec.image else f"create it again by that name, or: ccbridgectl remove {spec.name}"
        self.container = Container(self._again)
        self.recovery = Recovery(limits, contained=spec.runtime == "docker")
        self._looked_at = 0.0
        self._died_at = self._event_at = 0.0
        self._failed: Remedy | None = None

    @property
    def deadline(self) -> float | None:
        return self.recovery.deadline

    def load(self, facts: Json) -> str:
        """As it was; that somebody has stopped its container, if so."""
        self.container.stopped = str(facts.get("stopped", ""))
        return self.container.stopped

    def facts(self, facts: Json) -> Json:
        """With what must be known of its container after a restart."""
        others = {name: value for name, value in facts.items() if name != "stopped"}
        return {**others, "stopped": self.container.stopped} if self.container.stopped else others

    def forgive(self) -> None:
        """Somebody has taken it in hand: all is as if nothing had been."""
        self.container = Container(self._again)
        self.recovery = Recovery(self.recovery.limits, contained=self.recovery.contained)

    def running(self) -> None:
        """Its container runs."""
        self.container.stopped = ""

    def engine_said(self, said: EngineSaid, at: Moment, *, ours: bool) -> Died | Frozen | Back | None:
        """``ours``: we are ending or starting the container ourselves, so nobody else has stopped it."""
        news = self.container.said(said, at.now)
        self._event_at = at.now
        if isinstance(news, Died):
            self._died_at = at.now
            if ours:
                self.container.stopped = ""
        return news

    def engine_lost(self, at: Moment) -> bool:
        """Whether an end that looked ordered was its engine's: that was nobody's wish."""
        if not self.container.stopped or at.now - self._died_at > AFTERMATH:
            return False
        self.container.stopped = ""
        return True

    def current(self, since: float) -> bool:
        """Whether what was seen of its container since then is not older than the engine's last word."""
        return since > self._event_at

    def look(self, found: Mapping[str, Finding], since: float, now: float) -> None:
        """``since``: when the look began."""
        self._looked_at = since
        bad = {name: one.detail for name, one in found.items() if name in _WHOSE and not (one.ok or one.excuse)}
        faults = {name: f"{_WHOSE[name]} {detail}" for name, detail in bad.items()}
        self.recovery.look(faults, [name for name, one in found.items() if one.ok and not one.excuse], now)

    def remedy(self, at: Moment, conversation: Conversation, link: Link) -> Remedy | None:
        """The one that is due; whoever has spoken meanwhile is left alone, and so is a turn that does something."""
        component = self.recovery.component
        if component == "program" and conversation.phase not in ("ready", "starting"):
            self.recovery.excuse(component)
        if conversation.reachable and component:
            heard = conversation.heard_at >= self._looked_at and not conversation.restarting
            late = {"program": heard, "agent": link.heard_at >= self._looked_at}
            if late.get(component, False) or (heard and conversation.turn.busy):
                self.recovery.postpone(at.now)
        before = self.recovery.pending
        remedy = self.recovery.remedy(at.now)
        self._failed = before if remedy else None
        return remedy

    def tell(self, remedy: Remedy) -> list[Effect]:
        """That it is done; and that the one before it, if it still was in hand, has not helped."""
        failed, self._failed = self._failed, None
        effects: list[Effect] = [self._event({"done": failed.kind, "came": "it did not help"})] if failed else []
        return [*effects, self._event({"component": remedy.component, "seen": remedy.seen, "done": remedy.kind})]

    def note(self, remedy: Remedy, at: Moment) -> list[Effect]:
        """What is done anyway is a remedy too."""
        return self.tell(remedy) if self.recovery.note(remedy, at.now) else []

    def well(self, at: Moment) -> list[Effect]:
        """It is ready (again)."""
        came = self.recovery.came(at.now)
        if came is None:
            return []
        remedy, seconds = came
        return [self._event({"done": remedy.kind, "came": "ready again", "after_s": round(seconds, 3)})]

    def record(self, said: EngineSaid) -> list[Effect]:
        """The engine's word, for the event log."""
        if said.action == "kill":
            return []  # What comes of it is said as well.
        body = {"container": said.called, "did": said.action, **said.details}
        return [SaveEvent(self.name, "", "container", json.dumps(body))]

    def _event(self, body: Json) -> SaveEvent:
        return SaveEvent(self.name, "", "recovery", json.dumps(body))


_WHOSE = {"fifo_pipes": "its pipes:", "agent": "its agent", "program": "its program"}
