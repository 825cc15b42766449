"""Random faults on a pair of links: what arrives is a prefix of what was sent, and all of it once things calm down.

Two searches of one space: a state machine, whose failures shrink to a few steps, and long random histories, cheap
enough to reach states that need many. ``HYPOTHESIS_PROFILE=deep`` and ``LINK_HISTORIES=100000`` look further.
"""

from __future__ import annotations

import os
from types import ModuleType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.pure.link_chaos import SIZES, WINDOWS, Chaos, history

HISTORIES = int(os.environ.get("LINK_HISTORIES", "1000"))

ends = st.sampled_from("ab")
sizes = st.sampled_from(SIZES)
places = st.integers(0, 1 << 16)
lengths = st.sampled_from((1, 100, 300, 1000))
fillers = st.sampled_from(("", "", "x" * 300, "\\" * 3000))


def machine(link: ModuleType) -> type[RuleBasedStateMachine]:
    """The state machine over a given link module."""

    class LinkMachine(RuleBasedStateMachine):
        @initialize(window=st.sampled_from(WINDOWS))
        def begin(self, window: int) -> None:
            self.chaos = Chaos(link, window)

        @rule(name=ends, filler=fillers)
        def send(self, name: str, filler: str) -> None:
            self.chaos.send(name, filler)

        @rule(name=ends, size=sizes)
        def write(self, name: str, size: int) -> None:
            self.chaos.write(name, size)

        @rule(name=ends, size=sizes)
        def read(self, name: str, size: int) -> None:
            self.chaos.read(name, size)

        @rule(name=ends)
        def exchange(self, name: str) -> None:
            self.chaos.exchange(name)

        @rule(name=ends, count=st.integers(1, 3))
        def commit(self, name: str, count: int) -> None:
            self.chaos.commit(name, count)

        @rule(name=ends)
        def crash(self, name: str) -> None:
            self.chaos.crash(name)

        @rule(name=ends)
        def start(self, name: str) -> None:
            self.chaos.start(name)

        @rule(name=ends)
        def reconnect(self, name: str) -> None:
            self.chaos.reconnect(name)

        @rule()
        def reconnect_both(self) -> None:
            self.chaos.reconnect_both()

        @rule(name=ends, start=places, size=lengths)
        def steal(self, name: str, start: int, size: int) -> None:
            self.chaos.steal(name, start, size)

        @rule(name=ends, start=places, size=lengths)
        def replay(self, name: str, start: int, size: int) -> None:
            self.chaos.replay(name, start, size)

        @rule(name=ends)
        def fill_disk(self, name: str) -> None:
            self.chaos.fill_disk(name)

        @rule(name=ends, size=sizes)
        def haunt(self, name: str, size: int) -> None:
            self.chaos.haunt(name, size)

        @rule(name=ends)
        def wipe(self, name: str) -> None:
            self.chaos.wipe(name)

        @rule(name=ends)
        def back_up(self, name: str) -> None:
            self.chaos.back_up(name)

        @rule(name=ends)
        def roll_back(self, name: str) -> None:
            self.chaos.roll_back(name)

        @rule(seconds=st.sampled_from((0.1, 0.6, 5.0)))
        def advance(self, seconds: float) -> None:
            self.chaos.advance(seconds)

        @rule()
        def heal(self) -> None:
            self.chaos.heal()

        @invariant()
        def the_promise_holds(self) -> None:
            self.chaos.pair.check()

        def teardown(self) -> None:
            self.chaos.heal()

    return LinkMachine


def test_no_sequence_of_faults_loses_or_repeats_a_message(link: ModuleType) -> None:
    examples = max(200, settings.default.max_examples if settings.default else 0)
    run_state_machine_as_test(machine(link), settings=settings(max_examples=examples, stateful_step_count=50))


def test_no_long_history_of_faults_loses_or_repeats_a_message(link: ModuleType) -> None:
    for seed in range(HISTORIES):
        try:
            history(link, seed)
        except Exception as error:
            raise AssertionError(f"history({seed}) fails") from error
