"""Random faults on a whole world: every prompt ends once, and is begun at most once unless somebody asked for more.

Two searches of one space, as for the link. ``HYPOTHESIS_PROFILE=deep`` and ``WORLD_HISTORIES=100000`` look further.
"""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.pure.bridge_chaos import NAMES, ORDERS, PROMPTS, WAITS, Chaos, history

HISTORIES = int(os.environ.get("WORLD_HISTORIES", "300"))

names = st.sampled_from(NAMES)
flags = st.booleans()


class WorldMachine(RuleBasedStateMachine):
    @initialize(barrier=flags, lifecycle=flags, idle=st.sampled_from((0.0, 30.0)))
    def begin(self, barrier: bool, lifecycle: bool, idle: float) -> None:
        self.chaos = Chaos(barrier=barrier, lifecycle=lifecycle, idle=idle)

    @rule(
        name=names,
        prompt=st.sampled_from(PROMPTS),
        timeout=st.sampled_from((0, 0, 20)),
        again=flags,
        times=st.integers(1, 3),
    )
    def send(self, name: str, prompt: str, timeout: float, again: bool, times: int) -> None:
        self.chaos.send(name, prompt, timeout, again, times)

    @rule(name=names, number=st.integers(0, 5))
    def send_again(self, name: str, number: int) -> None:
        self.chaos.send_again(name, number)

    @rule(number=st.integers(0, 3))
    def cancel(self, number: int) -> None:
        self.chaos.cancel(number)

    @rule(name=names, verb=st.sampled_from(ORDERS))
    def order(self, name: str, verb: str) -> None:
        self.chaos.order(name, verb)

    @rule(allow=flags)
    def answer(self, allow: bool) -> None:
        self.chaos.answer(allow)

    @rule(name=names)
    def finish(self, name: str) -> None:
        self.chaos.finish(name)

    @rule(name=names, flushed=flags)
    def kill_program(self, name: str, flushed: bool) -> None:
        self.chaos.kill_program(name, flushed)

    @rule(name=names, flushed=flags)
    def kill_agent(self, name: str, flushed: bool) -> None:
        self.chaos.kill_agent(name, flushed)

    @rule(name=names)
    def start_agent(self, name: str) -> None:
        self.chaos.start_agent(name)

    @rule()
    def kill_daemon(self) -> None:
        self.chaos.kill_daemon()

    @rule(commits=st.integers(1, 4))
    def kill_daemon_after_commits(self, commits: int) -> None:
        self.chaos.kill_daemon_after_commits(commits)

    @rule()
    def load_daemon(self) -> None:
        self.chaos.load_daemon()

    @rule(name=names, after=st.integers(1, 3000))
    def break_stream(self, name: str, after: int) -> None:
        self.chaos.break_stream(name, after)

    @rule(name=names)
    def mend_stream(self, name: str) -> None:
        self.chaos.mend_stream(name)

    @rule(name=names, frozen=flags)
    def freeze(self, name: str, frozen: bool) -> None:
        self.chaos.freeze(name, frozen)

    @rule(name=names, action=st.sampled_from(("launch", "halt")), broken=flags)
    def break_engine(self, name: str, action: str, broken: bool) -> None:
        self.chaos.break_engine(name, action, broken)

    @rule(slow=flags)
    def slow_engine(self, slow: bool) -> None:
        self.chaos.slow_engine(slow)

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        self.chaos.wait(seconds)

    def teardown(self) -> None:
        if hasattr(self, "chaos"):
            self.chaos.check()


def test_no_sequence_of_faults_loses_or_repeats_a_prompt() -> None:
    examples = max(100, settings.default.max_examples if settings.default else 0)
    run_state_machine_as_test(WorldMachine, settings=settings(max_examples=examples, stateful_step_count=40))


def test_no_long_history_of_faults_loses_or_repeats_a_prompt() -> None:
    """And these histories are worth their name: everything that can become of a prompt does."""
    ends: Counter[str] = Counter()
    for seed in range(HISTORIES):
        try:
            chaos = history(seed)
        except Exception as error:
            raise AssertionError(f"history({seed}) fails") from error
        ends.update(chaos.world.end_of(id_) for id_ in chaos.world.disk.requests)
    assert min(ends[state] for state in ("succeeded", "failed", "cancelled", "timed_out", "uncertain")) > HISTORIES / 20
