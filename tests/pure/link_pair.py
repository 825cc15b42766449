"""Two links joined by two pipes in memory, each with an owner that keeps its word as a real one must.

An owner saves before it writes and commits before it acknowledges; what it has not saved, a crash takes. ``check``
holds the promise against that: what one end has made durable of the other's is a prefix of what was durably sent, and
the rest is still held. The link module is a parameter, so the same tests run on mutants of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

PAGE = 4096


class Pipe:
    """A bounded byte queue that remembers what went through it, to say it again at the wrong time."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.content = bytearray()
        self.history = bytearray()

    def write(self, data: bytes) -> int:
        taken = data[: max(self.capacity - len(self.content), 0)]
        self.content += taken
        self.history += taken
        return len(taken)

    def read(self, size: int) -> bytes:
        chunk = bytes(self.content[:size])
        del self.content[:size]
        return chunk

    def steal(self, start: int, size: int) -> None:
        """A second reader took bytes out of the midst."""
        start %= len(self.content) + 1
        del self.content[start : start + size]

    def replay(self, start: int, size: int) -> None:
        """Bytes of earlier come again, on lines of their own."""
        start %= len(self.history) + 1
        self.content += b"\n" + self.history[start : start + size] + b"\n"


@dataclass
class Disk:
    """What survives. ``sent`` and ``received`` (by the peer's journal) are the whole truth.

    ``dropped`` of ``sent`` were let go of when the peer lost its state.
    """

    journal: str
    state: Any
    epoch: int = 0
    held: list[tuple[int, str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    dropped: int = 0
    received: dict[str, list[str]] = field(default_factory=dict)

    def copy(self) -> Disk:
        received = {journal: list(texts) for journal, texts in self.received.items()}
        return replace(self, held=list(self.held), sent=list(self.sent), received=received)

    def heard_from(self, journal: str) -> list[str]:
        return self.received.get(journal, [])


class End:
    """One owner: its disk, its link, what it has not saved (``unsaved``) and not committed (``inbox``) yet."""

    def __init__(self, link: ModuleType, name: str, pipes: tuple[Pipe, Pipe], window: int, message_limit: int) -> None:
        self.module = link
        self.name = name
        self.out, self.into = pipes
        self.window = window
        self.message_limit = message_limit
        self.events: list[Any] = []
        self.full_disk = False
        self.zombie: Any = None
        self._journals = 0
        self.wipe()

    def wipe(self) -> None:
        """All that was durable is gone: another journal, a first life."""
        self._journals += 1
        self.disk = Disk(f"{self.name}{self._journals}", self.module.LinkState())
        self.link: Any = None
        self.zombie = None

    def start(self, now: float) -> None:
        self.disk.epoch += 1
        self.link = self.module.Link(
            journal=self.disk.journal,
            epoch=self.disk.epoch,
            state=self.disk.state,
            held=self.disk.held,
            digest=f"digest of {self.name}",
            message_limit=self.message_limit,
        )
        self.unsaved: list[tuple[int, str]] = []
        self.inbox: list[tuple[int, str]] = []
        self.dropped = self.disk.dropped
        self.connect(now)

    def crash(self) -> None:
        """Gone, as ``kill -9`` does it; its old self may linger as a zombie, which says only what is saved."""
        self.zombie = None if self.unsaved else self.link
        self.link = None

    def connect(self, now: float) -> None:
        self.pending = b""
        self.link.connect(now, self.window)

    def send(self, text: str) -> None:
        self.unsaved.append((self.link.send(text), text))

    def save(self) -> bool:
        """What was sent, and the link's state, become durable; False while the disk is full."""
        if not self.full_disk:
            disk = self.disk
            disk.sent += [text for _, text in self.unsaved]
            self.unsaved.clear()
            disk.dropped = self.dropped
            disk.held = list(self.link.held)
            disk.state = self.link.state
        return not self.full_disk

    def commit(self, count: int) -> None:
        """The first ``count`` messages of the inbox, their effects and the link's state, in one transaction."""
        done = self.inbox[:count]
        if self.link is None or not done or not self.save():
            return
        heard = self.disk.received.setdefault(self.disk.state.peer_journal, [])
        heard += [text for _, text in done]
        self.disk.state = self.disk.state._replace(committed=done[-1][0])
        self.link.commit(done[-1][0])
        del self.inbox[:count]

    def write(self, size: int, now: float) -> int:
        """At most ``size`` bytes into the pipe: nothing that is not saved, nothing anew before the old is written."""
        if self.link is None or not self.save():
            return 0
        self.pending = self.pending or self.link.output(now)
        written = self.out.write(self.pending[:size])
        self.pending = self.pending[written:]
        return written

    def read(self, size: int, now: float) -> int:
        """At most ``size`` bytes out of the pipe; none while the disk is full, for what is read must be kept."""
        if self.link is None or self.full_disk:
            return 0
        chunk = self.into.read(size)
        for event in self.link.hear(chunk, now):
            self._happened(event)
        return len(chunk)

    def _happened(self, event: Any) -> None:
        self.events.append(event)
        match type(event).__name__:
            case "Message":
                self.inbox.append((event.seq, event.text))
            case "PeerReset":
                self.inbox.clear()
                self.dropped = len(self.disk.sent) + len(self.unsaved)
            case _:
                pass

    def tick(self, now: float) -> None:
        if self.link is not None:
            self.link.tick(now)

    def haunt(self, size: int, now: float) -> None:
        """The zombie writes, and reads what was not meant for it, until it is fenced."""
        if self.zombie is not None:
            self.out.write(self.zombie.output(now))
            self.zombie.tick(now)
            events = self.zombie.hear(self.into.read(size), now)
            if any(type(event).__name__ == "Fenced" for event in events):
                self.zombie = None


class LinkPair:
    """``a`` and ``b``, started and connected. ``now`` is virtual seconds."""

    def __init__(self, link: ModuleType, window: int = 61440, message_limit: int = 1 << 20) -> None:
        self.link = link
        self.now = 0.0
        there, back = Pipe(window + PAGE), Pipe(window + PAGE)
        self.a = End(link, "a", (there, back), window, message_limit)
        self.b = End(link, "b", (back, there), window, message_limit)
        self.ends = (self.a, self.b)
        for end in self.ends:
            end.start(self.now)

    def other(self, end: End) -> End:
        return self.b if end is self.a else self.a

    def restart(self, end: End) -> None:
        end.crash()
        end.start(self.now)

    def wipe(self, end: End) -> None:
        end.wipe()
        end.start(self.now)

    def lose_pipes(self) -> None:
        """Both ends were closed at once."""
        for end in self.ends:
            end.out.content.clear()

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for end in self.ends:
            end.tick(self.now)

    def turn(self, size: int = 1 << 20) -> bool:
        """Each end commits, writes and reads once; whether anything moved."""
        moved = 0
        for end in self.ends:
            end.commit(len(end.inbox))
            moved += end.write(size, self.now) + end.read(size, self.now)
        return bool(moved)

    def pump(self) -> None:
        """Until nothing moves any more, without any time passing. Two ends that never fall silent are an error."""
        for _ in range(10_000):
            if not self.turn():
                return
        raise AssertionError("the two ends never fall silent")

    def settle(self, patience: float = 200.0) -> float:
        """Let time pass until both ends are idle; how long that took. Not to become idle is an error."""
        for end in self.ends:
            end.full_disk = False
            if end.link is None:
                end.start(self.now)
        begun = self.now
        self.pump()
        while not self.halted() and (
            deadlines := [end.link.deadline for end in self.ends if end.link.deadline is not None]
        ):
            self.now = max(self.now, min(deadlines))
            assert self.now - begun < patience, "the two ends never come to rest"
            self.advance(0)
            self.pump()
        return self.now - begun

    def check(self) -> None:
        for sender in self.ends:
            receiver = self.other(sender)
            got = receiver.disk.heard_from(sender.disk.journal)
            if sender.disk.state.peer_journal not in ("", receiver.disk.journal):
                assert not got, "heard from an end that thinks of another"
                continue
            owed = sender.disk.sent[sender.disk.dropped :]
            assert got == owed[: len(got)], "what was received is no prefix of what was sent"
            held = [text for _, text in sender.disk.held]
            assert len(held) >= len(owed) - len(got), "let go of what was never received"
            assert held == owed[len(owed) - len(held) :], "what is held is not what is owed"

    def check_all_arrived(self) -> None:
        self.check()
        for sender in self.ends:
            receiver = self.other(sender)
            owed = sender.disk.sent[sender.disk.dropped :]
            assert receiver.disk.heard_from(sender.disk.journal) == owed, "not all arrived"
            assert not sender.link.held, "what arrived is still held"
            assert sender.link.up
            assert sender.link.deadline is None

    def halted(self) -> list[Any]:
        """What made an end refuse to go on; without a journal rolled back, nothing may."""
        kinds = ("Fenced", "RolledBack", "Incompatible", "Violation")
        return [event for end in self.ends for event in self.events(end, *kinds)]

    def events(self, end: End, *kinds: str) -> list[Any]:
        return [event for event in end.events if type(event).__name__ in kinds]


def up(link: ModuleType, window: int = 61440) -> LinkPair:
    """A pair that has shaken hands."""
    pair = LinkPair(link, window)
    pair.pump()
    assert pair.a.link.up
    assert pair.b.link.up
    return pair


def say(end: End, *texts: str) -> None:
    """Send, and make it durable."""
    for text in texts:
        end.send(text)
    end.save()


def frames(link: ModuleType, written: bytes) -> list[Any]:
    return [link.wire.decode(line) for line in written.split(b"\n") if line]


def kinds(link: ModuleType, written: bytes) -> list[str]:
    return [type(frame).__name__.lower() for frame in frames(link, written)]


def sequences(link: ModuleType, written: bytes) -> list[int]:
    """The numbers of the data frames."""
    return [frame.seq for frame in frames(link, written) if isinstance(frame, link.wire.Data)]
