"""One look at everything: what the daemon knows, what its probes find, and whether each program answers."""

from __future__ import annotations

from collections.abc import Iterable

from ccbridged.model.effects import Json
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment

PATIENCE = 5.0
"""Seconds that a program may take to answer, busy or not."""
COMPONENTS = ("docker_daemon", "fifo_pipes", "container", "agent", "program", "store")

Verdict = tuple[bool, str]


class Checkup:
    """``probes``: component -> [ok, detail], once they are done. ``asked``: names whose program has not answered."""

    def __init__(self, client: str, component: str, asked: Iterable[str], at: Moment) -> None:
        self.client = client
        self.component = component
        self.asked = set(asked)
        self.by = at.now + PATIENCE
        self.probes: Json | None = None

    def over(self, at: Moment) -> bool:
        """The probes set limits of their own."""
        return self.probes is not None and (not self.asked or at.now >= self.by)

    def document(self, instances: Iterable[Instance], at: Moment) -> Json:
        """The answer of ``health``. Instances that nobody wants to run are well as they are."""
        wanted = [instance for instance in instances if instance.wanted]
        verdicts: dict[str, Verdict] = {name: _read(value) for name, value in (self.probes or {}).items()}
        verdicts["agent"] = _sum(_agent(instance, at) for instance in wanted)
        verdicts["program"] = _sum(self._program(instance) for instance in wanted)
        components: list[Json] = [
            {"name": name, "ok": verdicts[name][0], "detail": verdicts[name][1], "checked_at": at.wall}
            for name in COMPONENTS
            if name in verdicts and self.component in ("", name)
        ]
        return {"v": 1, "ok": all(component["ok"] for component in components), "components": components}

    def _program(self, instance: Instance) -> str:
        name, conversation = instance.name, instance.conversation
        if not conversation.reachable:
            return f"{name}: cannot be asked without its agent"
        if name in self.asked:
            return f"{name}: has not answered for {PATIENCE:g} s"
        if conversation.phase in ("ready", "asleep"):
            return ""
        return f"{name}: {conversation.lives.complaint or conversation.phase}"


def _agent(instance: Instance, at: Moment) -> str:
    if instance.mail.link.up:
        overdue = instance.mail.overdue(at.now)
        return f"{instance.name}: {overdue}" if overdue else ""
    reason = instance.standing.reason
    return f"{instance.name}: {instance.state}" + (f", {reason}" if reason else "")


def _sum(faults: Iterable[str]) -> Verdict:
    """Of all instances one verdict; "" is no fault."""
    faults = list(faults)
    bad = [fault for fault in faults if fault]
    if not faults:
        return True, "no instance runs"
    return not bad, "; ".join(bad) or f"{len(faults)} well"


def _read(value: object) -> Verdict:
    match value:
        case [bool(ok), str(detail)]:
            return ok, detail
    return False, "the probe said nothing"
