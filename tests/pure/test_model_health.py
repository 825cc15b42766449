"""Looks at everything: the probes, the agents, and whether each program answers in time; asked for, or regular."""

from __future__ import annotations

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.config import Config, HealthConfig, SessionConfig
from ccbridged.model.findings import COMPONENTS
from ccbridged.model.recovery import Limits
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import EPOCH, World

REGULAR = Config(session=SessionConfig(idle_timeout=0.0, request_timeout=0.0), health=HealthConfig(check_interval=10.0))


@pytest.fixture
def world() -> World:
    """With one instance that is ready."""
    world = World()
    world.add()
    world.advance(1)
    return world


def verdicts(document: dict[str, object]) -> dict[str, tuple[bool, str]]:
    components = document["components"]
    assert isinstance(components, list)
    return {one["name"]: (one["ok"], one["detail"]) for one in components}


def probed(world: World, **facts: object) -> None:
    (probe,) = list(world.asked_for(fx.Probe)[-1:])
    world.take(fx.RuntimeDone(probe.token, "probe", None, facts))


def test_all_is_well_when_everything_answers(world: World) -> None:
    told = world.say("health")
    assert (told["v"], told["ok"]) == (1, True)
    asked = {"checked_at": EPOCH + 101, "age_s": 0.0}
    assert told["components"] == [
        {"name": "docker_daemon", "ok": True, "detail": "no instance needs it", **asked},
        {
            "name": "fifo_pipes",
            "ok": True,
            "detail": "1 well",
            **asked,
            "instances": {"web": well("there; nothing waits in them")},
        },
        {"name": "container", "ok": True, "detail": "no instance needs it", **asked, "instances": {}},
        {
            "name": "agent",
            "ok": True,
            "detail": "1 well",
            **asked,
            "instances": {"web": well("answered in 0.0 ms, digest digest-1")},
        },
        {
            "name": "program",
            "ok": True,
            "detail": "1 well",
            **asked,
            "instances": {"web": well("last heard 0.0 s ago")},
        },
        {"name": "store", "ok": True, "detail": "writable", **asked},
    ]
    assert world.bridge.deadline is None


def well(detail: str) -> dict[str, object]:
    return {"ok": True, "detail": detail}


def test_nothing_that_should_run_is_well_too() -> None:
    told = verdicts(World().say("health"))
    assert told["agent"] == told["program"] == (True, "no instance needs it")


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
    assert told["components"][4]["instances"]["api"]["ok"] is True


def test_an_agent_that_does_not_answer_is_not_well_and_its_program_neither(world: World) -> None:
    world.agents["web"].silent = True
    client = world.ask("health")
    world.advance(5)
    told = verdicts(world.answer(client))
    assert told["agent"][1].startswith("web: takes nothing: for 5 s")
    pipes = world.answer(client)["components"][1]["instances"]["web"]
    assert pipes == well("there; what waits in them does so for 5.0 s")
    assert told["program"] == (False, "web: has not answered for 5 s")


def test_an_agent_whose_program_sleeps_is_asked_all_the_same(world: World) -> None:
    world.instance().conversation.session = SessionConfig(idle_timeout=1.0)
    world.advance(2)
    assert verdicts(world.say("health"))["program"] == (True, "1 well")
    world.agents["web"].silent = True
    world.advance(1)
    client = world.ask("health")
    world.advance(5)
    assert verdicts(world.answer(client))["agent"] == (False, "web: has not answered for 5 s")


def test_an_agent_that_says_something_else_is_alive_though_its_answer_is_late(world: World) -> None:
    world.agents["web"].silent = True
    client = world.ask("health")
    world.advance(1)
    world.instance().mail.link.heard_at = world.now
    world.advance(4)
    told = world.answer(client)["components"][3]["instances"]["web"]
    assert told["detail"].startswith("takes nothing")
    world.agents["web"].silent = False
    world.advance(60)
    assert verdicts(world.say("health"))["agent"] == (True, "1 well")


def test_a_busy_program_answers(world: World) -> None:
    world.send("[[hang]]")
    assert verdicts(world.say("health"))["program"] == (True, "1 well")


def test_a_program_that_goes_on_talking_need_not_answer(world: World) -> None:
    world.send("[[hang]]")
    world.homes["web"].mute = True
    client = world.ask("health")
    world.advance(2)
    world.program().say("stream_event")
    world.run()
    assert verdicts(world.answer(client))["program"] == (True, "1 well")


def test_the_probes_are_waited_for_however_long_they_take(world: World) -> None:
    world.slow = True
    client = world.ask("health")
    world.advance(60)
    assert world.answers[client] == []
    probed(
        world,
        store=[False, "the disk is full"],
        fifo_pipes={"web": "nonsense"},
        container={"web": [False, "is paused", "paused"]},
        docker_daemon="nonsense",
    )
    told = verdicts(world.answer(client))
    assert told["store"] == (False, "the disk is full")
    assert told["fifo_pipes"] == (False, "web: the probe said nothing")
    assert told["container"] == (False, "web: is paused")
    assert told["docker_daemon"] == (False, "the probe said nothing")


def test_what_probes_say_of_no_known_shape_is_passed_over(world: World) -> None:
    world.slow = True
    client = world.ask("health")
    probed(world, fifo_pipes="nonsense", container={"api": [True, "running"]})
    told = verdicts(world.answer(client))
    assert told["fifo_pipes"] == told["container"] == (True, "no instance needs it")
    assert "store" not in told


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
    probed(world)
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
    assert verdicts(told)["agent"] == (True, "no instance needs it")
    assert world.asked_for(fx.Probe)[-1].specs == ()


