"""Everything that can go wrong with a pair of links, one method each, and random histories made of them.

After each step the promise holds; after ``heal`` everything sent has arrived and both ends are idle.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType

from tests.pure.link_pair import Disk, End, LinkPair

WINDOWS = (1024, 4096, 61440)
SIZES = (7, 60, 700, 5000, 1 << 20)


class Chaos:
    def __init__(self, link: ModuleType, window: int) -> None:
        self.pair = LinkPair(link, window)
        self._said = 0
        self._copies: dict[str, Disk] = {}

    def end(self, name: str) -> End:
        return self.pair.a if name == "a" else self.pair.b

    def send(self, name: str, filler: str) -> None:
        self._said += 1
        end = self.end(name)
        if end.link is not None:
            end.send(f"{end.disk.journal}:{self._said}:{filler}")

    def write(self, name: str, size: int) -> None:
        self.end(name).write(size, self.pair.now)

    def read(self, name: str, size: int) -> None:
        self.end(name).read(size, self.pair.now)

    def exchange(self, name: str) -> None:
        """All that this end has to say, to the other's ear."""
        self.write(name, 1 << 20)
        self.pair.other(self.end(name)).read(1 << 20, self.pair.now)

    def commit(self, name: str, count: int) -> None:
        self.end(name).commit(count)

    def crash(self, name: str) -> None:
        if self.end(name).link is not None:
            self.end(name).crash()

    def start(self, name: str) -> None:
        if self.end(name).link is None:
            self.end(name).start(self.pair.now)

    def reconnect(self, name: str) -> None:
        if self.end(name).link is not None:
            self.end(name).connect(self.pair.now)

    def reconnect_both(self) -> None:
        self.pair.lose_pipes()
        self.reconnect("a")
        self.reconnect("b")

    def steal(self, name: str, start: int, size: int) -> None:
        self.end(name).out.steal(start, size)

    def replay(self, name: str, start: int, size: int) -> None:
        self.end(name).out.replay(start, size)

    def fill_disk(self, name: str) -> None:
        self.end(name).full_disk ^= True

    def haunt(self, name: str, size: int) -> None:
        self.end(name).haunt(size, self.pair.now)

    def advance(self, seconds: float) -> None:
        self.pair.advance(seconds)

    def wipe(self, name: str) -> None:
        self.pair.wipe(self.end(name))

    def back_up(self, name: str) -> None:
        """A copy of the journal, unless it is of before the first contact: that is no more than another new one."""
        disk = self.end(name).disk
        if disk.state.peer_journal:
            self._copies[name] = disk.copy()

    def roll_back(self, name: str) -> None:
        """An old copy of the journal is put in place: it is refused, or nothing was forgotten. If refused: wiped.

        Nothing that still knows of the lives after the copy is kept: it would refuse the journal at any later time.
        """
        end = self.end(name)
        copy = self._copies.pop(name, None)
        if copy is None or copy.journal != end.disk.journal:
            return
        end.disk = copy
        self.pair.now += 0.001
        self.pair.restart(end)
        self._copies.clear()
        for each in self.pair.ends:
            each.zombie = None
            each.out.content.clear()
            each.out.history.clear()
        self.pair.settle()
        if self.pair.events(end, "RolledBack", "Fenced"):
            end.events.clear()
            self.wipe(name)
        self.heal()

    def heal(self) -> None:
        self.pair.settle()
        assert not self.pair.halted(), self.pair.halted()
        self.pair.check_all_arrived()


def history(link: ModuleType, seed: int, steps: int = 200) -> None:
    """One random history; the seed is all it takes to see it again. Some are calm, some are nothing but faults."""
    chance = random.Random(seed)
    chaos = Chaos(link, chance.choice(WINDOWS))
    faults = chance.choice((0.02, 0.1, 0.3))
    for _ in range(steps):
        name = chance.choice("ab")
        if chance.random() < faults:
            _fault(chaos, name, chance)
        else:
            _flow(chaos, name, chance)
        chaos.pair.check()
    chaos.heal()


def _flow(chaos: Chaos, name: str, chance: random.Random) -> None:
    size = chance.choice(SIZES)
    steps: list[Callable[[], None]] = [
        lambda: chaos.send(name, chance.choice("x\\") * chance.choice((0, 0, 5, 300, 9000))),
        *[lambda: chaos.write(name, size), lambda: chaos.read(name, size)],
        *[lambda: chaos.exchange(name)] * 2,
        lambda: chaos.commit(name, chance.randrange(5)),
        lambda: chaos.start(name),
    ]
    chance.choice(steps)()


def _fault(chaos: Chaos, name: str, chance: random.Random) -> None:
    start, size = chance.randrange(1 << 17), chance.choice((1, 100, 300, 1000))
    steps: list[Callable[[], None]] = [
        *[lambda: chaos.crash(name), lambda: chaos.reconnect(name), lambda: chaos.fill_disk(name)] * 2,
        *[lambda: chaos.steal(name, start, size), lambda: chaos.replay(name, start, size)] * 4,
        *[lambda: chaos.wipe(name), lambda: chaos.back_up(name), lambda: chaos.roll_back(name)],
        *[lambda: chaos.haunt(name, size), chaos.reconnect_both, chaos.heal],
        lambda: chaos.advance(chance.choice((0.1, 0.6, 5.0))),
    ]
    chance.choice(steps)()
