"""The meeting point: every input enters through ``take``, every effect leaves through ``perform``.

First the saves of an input, in one transaction; after its commit whatever others can see. While the store cannot be
written nothing new is taken in: streams are not read, calls that would change something are refused; what only looks
is answered from what is known.
"""

from __future__ import annotations

import grp
import logging
import os
import secrets
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NoReturn

from ccbridged.model import effects as fx
from ccbridged.model.bridge import Bridge
from ccbridged.model.config import Config
from ccbridged.model.effects import Effect, Input, Json, Spec
from ccbridged.model.memory import Moment
from ccbridged.protocol import calls
from ccbridged.protocol.errors import BridgeError
from ccbridged.system import agentpack, probes
from ccbridged.system.control import CallArrived, Client, ClientLeft, ControlEvent, ControlPort
from ccbridged.system.followers import Followers
from ccbridged.system.hook import Hook
from ccbridged.system.inspector import Inspector
from ccbridged.system.notify import Notifier, watchdog_interval
from ccbridged.system.places import Places
from ccbridged.system.reactor import Reactor, Ready
from ccbridged.system.recall import known
from ccbridged.system.runtimes import Runtime
from ccbridged.system.runtimes.containers import DockerRuntime
from ccbridged.system.runtimes.process import ProcessRuntime
from ccbridged.system.runtimes.watch import EngineWatch
from ccbridged.system.store import Store, StoreFailed
from ccbridged.system.streams import Streams
from ccbridged.system.trace import shown
from ccbridged.system.transports import NamedPipeChannel
from ccbridged.system.watchdog import Watchdog
from ccbridged.system.worker import Worker

_RETRY = 1.0
"""Seconds between two tries to write to a store that failed."""
_MEND_STORE = "make room, or mend it; ccbridged then goes on by itself, nothing is lost"
_READ_ONLY = (
    *("ping", "status", "list", "wait", "result", "history", "events", "logs", "approvals", "names"),
    *("health", "discover", "doctor"),
)
_NEW_WORK = ("send", "add")
_POSTED = (fx.RuntimeDone, fx.EngineSaid, fx.EngineLost, fx.EngineFound)
"""What other threads say."""
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LAST_WORDS = 2.0
"""Seconds that a runtime action may take to end when the daemon does, and so many for events not yet told."""

_log = logging.getLogger(__name__)


