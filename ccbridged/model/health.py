"""One look at everything: what the probes find, whether each agent and each program answers.

Who answers is well, however busy; so is whoever says anything after it was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccbridged.model import claude, mending
from ccbridged.model.effects import Effect, Json, Probe
from ccbridged.model.findings import SHARED, Finding, Findings
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment

PATIENCE = 5.0
"""Seconds that an agent or a program may take to answer, busy or not."""


class Look:
    """``client``: who asked for it, "" for the health loop. ``probes``: what they found, once they are done."""

    def __init__(self, token: str, client: str, component: str, at: Moment) -> None:
        self.token = token
        self.client = client
        self.component = component
        self.began = at
        self.by = at.now + PATIENCE
        self.probes: Json | None = None
        self._instances: list[Instance] = []
        self._lives: dict[str, int] = {}

    def begin(self, instances: Iterable[Instance]) -> list[Effect]:
        """Ask all who should run."""
        self._instances = [instance for instance in instances if instance.wanted]
        ids = {one.name: str(one.agency.facts.get("container_id", "")) for one in self._instances}
        effects: list[Effect] = [Probe(self.token, tuple(instance.spec for instance in self._instances), ids)]
        for instance in self._instances:
            asked, followed = mending.ask(instance, claude.ping(self.token), self.began)
            effects += followed
            if asked:
                self._lives[instance.name] = instance.conversation.memory.life
        return effects

    def over(self, at: Moment) -> bool:
        """The probes set limits of their own."""
        return self.probes is not None and (at.now >= self.by or all(map(self._answered, self._instances)))

    def findings(self, at: Moment) -> Findings:
        """Instances that nobody wants to run any more are well as they are."""
        probes = self.probes or {}
        shared = {name: _read(probes[name], at) for name in SHARED if name in probes}
        wanted = [instance for instance in self._instances if instance.wanted and not instance.gone]
        return Findings(shared, {instance.name: self._of(instance, probes, at) for instance in wanted})

    def _answered(self, instance: Instance) -> bool:
        """Whether there is nothing to be waited for."""
        conversation = instance.conversation
        if not conversation.reachable:
            return True
        mute = instance.name in self._lives and conversation.heard_at < self.began.now
        return instance.mail.link.round_trip is not None and not mute

    def _of(self, instance: Instance, probes: Json, at: Moment) -> dict[str, Finding]:
        found: dict[str, Finding] = {}
        for component in ("fifo_pipes", "container"):
            table = probes.get(component)
            if isinstance(table, Mapping) and instance.name in table:
                found[component] = _read(table[instance.name], at)
        if "fifo_pipes" in found and found["fifo_pipes"].ok:
            found["fifo_pipes"] = _filled(found["fifo_pipes"], instance, at)
        return {**found, "agent": _agent(instance, self.began, at), "program": self._program(instance, at)}

    def _program(self, instance: Instance, at: Moment) -> Finding:
        conversation = instance.conversation
        if not conversation.reachable:
            return Finding(False, "cannot be asked without its agent", at.wall, "unreachable")
        if conversation.phase == "asleep":
            return Finding(True, "asleep", at.wall)
        if conversation.restarting:
            late = at.now >= conversation.end_by
            return Finding(False, "does not end" if late else "is being restarted", at.wall, "" if late else "new")
        if conversation.phase != "ready":
            return Finding(False, conversation.lives.complaint or conversation.phase, at.wall, "new")
        if instance.mail.overdue(at.now) and instance.name not in self._lives:
            return Finding(False, "cannot be asked: its agent takes nothing", at.wall, "unreachable")
        if conversation.memory.life != self._lives.get(instance.name):
            return Finding(True, "has just been started", at.wall, "new")
        return _alive(conversation.heard_at, self.began, at)


def _filled(pipes: Finding, instance: Instance, at: Moment) -> Finding:
    """How long the oldest frame in them has waited; whether that is too long is said of the agent."""
    since = instance.mail.link.oldest_unacked_since()
    waits = "nothing waits in them" if since is None else f"what waits in them does so for {at.now - since:.1f} s"
    return Finding(True, f"{pipes.detail}; {waits}", at.wall)


def _agent(instance: Instance, began: Moment, at: Moment) -> Finding:
    link, reason = instance.mail.link, instance.standing.reason
    if not instance.conversation.reachable:
        return Finding(False, instance.state + (f", {reason}" if reason else ""), at.wall, "unreachable")
    if overdue := instance.mail.overdue(at.now):
        alive = link.round_trip is not None or link.heard_at >= began.now
        return Finding(False, overdue.removeprefix("the agent "), at.wall, "alive" if alive else "")
    if link.round_trip is not None:
        digest = str(instance.agency.told.get("digest", ""))[:12]
        return Finding(True, f"answered in {link.round_trip * 1000:.1f} ms, digest {digest}", at.wall)
    return _alive(link.heard_at, began, at)


def _alive(heard_at: float, began: Moment, at: Moment) -> Finding:
    if heard_at < began.now:
        return Finding(False, f"has not answered for {at.now - began.now:.0f} s", at.wall)
    return Finding(True, f"last heard {at.now - heard_at:.1f} s ago", at.wall)


def _read(value: object, at: Moment) -> Finding:
    match value:
        case [bool(ok), str(detail)]:
            return Finding(ok, detail, at.wall)
        case [bool(ok), str(detail), str(excuse)]:
            return Finding(ok, detail, at.wall, excuse)
    return Finding(False, "the probe said nothing", at.wall)
