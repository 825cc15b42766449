"""What is done about an instance when a look, the engine or the ladder of remedies says so.

What is found and what is due is known by ``care``; here it is carried out, each thing by the one that can do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ccbridged.model.container import Back, Died, Frozen
from ccbridged.model.effects import Effect, EngineSaid, Say
from ccbridged.model.findings import Finding
from ccbridged.model.memory import Moment
from ccbridged.model.recovery import GIVE_UP, Remedy
from ccbridged.protocol.errors import BridgeError

if TYPE_CHECKING:
    from ccbridged.model.instance import Instance

DONE = {
    "reconnect": "connecting to its agent anew",
    "restart-program": "restarting the program",
    "restart-agent": "restarting its agent",
    "restart-container": "restarting its container",
}


def ask(instance: Instance, line: str, at: Moment) -> tuple[bool, list[Effect]]:
    """Ask agent and program for a sign of life; whether the program was asked. Where nothing is taken, no more is
    said."""
    instance.mail.ask(at.now)
    taken = instance.mail.link.up and not instance.mail.overdue(at.now)
    steps = instance.conversation.ask(line) if taken else []
    return bool(steps), instance.steps(steps, at)


def looked(instance: Instance, found: Mapping[str, Finding], since: float, at: Moment) -> list[Effect]:
    """What a look of the health loop, which began at ``since``, found of it."""
    effects: list[Effect] = []
    if "container" in found and instance.care.current(since):
        effects += _seen(instance, found["container"], at)
    if mendable(instance):
        instance.care.look(found, since, at.now)
    return instance.settled(effects, at)


def mendable(instance: Instance) -> bool:
    """Whether it should work. What is failed, held, or about to end is in other hands."""
    wanted = instance.wanted and instance.state not in ("failed", "stopped")
    return wanted and instance.agency.phase not in ("ending", "held")


def _seen(instance: Instance, container: Finding, at: Moment) -> list[Effect]:
    """What a look found its container to be, where the engine's events have not told of it."""
    stopped, phase = instance.care.container.stopped, instance.agency.phase
    if container.ok:
        return _found_running(instance, at) if stopped else []
    if container.excuse == "paused" and not stopped and mendable(instance):
        instance.care.container.stopped = f"its container {container.detail}"
        return hold(instance, instance.care.container.stopped, at)
    if not container.excuse and not stopped and phase == "lost":
        instance.agency.container = True  # It is dead, so the next try starts it.
    return []


def lives_in(instance: Instance, said: EngineSaid) -> bool:
    """Whether that is its container: the one that it is in, or another of the name that it was given."""
    spec, known = instance.spec, instance.agency.facts.get("container_id")
    name = spec.container or ("" if known else f"ccbridge-{instance.name}")
    return said.container == known or name in (said.called, said.details.get("was"))


def engine_said(instance: Instance, said: EngineSaid, at: Moment) -> list[Effect]:
    """Something became of its container. What is ordered to end, or has ended, needs no word of it."""
    effects: list[Effect] = instance.care.record(said)
    if said.action == "rename" and instance.spec.container:
        instance.agency.rename(said.called)
    phase = instance.agency.phase
    ours = phase == "ending" or (phase == "launching" and instance.agency.container)
    news = instance.care.engine_said(said, at, ours=ours)
    if phase in ("ending", "launching") or not instance.wanted or instance.state == "failed":
        return instance.settled(effects, at)
    match news:
        case Died(words, ordered=False):
            effects += _start_container(instance, words, at)
        case Died(words) | Frozen(words):
            effects += hold(instance, words, at)
        case Back():
            effects += _found_running(instance, at)
    return instance.settled(effects, at)


def engine_lost(instance: Instance, at: Moment) -> list[Effect]:
    """An engine that ends stops its containers: that was nobody's wish."""
    if instance.care.engine_lost(at):
        instance.agency.container = True
    return instance.settled([], at)


def engine_found(instance: Instance, at: Moment) -> list[Effect]:
    """What it needs an engine for can be tried again."""
    return instance.settled([] if instance.care.container.stopped else _seek_again(instance, at), at)


def hold(instance: Instance, words: str, at: Moment) -> list[Effect]:
    """Its container does not run."""
    told = Say("warning", f"{instance.name}: {words}")
    lost = instance.standing.lose(BridgeError("unavailable", words), at)
    return [told, *lost, *instance.agency.hold()]


def mend(instance: Instance, remedy: Remedy, at: Moment) -> list[Effect]:
    """One remedy; what came of it is told when the instance is ready again, or with the next one."""
    effects = instance.care.tell(remedy)
    if remedy.kind == GIVE_UP:
        gone = BridgeError("failed", f"{remedy.seen}; nothing that was tried has helped")
        instance.conversation.retire()
        return [*effects, *instance.give_up(gone, at), *instance.follow(instance.agency.end("agent"), at)]
    effects += instance.standing.lose(BridgeError("unavailable", f"{remedy.seen}: {DONE[remedy.kind]}"), at)
    if remedy.kind == "reconnect":
        return [*effects, *instance.follow(instance.agency.seek(), at)]
    if remedy.kind == "restart-program":
        return [*effects, *instance.mail.post(instance.conversation.restart(at))]
    instance.conversation.retire()
    instance.agency.container = remedy.kind == "restart-container"
    what = "container" if instance.agency.container else "agent"
    return [*effects, *instance.follow(instance.agency.end(what), at)]


def _start_container(instance: Instance, words: str, at: Moment) -> list[Effect]:
    """What is dead can be started as often as it dies, as agents and programs are."""
    error = BridgeError("unavailable", words)
    noted = instance.care.note(Remedy("start-container", "container", words), at)
    lost = instance.follow(instance.agency.died(error, at.now), at)
    return [*noted, *lost, *instance.standing.lose(error, at)]


def _found_running(instance: Instance, at: Moment) -> list[Effect]:
    instance.care.running()
    return _seek_again(instance, at)


def _seek_again(instance: Instance, at: Moment) -> list[Effect]:
    if not instance.wanted or instance.agency.phase not in ("lost", "held"):
        return []
    instance.agency.failures = 0
    return instance.follow(instance.agency.seek(), at)
