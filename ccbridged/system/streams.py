"""The streams of all instances, by name: what the reactor and the model say to them, and what they say as inputs."""

from __future__ import annotations

from collections.abc import Iterable

from ccbridged.model.config import PipesConfig
from ccbridged.model.effects import Closed, Heard, Input, Opened
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.places import Places
from ccbridged.system.reactor import Reactor
from ccbridged.system.transports import NamedPipeChannel, StreamBytes, StreamClosed, StreamEvent, StreamOpened


class Streams:
    """``gid``: the group of the FIFOs; -1: as it comes."""

    def __init__(self, reactor: Reactor, places: Places, pipes: PipesConfig, gid: int) -> None:
        self._reactor = reactor
        self._places = places
        self._pipes = pipes
        self._gid = gid
        self._streams: dict[str, NamedPipeChannel] = {}
        self._paused = False

    def use(self, pipes: PipesConfig) -> None:
        """From the next ``open`` on."""
        self._pipes = pipes

    def open(self, name: str) -> list[Input]:
        """Always an answer: Opened, or Closed with a reason, or with none where nobody is there yet."""
        self.close(name)
        modes = {"in_mode": self._pipes.in_mode, "out_mode": self._pipes.out_mode}
        stream = NamedPipeChannel(name, self._places.link_dir(name), self._reactor, gid=self._gid, **modes)
        try:
            events = stream.open()
        except BridgeError as fault:
            return [Closed(name, f"{fault.message}; {fault.hint}")]
        self._streams[name] = stream
        if self._paused:
            stream.pause()
        return _inputs(name, events) or [Closed(name, "")]

    def close(self, name: str) -> None:
        if name in self._streams:
            self._streams.pop(name).close()

    def close_all(self) -> None:
        for name in list(self._streams):
            self.close(name)

    def pause(self) -> None:
        """What is heard could not be kept: hear nothing, until ``resume``."""
        self._paused = True
        for stream in self._streams.values():
            stream.pause()

    def resume(self) -> None:
        self._paused = False
        for stream in self._streams.values():
            stream.resume()

    def ready(self, stream: NamedPipeChannel, readable: bool, writable: bool) -> list[Input]:
        """The reactor said so, of a stream that may have been closed meanwhile."""
        if self._streams.get(stream.name) is not stream:
            return []
        return _inputs(stream.name, stream.ready(readable, writable))

    def replaced(self, name: str) -> str:
        """See ``NamedPipeChannel.replaced``."""
        return self._streams[name].replaced() if name in self._streams else ""

    def drained(self, name: str) -> bool:
        """Whether this stream is there and has written everything."""
        return name in self._streams and self._streams[name].drained

    def write(self, name: str, data: bytes) -> list[Input]:
        return _inputs(name, self._streams[name].write(data))


def _inputs(name: str, events: Iterable[StreamEvent]) -> list[Input]:
    inputs: list[Input] = []
    for event in events:
        match event:
            case StreamOpened(window):
                inputs.append(Opened(name, window))
            case StreamBytes(chunk):
                inputs.append(Heard(name, chunk))
            case StreamClosed(reason):
                inputs.append(Closed(name, reason))
    return inputs
