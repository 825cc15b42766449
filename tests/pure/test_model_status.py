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


def test_a_clock_that_was_put_back_makes_no_negative_age(world: World) -> None:
    world.send("[[hang]]")
    world.instance().conversation.turn.since += 1000
    assert world.say("list")[0]["reason"] == "working 0 s"


def test_a_program_that_sleeps_is_told_to_do_so() -> None:
    world = World(replace(CALM, session=SessionConfig(idle_timeout=10.0)))
    world.add()
    world.advance(11)
    (row,) = world.say("list")
    assert (row["state"], row["reason"]) == ("ready", "asleep; it wakes up for the next prompt")
