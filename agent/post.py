"""The link and the journal as one: nothing is said before it is durable, nothing is acknowledged before it is.

What is to be said has no sequence number until it is in the journal. So when the journal cannot be written, the link
goes on with what is durable: the host takes it, and that is what makes room.
"""

from __future__ import annotations

import errno

from agent.journal import Journal
from ccbridged.protocol.link import Acked, Event, Link, PeerReset
from ccbridged.protocol.messages import Errors, FromAgent, Output, Overlong, Tailed, encode

_WAITING_LIMIT = 64 * 1024 * 1024
"""Characters that may wait for the journal before no more should be read."""
_RECEIPT_DELAY = 0.005
"""Seconds that a receipt may wait for something to say: one sync to disk then serves both."""
_RETRY, _RETRY_SOON = 1.0, 0.05
"""Seconds until the journal is tried again: as it is, and when the host has taken something."""


class Post:
    """``link`` is for reading, connecting and flushing; messages go through ``say`` and ``done``.

    ``quota``: bytes of journal above which ``full`` asks for reading to stop. ``fault``: why the last append failed.
    """

    def __init__(self, journal: Journal, digest: str, quota: int) -> None:
        self.link = Link(
            journal=journal.journal, epoch=journal.epoch, state=journal.state, held=journal.held, digest=digest
        )
        self.fault = ""
        self._retry_at: float | None = None
        self._receipts_by: float | None = None
        self._journal = journal
        self._quota = quota
        self._waiting: list[str] = []
        self._size = 0
        self._done = 0
        self._anew = False

    @property
    def deadline(self) -> float | None:
        """When ``settle`` has something to do."""
        return min((at for at in (self._retry_at, self._receipts_by) if at is not None), default=None)

    @property
    def full(self) -> bool:
        """Whether reading more of the children would exceed what may be kept."""
        return self._journal.size > self._quota or self.choked

    @property
    def choked(self) -> bool:
        """Whether more waits for the journal than memory should hold."""
        return self._size > _WAITING_LIMIT

    @property
    def lost(self) -> int:
        """Messages that would be lost if this process ended now."""
        return len(self._waiting)

    def say(self, message: FromAgent) -> None:
        """To the host, once it is durable. What is too long for the link is replaced by word of that."""
        text = encode(message)
        if len(text) > self.link.message_limit:
            text = encode(_shorter(message))
        self._waiting.append(text)
        self._size += len(text)

    def alarm(self, message: Errors) -> None:
        """Word of the journal's own trouble, before all that waits: on a full disk the reserve has room for it."""
        text = encode(message)
        self._waiting.insert(0, text)
        self._size += len(text)
        if self.fault:
            self._journal.spend_reserve()
            try:
                self._record(1)
            except OSError:
                pass  # It stays the first of those that wait.

    def hear(self, chunk: bytes, now: float) -> list[Event]:
        """The link's events, what concerns the journal alone already done."""
        events = self.link.hear(chunk, now)
        for event in events:
            match event:
                case Acked(seq):
                    self._journal.free(seq)
                    if self._retry_at is not None:
                        self._retry_at = min(self._retry_at, now + _RETRY_SOON)
                case PeerReset():
                    self._anew = True
                    self._done = 0
                    self._waiting.clear()
                    self._size = 0
                case _:
                    pass
        return events

    def done(self, seq: int) -> None:
        """The host's message ``seq`` has been acted on: acknowledge it, with the next ``settle``."""
        self._done = seq

    def settle(self, now: float) -> None:
        """Make durable what was said and done, and hand it to the link. On failure all stays for the next deadline."""
        if self.fault and self._retry_at is not None and now < self._retry_at:
            return
        if self._only_receipts():
            self._receipts_by = self._receipts_by or now + _RECEIPT_DELAY
            if now < self._receipts_by:
                return
        self._receipts_by = None
        try:
            self._settle()
            self.fault, self._retry_at = "", None
        except OSError as error:
            self._retry_at = now + _RETRY
            self._rescue(error)

    def _only_receipts(self) -> bool:
        """Whether what is to be recorded can wait: until then the host only keeps what it has said."""
        if self._waiting or self._anew or self.link.state != self._journal.state:
            return False
        return self._done > self.link.state.committed

    def _settle(self) -> None:
        link, journal = self.link, self._journal
        if self._waiting or self._anew or self._done > link.state.committed or link.state != journal.state:
            self._record(len(self._waiting))
        if journal.wasteful:
            journal.compact(link.held)

    def _record(self, count: int) -> None:
        """The first ``count`` of what waits, and what was done. Raises OSError, and then nothing has changed."""
        link = self.link
        said, first = self._waiting[:count], link.state.next_seq
        state = link.state._replace(next_seq=first + count, committed=max(link.state.committed, self._done))
        self._journal.append(state, list(enumerate(said, first)), anew=self._anew)
        for text in said:
            link.send(text)
        link.commit(self._done)
        del self._waiting[:count]
        self._size -= sum(map(len, said))
        self._anew = False

    def _rescue(self, error: OSError) -> None:
        """A full disk may be full of what the host has already taken."""
        self.fault = f"the journal cannot be written: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            try:
                self._journal.make_room(self.link.held)
                self._settle()
                self.fault, self._retry_at = "", None
            except OSError:
                pass


def _shorter(message: FromAgent) -> FromAgent:
    match message:
        case Output(channel, life, line):
            return Overlong(channel, life, len(line.encode("utf-8", "surrogateescape")))
        case Tailed(query, _, _):
            return Tailed(query, "", "its end is too long for the link")
        case _:
            raise AssertionError("no other message has a long text")
