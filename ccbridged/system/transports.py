"""What carries a link's bytes: the ``Stream`` seam, and its first class, a pair of FIFOs in a directory.

Nothing above this file says FIFO. A stream is open when bytes can flow both ways; a FIFO pair is so once an agent reads
``in.fifo``, which shows when the daemon starts, and whenever an agent that came later says its first bytes.
"""

from __future__ import annotations

import os
import shlex
import stat
from typing import NamedTuple, Protocol

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import fifo
from ccbridged.system.pins import DIRECTORY, Identity, identity
from ccbridged.system.reactor import Reactor

IN, OUT = "in.fifo", "out.fifo"
_TURN = 256 * 1024
"""Bytes that one ``ready`` reads at most, so that a noisy instance leaves time for the others."""
_PAGE = 4096
_KEPT = 1024 * 1024
"""Bytes that wait for a slow agent at most. A link gives about a window at a time, and only when drained."""
_DIRECTORY_MODE = 0o755
"""The agent's user, another one in a container, must get through; nobody else may write."""
_GONE = "the agent went away"


class StreamOpened(NamedTuple):
    """Both directions work. ``window``: bytes that may be in flight."""

    window: int


class StreamBytes(NamedTuple):
    """Only ever between a StreamOpened and its StreamClosed."""

    chunk: bytes


class StreamClosed(NamedTuple):
    """The peer went away, or the stream cannot work, as ``reason`` says. See ``Stream.listening``."""

    reason: str


StreamEvent = StreamOpened | StreamBytes | StreamClosed


class Stream(Protocol):
    """A link's bytes, both ways. It owns its fds and registers them with itself as their owner."""

    @property
    def listening(self) -> bool:
        """Whether a peer that comes (back) will be noticed; if not, ``open`` again when there is hope."""

    @property
    def drained(self) -> bool:
        """Nothing written is still waiting: the link may be asked for more. False while there is no peer."""

    def open(self) -> list[StreamEvent]:
        """Listen; [StreamOpened] when a peer is there already. Nothing while open. Raises BridgeError."""

    def ready(self, readable: bool, writable: bool) -> list[StreamEvent]:
        """The reactor said so. Harmless when it was wrong."""

    def write(self, data: bytes) -> list[StreamEvent]:
        """Takes all, keeps what does not fit. Without a peer the bytes are dropped: the link sends them again."""

    def pause(self) -> None:
        """Stop reading: what is heard cannot be kept just now. A peer's death is still noticed."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Let go of every fd. Says nothing: who closes knows it."""