def test_what_nobody_wants_to_run_any_more_when_the_look_is_over_is_not_told(world: World) -> None:
    world.slow = True
    client = world.ask("health")
    world.say("stop", name="web", wait=False)
    probed(world)
    assert verdicts(world.answer(client))["agent"] == (True, "no instance needs it")


def test_a_client_that_went_away_is_not_answered_and_not_waited_for(world: World) -> None:
    world.homes["web"].mute = True
    staying, leaving = world.ask("health"), world.ask("health")
    world.take(fx.ClientGone(leaving))
    world.advance(5)
    assert len(world.answers[staying]) == 1
    assert world.answers[leaving] == []
    assert world.bridge.deadline is None
    world.take(fx.RuntimeDone("a look that is over", "probe", None, {}))


# The regular ones.


def test_everything_is_looked_at_regularly_and_the_last_look_is_shown_with_its_age() -> None:
    world = World(REGULAR)
    world.add()
    assert (world.say("status")["health"], world.say("status", name="web")["health"]) == ([], [])
    world.advance(10)
    world.advance(4)
    health = world.say("status")["health"]
    assert [(one["name"], one["ok"]) for one in health] == [(name, True) for name in COMPONENTS]
    assert {one["age_s"] for one in health if one["name"] != "container"} == {4.0}
    own = world.say("status", name="web")["health"]
    assert [one["name"] for one in own] == ["fifo_pipes", "agent", "program"]
    assert {one["age_s"] for one in own} == {4.0}
    world.advance(100)
    assert len(world.asked_for(fx.Probe)) == 11


def test_no_look_begins_before_the_last_one_is_over() -> None:
    world = World(REGULAR)
    world.add()
    world.slow = True
    world.advance(50)
    assert len(world.asked_for(fx.Probe)) == 1
    world.slow = False
    world.act()
    world.advance(10)
    assert len(world.asked_for(fx.Probe)) == 2


def test_a_daemon_without_instances_looks_at_nothing() -> None:
    world = World(REGULAR)
    world.advance(100)
    assert world.asked_for(fx.Probe) == []


def test_how_often_is_taken_over_from_a_new_configuration() -> None:
    world = World(REGULAR)
    world.add()
    world.take(fx.Reloaded(Config(health=HealthConfig(check_interval=1.0))))
    world.advance(5)
    assert len(world.asked_for(fx.Probe)) == 5
    world.take(fx.Reloaded(Config(health=HealthConfig(check_interval=1.0, max_consecutive_failures=7))))
    assert world.instance().care.recovery.limits == Limits(7, 5.0)
    world.take(fx.Reloaded(Config(session=REGULAR.session, health=HealthConfig(enabled=False))))
    world.advance(50)
    assert len(world.asked_for(fx.Probe)) == 5
    assert world.instance().care.recovery.limits is None


def test_what_changes_of_what_all_need_is_logged_once() -> None:
    world = World(REGULAR)
    world.add()
    world.slow = True
    for store in ([True, "fine"], [False, "full"], [False, "full"], [True, "fine"]):
        world.advance(10)
        world.actions.clear()
        probed(world, store=store)
    told = [say.text for say in world.asked_for(fx.Say) if "store" in say.text]
    assert told == ["store is not well: full", "store is well again: fine"]


# While the store cannot be written.


def test_a_store_that_cannot_be_written_is_told_at_once_with_what_else_is_known() -> None:
    world = World(REGULAR)
    world.add()
    world.advance(14)
    assert world.bridge.rounds.choke("the disk is full", world.moment()) == []
    world.now += 1
    looks = len(world.asked_for(fx.Probe))
    told = world.say("health")
    assert (told["ok"], len(world.asked_for(fx.Probe))) == (False, looks)
    ages = {one["name"]: (one["ok"], one["age_s"]) for one in told["components"] if one["name"] != "container"}
    assert ages == {**{name: (True, 5.0) for name in COMPONENTS if name != "container"}, "store": (False, 1.0)}
    assert verdicts(told)["store"] == (False, "the disk is full")
    assert world.say("status")["health"] == told["components"]
    assert world.say("health", component="agent")["ok"] is True
    world.bridge.rounds.breathe()
    assert all(one["ok"] for one in world.say("status")["health"])
    assert world.say("health")["ok"] is True


def test_before_the_first_look_a_store_that_cannot_be_written_is_all_that_is_known(world: World) -> None:
    world.bridge.rounds.choke("the disk is full", world.moment())
    assert verdicts(world.say("health")) == {"store": (False, "the disk is full")}
    assert [one["name"] for one in world.say("status")["health"]] == ["store"]
    told = world.say("health", component="agent")
    assert (told["ok"], verdicts(told)["agent"][1].startswith("has not been looked at yet")) == (False, True)
    world.bridge.rounds.breathe()
    assert world.say("status")["health"] == []


def test_who_waits_for_a_look_is_answered_when_the_store_fails_and_nothing_comes_of_the_look() -> None:
    world = World(REGULAR)
    world.add()
    world.homes["web"].mute = True
    world.advance(10)
    client = world.ask("health")
    (told,) = world.bridge.rounds.choke("the disk is full", world.moment())
    assert isinstance(told, fx.Reply)
    assert told.client == client
    world.bridge.rounds.breathe()
    world.advance(6)
    assert (world.say("status")["health"], world.answers[client]) == ([], [])