class Daemon:
    """One life. ``reload`` reads the configuration again; it raises BridgeError for a bad one."""

    def __init__(self, config: Config, *, runtime_dir: str, state_dir: str, reload: Callable[[], Config]) -> None:
        self._config = config
        self._reload = reload
        self._started = time.monotonic()
        self._exit: int | None = None
        self._inputs: deque[Input] = deque()
        self._owed: deque[list[Effect]] = deque()
        self._retry_at: float | None = None
        self._trouble = ""
        self._store = Store(os.path.join(state_dir, "ccbridged.db"), durability=config.daemon.durability)
        self._places = Places(state_dir, self._store.journal[:16])
        self._pack = agentpack.pack(self._places.pack_dir)
        self._reactor = Reactor()
        self._gid = grp.getgrnam(config.pipes.group).gr_gid if config.pipes.group else -1
        self._port = ControlPort(runtime_dir, self._reactor, gid=self._gid)
        self._streams = Streams(self._reactor, self._places, config.pipes, self._gid)
        self._followers = Followers(self._store, self._port)
        self._worker = Worker(self._reactor.post)
        self._processes = ProcessRuntime(self._places, self._pack, os.environ)
        self._docker = DockerRuntime(self._places, self._pack, host=config.docker.host, fifo_gid=self._gid)
        self._watch = EngineWatch(config.docker.host, self._reactor.post)
        self._inspector = Inspector(self._places, runtime_dir, config.docker.host, self._processes.environ)
        self._examiner: Worker | None = None
        self._hook = Hook(self._store, self._processes.environ)
        self._notifier = Notifier()
        self._status = ""
        self._watchdog = watchdog_interval()
        self._watchdog_at = self._started if self._watchdog else None
        self._guard = Watchdog()
        journal, epoch = self._store.journal, self._store.epoch
        self._bridge = Bridge(config, journal=journal, epoch=epoch, digest=self._pack.digest)

    def run(self, ready: Callable[[], None]) -> int:
        """Until a signal or a reason to give up; the exit status. Raises BridgeError where it cannot start."""
        try:
            self._reactor.catch((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
            self._port.open()
            self._hook.use(self._config.notify.command)
            self._take_all(self._bridge.load(known(self._store), self._moment()))
            for told in self._processes.strays(self._bridge.instances):
                _log.warning("%s", told)
            _log.info("serving %s with the state in %s", self._port.runtime_dir, self._places.state_dir)
            self._notifier.ready(self._tell_status())
            ready()
            if not self._watchdog:
                self._guard.start()
            while self._exit is None:
                self._turn()
            return self._exit
        finally:
            self._close()

    def take(self, happened: Input) -> None:
        """One input, and all that follows from it."""
        _log.debug("< %s", shown(happened))
        self.perform(self._bridge.handle(happened, self._moment()))

    def perform(self, effects: list[Effect]) -> None:
        """Saves first and in one transaction; where that fails, all of it later and in the same order."""
        self._owed.append(effects)
        while self._owed and self._saved(self._owed[0]):
            self._perform_acts(self._owed.popleft())

    def _perform_acts(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, fx.Save):
                _log.debug("> %s", shown(effect))
                self._do(effect)

    def _moment(self) -> Moment:
        return Moment(time.monotonic(), time.time(), secrets.randbits(128))

    def _take_all(self, effects: list[Effect]) -> None:
        self.perform(effects)
        while self._inputs and not self._owed:
            self.take(self._inputs.popleft())

    def _turn(self) -> None:
        timeout = self._timeout()
        self._guard.rest()
        ready, signals, posted = self._reactor.wait(timeout)
        self._guard.wake()
        for number in signals:
            self._signalled(number)
        self._inputs.extend(thing for thing in posted if isinstance(thing, _POSTED))
        for item in ready:
            self._inputs.extend(self._heard(item))
        now = time.monotonic()
        if self._port.deadline is not None and now >= self._port.deadline:
            self._inputs.extend(self._called(self._port.tick(now)))
        if self._retry_at is not None and now >= self._retry_at:
            self.perform([])
        while self._inputs and not self._owed:
            self.take(self._inputs.popleft())
        if self._bridge.deadline is not None and now >= self._bridge.deadline and not self._owed:
            self._take_all(self._bridge.handle(fx.Tick(), self._moment()))
        if self._owed:
            self._look_on()
        if self._watchdog and self._watchdog_at is not None and now >= self._watchdog_at:
            self._watchdog_at = now + self._watchdog
            self._notifier.watchdog()
        if self._notifier.listening and self._tell_status() != self._status:
            self._status = self._tell_status()
            self._notifier.status(self._status)

    def _timeout(self) -> float | None:
        if self._inputs and not self._owed:
            return 0.0
        times = [self._port.deadline, self._watchdog_at, self._retry_at]
        times.append(None if self._owed else self._bridge.deadline)
        soonest = min((at for at in times if at is not None), default=None)
        return None if soonest is None else max(soonest - time.monotonic(), 0.0)

    # What happened.

    def _heard(self, item: Ready) -> list[Input]:
        owner = item.owner
        if isinstance(owner, NamedPipeChannel):
            inputs = self._streams.ready(owner, item.readable, item.writable)
            return [*inputs, *self._flush(owner.name)] if item.writable else inputs
        inputs = self._called(self._port.ready(owner, item.readable, item.writable, time.monotonic()))
        if item.writable and isinstance(owner, Client):
            self._followers.pump(owner.id)
        return inputs

    def _called(self, events: list[ControlEvent]) -> list[Input]:
        inputs: list[Input] = []
        for event in events:
            match event:
                case CallArrived(client, uid, line):
                    inputs += self._admit(client, uid, line)
                case ClientLeft(client):
                    self._followers.leave(client)
                    inputs.append(fx.ClientGone(client))
        return inputs

    def _admit(self, client: str, uid: int, line: bytes) -> list[Input]:
        try:
            call = calls.parse(line)
            trouble = self._trouble if self._owed else ""
            if call.verb in _NEW_WORK:
                trouble = trouble or self._store.refusal(len(line))
            if trouble and call.verb not in _READ_ONLY:
                raise BridgeError("store", trouble, _MEND_STORE)
        except BridgeError as fault:
            self._do(fx.Fail(client, fault))
            return []
        return [fx.Asked(client, uid, call)]

    def _look_on(self) -> None:
        """While the store cannot be written: what only looks has no need to wait."""
        looks = [happened for happened in self._inputs if _only_looks(happened)]
        self._inputs = deque(happened for happened in self._inputs if not _only_looks(happened))
        for happened in looks:
            _log.debug("< %s", shown(happened))
            self._perform_acts(self._bridge.handle(happened, self._moment()))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._inputs.extend(self._processes.reap())
        elif number == signal.SIGHUP:
            self._reconfigure()
        else:
            _log.info("%s: stopping; the instances go on", signal.Signals(number).name)
            self._exit = 0

    def _reconfigure(self) -> None:
        self._notifier.reloading()
        try:
            self._config = self._reload()
            logging.getLogger().setLevel(self._config.daemon.log_level.upper())
            self._inputs.append(fx.Reloaded(self._config))
            self._hook.use(self._config.notify.command)
            self._streams.use(self._config.pipes)
            _log.info("the configuration has been read again")
        except BridgeError as fault:
            _log.error("the old configuration stays: %s", fault.message)
        self._notifier.ready(self._tell_status())

    # What is done about it.

    def _saved(self, effects: list[Effect]) -> bool:
        for effect in effects:
            if isinstance(effect, fx.KeepEnv):
                self._keep_env(effect)
        saves = [effect for effect in effects if isinstance(effect, fx.Save)]
        try:
            if saves:
                self._store.save(saves, time.time())
        except StoreFailed as error:
            self._choke(str(error))
            return False
        self._breathe()
        self._followers.saved(saves)
        self._hook.saved(saves)
        return True

    def _choke(self, trouble: str) -> None:
        if self._retry_at is None:
            _log.error("%s: nothing new is taken until it can be written", trouble)
            self._streams.pause()
        self._trouble = trouble
        self._perform_acts(self._bridge.rounds.choke(trouble, self._moment()))
        self._retry_at = time.monotonic() + _RETRY

    def _breathe(self) -> None:
        if self._retry_at is not None:
            self._retry_at = None
            self._bridge.rounds.breathe()
            _log.info("the store can be written again")
            self._streams.resume()

    def _do(self, effect: fx.Act) -> None:
        match effect:
            case fx.Commit(name, seq):
                self._bridge.instances[name].mail.link.commit(seq)
            case fx.Flush(name):
                self._inputs.extend(self._flush(name))
            case fx.Reply(client, result):
                self._reply(client, calls.result(result), calls.end(0))
            case fx.ReplyStatus(client, result):
                daemon = probes.process(self._started, os.environ)
                self._reply(client, calls.result({"v": 1, "daemon": daemon, **result}), calls.end(0))
            case fx.Fail(client, fault):
                self._reply(client, calls.error(fault))
            case fx.Follow() | fx.FollowLogs() | fx.Recall() | fx.RecallHistory():
                self._followers.begin(effect)
            case fx.OpenStream(spec):
                self._inputs.extend(self._streams.open(spec.name))
            case fx.CloseStream(name):
                self._streams.close(name)
            case fx.Launch(spec, facts, container):
                self._submit(spec.name, "launch", partial(self._runtime(spec).launch, spec, facts, container=container))
            case fx.Halt(spec, facts, container):
                self._submit(spec.name, "halt", partial(self._runtime(spec).halt, spec, facts, container=container))
            case fx.Remove(spec, facts):
                self._submit(spec.name, "remove", partial(self._runtime(spec).remove, spec, facts))
            case fx.Probe(token, specs, ids):
                self._probe(token, specs, ids)
            case fx.WatchEngine():
                self._watch.start()
            case fx.Survey(token):
                self._aside(token, "survey", self._inspector.survey)
            case fx.Examine(token, specs, logins):
                self._examine(token, specs, logins)
            case fx.Say(level, text):
                _log.log(_LEVELS[level], "%s", text)
            case fx.Exit(status, reason):
                _log.critical("%s", reason)
                self._exit = status
            case fx.KeepEnv():
                pass  # Done with the saves, so that no start can miss it.
            case _:
                _never(effect)

    def _reply(self, client: str, *lines: bytes) -> None:
        for line in lines:
            self._port.reply(client, line)
        self._port.finish(client)

    def _flush(self, name: str) -> list[Input]:
        """As much of what the link has to say as the stream takes."""
        inputs: list[Input] = []
        while (instance := self._bridge.instances.get(name)) is not None and self._streams.drained(name):
            data = instance.mail.link.output(time.monotonic())
            if not data:
                break
            inputs += self._streams.write(name, data)
        return inputs

    def _keep_env(self, effect: fx.KeepEnv) -> None:
        try:
            self._places.write_env(effect.name, effect.env)
        except BridgeError as fault:
            _log.error("the variables of %s could not be kept: %s; %s", effect.name, fault.message, fault.hint)

    def _runtime(self, spec: Spec) -> Runtime:
        return self._processes if spec.runtime == "process" else self._docker

    def _submit(self, name: str, action: str, call: Callable[[], Json]) -> None:
        self._worker.submit(name, action, call)

    def _aside(self, token: str, action: str, call: Callable[[], Json]) -> None:
        """What looks at containers of all kinds may take long: no recovery has to wait for it."""
        self._examiner = self._examiner or Worker(self._reactor.post)
        self._examiner.submit(token, action, call)

    def _examine(self, token: str, specs: tuple[Spec, ...], logins: tuple[str, ...]) -> None:
        here = self._inspector.host(specs, self._config.pipes, self._store, self._streams.replaced)
        if self._retry_at is not None:
            here = replace(here, store=(False, self._trouble))
        self._aside(token, "examine", partial(self._inspector.examine, here, specs, logins))

    def _probe(self, token: str, specs: tuple[Spec, ...], ids: Mapping[str, str]) -> None:
        here = probes.look(specs, self._places, self._config.pipes, self._store, self._streams.replaced)
        contained = [spec for spec in specs if spec.runtime == "docker"]
        none: Json = {"docker_daemon": [True, "no instance needs it"]}
        self._submit(token, "probe", lambda: {**here, **(self._docker.probe(contained, ids) if contained else none)})

    # The beginning and the end.

    def _tell_status(self) -> str:
        states = [instance.state for instance in self._bridge.instances.values()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        return counts or "no instances"

    def _close(self) -> None:
        self._notifier.stopping("stopping")
        self._port.close()
        self._streams.close_all()
        self._hook.close(_LAST_WORDS)
        self._watch.close()
        if not self._worker.close(_LAST_WORDS):
            _log.warning("a runtime action still runs and is left to itself")
        if self._examiner is not None:
            self._examiner.close(0)
        self._docker.close()
        self._reactor.close()
        self._store.close()
        self._notifier.close()
        self._guard.close()


def _only_looks(happened: Input) -> bool:
    """Whether nothing is saved of it."""
    match happened:
        case fx.Asked(_, _, call):
            return call.verb in _READ_ONLY
        case fx.RuntimeDone(_, "survey" | "examine"):
            return True
    return False


def _never(effect: NoReturn) -> NoReturn:
    raise AssertionError(effect)
