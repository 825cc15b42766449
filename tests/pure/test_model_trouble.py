"""What goes wrong with an agent is said where people look: in its row, in its health, in the daemon's log."""

from __future__ import annotations

import json

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.config import Config, HealthConfig, PipesConfig, SessionConfig
from ccbridged.protocol import wire
from ccbridged.protocol.messages import Errors, encode
from tests.pure.bridge_kit import World


@pytest.fixture
def world() -> World:
    session = SessionConfig(idle_timeout=0.0, request_timeout=0.0)
    config = Config(session=session, health=HealthConfig(recovery_delay=5.0), pipes=PipesConfig(warn_age=5.0))
    world = World(config)
    world.add()
    return world


def row(world: World) -> fx.Json:
    (found,) = world.say("list")
    assert isinstance(found, dict)
    return found


def test_an_agent_that_takes_nothing_is_seen_in_its_row_and_in_its_health(world: World) -> None:
    world.agents["web"].silent = True
    world.ask("send", name="web", id="r", prompt="hello")
    world.advance(4)
    assert row(world)["reason"] == "starting 4 s"
    world.advance(3)
    assert str(row(world)["reason"]).startswith("the agent takes nothing: for 7 s what was said to it waits")
    health = world.ask("health", component="agent")
    world.act()
    world.advance(6)
    (component,) = world.answer(health)["components"]
    assert (component["ok"], "web: takes nothing" in component["detail"]) == (False, True)


def test_what_the_agent_says_of_itself_is_in_the_log_of_both(world: World) -> None:
    world.agents["web"].link.send(encode(Errors("", 0, "agent: the journal cannot be written")))
    world.run()
    assert "web: agent: the journal cannot be written" in world.logged()
    assert [log.line for log in world.disk.logs][-1] == "agent: the journal cannot be written"


@pytest.fixture
def launched(world: World) -> World:
    """Its agent was killed, and another one started that has said nothing yet."""
    world.slow = True
    world.kill_agent()
    world.advance(5)
    world.actions.clear()
    world.take(fx.RuntimeDone("web", "launch", None, {"pid": 7}))
    return world


@pytest.mark.parametrize("told_first", ["the stream", "the process"])
def test_an_agent_that_refuses_to_work_is_not_tried_again_and_its_words_are_told(
    launched: World, told_first: str
) -> None:
    if told_first == "the stream":
        launched.take(fx.Closed("web", "the agent went away"))
    launched.take(fx.AgentEnded("web", 78, "this journal was rolled back"))
    assert launched.state() == "failed"
    assert launched.reason() == "the agent refuses to work: this journal was rolled back"
    assert "ccbridgectl start web" in launched.logged()


def test_an_agent_that_ended_early_is_told_of_with_its_words(launched: World) -> None:
    launched.take(fx.AgentEnded("web", 3, "no such luck"))
    assert launched.reason() == "the agent ended with status 3 before it connected: no such luck"


@pytest.mark.parametrize(("theirs", "older"), [(0, "agent"), (2, "daemon")])
def test_of_two_versions_of_the_link_the_older_side_is_named(world: World, theirs: int, older: str) -> None:
    world.kill_agent()
    world.start_agent("web", silent=True)
    world.agents["web"].silent = False
    link, home = world.instance().mail.link, world.homes["web"]
    line = world.agents["web"].link.output(world.now).strip()
    hello = json.loads(line[:-16] + b"}")["hello"]
    hello |= {"heard": link.journal, "peer": link.generation, "journal": home.journal, "version": theirs}
    world.take(fx.Heard("web", wire.encode(wire.Hello(**hello))))
    assert world.state() == "failed"
    assert world.reason().endswith(f"the {older} must be upgraded")
    assert ("upgrade ccbridged" in world.logged()) is (older == "daemon")
