"""The sending half of a link: what is held, how much of it is in flight, and when to ask after it.

Nothing is sent again because time has passed: a slow reader is not a lost message. Only a new connection or a nak
takes the cursor back; a ping that goes unanswered is followed by a ping.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ccbridged.protocol import wire
from ccbridged.protocol.errors import PeerError
from ccbridged.protocol.wire import Position

PING_INTERVAL = 0.25
MAX_INTERVAL = 30.0
_SMALLEST_WINDOW = 1024
_OVERHEAD = 128
"""Bytes that a data frame needs besides its text, at most."""
_SHORT = 256
"""Room for fewer bytes than this is not worth another fragment."""


class Sender:
    """``held``: (seq, text) of every message that the peer is not known to have committed, ascending, without a gap."""

    def __init__(self, held: Iterable[tuple[int, str]], next_seq: int) -> None:
        self.held = deque(held)
        self.next_seq = next_seq
        self.progress_at = 0.0
        self.ping_due = False
        self._cursor = self._reached = Position(next_seq, 0)
        self._window = 0
        self._flight: deque[tuple[Position, int]] = deque()
        self._in_flight = 0
        self._ping_at = 0.0
        self._ping_interval = PING_INTERVAL

    @property
    def oldest(self) -> int:
        """The first sequence held, or the next one."""
        return self.held[0][0] if self.held else self.next_seq

    @property
    def sent(self) -> int:
        """The last message that the peer can have: nothing of this life, unless it was written, and all of earlier."""
        return self._reached.seq - 1

    @property
    def waiting(self) -> bool:
        """Whether something was sent on this connection whose commit is not known."""
        return bool(self.held) and self._cursor > (self.held[0][0], 0)

    @property
    def deadline(self) -> float | None:
        return self._ping_at if self.waiting else None

    def add(self, text: str) -> int:
        seq = self.next_seq
        self.next_seq += 1
        self.held.append((seq, text))
        return seq

    def drop(self) -> None:
        """Let go of everything: the next peer begins after it."""
        self.held.clear()
        self._reached = Position(self.next_seq, 0)

    def begin(self, window: int, delivered: int, now: float) -> None:
        """A new connection, of ``window`` bytes in flight; the peer has all up to ``delivered``."""
        self._window = max(window, _SMALLEST_WINDOW)
        self._go_to(Position(max(delivered + 1, self.oldest), 0), now)

    def lines(self, mine: int, yours: int, now: float) -> list[bytes]:
        """Data frames, as many as the window has room for."""
        lines: list[bytes] = []
        while line := self._next_line(mine, yours):
            if not self._flight:
                self._progress(now)
            self._flight.append((self._cursor, len(line)))
            self._in_flight += len(line)
            lines.append(line)
        self._reached = max(self._reached, self._cursor)
        return lines

    def ping(self, mine: int, yours: int) -> bytes:
        self.ping_due = False
        return wire.encode(wire.Ping(mine, yours, self._cursor))

    def tick(self, now: float) -> None:
        self.ping_due = True
        self._ping_interval = min(self._ping_interval * 2, MAX_INTERVAL)
        self._ping_at = now + self._ping_interval

    def acked(self, received: Position, committed: int, now: float) -> bool:
        """Whether something held was let go of. Raises PeerError for what was never sent."""
        if received > self._reached or committed >= received.seq or not self._exists(received):
            raise PeerError("an ack of what was never sent")
        if received > self._cursor:
            self._go_to(received, now)
        while self._flight and self._flight[0][0] <= received:
            self._in_flight -= self._flight.popleft()[1]
            self._progress(now)
        return self.release(committed)

    def missed(self, received: Position, now: float) -> None:
        """The peer lacks what follows ``received``: go back to it."""
        if (self.oldest, 0) <= received < self._cursor and self._exists(received):
            self._go_to(received, now)

    def release(self, committed: int) -> bool:
        """Let go of all up to ``committed``; whether there was any."""
        before = len(self.held)
        while self.held and self.held[0][0] <= committed:
            self.held.popleft()
        return len(self.held) < before

    def _next_line(self, mine: int, yours: int) -> bytes:
        """The frame at the cursor, which it moves behind it; b"" when all is sent or there is no room."""
        at = seq, offset = self._cursor
        index = seq - self.oldest
        if index >= len(self.held):
            return b""
        text = self.held[index][1]
        size = min(self._window - self._in_flight - _OVERHEAD, self._window // 2, wire.FRAME_LIMIT - _OVERHEAD)
        if size < min(len(text) - offset, _SHORT):
            return b""
        literal, end = _cut(text, offset, size)
        whole = end == len(text)
        if size < _SHORT and not whole:
            return b""
        self._cursor = Position(seq + 1, 0) if whole else Position(seq, end)
        return wire.data_line(mine, yours, at, len(text), literal)

    def _exists(self, position: Position) -> bool:
        """Whether a position within a message is one."""
        seq, offset = position
        index = seq - self.oldest
        return not offset or (0 <= index < len(self.held) and offset < len(self.held[index][1]))

    def _go_to(self, position: Position, now: float) -> None:
        self._cursor = position
        self._flight.clear()
        self._in_flight = 0
        self._progress(now)

    def _progress(self, now: float) -> None:
        self.progress_at = now
        self._ping_interval = PING_INTERVAL
        self._ping_at = now + PING_INTERVAL


def _cut(text: str, offset: int, size: int) -> tuple[str, int]:
    """As much of ``text`` from ``offset`` as fits ``size`` bytes once quoted: the literal, and where it ends."""
    piece = text[offset : offset + max(size, 0)]
    literal = wire.quoted(piece)
    while (excess := len(literal) - 2 - size) > 0 and piece:
        piece = piece[: min(len(piece) * size // len(literal), len(piece) - 1 - excess // 6)]
        literal = wire.quoted(piece)
    return literal, offset + len(piece)
