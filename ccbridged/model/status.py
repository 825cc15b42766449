"""How instances are, as ``list`` and ``status`` show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ccbridged.model.activity import Activity
from ccbridged.model.effects import Json
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment


def row(instance: Instance, digest: str, at: Moment) -> Json:
    """One row of ``list``. ``digest``: of the packed agent that this daemon would start today."""
    spec, queue, agent = instance.spec, instance.queue, instance.agency.told
    current, activity = queue.current, _activity(instance)
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
        "activity": activity.told() if activity else None,
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
    }


def counts(instances: Iterable[Instance]) -> Json:
    """State -> how many."""
    return dict(Counter(instance.state for instance in instances))


def _reason(instance: Instance, at: Moment) -> str:
    conversation, activity = instance.conversation, _activity(instance)
    if overdue := instance.mail.overdue(at.now):
        return overdue
    if activity:
        return activity.words(at.wall) if instance.state == "busy" else f"by itself: {activity.words(at.wall)}"
    if instance.state == "ready" and conversation.phase == "asleep":
        return "asleep; it wakes up for the next prompt"
    limit = conversation.turn.course.limit
    if instance.state == "ready" and limit and (limit.until is None or limit.until > at.wall):
        return limit.words(at.wall)
    return instance.standing.reason


def _activity(instance: Instance) -> Activity | None:
    """Of one that works: of others it is not known."""
    return instance.conversation.turn.activity if instance.state in ("ready", "busy") else None