class NamedPipeChannel:
    """The FIFO pair in ``directory``: an agent reads ``in.fifo``, writes ``out.fifo``. ``close`` leaves them there."""

    def __init__(self, name: str, directory: str, reactor: Reactor, *, in_mode: int, out_mode: int, gid: int) -> None:
        self.name = name
        self.directory = directory
        self._reactor = reactor
        self._in_mode = in_mode
        self._out_mode = out_mode
        self._gid = gid
        self._in: Identity | None = None
        self._out: Identity | None = None
        self._reader: fifo.Reader | None = None
        self._writer: fifo.Writer | None = None
        self._paused = False

    @property
    def listening(self) -> bool:
        return self._reader is not None

    @property
    def drained(self) -> bool:
        return self._writer is not None and not self._writer.kept

    def open(self) -> list[StreamEvent]:
        if self._writer is not None:
            return []
        if self._reader is None:
            make_link_directory(self.directory)
            self._in = fifo.make_fifo(self.directory, IN, self._in_mode, self._gid)
            self._out = fifo.make_fifo(self.directory, OUT, self._out_mode, self._gid)
            self._reader = fifo.Reader(fifo.open_reader(self.directory, OUT, self._out))
            self._watch()
        try:
            return self._connect()
        except BridgeError:
            self.close()
            raise

    def ready(self, readable: bool, writable: bool) -> list[StreamEvent]:
        """``readable``: the agent said something, or one of its ends is gone; which, is found out here."""
        events: list[StreamEvent] = []
        if readable:
            # Asked before reading: what a dying agent wrote before it let go of in.fifo is then read before it is lost.
            abandoned = self._writer is not None and self._writer.abandoned
            events += self._receive()
            if abandoned:
                events += self._lose(_GONE)
        if writable:
            events += self._flush()
        return events

    def write(self, data: bytes) -> list[StreamEvent]:
        if self._writer is None:
            return []
        try:
            self._writer.write(data)
        except BrokenPipeError:
            return [*self._receive(), *self._lose(_GONE)]
        self._watch()
        return []

    def pause(self) -> None:
        self._paused = True
        self._watch()

    def resume(self) -> None:
        self._paused = False
        self._watch()

    def replaced(self) -> str:
        """Which of the FIFOs that are open has made room for another thing of its name, in a sentence; "" if none."""
        for name, ours in ((IN, self._in), (OUT, self._out)):
            try:
                there = identity(os.lstat(os.path.join(self.directory, name)))
            except OSError:
                continue  # That it is gone is seen by all who look.
            if self._reader is not None and there != ours:
                return f"{name} was replaced while it was in use"
        return ""

    def close(self) -> None:
        self._drop_writer()
        if self._reader is not None:
            self._reactor.forget(self._reader.fd)
            self._reader.close()
            self._reader = None

    def _connect(self) -> list[StreamEvent]:
        fd = fifo.open_writer(self.directory, IN, self._in)
        if fd is None:
            return []
        self._writer = fifo.Writer(fd, _KEPT)
        self._watch()
        return [StreamOpened(self._writer.capacity - _PAGE)]

    def _receive(self) -> list[StreamEvent]:
        if self._reader is None or self._paused:
            return []
        chunks: list[bytes] = []
        room = _TURN
        while room > 0 and (chunk := self._reader.read(min(room, fifo.READ))):
            chunks.append(chunk)
            room -= len(chunk)
        ended = room > 0 and chunk == b""
        try:
            events = self._deliver(b"".join(chunks))
        except BridgeError as error:
            return [self._fail(error)]
        return events + self._reopen() if ended else events

    def _deliver(self, chunk: bytes) -> list[StreamEvent]:
        """Bytes without a reader of ``in.fifo`` come from the dead: they are dropped, their journal has them."""
        if not chunk:
            return []
        opened = self._connect() if self._writer is None else []
        return [*opened, StreamBytes(chunk)] if self._writer is not None else []

    def _reopen(self) -> list[StreamEvent]:
        assert self._reader is not None
        try:
            fresh = fifo.open_reader(self.directory, OUT, self._out)
        except BridgeError as error:
            return [self._fail(error)]
        self._reactor.forget(self._reader.fd)
        self._reader.replace(fresh)
        self._watch()
        return self._lose(_GONE)

    def _flush(self) -> list[StreamEvent]:
        if self._writer is None:
            return []
        try:
            self._writer.flush()
        except BrokenPipeError:
            return [*self._receive(), *self._lose(_GONE)]
        self._watch()
        return []

    def _fail(self, error: BridgeError) -> StreamEvent:
        """Not to be mended here: nothing is listened to any longer, or a hang-up would be reported for ever."""
        self.close()
        return StreamClosed(f"{error.message}; {error.hint}")

    def _lose(self, reason: str) -> list[StreamEvent]:
        if self._writer is None:
            return []
        self._drop_writer()
        return [StreamClosed(reason)]

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._reactor.forget(self._writer.fd)
            self._writer.close()
            self._writer = None

    def _watch(self) -> None:
        """A write end is watched for reading: it is silent until its last reader leaves."""
        if self._reader is not None:
            self._reactor.watch(self._reader.fd, self, read=not self._paused, write=False)
        if self._writer is not None:
            self._reactor.watch(self._writer.fd, self, read=True, write=self._writer.kept > 0)


def make_link_directory(path: str) -> None:
    """Ours, for others to pass and not to write. Raises BridgeError ``refused`` or ``unavailable``."""
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        fd = os.open(path, DIRECTORY)
    except OSError as error:
        raise fifo.unavailable(os.path.join(path, IN), error) from error
    try:
        facts = os.fstat(fd)
        if facts.st_uid != os.geteuid():
            hint = f"if you do not need it: rm -r {shlex.quote(path)}"
            raise BridgeError("refused", f"{path} is not used: it belongs to user {facts.st_uid}", hint)
        if stat.S_IMODE(facts.st_mode) != _DIRECTORY_MODE:
            os.fchmod(fd, _DIRECTORY_MODE)
    finally:
        os.close(fd)


def remove_link_directory(path: str) -> None:
    """Take away FIFOs and directory; gone already is fine. Raises BridgeError ``refused``, with nothing touched, when
    there is anything that is not ours."""
    try:
        fd = os.open(path, DIRECTORY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise fifo.unavailable(os.path.join(path, IN), error) from error
    try:
        _empty(fd, path)
        os.rmdir(path)
    except OSError as error:
        raise fifo.unavailable(os.path.join(path, IN), error) from error
    finally:
        os.close(fd)


def _empty(fd: int, path: str) -> None:
    ours = {IN, OUT, fifo.temporary_name(IN), fifo.temporary_name(OUT)}
    names = os.listdir(fd)
    for name in names:
        facts = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if name not in ours or not stat.S_ISFIFO(facts.st_mode) or facts.st_uid != os.geteuid():
            hint = f"if you do not need it: rm -r {shlex.quote(os.path.join(path, name))}"
            raise BridgeError("refused", f"{path} is not removed: {name} is not ours", hint)
    for name in names:
        os.unlink(name, dir_fd=fd)
