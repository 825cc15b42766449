"""The receiving half of a link: what has arrived, what is durable, and what the peer is to be told of it.

Arrived and durable are two numbers: by the first the peer keeps its window moving, by the second it lets go. Only
the second is true after a crash.
"""

from __future__ import annotations

from ccbridged.protocol import wire
from ccbridged.protocol.wire import Ack, Data, Nak, Position

_REPORT_AFTER = 512
"""Bytes heard after which an ack goes out even before a commit: the smallest window must not run dry."""


class Receiver:
    """``delivered``: the last message handed over; ``committed``: the last that its owner has made durable."""

    def __init__(self, committed: int) -> None:
        self.committed = self.delivered = committed
        self._partial = bytearray()
        self._ack_due = self._nak_due = self._gap_seen = False
        self._unreported = 0

    def begin(self, oldest: int) -> None:
        """A new connection: nothing before ``oldest`` will come, and a fragment of the old one is no beginning."""
        self.committed = max(self.committed, oldest - 1)
        self.delivered = max(self.delivered, oldest - 1)
        self._partial.clear()
        self._ack_due = self._nak_due = self._gap_seen = False
        self._unreported = 0

    def commit(self, seq: int) -> None:
        """Only of what was delivered: the number of a former peer's message means nothing to this one."""
        if self.committed < seq <= self.delivered:
            self.committed = seq
            self._ack_due = True

    def take(self, frame: Data, size: int) -> str | None:
        """The message that a data frame of ``size`` bytes completes, if it does."""
        self._unreported += size
        here, expected = (frame.seq, frame.offset), self._received()
        if here < expected:
            self._ack_due = True
        elif here > expected:
            self._nak_due = self._nak_due or not self._gap_seen
            self._gap_seen = True
        else:
            self._gap_seen = False
            self._ack_due = self._ack_due or self._unreported > _REPORT_AFTER
            return self._assembled(frame)
        return None

    def pinged(self, sent: Position) -> None:
        self._ack_due = True
        self._nak_due = self._received() < sent

    def reports(self, mine: int, yours: int) -> list[bytes]:
        """The frames that tell the peer how far it got."""
        lines = []
        if self._nak_due:
            lines.append(wire.encode(Nak(mine, yours, self._received())))
        if self._ack_due:
            lines.append(wire.encode(Ack(mine, yours, self._received(), self.committed)))
            self._unreported = 0
        self._ack_due = self._nak_due = False
        return lines

    def _assembled(self, frame: Data) -> str | None:
        text = frame.text
        if len(text) < frame.total:
            self._partial += text.encode("ascii")
            if len(self._partial) < frame.total:
                return None
            text = self._partial.decode("ascii")
            self._partial.clear()
        self.delivered = frame.seq
        return text

    def _received(self) -> Position:
        return Position(self.delivered + 1, len(self._partial))
