"""How instances are, as ``list`` and ``status`` show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ccbridged.model.effects import Json
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment


def row(instance: Instance, digest: str, at: Moment) -> Json:
    """One row of ``list``. ``digest``: of the packed agent that this daemon would start today."""
    spec, queue, agent = instance.spec, instance.queue, instance.agency.told
    current = queue.current
    return {
        "name": spec.name,
        "state": instance.state,
        "reason": _reason(instance, at),
        "since": instance.standing.since,
        "runtime": spec.runtime,
        "container": spec.container or (f"ccbridge-{spec.name}" if spec.image else ""),
        "transport": "fifo",
        "driver": spec.driver,
        "session_id": instance.conversation.memory.session_id,
        "queued": len(queue.waiting),
        "running": current.id if current else None,
        "agent": {**agent, "current": agent["digest"] == digest} if agent else None,
    }


def details(instance: Instance, digest: str, at: Moment) -> Json:
    """What ``status NAME`` shows besides."""
    spec = instance.spec
    asked = "auto: the FIFO pair, as" if spec.transport == "auto" else "asked for;"
    return {
        **row(instance, digest, at),
        "transport_reason": f"{asked} agent and daemon share a kernel",
        "program": [*spec.program, *spec.args],
        "workdir": spec.workdir,
        "version": instance.conversation.memory.version,
        "image": spec.image,
        "env": list(spec.env_names),
        "link": {"up": instance.mail.link.up, **instance.mail.link.counts},
        "health": [],
    }


def counts(instances: Iterable[Instance]) -> Json:
    """State -> how many."""
    return dict(Counter(instance.state for instance in instances))


def _reason(instance: Instance, at: Moment) -> str:
    turn = instance.conversation.turn
    if overdue := instance.mail.overdue(at.now):
        return overdue
    if instance.state == "busy" and turn.doing:
        return f"{turn.doing} {max(at.wall - turn.since, 0):.0f} s"
    if instance.state == "ready" and instance.conversation.phase == "asleep":
        return "asleep; it wakes up for the next prompt"
    return instance.standing.reason
