"""Programs, agents and daemons that die at any moment: every prompt ends once, and runs at most once.

As for the link, two searches of one space. ``HYPOTHESIS_PROFILE=deep`` and ``MODEL_HISTORIES=100000`` look further.
"""

from __future__ import annotations

import os
from types import ModuleType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.pure.model_chaos import ACTS, CODES, Chaos, history

HISTORIES = int(os.environ.get("MODEL_HISTORIES", "500"))

flags = st.booleans()


def machine(model: ModuleType) -> type[RuleBasedStateMachine]:
    """The state machine over a given model."""

    class ModelMachine(RuleBasedStateMachine):
        @initialize(barrier=flags, lifecycle=flags, patience=st.sampled_from((0.0, 20.0)))
        def start(self, barrier: bool, lifecycle: bool, patience: float) -> None:
            self.chaos = Chaos(model, barrier=barrier, lifecycle=lifecycle, patience=patience)

        @rule(retry=flags, timeout=st.sampled_from((0.0, 15.0)))
        def submit(self, retry: bool, timeout: float) -> None:
            self.chaos.submit(retry=retry, timeout=timeout)

        @rule(count=st.integers(1, 5))
        def exchange(self, count: int) -> None:
            for _ in range(count):
                self.chaos.obey()
                self.chaos.hear()

        @rule()
        def hear(self) -> None:
            self.chaos.hear()

        @rule()
        def die_before_the_commit(self) -> None:
            self.chaos.hear(crash=True)

        @rule()
        def obey(self) -> None:
            self.chaos.obey()

        @rule(what=st.sampled_from(ACTS))
        def act(self, what: str) -> None:
            self.chaos.act(what)

        @rule(code=st.sampled_from(CODES))
        def kill(self, code: int) -> None:
            self.chaos.kill(code)

        @rule()
        def kill_agent(self) -> None:
            self.chaos.kill_agent()

        @rule()
        def restart(self) -> None:
            self.chaos.restart()

        @rule()
        def stop(self) -> None:
            self.chaos.stop()

        @rule()
        def answer(self) -> None:
            self.chaos.answer()

        @rule(flushes=flags)
        def write_down(self, flushes: bool) -> None:
            self.chaos.home.flushes = flushes

        @rule(seconds=st.sampled_from((0.1, 1.0, 10.0, 100.0)))
        def advance(self, seconds: float) -> None:
            self.chaos.advance(seconds)

        @invariant()
        def the_promise_holds(self) -> None:
            self.chaos.check()

        def teardown(self) -> None:
            self.chaos.heal()

    return ModelMachine


def test_no_sequence_of_deaths_loses_a_prompt_or_runs_it_twice(model: ModuleType) -> None:
    examples = max(150, settings.default.max_examples if settings.default else 0)
    run_state_machine_as_test(machine(model), settings=settings(max_examples=examples, stateful_step_count=40))


def test_no_long_history_of_deaths_loses_a_prompt_or_runs_it_twice(model: ModuleType) -> None:
    ends: set[str] = set()
    for seed in range(HISTORIES):
        try:
            ends |= {str(body["state"]) for body in history(model, seed).store.values()}
        except Exception as error:
            raise AssertionError(f"history({seed}) fails") from error
    assert ends == {"succeeded", "failed", "cancelled", "timed_out", "uncertain"}
