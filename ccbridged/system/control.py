"""The control FIFO and its clients: who knocks, whose they are, what they ask, and their answers.

FIFO bytes carry no credentials, so a knock is only a name. The call is read from a FIFO that nobody but its owner can
write to: its owner is the caller. What clients do wrong costs them their own connection and nothing else.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ccbridged.protocol import calls
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.wire import LineBuffer
from ccbridged.system import fifo, runtimedir
from ccbridged.system.pins import pin
from ccbridged.system.reactor import Reactor

CONTROL, CLIENTS = "control", "clients"
PER_USER, IN_ALL = 64, 256
"""Clients that may be open at a time: two fds each."""
REPLY_LIMIT = 8 * 1024 * 1024
"""Bytes of answer that wait for a client, besides one piece however large; beyond, it is dropped."""
_ROOM = 256 * 1024
_TURN = 256 * 1024
_KNOCKS = 16 * 1024
"""Bytes of knocks read in one go: some 480, about 20 ms of work."""
RECEIVING = 256 * 1024 * 1024
"""Bytes of unfinished calls, of all clients."""
_PATIENCE = 10.0
_SLOWEST = 1024 * 1024
"""Bytes a second: a call may take ``_PATIENCE`` seconds, and longer only as it makes progress."""
_SWEEP_EVERY = _STALE_AFTER = 60.0
_ID = re.compile(rb"[0-9a-f]{32}")


class CallArrived(NamedTuple):
    """One whole line, without its newline, at most ``calls.CALL_LIMIT`` bytes. ``uid`` is proven."""

    client: str
    uid: int
    line: bytes


class ClientLeft(NamedTuple):
    """A client whose call arrived has gone before ``finish``, or was dropped."""

    client: str


ControlEvent = CallArrived | ClientLeft


@dataclass(slots=True, eq=False)
class Client:
    """One ``ccbridgectl`` call; in the reactor the owner of its two fds."""

    id: str
    uid: int
    reader: fifo.Reader
    writer: fifo.Writer
    since: float
    state: Literal["calling", "answered", "finishing"] = "calling"
    received: int = 0
    lines: LineBuffer = field(default_factory=lambda: LineBuffer(calls.CALL_LIMIT))

    @property
    def deadline(self) -> float | None:
        """When its call must have arrived."""
        return self.since + _PATIENCE + self.received / _SLOWEST if self.state == "calling" else None


class ControlPort:
    """Owner of the control FIFO in the reactor. ``gid``: the group that may knock; -1: that of the directory."""

    def __init__(
        self, runtime_dir: str, reactor: Reactor, *, mode: int = 0o620, gid: int = -1, receiving: int = RECEIVING
    ) -> None:
        self.runtime_dir = runtime_dir
        self.refused = 0
        """Knocks that led nowhere: not a name, not a proper pair of FIFOs, one too many."""
        self._reactor = reactor
        self._mode = mode
        self._gid = gid
        self._reader: fifo.Reader | None = None
        self._held_open: int | None = None
        self._knocks = LineBuffer(calls.KNOCK_LIMIT)
        self._clients: dict[str, Client] = {}
        self._left: list[ClientLeft] = []
        self._receiving = 0
        self._may_receive = receiving
        self._swept_at = 0.0

    def open(self) -> None:
        """Make or verify directories and FIFO, clear what dead clients left, listen. Raises BridgeError."""
        runtimedir.prepare(self.runtime_dir, self._gid)
        runtimedir.prepare_shared(self._clients_dir)
        control = fifo.make_fifo(self.runtime_dir, CONTROL, self._mode, self._gid)
        self._reader = fifo.Reader(fifo.open_reader(self.runtime_dir, CONTROL, control))
        try:
            # Without a writer of its own the FIFO would end with every client.
            self._held_open = fifo.open_writer(self.runtime_dir, CONTROL, control)
        except BridgeError:
            self.close()
            raise
        runtimedir.sweep(self._clients_dir, _STALE_AFTER)
        self._reactor.watch(self._reader.fd, self, read=True, write=False)

    def ready(self, owner: object, readable: bool, writable: bool, now: float) -> list[ControlEvent]:
        """``owner``: this port or one of its ``Client``s, as the reactor said; one that has gone meanwhile is fine."""
        arrived: list[CallArrived] = []
        if owner is self:
            arrived = self._listen(now)
        elif isinstance(owner, Client) and self._clients.get(owner.id) is owner:
            if writable:
                self._flush(owner)
            if readable:
                arrived = self._hear(owner)
        return [*arrived, *self._taken_left()]

    def reply(self, client: str, data: bytes) -> None:
        """Queue a piece of the answer. A client that has gone misses nothing; one that does not read is dropped."""
        found = self._clients.get(client)
        if found is None or found.state == "finishing":
            return
        try:
            found.writer.write(data)
        except (BrokenPipeError, BufferError):
            self._drop(found)
        else:
            self._watch(found)

    def room(self, client: str) -> bool:
        """Whether more of a long answer may be given now; False for ever once the client has gone."""
        found = self._clients.get(client)
        return found is not None and found.writer.kept < _ROOM

    def finish(self, client: str) -> None:
        """The answer is complete: close once it has been read. No ClientLeft follows."""
        found = self._clients.get(client)
        if found is not None:
            found.state = "finishing"
            self._flush(found)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due; 0.0: at once."""
        if self._left:
            return 0.0
        return min((client.deadline for client in self._clients.values() if client.deadline is not None), default=None)

    def tick(self, now: float) -> list[ControlEvent]:
        """Send away who knocked and did not call, and tell who has left."""
        for client in list(self._clients.values()):
            if client.deadline is not None and client.deadline <= now:
                self._send_away(client, BridgeError("timed-out", "the call did not arrive in time", "try again"))
        return [*self._taken_left()]

    def close(self) -> None:
        """Let go of all clients, who see it as the daemon's end, and of the FIFO, which stays on disk."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._left.clear()
        if self._held_open is not None:
            os.close(self._held_open)
            self._held_open = None
        if self._reader is not None:
            self._reactor.forget(self._reader.fd)
            self._reader.close()
            self._reader = None

    @property
    def _clients_dir(self) -> str:
        return os.path.join(self.runtime_dir, CLIENTS)

    def _listen(self, now: float) -> list[CallArrived]:
        arrived: list[CallArrived] = []
        chunk = self._reader.read(_KNOCKS) if self._reader is not None else None
        for line in self._knocks.feed(chunk or b""):
            if _ID.fullmatch(line):
                arrived += self._admit(line.decode("ascii"), now)
            elif line:
                self.refused += 1
        # After the knocks: what they name may be old when it was this daemon that stood still.
        if now >= self._swept_at + _SWEEP_EVERY:
            self._swept_at = now
            runtimedir.sweep(self._clients_dir, _STALE_AFTER)
        return arrived

    def _admit(self, id: str, now: float) -> list[CallArrived]:
        if id in self._clients:
            return []
        try:
            client = _open_client(self._clients_dir, id, now)
        except OSError:
            self.refused += 1
            return []
        self._clients[id] = client
        theirs = sum(other.uid == client.uid for other in self._clients.values())
        if theirs > PER_USER or len(self._clients) > IN_ALL:
            self.refused += 1
            self._send_away(client, BridgeError("busy", "too many calls are open", "wait until some have ended"))
            return []
        self._watch(client)
        return self._hear(client)

    def _hear(self, client: Client) -> list[CallArrived]:
        room = _TURN
        while room > 0 and client.reader.fd >= 0:
            chunk = client.reader.read(min(room, fifo.READ))
            if chunk is None:
                break
            room -= len(chunk)
            if not chunk or client.state != "calling":
                self._drop(client)  # It has gone, or it does not keep to one call.
                return []
            if arrived := self._called(client, chunk):
                return arrived
        if client.writer.fd >= 0 and client.writer.abandoned:
            self._drop(client)
        return []

    def _called(self, client: Client, chunk: bytes) -> list[CallArrived]:
        client.received += len(chunk)
        self._receiving += len(chunk)
        lines = [line for line in client.lines.feed(chunk) if line]
        if client.lines.skipped or client.received > calls.CALL_LIMIT:
            limit = f"the limit is {calls.CALL_LIMIT // 1024 // 1024} MiB"
            self._send_away(client, BridgeError("too-large", f"the call is too large: {limit}"))
        elif lines:
            self._receiving -= client.received
            client.received = 0
            client.state = "answered"
            return [CallArrived(client.id, client.uid, lines[0])]
        elif self._receiving > self._may_receive:
            self._send_away(client, BridgeError("busy", "too much is being sent at a time", "try again"))
        return []

    def _send_away(self, client: Client, fault: BridgeError) -> None:
        self.reply(client.id, calls.error(fault))
        self.finish(client.id)

    def _flush(self, client: Client) -> None:
        try:
            client.writer.flush()
        except BrokenPipeError:
            self._drop(client)
            return
        if client.writer.kept or client.state != "finishing":
            self._watch(client)
        else:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        del self._clients[client.id]
        self._receiving -= client.received
        for fd in (client.reader.fd, client.writer.fd):
            self._reactor.forget(fd)
        client.reader.close()
        client.writer.close()
        if client.state == "answered":
            self._left.append(ClientLeft(client.id))

    def _watch(self, client: Client) -> None:
        self._reactor.watch(client.reader.fd, client, read=True, write=False)
        self._reactor.watch(client.writer.fd, client, read=True, write=client.writer.kept > 0)

    def _taken_left(self) -> list[ClientLeft]:
        left, self._left = self._left, []
        return left


def _open_client(directory: str, id: str, now: float) -> Client:
    """Both FIFOs of a client, verified, opened and unlinked. Raises OSError for whatever is wrong with them."""
    request, answer = f"{id}.req", f"{id}.rep"
    with pin(directory, request) as req, pin(directory, answer) as rep:
        uid = req.stat.st_uid
        if not (runtimedir.is_private_fifo(req.stat) and runtimedir.is_fifo_of(rep.stat, uid)):
            raise PermissionError(f"{id} is not a proper pair of FIFOs")
        reader = fifo.Reader(req.open(os.O_RDONLY))
        try:
            writer = fifo.Writer(rep.open(os.O_WRONLY), REPLY_LIMIT)
        except OSError:
            reader.close()
            raise
    runtimedir.unlink(directory, (request, answer))
    return Client(id, uid, reader, writer, now)
