"""The durable round trip, of the daemon's own parts in the daemon's own order, with nothing of Claude's in between.

A line is committed to the host's store, written to the link, journalled by the real agent, fed to a child (``cat``),
read back, journalled, sent, and committed on the host as a message and an event: then it is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from ccbridged.model import effects as fx
from ccbridged.model.config import PipesConfig
from ccbridged.model.mail import Mail
from ccbridged.protocol.link import Message
from ccbridged.protocol.messages import MAIN, Feed, Output, Start, Started, decode
from ccbridged.system import agentpack
from ccbridged.system.places import Places
from ccbridged.system.reactor import Reactor
from ccbridged.system.runtimes import Runtime
from ccbridged.system.runtimes.containers import DockerRuntime
from ccbridged.system.runtimes.process import ProcessRuntime
from ccbridged.system.store import Store
from ccbridged.system.streams import Streams
from ccbridged.system.transports import NamedPipeChannel

NAME = "bench"
PATIENCE = 30.0

MakeRuntime = Callable[[Places, agentpack.Pack], Runtime]


class Site(NamedTuple):
    """Where the agent runs. ``image``: in a container made from it; "": as a process of this host."""

    directory: str
    durability: str
    image: str = ""

    @property
    def spec(self) -> fx.Spec:
        runtime = "docker" if self.image else "process"
        return fx.Spec(NAME, runtime, image=self.image, program=("cat",), durability=self.durability)


def runtime_of(site: Site) -> MakeRuntime:
    if site.image:
        return DockerRuntime
    return lambda places, pack: ProcessRuntime(places, pack, os.environ)


class Host:
    """The host's end of a link to a real agent with one child. A context manager.

    ``make_runtime``: what starts the agent; None: what the site says."""

    def __init__(self, site: Site, make_runtime: MakeRuntime | None = None) -> None:
        self._spec = site.spec
        self._store = Store(os.path.join(site.directory, "bench.db"), durability=site.durability)
        places = Places(site.directory, self._store.journal[:16])
        pack = agentpack.pack(places.pack_dir)
        self._runtime = (make_runtime or runtime_of(site))(places, pack)
        self._reactor = Reactor()
        self._streams = Streams(self._reactor, places, PipesConfig(), -1)
        self._mail = Mail(NAME, journal=self._store.journal, epoch=self._store.epoch)
        self._answer: Started | Output | None = None
        self._act(self._streams.open(NAME))
        self.facts = self._runtime.launch(self._spec, {}, container=False)

    def __enter__(self) -> Host:
        self._ask(Start(MAIN, 1, ["cat"], "/", {}, [], ""))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._streams.close_all()
        self._runtime.remove(self._spec, self.facts)
        if isinstance(self._runtime, DockerRuntime):
            self._runtime.close()
        self._reactor.close()
        self._store.close()

    def trip(self, line: str) -> float:
        """Seconds from the beginning of the first transaction to the end of the last."""
        begun = time.perf_counter()
        answer = self._ask(Feed(MAIN, 1, line))
        seconds = time.perf_counter() - begun
        assert isinstance(answer, Output) and answer.line == line
        return seconds

    def _ask(self, message: Start | Feed) -> Started | Output:
        self._answer = None
        self._perform([*self._mail.post([message]), *self._mail.collect()])
        until = time.monotonic() + PATIENCE
        while self._answer is None:
            assert time.monotonic() < until, "the agent does not answer"
            self._turn()
        return self._answer

    def _turn(self) -> None:
        now = time.monotonic()
        deadline = self._mail.link.deadline
        ready, _, _ = self._reactor.wait(1.0 if deadline is None else max(deadline - now, 0.0))
        for item in ready:
            if isinstance(item.owner, NamedPipeChannel):
                self._act(self._streams.ready(item.owner, item.readable, item.writable))
        if deadline is not None and time.monotonic() >= deadline:
            self._mail.tick(time.monotonic())
            self._perform(self._mail.collect())

    def _act(self, inputs: list[fx.Input]) -> None:
        """As the model would: what the program said becomes an event."""
        for happened in inputs:
            events: list[fx.Save] = []
            match happened:
                case fx.Opened(_, window):
                    self._mail.connect(window, time.monotonic())
                case fx.Heard(_, chunk):
                    events = self._heard(chunk)
                case fx.Closed(_, reason):
                    assert not reason, reason
            self._perform([*events, *self._mail.collect()])

    def _heard(self, chunk: bytes) -> list[fx.Save]:
        saves: list[fx.Save] = []
        for event in self._mail.hear(chunk, time.monotonic()):
            if isinstance(event, Message):
                message = decode(event.text)
                if isinstance(message, (Started, Output)):
                    self._answer = message
                if isinstance(message, Output):
                    saves.append(fx.SaveEvent(NAME, "", "output", '{"message":' + message.line + "}"))
        return saves

    def _perform(self, effects: list[fx.Effect]) -> None:
        saves = [effect for effect in effects if isinstance(effect, fx.Save)]
        if saves:
            self._store.save(saves, time.time())
        for effect in effects:
            match effect:
                case fx.Commit(_, seq):
                    self._mail.link.commit(seq)
                case fx.Flush():
                    self._flush()

    def _flush(self) -> None:
        while self._streams.drained(NAME) and (data := self._mail.link.output(time.monotonic())):
            self._act(self._streams.write(NAME, data))
