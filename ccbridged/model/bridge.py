"""All instances: every input finds the one it concerns, every call its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ccbridged.model import examinations, mending, service, status
from ccbridged.model.agency import Pace
from ccbridged.model.approvals import Desk
from ccbridged.model.config import Config, InstanceConfig
from ccbridged.model.conversation import Conversation
from ccbridged.model.effects import (
    AgentEnded,
    Asked,
    ClientGone,
    Closed,
    Effect,
    EngineFound,
    EngineLost,
    EngineSaid,
    Fail,
    Heard,
    Input,
    Json,
    KeepEnv,
    Opened,
    Reloaded,
    RuntimeDone,
    Say,
    Spec,
    Tick,
)
from ccbridged.model.findings import Finding
from ccbridged.model.instance import Instance
from ccbridged.model.kept import kept_from
from ccbridged.model.mail import Mail
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.naming import pick
from ccbridged.model.recovery import Limits
from ccbridged.model.requests import Queue, Request
from ccbridged.model.rounds import Rounds
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState

AT_START = (
    *(("daemon", key) for key in ("runtime_dir", "state_dir", "log_format", "durability")),
    ("pipes", "group"),
    ("docker", "host"),
)
"""Settings, by section, that are taken over at the daemon's start only."""


class Known(NamedTuple):
    """What the store knows of an instance. ``ended``: (id, state) of final requests, ``spent``: of those that have left
    the history; all oldest first."""

    body: Json
    open: list[Request]
    ended: list[tuple[str, str]]
    spent: list[tuple[str, str]]
    link: LinkState
    held: list[tuple[int, str]]


