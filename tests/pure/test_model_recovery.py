"""The ladder of remedies, in virtual time: what it takes for one, which it is, and when."""

from __future__ import annotations

import pytest

from ccbridged.model.recovery import BUDGET, GIVE_UP, HOUR, LADDERS, MAX_DELAY, Limits, Recovery, Remedy

WELL = ("fifo_pipes", "agent", "program")


def recovery(failures: int = 3, delay: float = 5.0, *, contained: bool = True) -> Recovery:
    return Recovery(Limits(failures, delay), contained=contained)


def fail(it: Recovery, component: str, now: float, looks: int = 3) -> None:
    for _ in range(looks):
        it.look({component: f"{component} is not well"}, [name for name in WELL if name != component], now)


def climb(it: Recovery, component: str, count: int) -> list[tuple[str, float]]:
    """Remedies in a row, none of which helps, and how long each was waited for."""
    now, steps = 0.0, []
    for _ in range(count):
        fail(it, component, now)
        assert it.deadline is not None
        waited, now = it.deadline - now, it.deadline
        remedy = it.remedy(now)
        assert remedy
        steps.append((remedy.kind, waited))
    return steps


def test_as_many_looks_in_a_row_as_are_configured_must_fail() -> None:
    it = recovery(3)
    fail(it, "program", 0.0, looks=2)
    assert it.deadline is None
    it.look({}, WELL, 1.0)
    fail(it, "program", 2.0, looks=2)
    assert it.deadline is None
    fail(it, "program", 3.0, looks=1)
    assert it.deadline == 8.0
    assert it.remedy(7.9) is None
    assert it.remedy(8.0) == Remedy("restart-program", "program", "program is not well")
    assert it.remedy(9.0) is None


@pytest.mark.parametrize(
    ("component", "kinds"),
    [
        ("program", ["restart-program", "restart-agent", "restart-container", GIVE_UP]),
        ("agent", ["reconnect", "restart-agent", "restart-container", GIVE_UP]),
        ("fifo_pipes", ["reconnect", "restart-agent", "restart-container", GIVE_UP]),
    ],
)
def test_the_least_remedy_comes_first_and_each_further_one_later(component: str, kinds: list[str]) -> None:
    steps = climb(recovery(), component, len(kinds))
    assert steps == [(kind, 5.0 * 2**n) for n, kind in enumerate(kinds)]


def test_without_a_container_there_is_none_to_restart() -> None:
    kinds = [kind for kind, _ in climb(recovery(contained=False), "program", 3)]
    assert kinds == ["restart-program", "restart-agent", GIVE_UP]


def test_a_remedy_that_was_tried_for_one_thing_is_not_tried_for_another() -> None:
    it = recovery()
    climb(it, "agent", 2)
    fail(it, "program", 100.0)
    assert it.deadline == 120.0
    (first,) = [it.remedy(200.0)]
    assert first is not None and first.kind == "restart-program"
    fail(it, "program", 300.0)
    second = it.remedy(400.0)
    assert second is not None and second.kind == "restart-container"


def test_a_look_at_which_all_is_well_begins_the_ladder_anew_and_one_that_knows_little_does_not() -> None:
    it = recovery()
    climb(it, "program", 2)
    it.look({}, ["fifo_pipes"], 50.0)
    fail(it, "program", 100.0)
    assert it.deadline == 120.0
    it.look({}, WELL, 110.0)
    assert it.deadline is None
    fail(it, "program", 200.0)
    assert it.deadline == 205.0
    remedy = it.remedy(205.0)
    assert remedy is not None and remedy.kind == "restart-program"


def test_the_wait_has_a_ceiling() -> None:
    waits = [waited for _, waited in climb(recovery(delay=100.0), "program", 4)]
    assert waits == [100.0, 200.0, MAX_DELAY, MAX_DELAY]


def test_what_a_component_stands_upon_is_mended_first() -> None:
    it = recovery(1)
    it.look({"program": "mute", "agent": "mute", "fifo_pipes": "gone"}, [], 0.0)
    assert it.component == "fifo_pipes"
    for name in ("fifo_pipes", "agent", "program"):
        it.excuse(name)
    assert (it.component, it.deadline) == ("", None)


def test_no_more_than_a_budget_of_remedies_in_an_hour() -> None:
    it = recovery(1, 0.0)
    kinds = []
    for n in range(BUDGET + 2):
        it.look({"program": "mute"}, [], n * 10.0)
        remedy = it.remedy(n * 10.0)
        assert remedy is not None
        kinds.append(remedy.kind)
        it.look({}, WELL, n * 10.0 + 5)
    assert kinds == ["restart-program"] * BUDGET + [GIVE_UP] * 2
    it.look({"program": "mute"}, [], HOUR)
    remedy = it.remedy(HOUR)
    assert remedy is not None and remedy.kind == "restart-program"


def test_who_was_mute_is_not_reconnected_to() -> None:
    it = recovery(3)
    fail(it, "agent", 0.0)
    remedy = it.remedy(5.0)
    assert remedy is not None and remedy.kind == "reconnect"
    it.mute("said nothing", 25.0)
    remedy = it.remedy(35.0)
    assert remedy == Remedy("restart-agent", "agent", "said nothing")
    it = recovery(2)
    it.mute("said nothing", 0.0)
    assert it.deadline is None
    it.mute("said nothing", 20.0)
    remedy = it.remedy(1000.0)
    assert remedy is not None and remedy.kind == "restart-agent"


def test_what_must_be_left_alone_is_asked_again_later() -> None:
    it = recovery(1, 5.0)
    it.postpone(0.0)
    assert it.deadline is None
    it.look({"program": "mute"}, [], 0.0)
    it.postpone(5.0)
    assert it.deadline == 10.0
    it = recovery(1, 0.0)
    it.look({"program": "mute"}, [], 0.0)
    it.postpone(0.0)
    assert it.deadline == 1.0


def test_nothing_is_done_where_nobody_wants_it() -> None:
    it = Recovery(None, contained=True)
    it.look({"program": "mute"}, [], 0.0)
    it.mute("said nothing", 0.0)
    it.postpone(1.0)
    it.excuse("agent")
    assert (it.deadline, it.component, it.remedy(1e9)) == (None, "", None)


def test_what_came_of_a_remedy_is_told_once() -> None:
    it = recovery(1)
    assert it.came(0.0) is None
    it.look({"program": "mute"}, [], 0.0)
    remedy = it.remedy(5.0)
    assert not it.note(Remedy("start-program", "program", "it died"), 6.0)
    assert it.came(7.5) == (remedy, 2.5)
    assert it.came(8.0) is None
    noted = Remedy("start-agent", "agent", "it is gone")
    assert it.note(noted, 10.0)
    assert it.came(11.0) == (noted, 1.0)


def test_what_is_no_fault_any_more_by_new_limits_is_not_mended() -> None:
    for limits in (None, Limits(5, 5.0)):
        it = recovery(3)
        fail(it, "program", 0.0)
        it.limits = limits
        assert (it.remedy(5.0), it.deadline) == (None, None)


def test_every_ladder_ends_with_what_takes_most() -> None:
    assert {ladder[-1] for ladder in LADDERS.values()} == {"restart-container"}
