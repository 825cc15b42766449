"""How instances are shown: the keys are a promise to scripts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ccbridged.model.config import SessionConfig
from tests.pure.bridge_kit import CALM, EPOCH, World


@pytest.fixture
def world() -> World:
    """With one instance that is ready."""
    world = World()
    world.add(args=["--model", "opus"], env={"TOKEN": "secret"})
    return world


def test_a_row_of_list(world: World) -> None:
    assert world.say("list") == [
        {
            "name": "web",
            "state": "ready",
            "reason": "",
            "since": EPOCH + 100,
            "runtime": "process",
            "container": "",
            "transport": "fifo",
            "driver": "claude",
            "session_id": world.program().session,
            "queued": 0,
            "running": None,
            "activity": None,
            "agent": {
                "digest": "digest-1",
                "pid": 41,
                "version": "1.0",
                "python": "3.11",
                "user": "node",
                "current": True,
            },
        }
    ]


def test_status_of_one_has_more(world: World) -> None:
    (row,) = world.say("list")
    assert world.say("status", name="web") == {
        "v": 1,
        **row,
        "transport_reason": "auto: the FIFO pair, as agent and daemon share a kernel",
        "program": ["claude", "--model", "opus"],
        "workdir": "",
        "version": "2.1.329",
        "image": "",
        "env": ["TOKEN"],
        "link": {"up": True, "stale": 0, "malformed": 0, "overlong": 0},
        "health": [],
    }


def test_the_transport_that_was_asked_for_is_told_apart_from_the_one_that_was_found() -> None:
    world = World()
    world.add(transport="fifo")
    reason = world.say("status", name="web")["transport_reason"]
    assert reason == "asked for; agent and daemon share a kernel"


@pytest.mark.parametrize(("place", "container"), [({"container": "box"}, "box"), ({"image": "x"}, "ccbridge-web")])
def test_the_container_is_named_whoever_made_it(place: dict[str, str], container: str) -> None:
    world = World()
    world.say("add", name="web", runtime="docker", **place)
    assert world.say("list")[0]["container"] == container


def test_an_instance_without_an_agent_has_none(world: World) -> None:
    world.say("stop", name="web")
    assert world.say("list")[0]["agent"] is None


def test_an_agent_of_another_package_is_seen(world: World) -> None:
    world.homes["web"].digest = "digest-2"
    world.kill_agent()
    world.start_agent("web")
    assert world.say("list")[0]["agent"]["current"] is False


def test_the_state_has_the_age_that_it_has(world: World) -> None:
    world.advance(50)
    world.kill_agent()
    world.advance(2)
    (row,) = world.say("list")
    assert (row["state"], row["reason"], row["since"]) == ("recovering", "the agent is gone", EPOCH + 150)


def test_what_a_busy_instance_is_at_is_told_with_its_age(world: World) -> None:
    running, _ = world.send("[[tool Bash ls]]"), world.send("later")
    world.advance(41)
    (row,) = world.say("list")
    assert (row["state"], row["reason"]) == ("busy", "waiting for approval of Bash 41 s")
    assert (row["running"], row["queued"]) == (running, 1)


def test_what_it_is_at_is_told_to_scripts_too(world: World) -> None:
    world.send("[[tool Bash ls]]")
    world.advance(41)
    told = world.say("list")[0]["activity"]
    assert {**told, "heard_at": 0} == {
        "kind": "waiting_for_approval",
        "detail": "Bash",
        "since": EPOCH + 100,
        "until": None,
        "heard_at": 0,
    }
    world.kill_agent()
    assert world.say("list")[0]["activity"] is None


def test_what_goes_on_that_nobody_asked_for_is_told_apart(world: World) -> None:
    world.program().say("system", subtype="status", status="requesting")
    world.run()
    world.advance(3)
    (row,) = world.say("list")
    assert (row["state"], row["reason"]) == ("ready", "by itself: waiting for the model 3 s")


@pytest.mark.parametrize(("resets_in", "reason"), [(9000, "usage limit reached (five hour), it ends in 2 h"), (-1, "")])
def test_a_limit_that_is_reached_is_told_until_it_ends(world: World, resets_in: int, reason: str) -> None:
    info = {"status": "rejected", "resetsAt": int(EPOCH) + 100 + resets_in, "rateLimitType": "five_hour"}
    world.program().say("rate_limit_event", rate_limit_info=info)
    world.run()
    assert world.say("list")[0]["reason"] == reason
    world.program().say("rate_limit_event", rate_limit_info={"status": "allowed"})
    world.run()
    assert world.say("list")[0]["reason"] == ""


def test_a_program_that_sleeps_is_told_to_do_so() -> None:
    world = World(replace(CALM, session=SessionConfig(idle_timeout=10.0)))
    world.add()
    world.advance(11)
    (row,) = world.say("list")
    assert (row["state"], row["reason"]) == ("ready", "asleep; it wakes up for the next prompt")