class Bridge:
    """``journal``, ``epoch``: the store's. ``digest``: of the packed agent. ``examinations``: token -> client."""

    def __init__(self, config: Config, *, journal: str, epoch: int, digest: str) -> None:
        self.config = config
        self.digest = digest
        self.instances: dict[str, Instance] = {}
        self.rounds = Rounds()
        self.examinations: dict[str, str] = {}
        self._journal = journal
        self._epoch = epoch

    def load(self, known: Iterable[Known], at: Moment) -> list[Effect]:
        """Everything as it was, and what the configuration asks for besides."""
        effects: list[Effect] = []
        self.rounds.follow(self.config.health, at)
        for one in known:
            effects += self._restore(one, at)
        return [*effects, *self._configured(at)]

    def handle(self, happened: Input, at: Moment) -> list[Effect]:
        match happened:
            case Asked(client, _, call):
                try:
                    return service.ANSWERS[call.verb](self, client, call, at)
                except BridgeError as fault:
                    return [Fail(client, fault)]
            case ClientGone(client):
                self._forget(client)
                return []
            case Tick():
                return self._tick(at)
            case Reloaded(config):
                return self._reload(config, at)
            case RuntimeDone(token, "probe", error, facts):
                self.rounds.probed(token, facts, error)
                return self.rounds.conclude(self.instances, at)
            case RuntimeDone(_, "survey" | "examine"):
                return examinations.answer(self, happened)
            case EngineSaid() | EngineLost() | EngineFound():
                return self._engine(happened, at)
            case _ if happened.name not in self.instances:
                return []
            case _:
                return self._of_instance(happened, self.instances[happened.name], at)

    @property
    def deadline(self) -> float | None:
        times = [self.rounds.deadline, *(instance.deadline for instance in self.instances.values())]
        return min((at for at in times if at is not None), default=None)

    def create(self, spec: Spec, memory: Memory = Memory()) -> Instance:
        """A new instance of this name."""
        return self._make(spec, self._mail(spec.name), memory, self._queue())

    def find(self, name: str) -> Instance:
        """By name or unique prefix. Raises BridgeError ``no-such-instance``."""
        chosen = pick(name, self.instances, "no-such-instance", "instance", "see: ccbridgectl list")
        return self.instances[chosen]

    def owner(self, id_: str) -> Instance | None:
        """Whose request of exactly this id is; None for an unknown one."""
        return next((instance for instance in self.instances.values() if instance.queue.knows(id_)), None)

    def find_request(self, id_: str) -> tuple[Instance, str]:
        """By id or unique prefix. Raises BridgeError ``no-such-request``, also for one whose answer is gone."""
        if fault := next((fault for i in self.instances.values() if (fault := i.queue.spent_fault(id_))), None):
            raise fault
        owners = {known: i for i in self.instances.values() for known in i.queue.ids()}
        chosen = pick(id_, owners, "no-such-request", "request", "see: ccbridgectl history NAME")
        return owners[chosen], chosen

    def _of_instance(
        self, happened: Opened | Heard | Closed | RuntimeDone | AgentEnded, of: Instance, at: Moment
    ) -> list[Effect]:
        match happened:
            case Heard(_, chunk):
                effects = of.heard(chunk, at)
                return [*effects, *self.rounds.conclude(self.instances, at)]
            case Opened(_, window):
                return of.news(of.agency.opened(window, at.now), at)
            case Closed(_, reason, final):
                return of.news(of.agency.closed(reason, at.now, final=final), at)
            case RuntimeDone(_, action, error, facts):
                effects = of.news(of.agency.done(action, error, facts, at.now), at)
                if of.gone:
                    del self.instances[of.name]
                    self.rounds.leave(of.name)
                return effects
            case _:
                return of.news(of.agency.exited(happened.status, happened.words, at.now), at)

    def _tick(self, at: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for instance in self.instances.values():
            if instance.deadline is not None and at.now >= instance.deadline:
                effects += instance.tick(at)
        effects += self.rounds.conclude(self.instances, at)
        return [*effects, *self.rounds.tick(self.instances, at)]

    def _engine(self, happened: EngineSaid | EngineLost | EngineFound, at: Moment) -> list[Effect]:
        effects: list[Effect] = []
        contained = [one for one in self.instances.values() if one.spec.runtime == "docker"]
        match happened:
            case EngineSaid():
                for instance in contained:
                    effects += (
                        mending.engine_said(instance, happened, at) if mending.lives_in(instance, happened) else []
                    )
            case EngineLost(reason):
                effects += self.rounds.engine(Finding(False, reason, at.wall))
                for instance in contained:
                    effects += mending.engine_lost(instance, at)
            case _:
                effects += self.rounds.engine(Finding(True, f"version {happened.version}", at.wall))
                for instance in contained:
                    effects += mending.engine_found(instance, at)
                effects += self.rounds.look("", "", self.instances.values(), at)
        return effects

    def _forget(self, client: str) -> None:
        self.rounds.forget(client)
        examinations.forget(self, client)
        for instance in self.instances.values():
            instance.standing.leave(client)

    def _restore(self, known: Known, at: Moment) -> list[Effect]:
        kept = kept_from(known.body)
        mail = self._mail(kept.spec.name, known.link, known.held)
        queue = self._queue()
        trimmed = queue.load(known.open, known.ended, known.spent, at)
        return [*trimmed, *self._make(kept.spec, mail, kept.memory, queue).load(kept, at)]

    def _make(self, spec: Spec, mail: Mail, memory: Memory, queue: Queue) -> Instance:
        conversation = Conversation(spec, memory, queue, Desk(self.config.approvals), self.config.session)
        self.instances[spec.name] = Instance(spec, mail, conversation, self._pace(), self._limits())
        return self.instances[spec.name]

    def _mail(self, name: str, state: LinkState = LinkState(), held: Iterable[tuple[int, str]] = ()) -> Mail:
        warn_age = self.config.pipes.warn_age
        return Mail(name, journal=self._journal, epoch=self._epoch, state=state, held=held, warn_age=warn_age)

    def _queue(self) -> Queue:
        session = self.config.session
        return Queue(max_queue=session.max_queue, max_history=session.max_history)

    def _pace(self) -> Pace:
        health = self.config.health
        return Pace(health.recovery_delay, health.max_consecutive_failures)

    def _limits(self) -> Limits | None:
        health = self.config.health
        return Limits(health.max_consecutive_failures, health.recovery_delay) if health.enabled else None

    def _reload(self, config: Config, at: Moment) -> list[Effect]:
        self.config, effects = lasting(self.config, config)
        session = config.session
        self.rounds.follow(config.health, at)
        for instance in self.instances.values():
            instance.agency.pace = self._pace()
            instance.care.recovery.limits = self._limits()
            instance.mail.warn_age = config.pipes.warn_age
            instance.queue.max_queue, instance.queue.max_history = session.max_queue, session.max_history
            instance.conversation.session = session
            instance.conversation.turn.patience = session.request_timeout
            instance.conversation.turn.desk = Desk(config.approvals)
        return [*effects, *self._configured(at)]

    def _configured(self, at: Moment) -> list[Effect]:
        """Instances of the configuration: new ones are started, changed ones take it over at their next start."""
        effects: list[Effect] = []
        for name, wanted in self.config.instances.items():
            spec = configured_spec(name, wanted, self.config)
            instance = self.instances.get(name)
            if fault := service.unavailable(spec):
                effects.append(Say("error", f"{name} is not started: {fault}"))
                continue
            effects.append(KeepEnv(name, wanted.env))
            if instance is None:
                effects += self.create(spec).start(at)
            elif instance.agency.next_spec != spec:
                instance.agency.next_spec = spec
                told = f"{name} has changed; it takes effect with: ccbridgectl restart {name}"
                effects.append(Say("info", told))
        return effects

    def rows(self, at: Moment) -> list[Json]:
        """All of ``list``, by name."""
        return [status.row(self.instances[name], self.digest, at) for name in sorted(self.instances)]


def lasting(running: Config, wanted: Config) -> tuple[Config, list[Effect]]:
    """What to go on with when ``wanted`` is read: settings of the start stay as they are, with word of each."""
    told: list[Effect] = []
    for section, key in AT_START:
        old, new = getattr(running, section), getattr(wanted, section)
        if getattr(old, key) != getattr(new, key):
            wanted = replace(wanted, **{section: replace(new, **{key: getattr(old, key)})})
            told.append(Say("warning", f"{section}.{key} has changed; it takes effect when ccbridged is restarted"))
    return wanted, told


def configured_spec(name: str, wanted: InstanceConfig, config: Config) -> Spec:
    """What a section of the configuration asks for."""
    return Spec(
        name=name,
        runtime=wanted.runtime,
        container=wanted.container,
        image=wanted.image,
        transport=wanted.transport,
        driver=wanted.driver,
        program=wanted.program,
        workdir=wanted.workdir,
        env_names=tuple(sorted(wanted.env)),
        durability=config.daemon.durability,
    )
