"""What can go wrong in a world of two instances, by name; and what must be true of it in the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ccbridged.model.config import SessionConfig
from ccbridged.model.requests import FINAL
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import CALM, World

NAMES = ("web", "api")
PROMPTS = ("hi", "[[hang]]", "[[hang]]", "[[tool Bash ls]]", "[[fail]]")
ORDERS = ("start", "start", "stop", "restart", "interrupt", "health")
WAITS = (0.3, 1.0, 6.0, 21.0, 130.0)
NO_ENGINE = BridgeError("unavailable", "the engine does not answer")


class Chaos:
    """``repeatable``: prompts that were sent with ``--retry-uncertain``."""

    def __init__(self, *, barrier: bool, lifecycle: bool, idle: float) -> None:
        self.world = World(replace(CALM, session=SessionConfig(idle_timeout=idle, request_timeout=120.0)))
        self.repeatable: set[str] = set()
        self.count = 0
        for name in NAMES:
            home = self.world.home(name)
            home.barrier, home.lifecycle = barrier, lifecycle
            self.world.add(name)

    def ask(self, verb: str, **fields: object) -> None:
        if self.world.alive:
            self.world.ask(verb, **fields)

    # What clients do.

    def send(self, name: str, prompt: str, timeout: float, again: bool, times: int) -> None:
        for _ in range(times):
            self.count += 1
            id_ = f"r{self.count}"
            if again:
                self.repeatable.add(f"{prompt} {id_}")
            self.ask("send", name=name, id=id_, prompt=f"{prompt} {id_}", timeout=timeout, retry_uncertain=again)

    def send_again(self, name: str, number: int) -> None:
        id_ = f"r{max(self.count - number, 1)}"
        if id_ in self.world.disk.requests:
            self.ask("send", name=name, id=id_, prompt="twice")

    def cancel(self, number: int) -> None:
        self.ask("cancel", id=f"r{max(self.count - number, 1)}")

    def order(self, name: str, verb: str) -> None:
        fields: dict[str, Any] = {"interrupt": {"name": name}, "health": {}}.get(verb, {"name": name, "wait": False})
        self.ask(verb, **fields)

    def answer(self, allow: bool) -> None:
        instances = self.world.bridge.instances.values() if self.world.alive else ()
        for id_ in [approval.id for one in instances for approval in one.conversation.turn.approvals]:
            self.ask("approve" if allow else "deny", id=id_)

    # What happens.

    def finish(self, name: str) -> None:
        agent = self.world.agents.get(name)
        if agent and agent.program and agent.program.turn and not agent.program.dead:
            self.world.finish(name)

    def kill_program(self, name: str, flushed: bool) -> None:
        agent = self.world.agents.get(name)
        if agent and agent.program and not agent.program.dead:
            self.forget(name, agent.program.path, flushed)
            self.world.kill_program(name)

    def kill_agent(self, name: str, flushed: bool) -> None:
        agent = self.world.agents.get(name)
        if agent and agent.program:
            self.forget(name, agent.program.path, flushed)
        self.world.kill_agent(name)

    def forget(self, name: str, path: str, flushed: bool) -> None:
        """The end of a session's file was never written."""
        rows = self.world.homes[name].files.get(path)
        if rows and not flushed:
            rows.pop()
            if not rows:
                del self.world.homes[name].files[path]

    def kill_daemon(self) -> None:
        self.world.kill()

    def kill_daemon_after_commits(self, commits: int) -> None:
        left = [commits]

        def alive() -> bool:
            left[0] -= 1
            return left[0] != 0

        self.world.before_acts = alive

    def load_daemon(self) -> None:
        if not self.world.alive:
            self.world.before_acts = lambda: True
            self.world.load()

    def break_stream(self, name: str, after: int) -> None:
        self.world.cuts[name] = after

    def mend_stream(self, name: str) -> None:
        if self.world.alive:
            self.world.mend(name)

    def freeze(self, name: str, frozen: bool) -> None:
        """The agent has what it is told, and does nothing about it."""
        if name in self.world.agents:
            self.world.agents[name].acknowledges = not frozen

    def break_engine(self, name: str, action: str, broken: bool) -> None:
        self.world.faults.pop((name, action), None)
        if broken:
            self.world.faults[name, action] = NO_ENGINE

    def slow_engine(self, slow: bool) -> None:
        self.world.slow = slow
        if self.world.alive:
            self.world.act()

    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    def start_agent(self, name: str) -> None:
        """As an engine does it, which nobody asked."""
        if name not in self.world.agents:
            self.world.start_agent(name)

    # What must be true.

    def check(self) -> None:
        """When everything is well again."""
        self.settle()
        world = self.world
        started = [prompt for name in NAMES for prompt in world.ran(name)]
        for id_, row in world.disk.requests.items():
            state, times = world.end_of(id_), started.count(row[3])
            assert state in FINAL, (id_, state)
            assert times <= 1 or row[3] in self.repeatable, (id_, times)
            assert times >= 1 or state != "succeeded", (id_, state)
            assert state != "uncertain" or row[3] not in self.repeatable
        assert set(started) <= {row[3] for row in world.disk.requests.values()}
        assert [world.disk.outbox[name] for name in NAMES] == [{}, {}]

    def settle(self) -> None:
        """All faults are gone, and there is time."""
        world = self.world
        world.before_acts = lambda: True
        world.faults.clear()
        world.cuts.clear()
        world.slow = False
        for agent in world.agents.values():
            agent.acknowledges = True
        if not world.alive:
            world.load()
        world.act()
        for name in NAMES:
            world.mend(name)
        for name in NAMES:
            self.ask("start", name=name, wait=False)
        for _ in range(60):
            self.answer(True)
            for name in NAMES:
                self.finish(name)
            world.advance(70)
            if all(world.state(name) == "ready" for name in NAMES):
                return
        raise AssertionError({name: (world.state(name), world.reason(name)) for name in NAMES})


