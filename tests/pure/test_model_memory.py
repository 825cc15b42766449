"""What a conversation must find again, and ids that are fresh and yet reproducible."""

from __future__ import annotations

import json
from types import ModuleType
from uuid import UUID

import pytest

from ccbridged.model.activity import Activity
from ccbridged.model.approvals import Approval
from ccbridged.model.memory import Memory, Moment, remember


def test_an_id_is_a_uuid_that_moment_and_purpose_decide() -> None:
    moment = Moment(1.0, 2.0, 3)
    assert moment.uuid("web", "r1") == Moment(9.0, 9.0, 3).uuid("web", "r1")
    later = Moment(1.0, 2.0, 4)
    others = {moment.uuid("web", "r1"), moment.uuid("web", "r2"), moment.uuid("webr1"), later.uuid("web", "r1")}
    assert len(others) == 4
    for one in others:
        assert (str(UUID(one)), UUID(one).version) == (one, 4)


def test_memory_survives_a_journey_through_json() -> None:
    question = Approval("a", "q", "web", "r", "Bash", {"command": "ls"}, ({"type": "addRules"},), 1.0, 2.0)
    memory = Memory(
        phase="ready",
        life=3,
        session_id="s",
        transcript="/t",
        version="2",
        login="ANTHROPIC_API_KEY",
        barrier=True,
        lifecycle=True,
        settling="u",
        tools=(("t1", "Bash", 3.0), ("t2", "Read", 4.0)),
        stage=Activity("rate_limited", "try 1 of 10", 5.0, 6.0),
        limit=Activity("usage_limit", "five_hour", 7.0),
        background=1,
        approvals=(question,),
        spent=0.5,
        banked=0.25,
    )
    assert remember(json.loads(json.dumps(memory.body()))) == memory
    assert remember(memory.body()) == memory


def test_what_an_older_or_a_newer_version_has_written_is_understood() -> None:
    assert remember({}) == Memory()
    assert remember({"life": 3, "not": "known"}) == Memory(life=3)
    assert remember({"tools": [["t1", "Bash"]]}) == Memory(tools=(("t1", "Bash", 0.0),))


def test_a_turn_costs_what_its_session_costs_more(model: ModuleType) -> None:
    memory = model.memory.Memory()
    costs = []
    for total in (0.1, 0.3, 0.3, 0.2):
        memory, cost = memory.paid(total)
        costs.append(cost)
    assert costs == [0.1, 0.2, 0.0, 0.2]
    assert memory.spent == 0.2


@pytest.mark.parametrize(("code", "left"), [(0, 3.0), (1, 3.0), (143, 3.0), (-9, 1.0)])
def test_a_killed_program_forgets_what_it_cost_since_it_was_last_ended(code: int, left: float) -> None:
    ended = Memory(phase="ready", spent=3.0, banked=1.0).ended(code)
    assert ended == Memory(phase="none", spent=left, banked=left)
