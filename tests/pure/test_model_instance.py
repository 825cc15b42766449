"""An instance's life: added, started, lost and found again, restarted, stopped, removed; whatever dies meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.config import SessionConfig
from ccbridged.model.mail import MAX_HELD
from ccbridged.protocol import wire
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState
from ccbridged.protocol.messages import End, Feed, Start, Tail, decode, encode
from tests.pure.bridge_kit import CALM, World

NO_ENGINE = BridgeError("unavailable", "the engine does not answer", "systemctl start docker")
NO_IMAGE = BridgeError("refused", "there is no image x", "docker pull x")


@pytest.fixture
def world() -> World:
    """With one instance that is ready."""
    world = World()
    world.add()
    return world


def history(world: World) -> list[str]:
    """The states that were gone through, as the log tells them."""
    said = [effect.text for effect in world.asked_for(fx.Say) if " → " in effect.text]
    return [text.partition(" → ")[2].partition(",")[0] for text in said]


# Adding and starting.


def test_add_goes_through_starting_and_connecting_to_ready() -> None:
    world = World()
    assert world.say("add", name="web", runtime="process") == {"name": "web", "state": "ready", "reason": ""}
    assert history(world) == ["starting", "connecting", "ready"]
    assert [argv[0] for argv in world.homes["web"].starts] == ["claude"]


def test_an_add_that_is_not_waited_for_is_answered_at_once() -> None:
    world = World()
    world.slow = True
    assert world.say("add", name="web", runtime="process", wait=False)["state"] == "starting"
    world.act()
    assert world.state() == "ready"


@pytest.mark.parametrize("fault", [NO_ENGINE, NO_IMAGE])
def test_an_add_refused_at_its_first_launch_leaves_nothing(fault: BridgeError) -> None:
    world = World()
    world.faults["web", "launch"] = fault
    with pytest.raises(BridgeError) as caught:
        world.say("add", name="web", runtime="process")
    assert caught.value is fault
    assert (world.bridge.instances, world.disk.instances, world.streams) == ({}, {}, {})
    assert len(world.asked_for(fx.Remove)) == 1
    world.faults.clear()
    world.add()


@pytest.mark.parametrize("final", [True, False])
def test_an_add_whose_fifos_cannot_be_had_leaves_nothing(final: bool) -> None:
    world = World()
    world.stream_faults["web"] = fx.Closed("web", "no inodes are left", final)
    with pytest.raises(BridgeError, match="no inodes are left"):
        world.say("add", name="web", runtime="process")
    assert world.bridge.instances == {}


def test_a_refused_add_is_told_when_all_is_gone_and_what_was_sent_is_cancelled() -> None:
    world = World()
    world.slow = True
    adding = world.ask("add", name="web", runtime="process")
    sent = world.send("hi")
    world.faults["web", "launch"] = NO_IMAGE
    world.faults["web", "remove"] = NO_ENGINE
    launch = world.actions.popleft()
    assert isinstance(launch, fx.Launch)
    world.take(fx.RuntimeDone("web", "launch", NO_IMAGE, {}))
    assert world.answers[adding] == []
    assert (world.state(), world.reason()) == ("stopped", "there is no image x")
    with pytest.raises(BridgeError, match="web is being removed"):
        world.say("start", name="web")
    world.act()
    with pytest.raises(BridgeError) as caught:
        world.answer(adding)
    assert caught.value is NO_IMAGE
    assert world.bridge.instances == {}
    assert world.end_of(sent) == "cancelled"


def test_only_the_first_start_is_undone_when_it_is_refused(world: World) -> None:
    world.say("stop", name="web")
    world.faults["web", "launch"] = NO_IMAGE
    with pytest.raises(BridgeError) as caught:
        world.say("start", name="web")
    assert (caught.value.code, caught.value.hint) == ("refused", "docker pull x")
    assert (world.state(), world.reason()) == ("failed", "there is no image x")
    assert world.streams == {}
    world.faults.clear()
    assert world.say("start", name="web")["state"] == "ready"


def test_an_agent_that_was_there_already_is_not_a_first_start() -> None:
    world = World()
    world.start_agent("web")
    world.add()
    assert world.asked_for(fx.Launch) == []
    world.faults["web", "launch"] = NO_IMAGE
    world.kill_agent()
    world.advance(5)
    assert world.state() == "failed"
    assert "web" in world.disk.instances


def test_a_start_that_is_under_way_is_waited_for_and_not_begun_twice() -> None:
    world = World()
    world.slow = True
    clients = [world.ask("add", name="web", runtime="process"), world.ask("start", name="web")]
    world.act()
    clients.append(world.ask("start", name="web"))
    assert [world.answer(client)["state"] for client in clients] == ["ready"] * 3
    assert len(world.asked_for(fx.Launch)) == 1


def test_a_start_in_the_midst_of_another_try_does_not_launch_a_second_agent(world: World) -> None:
    world.slow = True
    world.kill_agent()
    world.advance(5)
    starting = world.ask("start", name="web")
    assert (world.state(), len(world.actions)) == ("starting", 1)
    world.act()
    assert world.answer(starting)["state"] == "ready"
    assert len(world.asked_for(fx.Launch)) == 2


def test_the_container_is_started_only_when_asked_for(world: World) -> None:
    world.say("stop", name="web")
    world.say("start", name="web", container=True)
    world.say("restart", name="web")
    assert [launch.container for launch in world.asked_for(fx.Launch)] == [False, True, False]


def test_a_client_that_went_away_is_not_answered() -> None:
    world = World()
    world.slow = True
    client = world.ask("add", name="web", runtime="process")
    world.take(fx.ClientGone(client))
    world.act()
    assert (world.state(), world.answers[client]) == ("ready", [])


# The agent is lost.


def test_a_lost_agent_is_tried_again_after_delays_that_double_up_to_a_minute(world: World) -> None:
    world.faults["web", "launch"] = NO_ENGINE
    world.kill_agent()
    assert (world.state(), world.reason()) == ("recovering", "the agent is gone")
    tries = []
    for _ in range(6):
        due = world.bridge.deadline
        assert due is not None
        tries.append(due - world.now)
        world.advance(due - world.now)
        assert world.reason() == "the engine does not answer"
    assert tries == [5, 10, 20, 40, 60, 60]
    world.faults.clear()
    world.advance(60)
    assert world.state() == "ready"
    world.kill_agent()
    world.advance(5)
    assert world.state() == "ready"


def test_an_agent_that_stays_away_for_weeks_is_still_tried(world: World) -> None:
    world.faults["web", "launch"] = NO_ENGINE
    world.kill_agent()
    world.advance(2000 * 60)
    world.faults.clear()
    world.advance(60)
    assert world.state() == "ready"


def test_those_who_wait_are_told_that_it_is_tried_again(world: World) -> None:
    world.say("stop", name="web")
    world.faults["web", "launch"] = BridgeError("unavailable", "the engine does not answer")
    with pytest.raises(BridgeError) as caught:
        world.say("start", name="web")
    assert (caught.value.code, caught.value.exit_status) == ("unavailable", 69)
    assert caught.value.hint == "it is tried again until it works; stop that with: ccbridgectl stop web"
    assert world.state() == "recovering"


def test_a_start_does_not_wait_for_the_next_try(world: World) -> None:
    world.faults["web", "launch"] = NO_ENGINE
    world.kill_agent()
    world.advance(20)
    world.faults.clear()
    assert world.say("start", name="web")["state"] == "ready"


def test_an_agent_that_comes_back_by_itself_is_taken(world: World) -> None:
    world.kill_agent()
    world.start_agent("web")
    assert world.state() == "ready"
    assert len(world.asked_for(fx.Launch)) == 1
    world.advance(100)
    assert world.state() == "ready"


def test_an_agent_whose_stream_broke_is_there_again_after_a_moment(world: World) -> None:
    sent = world.send("[[hang]]")
    world.agents["web"].link.disconnect()
    world.streams["web"] = "listening"
    world.take(fx.Closed("web", "bytes were lost"))
    world.streams["web"] = "open"
    world.agents["web"].link.connect(world.now, 61440)
    world.take(fx.Opened("web", 61440))
    assert (world.instance().mail.link.up, world.state()) == (True, "connecting")
    world.advance(1)
    assert world.state() == "busy"
    world.finish()
    assert world.end_of(sent) == "succeeded"
    assert len(world.homes["web"].starts) == 1
    world.kill_agent()
    assert "trying again in 5 s" in world.logged().splitlines()[-2]


def test_an_agent_that_was_replaced_unnoticed_has_its_program_started(world: World) -> None:
    sent = world.send("[[hang]]")
    world.agents.pop("web")
    world.start_agent("web")
    world.agents["web"].link.connect(world.now, 61440)
    world.run()
    assert world.state() == "ready"
    assert world.end_of(sent) == "uncertain"
    assert len(world.homes["web"].starts) == 2


def test_a_program_that_is_not_wanted_any_more_is_not_brought_back_with_its_agent(world: World) -> None:
    world.homes["web"].fault = "no login"
    world.kill_program()
    world.advance(600)
    assert world.state() == "failed"
    world.kill_agent()
    world.advance(600)
    assert (world.state(), world.streams) == ("failed", {})
    assert len(world.asked_for(fx.Launch)) == 1
    world.homes["web"].fault = ""
    assert world.say("start", name="web")["state"] == "ready"


def test_an_agent_that_does_not_speak_is_missed(world: World) -> None:
    world.say("stop", name="web")
    world.start_agent("web", silent=True)
    starting = world.ask("start", name="web")
    assert world.state() == "connecting"
    world.advance(19.9)
    assert world.answers[starting] == []
    world.advance(0.1)
    with pytest.raises(BridgeError, match="the agent said nothing for 20 s"):
        world.answer(starting)
    assert world.state() == "recovering"


def test_an_agent_that_connects_and_does_not_say_who_it_is_is_missed() -> None:
    world = World()
    world.slow = True
    client = world.ask("add", name="web", runtime="process")
    world.actions.clear()
    world.start_agent("web", silent=True)
    world.take(fx.RuntimeDone("web", "launch", None, {}))
    world.agents["web"].silent = False
    world.run()
    assert world.instance().mail.link.up
    assert world.state() == "connecting"
    world.advance(20)
    with pytest.raises(BridgeError, match="the agent said nothing"):
        world.answer(client)


def test_a_launched_agent_that_never_comes_is_missed() -> None:
    world = World()
    world.slow = True
    world.ask("add", name="web", runtime="process")
    world.actions.clear()
    world.take(fx.RuntimeDone("web", "launch", None, {"pid": 7}))
    world.advance(20)
    assert (world.state(), world.reason()) == ("recovering", "the agent said nothing for 20 s")


def test_an_agent_that_ends_before_it_connected_is_lost_at_once() -> None:
    world = World()
    world.slow = True
    world.ask("add", name="web", runtime="process")
    world.actions.clear()
    world.take(fx.AgentEnded("web", 3))
    assert world.state() == "starting"
    world.take(fx.RuntimeDone("web", "launch", None, {}))
    world.take(fx.AgentEnded("web", 3))
    assert (world.state(), world.reason()) == ("recovering", "the agent ended with status 3 before it connected")


def test_of_an_agent_that_was_connected_the_stream_says_that_it_is_gone(world: World) -> None:
    world.take(fx.AgentEnded("web", 0))
    assert world.state() == "ready"


def test_a_lost_stream_is_one_loss_however_often_it_is_said(world: World) -> None:
    world.slow = True
    world.kill_agent()
    world.take(fx.Closed("web", "once more"))
    world.advance(5)
    world.take(fx.Closed("web", "and again"))
    assert world.reason() == "the agent is gone"
    world.act()
    assert world.state() == "ready"


def test_a_launch_that_fails_although_the_agent_speaks_has_not_failed() -> None:
    world = World()
    world.slow = True
    client = world.ask("add", name="web", runtime="process")
    world.actions.clear()
    world.start_agent("web")
    world.take(fx.RuntimeDone("web", "launch", NO_ENGINE, {}))
    assert world.answer(client)["state"] == "ready"


def test_what_does_not_exist_any_more_is_not_listened_to(world: World) -> None:
    world.take(fx.Heard("none", b"\n"))
    world.say("stop", name="web")
    world.take(fx.Opened("web", 61440))
    assert (world.state(), world.instance().mail.link.deadline) == ("stopped", None)


# The end of the link.


def test_an_agent_of_another_version_is_not_tried_again(world: World) -> None:
    world.kill_agent()
    home = world.homes["web"]
    world.start_agent("web", silent=True)
    world.agents["web"].silent = False
    speaks = world.agents["web"].link.output(world.now).replace(b'"version":1', b'"version":9')
    assert b'"version":9' in speaks
    # What says so must be sealed anew and echo our generation, as the real thing would.
    link = world.instance().mail.link
    hello = json.loads(speaks.strip()[:-16] + b"}")["hello"]
    hello |= {"heard": link.journal, "peer": link.generation, "journal": home.journal}
    world.take(fx.Heard("web", wire.encode(wire.Hello(**hello))))
    assert world.state() == "failed"
    assert world.reason() == "the agent speaks version 9 of the link, this daemon 1: the daemon must be upgraded"
    assert world.streams == {}
    world.advance(600)
    assert world.state() == "failed"
    assert world.say("restart", name="web")["state"] == "ready"


def test_an_agent_that_breaks_the_protocol_is_not_tried_again(world: World) -> None:
    link = world.agents["web"].link
    ours = world.instance().mail.link.generation
    world.take(fx.Heard("web", wire.encode(wire.Data(link.generation, ours, 99, 0, 1 << 40, "x"))))
    assert world.state() == "failed"
    assert "the agent broke the protocol: a message of 1099511627776 characters" in world.reason()
    assert "ccbridgectl restart web" in world.logged()
    with pytest.raises(BridgeError) as caught:
        world.send("hi")
    assert (caught.value.code, caught.value.exit_status) == ("not-running", 3)
    assert world.say("start", name="web")["state"] == "ready"


def test_a_database_that_was_put_back_is_not_worked_with(world: World) -> None:
    old = dict(world.disk.instances), dict(world.disk.links)
    world.send("hi")
    world.disk.instances, world.disk.links = old
    world.disk.requests.clear()
    world.restart()
    assert world.state() == "failed"
    assert world.reason().startswith("the database was rolled back: ")
    assert "put the newest back, or: ccbridgectl remove web" in world.logged()


def test_a_daemon_that_meets_a_later_one_of_its_kind_ends(world: World) -> None:
    mine = world.instance().mail.link
    theirs = world.agents["web"].link
    fields = {"peer": mine.generation + 1, "heard": mine.journal, "peer_journal": mine.journal, "settled": True}
    hello = wire.Hello(
        generation=theirs.generation + 1,
        journal=theirs.journal,
        committed=0,
        delivered=0,
        base=0,
        oldest=1,
        version=wire.VERSION,
        digest="",
        **fields,  # type: ignore[arg-type]
    )
    world.take(fx.Heard("web", wire.encode(hello)))
    assert world.exited
    assert world.exited.status == 75
    assert "another ccbridged works with this state directory" in world.exited.reason


def test_an_agent_that_lost_its_journal_begins_anew_and_what_ran_is_uncertain(world: World) -> None:
    sent = world.send("[[hang]]")
    world.homes["web"].files.clear()
    world.lose_journal()
    world.advance(10)
    assert world.state() == "ready"
    assert "the agent has lost its journal" in world.logged()
    assert world.end_of(sent) == "uncertain"
    assert world.ran() == ["[[hang]]"]
    assert world.end_of(world.send("next")) == "succeeded"


def test_an_agent_that_makes_no_sense_is_passed_over(world: World) -> None:
    link = world.agents["web"].link
    for text in ("7", '["output",1]', '["of a later version"]', encode(Feed("main", 1, "x"))):
        link.send(text)
    world.run()
    assert world.state() == "ready"
    assert world.logged().count("the agent makes no sense") == 2
    assert world.end_of(world.send("hi")) == "succeeded"


def flood(world: World, count: int) -> None:
    program = world.program()
    for number in range(count):
        program.ask_permission(f"q{number}", "Bash", command="rm")
    world.run()


def test_a_flood_of_questions_to_which_no_answer_is_taken_fails_the_instance(world: World) -> None:
    world.agents["web"].acknowledges = False
    flood(world, MAX_HELD + 40)
    assert world.state() == "failed"
    assert world.reason() == f"the agent takes nothing: {MAX_HELD} messages wait for its receipt"
    assert world.streams == {}
    assert len(world.disk.outbox["web"]) == MAX_HELD
    before = len(world.effects)
    flood(world, 100)
    world.advance(3600)
    assert len(world.effects) == before
    assert world.say("restart", name="web")["state"] == "ready"
    assert world.disk.outbox["web"] == {}


def test_a_flood_that_is_taken_is_no_harm(world: World) -> None:
    flood(world, MAX_HELD * 2)
    assert world.state() == "ready"


# The program.


def test_a_program_that_died_is_started_again_and_the_reason_is_told(world: World) -> None:
    world.kill_program(code=3)
    assert (world.state(), world.reason()) == ("recovering", "Claude Code ended with status 3")
    world.advance(1)
    assert (world.state(), world.reason()) == ("ready", "")


def test_a_program_that_cannot_start_is_given_up_after_three_deaths() -> None:
    world = World()
    world.home("web").fault = "no login"
    client = world.ask("add", name="web", runtime="process")
    with pytest.raises(BridgeError) as caught:
        world.answer(client)
    assert (caught.value.code, caught.value.message) == ("failed", "Claude Code ended with status 1: no login")
    world.advance(60)
    assert world.state() == "failed"
    assert len(world.homes["web"].starts) == 3
    world.advance(3600)
    assert len(world.homes["web"].starts) == 3
    world.homes["web"].fault = ""
    assert world.say("start", name="web")["state"] == "ready"


def test_a_start_brings_back_the_program_of_an_agent_that_is_there(world: World) -> None:
    world.kill_program()
    world.homes["web"].fault = "no login"
    world.advance(1)
    world.homes["web"].fault = ""
    assert world.state() == "recovering"
    assert world.say("start", name="web")["state"] == "ready"
    assert len(world.asked_for(fx.Launch)) == 1


def test_a_program_that_sleeps_counts_as_ready_and_wakes_up_for_a_prompt() -> None:
    world = World(replace(CALM, session=SessionConfig(idle_timeout=10.0)))
    world.add()
    world.advance(11)
    assert world.program().dead
    assert world.state() == "ready"
    assert world.end_of(world.send("wake up")) == "succeeded"


def test_a_program_that_sleeps_is_not_woken_by_a_new_agent_but_for_a_prompt() -> None:
    world = World(replace(CALM, session=SessionConfig(idle_timeout=10.0)))
    world.add()
    world.send("first")
    world.advance(11)
    world.kill_agent()
    world.advance(5)
    assert (world.state(), world.agents["web"].program) == ("ready", None)
    world.kill_agent()
    sent = world.send("wake up")
    world.advance(20)
    assert world.end_of(sent) == "succeeded"
    assert world.ran() == ["first", "wake up"]


def test_nothing_is_begun_while_there_is_no_agent_to_say_it_to(world: World) -> None:
    running = world.send("[[hang]]")
    world.faults["web", "launch"] = NO_ENGINE
    world.kill_agent()
    queued = world.send("later", timeout=1000)
    world.say("cancel", id=running)
    world.advance(900)
    held = [type(message) for message in map(decode, world.disk.outbox["web"].values())]
    assert held == [Feed]
    world.faults.clear()
    world.advance(60)
    assert (world.end_of(running), world.end_of(queued)) == ("cancelled", "succeeded")
    assert world.ran() == ["[[hang]]", "later"]


def test_a_prompt_that_waits_too_long_is_timed_out_also_without_an_agent(world: World) -> None:
    world.faults["web", "launch"] = NO_ENGINE
    world.kill_agent()
    sent = world.send("too late", timeout=30)
    world.advance(29)
    assert world.end_of(sent) == ""
    world.advance(1)
    assert world.end_of(sent) == "timed_out"
    world.faults.clear()
    world.advance(100)
    assert world.ran() == []


def test_a_prompt_without_a_barrier_is_not_given_to_a_program_that_is_gone(world: World) -> None:
    world.say("stop", name="web")
    world.homes["web"].barrier = False
    world.say("start", name="web")
    world.kill_agent()
    sent = world.send("for the next one")
    world.advance(5)
    assert world.end_of(sent) == "succeeded"
    assert world.ran() == ["for the next one"]


# Stop and restart.


def test_stop_ends_program_and_agent_and_keeps_the_queue(world: World) -> None:
    first, second = world.send("[[hang]]"), world.send("second")
    assert world.say("stop", name="web") == {"name": "web", "state": "stopped", "reason": ""}
    assert world.agents == {}
    assert (world.end_of(first), world.end_of(second)) == ("cancelled", "")
    world.advance(3600)
    assert world.state() == "stopped"
    assert world.bridge.deadline is None
    with pytest.raises(BridgeError) as caught:
        world.send("third")
    assert (caught.value.code, caught.value.hint) == ("not-running", "start it: ccbridgectl start web")
    assert world.say("start", name="web")["state"] == "busy"
    assert world.end_of(second) == "succeeded"


def test_a_stop_that_is_not_waited_for_is_answered_at_once(world: World) -> None:
    world.slow = True
    assert world.say("stop", name="web", wait=False)["state"] == "stopped"
    assert world.agents["web"]


def test_an_agent_that_is_killed_by_its_stop_keeps_what_it_had_to_say(world: World) -> None:
    sent = world.send("[[hang]]")
    world.slow = True
    stopping = world.ask("stop", name="web")
    world.streams["web"] = "stuck"
    world.program().finish()
    world.kill_agent()
    world.take(fx.RuntimeDone("web", "halt", None, {}))
    world.actions.clear()
    assert world.answer(stopping)["state"] == "stopped"
    assert world.end_of(sent) == ""
    world.slow = False
    world.say("start", name="web")
    assert world.end_of(sent) == "succeeded"
    assert len(world.ran()) == 1


def test_a_turn_that_died_with_a_stop_is_uncertain(world: World) -> None:
    sent = world.send("[[hang]]")
    world.slow = True
    world.ask("stop", name="web")
    world.kill_program()
    world.act()
    assert world.end_of(sent) == "uncertain"


def test_a_stop_that_fails_says_why(world: World) -> None:
    world.faults["web", "halt"] = NO_ENGINE
    with pytest.raises(BridgeError) as caught:
        world.say("stop", name="web")
    assert caught.value is NO_ENGINE
    assert (world.state(), world.reason()) == ("stopped", "the engine does not answer")
    world.faults.clear()
    assert world.say("start", name="web")["state"] == "ready"


def test_a_restart_that_cannot_stop_says_so_and_goes_on_with_what_is_there(world: World) -> None:
    world.faults["web", "halt"] = NO_ENGINE
    with pytest.raises(BridgeError) as caught:
        world.say("restart", name="web")
    assert caught.value is NO_ENGINE
    assert world.state() == "ready"
    assert world.end_of(world.send("still there?")) == "succeeded"


def test_a_restart_has_another_agent_and_the_same_session(world: World) -> None:
    world.send("before")
    session, pid = world.program().session, world.say("status", name="web")["agent"]["pid"]
    assert world.say("restart", name="web")["state"] == "ready"
    assert world.program().session == session
    assert world.say("status", name="web")["agent"]["pid"] != pid
    assert history(world)[-4:] == ["stopped", "starting", "connecting", "ready"]


def test_a_start_while_it_is_being_stopped_starts_it_after_that(world: World) -> None:
    world.slow = True
    stopping, starting = world.ask("stop", name="web"), world.ask("start", name="web")
    assert world.state() == "stopped"
    world.act()
    assert world.answer(stopping)["state"] == "stopped"
    assert world.answer(starting)["state"] == "ready"


def test_a_stop_while_it_is_being_restarted_stops_it(world: World) -> None:
    world.slow = True
    restarting, stopping = world.ask("restart", name="web"), world.ask("stop", name="web")
    with pytest.raises(BridgeError, match="web was stopped"):
        world.answer(restarting)
    assert len(world.actions) == 1
    world.act()
    assert world.answer(stopping)["state"] == "stopped"
    assert world.agents == {}


def test_a_stop_of_the_container_too_is_not_lost_in_a_stop_that_is_under_way(world: World) -> None:
    world.slow = True
    world.ask("stop", name="web")
    stopping = world.ask("stop", name="web", container=True)
    assert [halt.container for halt in world.asked_for(fx.Halt)] == [False, True]
    world.actions.popleft()
    world.take(fx.RuntimeDone("web", "halt", NO_ENGINE, {}))
    assert world.answers[stopping] == []
    world.act()
    assert world.answer(stopping)["state"] == "stopped"


def test_a_stop_in_the_midst_of_a_launch_ends_what_was_launched(world: World) -> None:
    world.say("stop", name="web")
    world.slow = True
    starting, stopping = world.ask("start", name="web"), world.ask("stop", name="web")
    world.act()
    with pytest.raises(BridgeError) as caught:
        world.answer(starting)
    assert (caught.value.code, caught.value.exit_status) == ("not-running", 3)
    assert world.answer(stopping)["state"] == "stopped"
    assert world.agents == {}


def test_a_stop_while_the_agent_is_away_is_done_all_the_same(world: World) -> None:
    world.kill_agent()
    assert world.say("stop", name="web")["state"] == "stopped"
    world.advance(3600)
    assert world.state() == "stopped"


def test_an_old_session_is_not_looked_at_in_vain_while_its_agent_ends(world: World) -> None:
    world.send("before")
    world.kill_program()
    world.slow = True
    world.agents["web"].acknowledges = False
    world.advance(1)
    assert any(isinstance(message, Tail) for message in world.agents["web"].heard)
    world.ask("restart", name="web")
    world.kill_agent()
    world.act()
    assert world.state() == "ready"
    starts = [message for message in world.agents["web"].heard if isinstance(message, Start)]
    assert len(starts) == 1


# Removal.


def test_remove_takes_everything_and_cancels_all_that_waits(world: World) -> None:
    running, waiting = world.send("[[hang]]"), world.send("later")
    world.slow = True
    removing = world.ask("remove", name="web")
    assert [world.end_of(id_) for id_ in (running, waiting)] == ["cancelled", "cancelled"]
    assert (world.state(), world.reason()) == ("stopped", "being removed")
    world.act()
    assert world.answer(removing) == {"name": "web", "state": "removed", "reason": ""}
    assert (world.disk.instances, world.disk.links, world.disk.outbox, world.disk.requests) == ({}, {}, {}, {})
    assert (world.agents, world.streams) == ({}, {})
    world.slow = False
    world.add()
    assert world.end_of(world.send("hi")) == "succeeded"


def test_what_could_not_be_taken_away_is_named(world: World) -> None:
    world.slow = True
    removing = world.ask("remove", name="web")
    world.actions.clear()
    world.take(fx.RuntimeDone("web", "remove", None, {"left": "/state/agents/web"}))
    assert world.answer(removing)["reason"] == "left behind: /state/agents/web"


def test_a_removal_that_fails_leaves_it_stopped_and_can_be_tried_again(world: World) -> None:
    world.faults["web", "remove"] = NO_ENGINE
    with pytest.raises(BridgeError) as caught:
        world.say("remove", name="web")
    assert caught.value is NO_ENGINE
    assert (world.state(), world.reason()) == ("stopped", "the engine does not answer")
    world.faults.clear()
    assert world.say("remove", name="web")["state"] == "removed"


def test_what_is_being_removed_cannot_be_started_stopped_or_given_prompts(world: World) -> None:
    world.slow = True
    removing = [world.ask("remove", name="web"), world.ask("remove", name="web")]
    for verb in ("start", "stop", "restart"):
        with pytest.raises(BridgeError) as caught:
            world.say(verb, name="web")
        assert (caught.value.code, caught.value.exit_status) == ("busy", 75)
        assert caught.value.hint == "when it is gone, add it again: ccbridgectl add web"
    with pytest.raises(BridgeError, match="web is stopped: being removed"):
        world.send("hi")
    assert len(world.actions) == 1
    world.act()
    assert [world.answer(client)["state"] for client in removing] == ["removed", "removed"]


def test_a_removal_answers_also_those_who_wait_for_something_else(world: World) -> None:
    world.slow = True
    stopping, starting = world.ask("stop", name="web"), world.ask("start", name="web")
    removing = world.ask("remove", name="web")
    with pytest.raises(BridgeError) as caught:
        world.answer(starting)
    assert caught.value.code == "not-running"
    world.act()
    assert world.answer(stopping)["state"] == world.answer(removing)["state"] == "removed"


def test_of_two_orders_the_removal_decides(world: World) -> None:
    world.slow = True
    world.ask("stop", name="web")
    removing = world.ask("remove", name="web")
    world.take(fx.RuntimeDone("web", "remove", NO_ENGINE, {}))
    world.actions.clear()
    world.take(fx.RuntimeDone("web", "halt", None, {}))
    with pytest.raises(BridgeError) as caught:
        world.answer(removing)
    assert caught.value is NO_ENGINE
    assert world.state() == "stopped"


# The daemon dies and comes back.


@pytest.mark.parametrize("agent_too", [False, True])
def test_a_ready_instance_is_ready_again(world: World, agent_too: bool) -> None:
    world.send("before")
    session, life = world.program().session, world.program().life
    world.kill()
    if agent_too:
        world.kill_agent()
    world.load()
    assert world.state() == "ready"
    assert world.program().session == session
    assert world.program().life == (life + 1 if agent_too else life)
    assert world.end_of(world.send("after")) == "succeeded"
    assert world.ran() == ["before", "after"]


def test_a_busy_instance_goes_on(world: World) -> None:
    sent, waiting = world.send("[[hang]]"), world.send("next")
    world.restart()
    assert world.state() == "busy"
    world.finish()
    assert (world.end_of(sent), world.end_of(waiting)) == ("succeeded", "succeeded")
    assert world.ran() == ["[[hang]]", "next"]


def test_a_turn_that_ended_while_no_daemon_was_there_has_ended(world: World) -> None:
    sent = world.send("[[hang]]")
    world.kill()
    world.program().finish()
    world.load()
    assert (world.end_of(sent), world.state()) == ("succeeded", "ready")


def test_a_turn_that_ended_just_before_everything_died_has_ended(world: World) -> None:
    sent = world.send("[[hang]]")
    world.kill()
    world.program().finish()
    world.kill_agent()
    world.load()
    assert world.end_of(sent) == "succeeded"


def test_a_turn_in_whose_midst_everything_died_is_uncertain(world: World) -> None:
    sent = world.send("[[hang]]")
    world.kill()
    world.kill_agent()
    world.load()
    assert (world.end_of(sent), world.state()) == ("uncertain", "ready")
    assert world.ran() == ["[[hang]]"]


def test_a_program_that_was_starting_is_waited_for(world: World) -> None:
    world.homes["web"].mute = True
    world.say("stop", name="web")
    world.ask("start", name="web")
    assert world.instance().conversation.phase == "starting"
    world.restart()
    assert world.state() == "connecting"
    world.advance(100)
    assert "it was not ready within 60 s" in world.logged()
    world.homes["web"].mute = False
    world.advance(100)
    assert world.state() == "ready"


def test_a_look_at_the_last_session_is_gone_on_with(world: World) -> None:
    world.send("before")
    world.agents["web"].acknowledges = False
    world.kill_program()
    world.advance(1)
    assert world.instance().conversation.phase == "looking"
    world.kill()
    world.agents["web"].acknowledges = True
    world.load()
    assert world.state() == "ready"


def test_an_agent_without_a_program_gets_one(world: World) -> None:
    world.kill_program()
    assert world.instance().conversation.phase == "none"
    world.restart()
    assert world.state() == "connecting"
    world.advance(1)
    assert world.state() == "ready"
    assert len(world.homes["web"].starts) == 2


def test_a_new_agent_that_is_found_has_its_program_started_once(world: World) -> None:
    world.kill_program()
    world.kill()
    world.kill_agent()
    world.start_agent("web")
    world.load()
    world.advance(10)
    assert world.state() == "ready"
    assert len(world.homes["web"].starts) == 2


@pytest.mark.parametrize("saved_only", [False, True])
def test_a_stop_that_was_under_way_is_finished(world: World, saved_only: bool) -> None:
    world.slow = True
    if saved_only:
        world.before_acts = lambda: False
    world.ask("stop", name="web", container=True)
    world.before_acts = lambda: True
    world.kill()
    world.slow = False
    world.load()
    assert (world.state(), world.agents) == ("stopped", {})
    assert [halt.container for halt in world.asked_for(fx.Halt)] == [True, True]
    world.restart()
    assert (world.state(), world.asked_for(fx.Halt)[2:]) == ("stopped", [])


def test_a_restart_that_was_under_way_is_finished(world: World) -> None:
    old = world.agents["web"]
    world.slow = True
    world.ask("restart", name="web")
    world.kill()
    world.slow = False
    world.load()
    assert world.state() == "ready"
    assert world.agents["web"] is not old


def test_a_removal_that_was_under_way_is_finished(world: World) -> None:
    world.slow = True
    world.ask("remove", name="web")
    world.kill()
    world.slow = False
    world.load()
    assert (world.bridge.instances, world.disk.instances, world.agents) == ({}, {}, {})


def test_a_stopped_instance_stays_stopped(world: World) -> None:
    world.say("stop", name="web")
    world.restart()
    world.advance(3600)
    assert (world.state(), world.agents) == ("stopped", {})


def test_an_agent_that_died_for_good_with_the_daemon_is_launched(world: World) -> None:
    world.kill()
    world.kill_agent()
    world.faults["web", "launch"] = NO_ENGINE
    world.load()
    assert world.state() == "recovering"
    assert "web" in world.disk.instances
    world.faults.clear()
    world.advance(5)
    assert world.state() == "ready"


def test_a_change_of_what_it_is_takes_effect_with_the_next_launch(world: World) -> None:
    spec = replace(world.instance().spec, args=("--model", "opus"))
    world.take(fx.RuntimeDone("web", "launch", None, {"container_id": "c1"}))
    world.instance().agency.next_spec = spec
    assert world.instance().spec.args == ()
    world.kill_program()
    world.advance(1)
    assert "opus" not in world.homes["web"].starts[-1]
    world.say("restart", name="web")
    assert world.homes["web"].starts[-1][-2:] == ["--model", "opus"]
    assert world.asked_for(fx.Halt)[-1].spec.args == ()
    assert world.asked_for(fx.Launch)[-1].facts == {}
    world.restart()
    assert world.instance().spec == spec


def test_what_is_kept_is_kept_only_when_it_has_changed(world: World) -> None:
    before = len(world.asked_for(fx.SaveInstance))
    world.advance(3600)
    world.say("list")
    world.say("ping")
    assert len(world.asked_for(fx.SaveInstance)) == before
    assert world.disk.links["web"] != LinkState()


def test_an_end_that_is_not_obeyed_is_repeated_while_the_agent_is_there(world: World) -> None:
    sent = world.send("[[hang]]")
    world.homes["web"].mute = True
    world.say("cancel", id=sent)
    world.agents["web"].acknowledges = False
    world.advance(35)
    ends = [message for message in world.agents["web"].heard if isinstance(message, End)]
    assert len(ends) == 3
