"""One look at everything: the probes, the agents, and whether each program answers in time."""

from __future__ import annotations

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.health import COMPONENTS
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import EPOCH, World


@pytest.fixture
def world() -> World:
    """With one instance that is ready."""
    world = World()
    world.add()
    return world


def verdicts(document: dict[str, object]) -> dict[str, tuple[bool, str]]:
    components = document["components"]
    assert isinstance(components, list)
    return {one["name"]: (one["ok"], one["detail"]) for one in components}


def test_all_is_well_when_everything_answers(world: World) -> None:
    told = world.say("health")
    assert (told["v"], told["ok"]) == (1, True)
    assert told["components"] == [
        {"name": "docker_daemon", "ok": True, "detail": "no instance needs it", "checked_at": EPOCH + 100},
        {"name": "agent", "ok": True, "detail": "1 well", "checked_at": EPOCH + 100},
        {"name": "program", "ok": True, "detail": "1 well", "checked_at": EPOCH + 100},
        {"name": "store", "ok": True, "detail": "writable", "checked_at": EPOCH + 100},
    ]
    assert world.bridge.deadline is None


def test_nothing_that_should_run_is_well_too() -> None:
    told = verdicts(World().say("health"))
    assert told["agent"] == told["program"] == (True, "no instance runs")


def test_one_component_can_be_asked_for_and_then_it_alone_counts(world: World) -> None:
    world.homes["web"].mute = True
    client = world.ask("health", component="agent")
    world.advance(5)
    told = world.answer(client)
    assert (told["ok"], list(verdicts(told))) == (True, ["agent"])


def test_an_unknown_component_is_said_to_be_so(world: World) -> None:
    with pytest.raises(BridgeError) as caught:
        world.say("health", component="network")
    assert (caught.value.code, caught.value.exit_status) == ("usage", 2)
    assert caught.value.hint == f"choose one of: {', '.join(COMPONENTS)}"


def test_a_program_that_does_not_answer_within_five_seconds_is_not_well(world: World) -> None:
    world.add("api")
    world.homes["web"].mute = True
    client = world.ask("health")
    world.advance(4.9)
    assert world.answers[client] == []
    world.advance(0.1)
    told = world.answer(client)
    assert told["ok"] is False
    assert verdicts(told)["program"] == (False, "web: has not answered for 5 s")


def test_a_busy_program_answers(world: World) -> None:
    world.send("[[hang]]")
    assert verdicts(world.say("health"))["program"] == (True, "1 well")


def test_the_probes_are_waited_for_however_long_they_take(world: World) -> None:
    world.slow = True
    client = world.ask("health")
    world.advance(60)
    assert world.answers[client] == []
    (probe,) = world.actions
    assert isinstance(probe, fx.Probe)
    facts: fx.Json = {"store": [False, "the disk is full"], "fifo_pipes": "nonsense", "container": [True, "2 running"]}
    world.take(fx.RuntimeDone(probe.token, "probe", None, facts))
    assert verdicts(world.answer(client)) == {
        "fifo_pipes": (False, "the probe said nothing"),
        "container": (True, "2 running"),
        "agent": (True, "1 well"),
        "program": (True, "1 well"),
        "store": (False, "the disk is full"),
    }


def test_a_lost_agent_is_not_well_and_its_program_is_not_asked(world: World) -> None:
    world.kill_agent()
    told = verdicts(world.say("health"))
    assert told["agent"] == (False, "web: recovering, the agent is gone")
    assert told["program"] == (False, "web: cannot be asked without its agent")
    assert world.disk.outbox["web"] == {}


def test_an_agent_that_has_not_come_yet_is_not_well() -> None:
    world = World()
    world.slow = True
    world.say("add", name="web", runtime="process", wait=False)
    client = world.ask("health", component="agent")
    (probe,) = world.asked_for(fx.Probe)
    world.take(fx.RuntimeDone(probe.token, "probe", None, {}))
    assert verdicts(world.answer(client))["agent"] == (False, "web: starting")


def test_a_program_that_is_down_is_not_well_and_says_why(world: World) -> None:
    world.kill_program(code=3)
    assert verdicts(world.say("health"))["program"] == (False, "web: Claude Code ended with status 3")
    world.homes["web"].mute = True
    world.advance(1)
    world.instance().conversation.lives.complaint = ""
    assert verdicts(world.say("health"))["program"] == (False, "web: starting")


def test_what_nobody_wants_to_run_is_well_as_it_is(world: World) -> None:
    world.say("stop", name="web")
    told = world.say("health")
    assert told["ok"]
    assert verdicts(told)["agent"] == (True, "no instance runs")
    assert world.asked_for(fx.Probe)[-1].specs == ()


def test_a_client_that_went_away_is_not_answered_and_not_waited_for(world: World) -> None:
    world.homes["web"].mute = True
    staying, leaving = world.ask("health"), world.ask("health")
    world.take(fx.ClientGone(leaving))
    world.advance(5)
    assert len(world.answers[staying]) == 1
    assert world.answers[leaving] == []
    assert world.bridge.deadline is None
