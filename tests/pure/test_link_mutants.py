"""Each mutant of the link is caught: by the examples, by the random histories, or by both."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.pure import test_link_connections, test_link_delivery, test_link_journals, test_link_lies
from tests.pure.link_chaos import history
from tests.pure.mutants import MUTANTS, Mutant, mutated
from tests.pure.test_link_machine import machine

BROKEN = (
    "what is delivered is acknowledged",
    "one message too many is let go of",
    "a rebase replays what was held",
    "arrived is as good as committed",
    "duplicates are delivered again",
    "gaps are not seen",
    "a hello without echo is acted on",
    "every connection has the same generation",
    "every life has the same generations",
    "a hello is not repeated",
    "a hello is not answered once the link is up",
    "hellos are answered endlessly",
    "zombies are not told",
    "zombies are not fenced",
    "a rebase keeps its generation",
    "a rebase goes on counting",
    "a receiver rolled back goes on",
    "a sender rolled back goes on",
    "a nak does not rewind",
    "a new connection does not rewind",
    "no pings",
    "a ping finds nothing missing",
    "a ping is not answered",
    "the window never opens again",
)
"""Mutants that lose, repeat or delay for ever: the random search must find them without knowing what to look for."""

BROKEN_SOON = (
    "one message too many is let go of",
    "a rebase replays what was held",
    "a rebase goes on counting",
    "every life has the same generations",
    "hellos are answered endlessly",
    "the window never opens again",
)
"""Those that need few steps: the state machine finds them too, and shrinks."""

_HISTORIES = 600

Example = Callable[[ModuleType], None]


def examples() -> list[Example]:
    """Every example that takes the link as its only parameter; the one that takes longest last."""
    found = [
        test
        for module in (test_link_delivery, test_link_connections, test_link_journals, test_link_lies)
        for name, test in vars(module).items()
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["link"]
    ]
    return sorted(found, key=lambda test: test is test_link_delivery.test_the_largest_message_goes_through)


def caught_by_an_example(link: ModuleType) -> str:
    for example in examples():
        try:
            example(link)
        except BaseException as error:
            if not isinstance(error, (Exception, pytest.fail.Exception)):
                raise
            return example.__name__
    return ""


def caught_by_a_history(link: ModuleType) -> str:
    for seed in range(_HISTORIES):
        try:
            history(link, seed)
        except Exception:
            return f"history({seed})"
    return ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught_by_an_example(mutant: Mutant, tmp_path: Path) -> None:
    with mutated(mutant, tmp_path) as link:
        assert caught_by_an_example(link)


@pytest.mark.parametrize("name", BROKEN)
def test_a_mutant_that_breaks_the_promise_is_caught_by_a_random_history(name: str, tmp_path: Path) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    with mutated(mutant, tmp_path) as link:
        assert caught_by_a_history(link)


@pytest.mark.parametrize("name", BROKEN_SOON)
def test_a_mutant_that_breaks_the_promise_is_caught_by_the_state_machine(name: str, tmp_path: Path) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    search = settings(phases=[Phase.generate], max_examples=10000, stateful_step_count=30)
    with mutated(mutant, tmp_path) as link, pytest.raises((AssertionError, IndexError)):
        run_state_machine_as_test(machine(link), settings=search)


def test_a_faithful_copy_of_the_link_is_not_caught(tmp_path: Path) -> None:
    with mutated(None, tmp_path) as link:
        assert not caught_by_an_example(link)
        assert not caught_by_a_history(link)