def history(seed: int, steps: int = 60) -> Chaos:
    """One random history; the seed is all it takes to see it again. Some are calm, some are nothing but faults."""
    chance = random.Random(seed)
    barrier, lifecycle = chance.random() < 0.8, chance.random() < 0.8
    chaos = Chaos(barrier=barrier, lifecycle=lifecycle, idle=chance.choice((0.0, 0.0, 30.0)))
    faults = chance.choice((0.1, 0.3, 0.6))
    for _ in range(steps):
        name = chance.choice(NAMES)
        (_fault if chance.random() < faults else _flow)(chaos, name, chance)
    chaos.check()
    return chaos


def _flow(chaos: Chaos, name: str, chance: random.Random) -> None:
    flag, number = chance.random() < 0.5, chance.randrange(6)
    steps: list[Callable[[], None]] = [
        *[lambda: chaos.send(name, chance.choice(PROMPTS), chance.choice((0, 0, 20)), chance.random() < 0.2, 1)] * 6,
        *[lambda: chaos.finish(name), chaos.load_daemon] * 3,
        *[lambda: chaos.send_again(name, number), lambda: chaos.cancel(number), lambda: chaos.answer(flag)],
        *[lambda: chaos.order(name, chance.choice(ORDERS)), lambda: chaos.wait(chance.choice(WAITS))] * 2,
        *[lambda: chaos.mend_stream(name), lambda: chaos.freeze(name, False), lambda: chaos.slow_engine(False)],
    ]
    chance.choice(steps)()


def _fault(chaos: Chaos, name: str, chance: random.Random) -> None:
    flag, action = chance.random() < 0.5, chance.choice(("launch", "halt"))
    steps: list[Callable[[], None]] = [
        *[lambda: chaos.kill_program(name, flag), lambda: chaos.kill_agent(name, flag)] * 2,
        *[chaos.kill_daemon, lambda: chaos.kill_daemon_after_commits(chance.randrange(1, 5))] * 2,
        *[lambda: chaos.break_stream(name, chance.randrange(1, 3000)), lambda: chaos.start_agent(name)] * 2,
        *[lambda: chaos.freeze(name, flag), lambda: chaos.break_engine(name, action, flag)],
        lambda: chaos.slow_engine(flag),
    ]
    chance.choice(steps)()
