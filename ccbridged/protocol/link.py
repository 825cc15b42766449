"""One end of a link: messages in order, once, across the death of either end. Knows no role, no fd, no clock.

Bytes and ``now`` go in, events and bytes come out; the owner keeps what must survive (``state`` and ``held``) and
says with ``commit`` what it has made durable: only then is it acknowledged. Terms: go-back-N, cumulative
acknowledgement, NAK, tail-loss probe, generation echo.

A *generation* numbers the connections of one journal: it grows over every life. Its low bits are salt, from the
journal's id and the time: they keep a journal apart from the one that replaced it, and from an old copy of itself.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable

from ccbridged.protocol import wire
from ccbridged.protocol.errors import MessageTooLarge, PeerError
from ccbridged.protocol.link_events import (
    Acked,
    Event,
    Fenced,
    Incompatible,
    LinkState,
    Message,
    PeerReset,
    RolledBack,
    Up,
    Violation,
)
from ccbridged.protocol.receiver import Receiver
from ccbridged.protocol.sender import MAX_INTERVAL, Sender
from ccbridged.protocol.wire import Ack, Data, Hello, LineBuffer, Nak

__all__ = ["Acked", "Event", "Fenced", "Incompatible", "Link", "LinkState", "Message", "PeerReset", "RolledBack"]
__all__ += ["HELLO_INTERVAL", "MESSAGE_LIMIT", "Up", "Violation"]

_EPOCH_BITS, _SALT_BITS = 40, 16
MESSAGE_LIMIT = 64 * 1024 * 1024
"""Characters of the longest message."""
HELLO_INTERVAL = 0.5


class Link:
    """``journal``: the id of this end's durable state; ``epoch``: this life's number, durable and growing.

    ``held``: (seq, text) of every message not yet known to be committed by the peer, ascending. ``heard_at``: when the
    peer last said anything on a connection that works; ``round_trip``: seconds until it answered the last ``ask``,
    None before that.
    """

    def __init__(
        self,
        *,
        journal: str,
        epoch: int,
        state: LinkState = LinkState(),
        held: Iterable[tuple[int, str]] = (),
        digest: str = "",
        message_limit: int = MESSAGE_LIMIT,
    ) -> None:
        self.journal = journal
        self.digest = digest
        self.message_limit = message_limit
        self.generation = epoch << _EPOCH_BITS
        self.stale = 0
        self.malformed = 0
        self._sender = Sender(held, state.next_seq)
        self._receiver = Receiver(state.committed)
        self._base = state.base
        self._peer_journal = self._heard_journal = state.peer_journal
        self._peer_generation = self._heard_generation = state.peer_generation
        self._lines = LineBuffer()
        self._window = 0
        self._connected = self._settled = self._was_up = self._halted = False
        self._fresh = self._hello_due = False
        self._hello_at = 0.0
        self._hello_interval = HELLO_INTERVAL
        self.heard_at = 0.0
        self.round_trip: float | None = None
        self._asked_at: float | None = None

    @property
    def state(self) -> LinkState:
        return LinkState(
            self._sender.next_seq, self._peer_journal, self._peer_generation, self._base, self._receiver.committed
        )

    @property
    def held(self) -> tuple[tuple[int, str], ...]:
        return tuple(self._sender.held)

    @property
    def up(self) -> bool:
        """Whether messages can flow now."""
        return self._settled

    @property
    def counts(self) -> dict[str, int]:
        """Bytes' fates that are no error of ours: lines ``stale``, ``malformed``, ``overlong``."""
        return {"stale": self.stale, "malformed": self.malformed, "overlong": self._lines.skipped}

    def oldest_unacked_since(self) -> float | None:
        """When the oldest frame in flight was last known to make progress; None with nothing in flight."""
        return self._sender.progress_at if self._settled and self._sender.waiting else None

    def connect(self, now: float, window: int) -> None:
        """A new byte stream. ``window``: bytes that may be in flight (a pipe's capacity minus one page)."""
        if not self._halted:
            self.disconnect()
            self._connected = self._fresh = True
            self._window = window
            self._greet(now)

    def disconnect(self) -> None:
        """The byte stream is gone. What was not acknowledged will be sent again on the next one."""
        self._connected = self._settled = False
        self._lines.rest()

    def send(self, text: str) -> int:
        """Hold a message, which is ASCII, for the peer; returns its sequence number. Raises MessageTooLarge."""
        if len(text) > self.message_limit:
            raise MessageTooLarge(len(text), self.message_limit)
        if not text.isascii():
            raise ValueError("a message must be ASCII, as JSON can be")
        return self._sender.add(text)

    def ask(self, now: float) -> None:
        """Ask the peer for a sign of life: its next report is the answer."""
        self._asked_at, self.round_trip = now, None
        self._sender.ping_due = True

    def commit(self, seq: int) -> None:
        """All messages up to ``seq`` and their effects are durable here: they may be acknowledged."""
        self._receiver.commit(seq)

    def hear(self, chunk: bytes, now: float) -> list[Event]:
        """Bytes of the current connection, split anywhere."""
        events: list[Event] = []
        for line in self._lines.feed(chunk):
            if line and self._connected:
                try:
                    self._frame(wire.decode(line), len(line), now, events)
                except PeerError:
                    self.malformed += 1
        return events

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is due; None while there is nothing to watch."""
        if not self._connected:
            return None
        return self._sender.deadline if self._settled else self._hello_at

    def tick(self, now: float) -> None:
        """The deadline has come: ask again."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return
        if self._settled:
            self._sender.tick(now)
        else:
            self._hello_due = True
            self._hello_interval = min(self._hello_interval * 2, MAX_INTERVAL)
            self._hello_at = now + self._hello_interval

    def output(self, now: float) -> bytes:
        """The next bytes to write, about a window at most; b"" when there is nothing or no room in flight.

        Call it when all it gave before has been written: what a slow peer has not taken is not piled up.
        """
        if not self._connected:
            return b""
        lines = []
        if self._fresh:
            lines.append(b"\n")
        if self._hello_due:
            lines.append(self._hello())
        self._fresh = self._hello_due = False
        if self._settled:
            mine, yours = self.generation, self._heard_generation
            lines += self._receiver.reports(mine, yours)
            if self._sender.ping_due:
                lines.append(self._sender.ping(mine, yours))
            lines += self._sender.lines(mine, yours, now)
        return b"".join(lines)

    def _hello(self) -> bytes:
        return wire.encode(
            Hello(
                generation=self.generation,
                peer=self._heard_generation,
                journal=self.journal,
                heard=self._heard_journal,
                peer_journal=self._peer_journal,
                committed=self._receiver.committed,
                delivered=self._receiver.delivered,
                base=self._base,
                oldest=self._sender.oldest,
                settled=self._settled,
                version=wire.VERSION,
                digest=self.digest,
            )
        )

    def _frame(self, frame: wire.Frame, size: int, now: float, events: list[Event]) -> None:
        if isinstance(frame, Hello):
            self._greeted(frame, now, events)
            return
        if not self._settled or frame.generation != self._heard_generation or frame.peer != self.generation:
            self._outdated()
            return
        self.heard_at = now
        match frame:
            case Data():
                self._data(frame, size, events)
            case Ack(_, _, received, committed):
                self._answered(now)
                if self._sender.acked(received, committed, now):
                    events.append(Acked(committed))
            case Nak(_, _, received):
                self._sender.missed(received, now)
            case _:
                self._receiver.pinged(frame.sent)

    def _answered(self, now: float) -> None:
        if self._asked_at is not None:
            self.round_trip, self._asked_at = now - self._asked_at, None

    def _data(self, frame: Data, size: int, events: list[Event]) -> None:
        if frame.total > self.message_limit:
            reason = f"a message of {frame.total} characters; the limit is {self.message_limit}"
            self._halt(Violation(reason), events)
        elif (text := self._receiver.take(frame, size)) is not None:
            events.append(Message(frame.seq, text))

    def _greeted(self, hello: Hello, now: float, events: list[Event]) -> None:
        """Learn who is there. Only what echoes this connection's generation is said now, and can be acted on."""
        known = (self._heard_journal, self._heard_generation)
        if hello.heard == self.journal and hello.peer > self.generation:
            self._halt(self._outlived(hello), events)
        elif hello.journal == self.journal:
            self.stale += 1
        elif hello.journal == known[0] and hello.generation < known[1]:
            self._outdated()
        else:
            if (hello.journal, hello.generation) != known:
                self._learn(hello, now)
            echo = (hello.heard, hello.peer) == (self.journal, self.generation)
            if echo and not self._settled:
                self._settle(hello, now, events)
            self._hello_due = self._hello_due or not (echo and hello.settled)

    def _learn(self, hello: Hello, now: float) -> None:
        """Another journal is met under another generation: an echo of this one may be from a peer of before it."""
        stranger = self._heard_journal not in ("", hello.journal)
        self._heard_journal, self._heard_generation = hello.journal, hello.generation
        if stranger:
            self._greet(now)
        else:
            self._unsettle(now)

    def _outlived(self, hello: Hello) -> Fenced | RolledBack:
        """A later life is known. One that was never up itself, and lacks what that one did, is an old copy's.

        That must not hang on the salt, which alone tells the generations of two second lives apart.
        """
        if not self._was_up and (forgotten := self._forgotten(hello)):
            return RolledBack(forgotten)
        return Fenced(f"generation {hello.peer} of this journal is known, and this is only {self.generation}")

    def _outdated(self) -> None:
        """Stale, or from one who does not know what this end knows: a zombie, or both are settled and disagree."""
        self.stale += 1
        self._hello_due = self._hello_due or self._settled

    def _settle(self, hello: Hello, now: float, events: list[Event]) -> None:
        forgotten = self._forgotten(hello)
        if hello.version != wire.VERSION:
            self._halt(Incompatible(hello.version, wire.VERSION), events)
        elif forgotten:
            self._halt(RolledBack(forgotten), events)
        elif self._peer_journal not in ("", hello.journal):
            self._rebase(hello, now, events)
        else:
            self._agree(hello, now, events)

    def _forgotten(self, hello: Hello) -> str:
        """What this journal must have known once, and does not; "" if there is no sign of it."""
        if hello.peer_journal != self.journal:
            return ""
        if hello.delivered > self._sender.sent:
            return f"the peer has {hello.delivered} messages; sent from here: {self._sender.sent}"
        committed = self._receiver.committed if hello.journal == self._peer_journal else 0
        if hello.oldest > max(committed, hello.base) + 1:
            return f"the peer let go of {hello.oldest - 1} messages; committed here: {committed}"
        return ""

    def _agree(self, hello: Hello, now: float, events: list[Event]) -> None:
        if not self._peer_journal:
            self._base = self._sender.oldest - 1
        self._peer_journal, self._peer_generation = hello.journal, hello.generation
        self._receiver.begin(hello.oldest)
        if hello.peer_journal == self.journal:
            self._sender.begin(self._window, hello.delivered, now)
            if self._sender.release(hello.committed):
                events.append(Acked(hello.committed))
        else:
            self._sender.begin(self._window, 0, now)
        self._settled = self._was_up = True
        events.append(Up(hello.journal, hello.digest))

    def _rebase(self, hello: Hello, now: float, events: list[Event]) -> None:
        """Let go of what was held for the lost journal, under a new generation: the peer adopts the new beginning."""
        events.append(PeerReset(self._peer_journal, hello.journal))
        self._peer_journal, self._peer_generation = hello.journal, hello.generation
        self._receiver = Receiver(hello.oldest - 1)
        self._sender.drop()
        self._base = self._sender.oldest - 1
        self._greet(now)

    def _greet(self, now: float) -> None:
        """Nothing that was said to, or by, an earlier generation counts any more."""
        count = (self.generation >> _SALT_BITS) + 1
        salt = binascii.crc32(f"{self.journal} {now}".encode()) >> 32 - _SALT_BITS
        self.generation = (count << _SALT_BITS) + salt
        self._unsettle(now)

    def _unsettle(self, now: float) -> None:
        self._settled = False
        self._hello_due = True
        self._hello_interval = HELLO_INTERVAL
        self._hello_at = now + HELLO_INTERVAL

    def _halt(self, event: Event, events: list[Event]) -> None:
        self._halted = True
        self.disconnect()
        events.append(event)
