"""An instance is looked after, in virtual time: what does not answer is brought back by the least that helps, what
works is left alone, and what somebody did to a container is respected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.care import AFTERMATH
from ccbridged.model.config import Config, HealthConfig, PipesConfig, SessionConfig
from ccbridged.model.container import STARVATION, Container
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import World

CONFIG = Config(
    session=SessionConfig(idle_timeout=0.0, request_timeout=0.0),
    health=HealthConfig(check_interval=10.0, max_consecutive_failures=3, recovery_delay=5.0),
    pipes=PipesConfig(warn_age=0.0),
)
BOX = "0123456789ab" + "c" * 52


def plain() -> World:
    """With one instance that is ready."""
    world = World(CONFIG)
    world.add()
    return world


def boxed_plain() -> World:
    """Its instance is in a container that is there and stays."""
    world = World(CONFIG)
    assert world.say("add", name="web", runtime="docker", container="box")["state"] == "ready"
    return world


@pytest.fixture
def world() -> World:
    return plain()


@pytest.fixture
def boxed() -> World:
    return boxed_plain()


def recoveries(world: World) -> list[Any]:
    return world.disk.told("recovery")


def done(world: World) -> list[str]:
    return [told["done"] for told in recoveries(world) if "came" not in told]


def known(world: World) -> dict[str, str]:
    """What the last look found: component -> detail."""
    return {one["name"]: one["detail"] for one in world.say("status", name="web")["health"]}


def states(world: World) -> list[str]:
    return [told["state"] for told in world.disk.told("instance")]


def engine(world: World, action: str, called: str = "box", **details: object) -> None:
    world.take(fx.EngineSaid(BOX, called, action, details))


def freeze(world: World) -> None:
    """The agent is stopped: it neither says nor does anything."""
    world.agents["web"].silent = True
    world.agents["web"].acknowledges = False


# What does not answer.


def test_a_program_that_answers_nothing_is_restarted_and_goes_on_in_its_session(world: World) -> None:
    world.send("[[hang]]")
    world.finish()
    session = world.instance().conversation.memory.session_id
    world.homes["web"].mute = True
    world.advance(39)
    assert (world.state(), recoveries(world), len(world.homes["web"].starts)) == ("ready", [], 1)
    world.advance(1)
    assert done(world) == ["restart-program"]
    assert world.reason() == "its program has not answered for 5 s: restarting the program"
    world.homes["web"].mute = False
    world.advance(70)
    assert world.state() == "ready"
    assert [f"--resume={session}" in start for start in world.homes["web"].starts] == [False, True, True]


def test_what_was_seen_what_was_done_and_what_came_of_it_are_in_the_event_log(world: World) -> None:
    world.homes["web"].mute = True
    world.advance(40)
    world.homes["web"].mute = False
    world.advance(200)
    told = recoveries(world)
    seen = {"component": "program", "seen": "its program has not answered for 5 s", "done": "restart-program"}
    assert told[0] == seen
    assert told[-1]["came"] == "ready again"
    assert [row["state"] for row in world.disk.told("instance")][-1] == "ready"


def test_a_program_that_never_answers_is_given_up_and_what_it_was_at_is_uncertain(world: World) -> None:
    id_ = world.send("[[hang]]")
    world.homes["web"].mute = True
    world.advance(3000)
    assert world.state() == "failed"
    assert world.end_of(id_) == "uncertain"
    assert done(world)[0] == "restart-program"


def test_a_program_that_is_ready_and_then_answers_nothing_is_no_better_for_having_been_ready() -> None:
    """It is restarted while a look is under way, which then finds one that has said something."""
    world = World(replace(CONFIG, health=replace(CONFIG.health, check_interval=9.0)))
    world.add()
    world.homes["web"].deaf = True
    world.advance(33)
    world.slow = True
    world.advance(4)
    assert done(world) == ["restart-program"]
    world.slow = False
    world.run()
    found = {one["name"]: one["detail"] for one in world.say("status", name="web")["health"]}
    assert found["program"] == "has just been started"
    world.advance(1000)
    assert done(world) == ["restart-program", "restart-agent", "give-up"]
    assert world.state() == "failed"


def test_what_nothing_helps_against_is_given_up_and_nothing_runs_unseen(world: World) -> None:
    world.pipes["web"] = [False, "in.fifo is no FIFO"]
    world.advance(600)
    assert done(world) == ["reconnect", "restart-agent", "give-up"]
    assert world.state() == "failed"
    assert world.reason() == "its pipes: in.fifo is no FIFO; nothing that was tried has helped"
    assert "web" not in world.agents
    assert "ccbridgectl start web" in world.logged()


def test_an_agent_that_is_stopped_is_connected_to_anew_and_then_restarted(world: World) -> None:
    freeze(world)
    world.advance(300)
    assert done(world)[:2] == ["reconnect", "restart-agent"]
    assert world.state() == "ready"
    assert recoveries(world)[1] == {"done": "reconnect", "came": "it did not help"}
    assert recoveries(world)[-1]["came"] == "ready again"
    world.send("after")
    assert world.ran() == ["after"]


def test_an_agent_that_goes_on_before_the_remedy_is_due_is_left_alone(world: World) -> None:
    freeze(world)
    world.advance(38)
    agent = world.agents["web"]
    agent.silent, agent.acknowledges = False, True
    world.run()
    world.advance(300)
    assert (recoveries(world), world.agents["web"]) == ([], agent)


def test_an_agent_that_is_mute_when_the_daemon_comes_back_is_restarted_in_the_end(world: World) -> None:
    freeze(world)
    world.restart()
    world.advance(200)
    assert "restart-agent" in done(world)
    assert world.state() == "ready"


def test_an_agent_that_died_is_started_again_and_that_is_told_as_well(world: World) -> None:
    world.kill_agent()
    world.advance(10)
    assert recoveries(world) == [
        {"component": "agent", "seen": "the agent is gone", "done": "start-agent"},
        {"done": "start-agent", "came": "ready again", "after_s": 5.0},
    ]
    assert states(world)[-3:] == ["recovering", "connecting", "ready"]


def test_a_program_that_died_is_started_again_and_that_is_told_as_well(world: World) -> None:
    world.kill_program()
    world.advance(1)
    assert [told["done"] for told in recoveries(world)] == ["start-program", "start-program"]


# What works is left alone.


def test_long_work_whose_program_answers_is_never_disturbed(world: World) -> None:
    id_ = world.send("[[hang]]")
    world.advance(6 * 3600)
    assert (recoveries(world), world.end_of(id_), world.state()) == ([], "", "busy")


def test_a_turn_that_goes_on_talking_is_never_disturbed_though_nothing_is_answered(world: World) -> None:
    world.send("[[hang]]")
    world.homes["web"].mute = True
    for _ in range(200):
        world.advance(3)
        world.program().say("stream_event")
        world.run()
    assert recoveries(world) == []


def test_a_program_that_answers_late_is_left_alone(world: World) -> None:
    world.homes["web"].mute = True
    world.advance(36)
    world.homes["web"].mute = False
    world.program().say("keep_alive")
    world.run()
    world.advance(300)
    assert recoveries(world) == []


def test_broken_pipes_are_mended_when_the_turn_is_over(world: World) -> None:
    world.send("[[hang]]")
    world.pipes["web"] = [False, "in.fifo was replaced while it was in use"]
    world.advance(600)
    assert recoveries(world) == []
    world.finish()
    world.advance(30)
    assert recoveries(world)[0]["seen"] == "its pipes: in.fifo was replaced while it was in use"
    assert done(world)[0] == "reconnect"
    del world.pipes["web"]
    world.advance(100)
    assert world.state() == "ready"


def test_what_is_failed_or_stopped_is_not_mended(world: World) -> None:
    world.say("stop", name="web")
    world.advance(600)
    world.faults["web", "launch"] = BridgeError("refused", "no", "")
    with pytest.raises(BridgeError):
        world.say("start", name="web")
    world.pipes["web"] = [False, "gone"]
    world.advance(600)
    assert recoveries(world) == []


def test_without_health_nothing_is_looked_at_and_nothing_mended() -> None:
    world = World(Config(session=CONFIG.session, health=HealthConfig(enabled=False)))
    world.add()
    world.homes["web"].mute = True
    world.take(fx.EngineFound("24.0"))
    world.advance(3600)
    assert (recoveries(world), len(world.asked_for(fx.Probe))) == ([], 1)


def test_somebody_who_starts_it_again_begins_the_ladder_anew(world: World) -> None:
    world.homes["web"].mute = True
    world.advance(3000)
    assert world.state() == "failed"
    world.homes["web"].mute = False
    assert world.say("start", name="web")["state"] == "ready"
    world.advance(600)
    assert world.state() == "ready"


def test_a_remedy_that_is_due_is_off_when_somebody_has_stopped_the_instance(world: World) -> None:
    freeze(world)
    world.advance(36)
    world.say("stop", name="web")
    launched = len(world.asked_for(fx.Launch))
    world.advance(600)
    assert (world.state(), recoveries(world), len(world.asked_for(fx.Launch))) == ("stopped", [], launched)


def test_a_remedy_that_is_due_is_off_when_health_is_switched_off(world: World) -> None:
    freeze(world)
    world.advance(36)
    world.take(fx.Reloaded(replace(CONFIG, health=HealthConfig(enabled=False))))
    world.advance(600)
    assert recoveries(world) == []


def test_a_remedy_that_is_due_is_off_when_the_program_has_fallen_asleep() -> None:
    world = World(replace(CONFIG, session=SessionConfig(idle_timeout=37.0, request_timeout=0.0)))
    world.add()
    world.homes["web"].mute = True
    world.advance(36)
    assert world.state() == "ready"
    world.advance(600)
    assert (world.say("status", name="web")["state"], recoveries(world)) == ("ready", [])


def test_a_program_that_cannot_be_ended_has_its_agent_restarted(world: World) -> None:
    world.homes["web"].mute = True
    world.advance(39)
    world.agents["web"].undying = True
    world.advance(15)
    assert known(world)["program"] == "is being restarted"
    world.advance(15)
    assert known(world)["program"] == "does not end"
    assert done(world) == ["restart-program"]
    world.homes["web"].mute = False
    world.advance(200)
    assert done(world) == ["restart-program", "restart-agent"]
    assert world.state() == "ready"


def test_an_agent_that_takes_nothing_and_answers_all_the_same_is_left_alone(world: World) -> None:
    """Its disk may be full: it goes on by itself when there is room."""
    world.take(fx.Reloaded(replace(CONFIG, pipes=PipesConfig(warn_age=1.0))))
    id_ = world.send("[[hang]]")
    world.agents["web"].acknowledges = False
    world.advance(3600)
    assert recoveries(world) == []
    assert known(world)["agent"].startswith("takes nothing: for 3")
    assert known(world)["program"] == "cannot be asked: its agent takes nothing"
    world.agents["web"].acknowledges = True
    world.advance(60)
    assert (world.state(), world.end_of(id_)) == ("busy", "")


def test_an_agent_that_took_nothing_and_answers_no_more_is_looked_at_as_often_as_any_other(world: World) -> None:
    world.take(fx.Reloaded(replace(CONFIG, pipes=PipesConfig(warn_age=1.0))))
    world.send("[[hang]]")
    world.agents["web"].acknowledges = False
    world.advance(600)
    freeze(world)
    world.advance(24)
    assert recoveries(world) == []
    world.advance(20)
    assert done(world) == ["reconnect"]


def test_what_a_frozen_agent_ran_when_it_was_given_up_is_uncertain(world: World) -> None:
    id_ = world.send("[[hang]]")
    freeze(world)
    world.homes["web"].frozen = True
    world.advance(3000)
    assert (world.state(), world.end_of(id_)) == ("failed", "uncertain")


def test_what_ran_when_its_agent_died_and_never_came_back_is_uncertain(boxed: World) -> None:
    id_ = boxed.send("[[hang]]")
    boxed.faults["web", "launch"] = BridgeError("refused", "container box is read-only", "")
    boxed.kill_agent()
    boxed.advance(60)
    assert (boxed.state(), boxed.end_of(id_)) == ("failed", "")
    boxed.say("stop", name="web")
    del boxed.faults["web", "launch"]
    boxed.say("start", name="web")
    assert boxed.end_of(id_) == "uncertain"


# Containers.


def test_a_container_that_runs_again_is_not_stopped() -> None:
    container = Container("again")
    container.said(fx.EngineSaid(BOX, "box", "pause", {}), 1.0)
    assert container.stopped
    container.said(fx.EngineSaid(BOX, "box", "unpause", {}), 2.0)
    assert container.stopped == ""


def test_an_instance_in_a_container_listens_to_the_engine(boxed: World) -> None:
    assert fx.WatchEngine() in boxed.effects


def test_a_container_that_ends_by_itself_is_started_again(boxed: World) -> None:
    boxed.kill_agent()
    engine(boxed, "oom")
    engine(boxed, "die", exit_code=137)
    assert boxed.state() == "recovering"
    assert boxed.reason() == "its container box ended with status 137: it ran out of memory"
    assert {"container": "box", "did": "die", "exit_code": 137} in boxed.disk.told("container")
    boxed.advance(4)
    assert len(boxed.asked_for(fx.Launch)) == 1
    boxed.advance(1)
    assert boxed.asked_for(fx.Launch)[-1].container is True
    assert boxed.state() == "ready"
    assert done(boxed) == ["start-agent"]
    engine(boxed, "start")
    assert boxed.state() == "ready"
    boxed.kill_agent()
    boxed.advance(10)
    assert boxed.asked_for(fx.Launch)[-1].container is False


def test_a_container_that_somebody_kills_is_started_again_and_one_that_is_stopped_is_not(boxed: World) -> None:
    boxed.kill_agent()
    engine(boxed, "kill", signal="9")
    engine(boxed, "die", exit_code=137)
    boxed.advance(5)
    assert boxed.state() == "ready"
    boxed.containers["web"] = [False, "exited"]
    boxed.kill_agent()
    engine(boxed, "kill", signal="15")
    engine(boxed, "kill", signal="9")
    engine(boxed, "die", exit_code=137)
    boxed.advance(3600)
    assert boxed.state() == "recovering"
    assert boxed.reason() == "its container box was stopped; start it again: docker start box"
    assert len(boxed.asked_for(fx.Launch)) == 2
    engine(boxed, "start")
    assert boxed.state() == "ready"


def test_that_it_was_stopped_is_known_after_a_restart_of_the_daemon(boxed: World) -> None:
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    boxed.containers["web"] = [False, "exited"]
    boxed.effects.clear()
    boxed.restart()
    boxed.take(fx.EngineFound("24"))
    boxed.advance(600)
    assert (boxed.state(), boxed.asked_for(fx.Launch)) == ("recovering", [])
    assert fx.WatchEngine() in boxed.effects
    del boxed.containers["web"]
    boxed.advance(10)
    assert boxed.state() == "ready"


def test_somebody_may_start_what_somebody_stopped(boxed: World) -> None:
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    assert boxed.say("start", name="web", container=True)["state"] == "ready"
    assert boxed.asked_for(fx.Launch)[-1].container is True


def test_a_container_that_is_paused_is_waited_for(boxed: World) -> None:
    freeze(boxed)
    engine(boxed, "pause")
    assert boxed.reason() == "its container box is paused; let it go on: docker unpause box"
    boxed.containers["web"] = [False, "is paused; let it go on", "paused"]
    boxed.advance(3600)
    assert recoveries(boxed) == []
    agent = boxed.agents["web"]
    agent.silent, agent.acknowledges = False, True
    engine(boxed, "unpause")
    assert (boxed.state(), boxed.agents["web"]) == ("ready", agent)


def test_a_container_found_dead_by_a_look_is_started_with_the_next_try_for_as_long_as_it_takes(boxed: World) -> None:
    boxed.faults["web", "launch"] = BridgeError("not-running", "container box is exited", "docker start box")
    boxed.kill_agent()
    boxed.containers["web"] = [False, "exited with status 1"]
    boxed.advance(9)
    assert not any(launch.container for launch in boxed.asked_for(fx.Launch))
    boxed.advance(3600)
    assert (boxed.state(), boxed.asked_for(fx.Launch)[-1].container) == ("recovering", True)
    del boxed.faults["web", "launch"], boxed.containers["web"]
    boxed.advance(60)
    assert boxed.state() == "ready"


def test_a_mute_program_in_a_container_has_that_restarted_in_the_end(boxed: World) -> None:
    freeze(boxed)
    boxed.faults["web", "halt"] = BridgeError("failed", "the agent does not end", "")
    boxed.advance(3000)
    assert done(boxed)[:3] == ["reconnect", "restart-agent", "restart-container"]
    assert any(halt.container for halt in boxed.asked_for(fx.Halt))


def test_a_container_is_known_by_another_name_once_it_has_one(boxed: World) -> None:
    boxed.take(fx.RuntimeDone("web", "launch", None, {"container_id": BOX}))
    engine(boxed, "rename", "crate", was="box")
    assert boxed.say("list")[0]["container"] == "crate"
    assert boxed.state() == "ready"
    boxed.restart()
    assert boxed.say("list")[0]["container"] == "crate"


def test_a_container_that_takes_another_spec_keeps_that_when_it_is_renamed(boxed: World) -> None:
    agency = boxed.instance().agency
    agency.next_spec = fx.Spec("web", "docker", container="other")
    engine(boxed, "rename", "crate", was="box")
    assert (agency.spec.container, agency.next_spec.container) == ("crate", "other")


def test_what_happens_to_the_container_of_another_is_no_concern(boxed: World) -> None:
    boxed.add("local")
    boxed.take(fx.EngineSaid("f" * 64, "other", "die", {"exit_code": 1}))
    boxed.take(fx.EngineSaid("f" * 64, "ccbridge-web", "die", {"exit_code": 1}))
    assert (boxed.state(), boxed.state("local")) == ("ready", "ready")
    assert boxed.disk.told("container") == []


def test_a_container_made_for_it_is_known_by_its_name_until_its_id_is() -> None:
    world = World(CONFIG)
    world.say("add", name="web", runtime="docker", image="i")
    engine(world, "pause", "ccbridge-web")
    assert world.state() == "recovering"
    world.take(fx.RuntimeDone("web", "launch", None, {"container_id": "e" * 64}))
    engine(world, "unpause", "ccbridge-web")
    assert world.state() == "recovering"


def test_what_happens_while_it_is_launched_or_ended_is_only_recorded(boxed: World) -> None:
    boxed.slow = True
    boxed.say("stop", name="web", container=True, wait=False)
    engine(boxed, "kill", signal="15")
    engine(boxed, "die", exit_code=0)
    assert boxed.state() == "stopped"
    boxed.act()
    boxed.say("start", name="web", container=True, wait=False)
    engine(boxed, "start")
    boxed.act()
    assert boxed.state() == "ready"
    boxed.say("restart", name="web", container=True, wait=False)
    engine(boxed, "kill", signal="15")
    engine(boxed, "die", exit_code=0)
    assert isinstance(boxed.actions.popleft(), fx.Halt)
    boxed.kill_agent()
    boxed.take(fx.RuntimeDone("web", "halt", None, {}))
    engine(boxed, "start")
    boxed.restart()
    boxed.act()
    assert boxed.state() == "ready"


def test_an_engine_that_ends_stops_its_containers_and_that_was_nobodys_wish(boxed: World) -> None:
    boxed.advance(1000)
    boxed.containers["web"] = [False, "exited"]
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    boxed.take(fx.EngineLost("the Docker engine at its usual address is not running"))
    docker = boxed.say("status")["health"][0]
    assert (docker["name"], docker["ok"]) == ("docker_daemon", False)
    assert docker["detail"].startswith("the Docker engine at its usual address is not running")
    boxed.advance(5)
    boxed.take(fx.EngineFound("24.0"))
    assert (boxed.state(), boxed.asked_for(fx.Launch)[-1].container) == ("ready", True)
    assert boxed.say("status")["health"][0]["detail"] in ("version 24.0", "no instance needs it")


def test_a_container_that_was_stopped_long_before_its_engine_ended_stays_so(boxed: World) -> None:
    boxed.containers["web"] = [False, "exited"]
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    boxed.advance(AFTERMATH + 1)
    boxed.take(fx.EngineLost("gone"))
    boxed.take(fx.EngineFound("24.0"))
    boxed.advance(100)
    assert (boxed.state(), len(boxed.asked_for(fx.Launch))) == ("recovering", 1)


def test_an_engine_that_comes_and_goes_is_nothing_to_an_instance_that_works(boxed: World) -> None:
    boxed.take(fx.EngineLost("gone"))
    boxed.take(fx.EngineFound("24.0"))
    boxed.advance(100)
    assert (boxed.state(), len(boxed.asked_for(fx.Launch)), recoveries(boxed)) == ("ready", 1, [])


def test_an_instance_that_waits_for_its_engine_is_tried_as_soon_as_that_is_back(boxed: World) -> None:
    gone = BridgeError("unavailable", "the Docker engine at its usual address is not running", "start it")
    boxed.faults["web", "launch"] = gone
    boxed.kill_agent()
    boxed.advance(300)
    assert boxed.reason() == gone.message
    del boxed.faults["web", "launch"]
    boxed.take(fx.EngineFound("24.0"))
    assert boxed.state() == "ready"


def test_a_look_that_is_older_than_the_engines_word_changes_nothing(boxed: World) -> None:
    boxed.slow = True
    boxed.advance(10)
    (probe,) = boxed.actions
    assert isinstance(probe, fx.Probe)
    boxed.actions.clear()
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    boxed.take(fx.RuntimeDone(probe.token, "probe", None, {"container": {"web": [True, "running"]}}))
    assert (boxed.state(), boxed.reason()) == (
        "recovering",
        "its container box was stopped; start it again: docker start box",
    )
    assert not boxed.actions


def test_a_container_found_paused_by_a_look_is_waited_for(boxed: World) -> None:
    freeze(boxed)
    boxed.containers["web"] = [False, "is paused; let it go on: docker unpause box", "paused"]
    boxed.restart()
    boxed.advance(600)
    assert recoveries(boxed) == []
    assert boxed.reason() == "its container is paused; let it go on: docker unpause box"
    agent = boxed.agents["web"]
    agent.silent, agent.acknowledges = False, True
    del boxed.containers["web"]
    boxed.advance(10)
    assert (boxed.state(), boxed.agents["web"]) == ("ready", agent)


def test_a_signal_of_long_ago_stopped_nothing_and_neither_did_one_when_memory_ran_out(boxed: World) -> None:
    engine(boxed, "kill", signal="1")
    boxed.advance(3600)
    boxed.kill_agent()
    engine(boxed, "die", exit_code=139)
    boxed.advance(5)
    assert boxed.state() == "ready"
    engine(boxed, "kill", signal="15")
    engine(boxed, "oom")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=137)
    assert boxed.reason() == "its container box ended with status 137: it ran out of memory"
    boxed.advance(10)
    assert boxed.state() == "ready"


def test_an_end_that_was_our_own_is_nobodys_wish_after_a_restart(boxed: World) -> None:
    boxed.slow = True
    boxed.say("restart", name="web", container=True, wait=False)
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    boxed.containers["web"] = [False, "exited"]
    boxed.faults["web", "launch"] = BridgeError("unavailable", "the engine is busy", "")
    boxed.act()
    assert (boxed.state(), boxed.reason()) == ("recovering", "the engine is busy")
    boxed.slow = False
    boxed.restart()
    del boxed.faults["web", "launch"]
    boxed.advance(10)
    assert boxed.state() == "ready"


def test_a_probe_that_failed_is_not_well(boxed: World) -> None:
    boxed.slow = True
    client = boxed.ask("health")
    (probe,) = [action for action in boxed.actions if isinstance(action, fx.Probe)]
    boxed.take(fx.RuntimeDone(probe.token, "probe", BridgeError("busy", "1000 runtime actions wait already"), {}))
    told = boxed.answer(client)
    assert told["ok"] is False
    assert told["components"][0]["detail"] == "could not be looked at: 1000 runtime actions wait already"


def test_memory_that_ran_out_long_ago_or_before_the_order_makes_no_death_of_an_order(boxed: World) -> None:
    """The engine says it of any process in the container, which often lives on."""
    boxed.containers["web"] = [False, "exited"]
    engine(boxed, "oom")
    boxed.advance(STARVATION + 1)
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    assert boxed.reason() == "its container box was stopped; start it again: docker start box"
    engine(boxed, "start")
    engine(boxed, "oom")
    boxed.advance(STARVATION + 1)
    boxed.kill_agent()
    engine(boxed, "die", exit_code=1)
    assert boxed.reason() == "its container box ended with status 1"


def test_a_container_that_was_stopped_and_removed_is_said_to_be(boxed: World) -> None:
    boxed.containers["web"] = [False, "is missing"]
    engine(boxed, "kill", signal="15")
    boxed.kill_agent()
    engine(boxed, "die", exit_code=0)
    engine(boxed, "destroy")
    boxed.advance(100)
    again = "create it again by that name, or: ccbridgectl remove web"
    assert boxed.reason() == f"its container box was stopped and removed; {again}"
    assert len(boxed.asked_for(fx.Launch)) == 1
    boxed.take(fx.EngineSaid("e" * 64, "box", "start", {}))
    assert boxed.state() == "ready"


def test_one_that_is_removed_while_it_runs_has_died(boxed: World) -> None:
    boxed.kill_agent()
    engine(boxed, "kill", signal="9")
    engine(boxed, "die", exit_code=137)
    engine(boxed, "destroy")
    assert boxed.reason() == "its container box ended with status 137"


def test_a_container_that_is_stopped_while_only_its_agent_is_launched_stays_so(boxed: World) -> None:
    boxed.containers["web"] = [False, "exited"]
    boxed.kill_agent()
    boxed.slow = True
    boxed.advance(5)
    engine(boxed, "kill", signal="15")
    engine(boxed, "die", exit_code=0)
    boxed.faults["web", "launch"] = BridgeError("not-running", "container box is exited", "docker start box")
    boxed.slow = False
    boxed.advance(600)
    assert not any(launch.container for launch in boxed.asked_for(fx.Launch))
    del boxed.faults["web", "launch"]
    engine(boxed, "start")
    assert boxed.state() == "ready"


def test_what_was_found_of_an_instance_goes_with_it(world: World) -> None:
    world.add("other")
    world.advance(20)
    assert set(instances(world)) == {"web", "other"}
    world.say("remove", name="other")
    assert set(instances(world)) == {"web"}


def instances(world: World) -> Any:
    """Of whose agents a look has found something."""
    (agent,) = [one for one in world.say("status")["health"] if one["name"] == "agent"]
    return agent["instances"]
