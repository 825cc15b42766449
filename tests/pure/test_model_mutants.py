"""Each mutant of the model is caught: by the examples, by the random histories, or by both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.pure import (
    test_model_conversation,
    test_model_course,
    test_model_memory,
    test_model_requests,
    test_model_turn,
)
from tests.pure.model_chaos import history
from tests.pure.model_mutants import MUTANTS, mutated
from tests.pure.mutants import Mutant
from tests.pure.test_model_machine import machine

BROKEN = (
    "a prompt starts before running is saved",
    "running is saved after the prompt was let start",
    "any prompt may start",
    "without a barrier nothing is saved as running",
    "every prompt is running when it is fed",
    "two are in flight",
    "what ran is repeated when its program dies",
    "what did not start stays in flight when its program dies",
    "what may have run is repeated unasked",
    "an answer that is not proven is believed",
    "a turn that does not stop lives on",
    "an ended request stays in flight",
    "the one in flight is forgotten at a restart",
    "a sleeper is not woken",
    "a new agent goes unnoticed",
)
"""Mutants that lose a prompt, repeat it or never end it: the random search finds them without knowing of them."""

BROKEN_SOON = (
    "a prompt starts before running is saved",
    "without a barrier nothing is saved as running",
    "two are in flight",
    "what ran is repeated when its program dies",
    "an answer that is not proven is believed",
)
"""Those that need few steps: the state machine finds them too, and shrinks."""

_HISTORIES = 300

Example = Callable[[ModuleType], None]


def examples() -> Iterator[tuple[str, Example]]:
    """Every example that takes the model, with each set of its other parameters."""
    for module in (test_model_turn, test_model_course, test_model_conversation, test_model_requests, test_model_memory):
        for name, test in vars(module).items():
            if not name.startswith("test_") or "model" not in inspect.signature(test).parameters:
                continue
            (names, rows) = test.pytestmark[0].args if hasattr(test, "pytestmark") else ((), [()])
            for row in rows:
                values = row if isinstance(names, tuple) else (row,)
                yield (
                    name,
                    partial(test, **dict(zip([names] if isinstance(names, str) else names, values, strict=True))),
                )


def caught_by_an_example(model: ModuleType) -> str:
    for name, example in examples():
        try:
            example(model=model)  # type: ignore[call-arg]
        except BaseException as error:
            if not isinstance(error, (Exception, pytest.fail.Exception)):
                raise
            return name
    return ""


def caught_by_a_history(model: ModuleType) -> str:
    for seed in range(_HISTORIES):
        try:
            history(model, seed)
        except Exception:
            return f"history({seed})"
    return ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught_by_an_example(mutant: Mutant, tmp_path: Path) -> None:
    with mutated(mutant, tmp_path) as model:
        assert caught_by_an_example(model)


@pytest.mark.parametrize("name", BROKEN)
def test_a_mutant_that_breaks_the_promise_is_caught_by_a_random_history(name: str, tmp_path: Path) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    with mutated(mutant, tmp_path) as model:
        assert caught_by_a_history(model)


@pytest.mark.parametrize("name", BROKEN_SOON)
def test_a_mutant_that_breaks_the_promise_is_caught_by_the_state_machine(name: str, tmp_path: Path) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    search = settings(phases=[Phase.generate], max_examples=10000, stateful_step_count=30)
    with mutated(mutant, tmp_path) as model, pytest.raises(AssertionError):
        run_state_machine_as_test(machine(model), settings=search)


def test_a_faithful_copy_of_the_model_is_not_caught(tmp_path: Path) -> None:
    with mutated(None, tmp_path) as model:
        assert not caught_by_an_example(model)
        assert not caught_by_a_history(model)
