"""One instance's end of its link, and what must be durable of it before anything is said or acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ccbridged.model.effects import Commit, Effect, Flush, Hold, Release, Save, SaveLink, Say
from ccbridged.protocol.errors import MessageTooLarge
from ccbridged.protocol.link import (
    MESSAGE_LIMIT,
    Acked,
    Fenced,
    Incompatible,
    Link,
    LinkState,
    Message,
    PeerReset,
    RolledBack,
    Up,
    Violation,
)
from ccbridged.protocol.messages import End, Feed, Quit, Start, Tail, ToAgent, encode

MAX_HELD = 4096
MAX_HELD_SIZE = 256 * 1024 * 1024
"""Messages, and characters of them, that may wait for an agent's receipt."""

Event = Message | Up | PeerReset | Fenced | RolledBack | Incompatible | Violation
"""What the owner of a link must act on."""


class Mail:
    """``journal``, ``epoch``: of the store. ``link`` is for the daemon: it writes ``output`` and says ``commit``.

    ``flooded``: why the agent, which takes nothing, is told nothing more; "" while there is room. ``warn_age``: seconds
    without progress after which a warning is due; 0: never.
    """

    def __init__(
        self,
        name: str,
        *,
        journal: str,
        epoch: int,
        state: LinkState = LinkState(),
        held: Iterable[tuple[int, str]] = (),
        message_limit: int = MESSAGE_LIMIT,
        warn_age: float = 0.0,
    ) -> None:
        self.name = name
        self.warn_age = warn_age
        self.link = Link(journal=journal, epoch=epoch, state=state, held=held, message_limit=message_limit)
        self.flooded = ""
        self._sizes = deque((seq, len(text)) for seq, text in self.link.held)
        self._size = sum(size for _, size in self._sizes)
        self._saved = state
        self._heard = state.committed
        self._committed = state.committed
        self._effects: list[Effect] = []
        self._flush = False
        self._warned: float | None = None

    def connect(self, window: int, now: float) -> None:
        self.link.connect(now, window)
        self._flush = True

    def disconnect(self) -> None:
        self.link.disconnect()

    def ask(self, now: float) -> None:
        """Ask the agent for a sign of life, which costs no message: see ``Link.ask``."""
        self.link.ask(now)
        self._flush = True

    def renew(self) -> None:
        """After an event that ended the link for good, somebody wants another try."""
        self.flooded = ""
        old = self.link
        self.link = Link(journal=old.journal, epoch=0, state=old.state, held=old.held, message_limit=old.message_limit)
        self.link.generation = old.generation

    def post(self, steps: Iterable[Save | ToAgent]) -> list[Effect]:
        """Messages go to the agent; everything else is an effect already."""
        effects: list[Effect] = []
        for step in steps:
            if not isinstance(step, (Start, Feed, End, Quit, Tail)):
                effects.append(step)
            elif not self.flooded and (fault := self._say(step)):
                effects.append(Say("error", f"{self.name}: {fault}"))
        return effects

    def fits(self, message: ToAgent) -> bool:
        return len(encode(message)) <= self.link.message_limit

    def _say(self, message: ToAgent) -> str:
        """Why it is not said; "" when it is."""
        text = encode(message)
        if len(self._sizes) >= MAX_HELD or self._size + len(text) > MAX_HELD_SIZE:
            self.flooded = f"the agent takes nothing: {len(self._sizes)} messages wait for its receipt"
            return self.flooded
        try:
            seq = self.link.send(text)
        except MessageTooLarge as error:
            return str(error)
        self._sizes.append((seq, len(text)))
        self._size += len(text)
        self._effects.append(Hold(self.name, seq, text))
        self._flush = True
        return ""

    def hear(self, chunk: bytes, now: float) -> list[Event]:
        """What the owner must act on; receipts are dealt with here."""
        events = self.link.hear(chunk, now)
        for event in events:
            if isinstance(event, Acked):
                self._release(event.seq)
            elif isinstance(event, Message):
                self._heard = event.seq
            elif isinstance(event, PeerReset):
                # It counts from a new beginning; what was held for it has been let go.
                self._heard = self._committed = self.link.state.committed
                self._release(self.link.state.next_seq - 1)
        self._flush = True
        return [event for event in events if not isinstance(event, Acked)]

    def _release(self, seq: int) -> None:
        while self._sizes and self._sizes[0][0] <= seq:
            self._size -= self._sizes.popleft()[1]
        self._effects.append(Release(self.name, seq))

    @property
    def deadline(self) -> float | None:
        times = (self.link.deadline, self._late_at())
        return min((at for at in times if at is not None), default=None)

    def tick(self, now: float) -> None:
        late = self._late_at()
        if late is not None and now >= late:
            self._warned = self.link.oldest_unacked_since()
            self._effects.append(Say("warning", f"{self.name}: {self.overdue(now)}"))
        self.link.tick(now)
        self._flush = True

    def overdue(self, now: float) -> str:
        """That the agent takes nothing, in a sentence; "" while nothing has waited for too long."""
        since = self.link.oldest_unacked_since()
        if since is None or not self.warn_age or now < since + self.warn_age:
            return ""
        waited = f"for {now - since:.0f} s what was said to it waits for its receipt"
        return f"the agent takes nothing: {waited}; is it stopped, or is its disk full?"

    def _late_at(self) -> float | None:
        """When the oldest frame in flight has made no progress for too long; once for each such time."""
        since = self.link.oldest_unacked_since()
        return None if since is None or not self.warn_age or since == self._warned else since + self.warn_age

    def collect(self) -> list[Effect]:
        """Everything since the last time, in an order in which it may be done."""
        effects, self._effects = self._effects, []
        state = self.link.state
        state = state._replace(committed=max(state.committed, self._heard))
        if state != self._saved:
            self._saved = state
            effects.append(SaveLink(self.name, state))
        if self._heard > self._committed:
            self._committed = self._heard
            effects.append(Commit(self.name, self._heard))
        if self._flush:
            self._flush = False
            effects.append(Flush(self.name))
        return effects
