"""The table of states: total, as it is drawn in the README, and without a state that cannot be left or reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ccbridged.model.states import EVENTS, NEXT, STATES, diagram

README = Path(__file__).parents[2] / "README.md"
ALIVE = ("starting", "connecting", "ready", "busy", "recovering")


def test_every_event_has_an_outcome_in_every_state() -> None:
    assert set(NEXT) == {(state, event) for state in STATES for event in EVENTS}
    assert set(NEXT.values()) == set(STATES)


@pytest.mark.parametrize(
    ("event", "moves"),
    [
        ("start", {"stopped": "starting", "recovering": "starting", "failed": "starting"}),
        ("stop", dict.fromkeys((*ALIVE, "failed"), "stopped")),
        ("connect", {"starting": "connecting", "recovering": "connecting"}),
        ("ready", {"starting": "ready", "connecting": "ready", "recovering": "ready"}),
        ("feed", {"ready": "busy"}),
        ("rest", {"busy": "ready"}),
        ("lose", dict.fromkeys(("starting", "connecting", "ready", "busy"), "recovering")),
        ("fail", dict.fromkeys(ALIVE, "failed")),
    ],
)
def test_an_event_moves_these_states_and_no_others(event: str, moves: dict[str, str]) -> None:
    assert {state: NEXT[state, event] for state in STATES} == {state: moves.get(state, state) for state in STATES}


def test_a_stopped_instance_moves_only_when_somebody_wants_it() -> None:
    assert [event for event in EVENTS if NEXT["stopped", event] != "stopped"] == ["start"]


def test_a_failed_instance_moves_only_when_somebody_says_so() -> None:
    assert [event for event in EVENTS if NEXT["failed", event] != "failed"] == ["start", "stop"]


def test_the_diagram_has_an_arrow_for_every_change_and_none_besides() -> None:
    first, second, *arrows = diagram().splitlines()
    assert (first, second.strip()) == ("stateDiagram-v2", "[*] --> stopped")
    drawn: dict[tuple[str, str], str] = {}
    for arrow in arrows:
        found = re.fullmatch(r"    (\w+) --> (\w+): (.*)", arrow)
        assert found
        drawn |= {(found[1], event): found[2] for event in found[3].split(", ")}
    assert drawn == {pair: after for pair, after in NEXT.items() if after != pair[0]}


def test_the_readme_shows_the_diagram() -> None:
    assert re.findall(r"^```mermaid\n(stateDiagram.*?)^```$", README.read_text(), re.S | re.M) == [diagram()]
