"""Many instances side by side, those of the configuration, and a daemon that is killed at any moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.bridge import AT_START
from ccbridged.model.config import ApprovalsConfig, Config, DaemonConfig, InstanceConfig, SessionConfig
from ccbridged.model.kept import kept_from
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import CALM, World

PROCESS = InstanceConfig(runtime="process")


def with_instances(**instances: InstanceConfig) -> Config:
    return replace(CALM, instances=instances)


def reload(world: World, config: Config) -> None:
    world.config = config
    world.take(fx.Reloaded(config))


def test_an_empty_world_has_nothing_to_wait_for() -> None:
    assert World().bridge.deadline is None


def test_instances_do_not_disturb_each_other() -> None:
    world = World()
    for name in ("web", "api"):
        world.add(name)
    busy, free = world.send("[[hang]]"), world.send("hi", "api")
    world.kill_agent("api")
    assert (world.end_of(busy), world.end_of(free)) == ("", "succeeded")
    assert (world.state("web"), world.state("api")) == ("busy", "recovering")
    world.advance(5)
    world.finish()
    assert (world.state("web"), world.state("api")) == ("ready", "ready")


def test_what_concerns_nobody_is_passed_over() -> None:
    world = World()
    for happened in (
        *(fx.Heard("none", b"x"), fx.Opened("none", 1), fx.Closed("none", "x"), fx.AgentEnded("none", 0)),
        *(fx.RuntimeDone("none", "launch", None, {}), fx.RuntimeDone("no token", "probe", None, {})),
        *(fx.ClientGone("nobody"), fx.Tick()),
    ):
        world.take(happened)
    assert world.effects == []


# The configuration.


def test_instances_of_the_configuration_are_started() -> None:
    world = World(with_instances(web=replace(PROCESS, env={"TOKEN": "secret"}, workdir="/srv")))
    assert world.state() == "ready"
    spec = world.instance().spec
    assert (spec.workdir, spec.env_names) == ("/srv", ("TOKEN",))
    assert world.asked_for(fx.KeepEnv) == [fx.KeepEnv("web", {"TOKEN": "secret"})]
    assert "secret" not in str(world.disk.instances)
    assert "secret" not in repr(world.asked_for(fx.KeepEnv))


def test_an_instance_of_the_configuration_whose_start_is_refused_stays_and_says_so() -> None:
    world = World()
    world.faults["web", "launch"] = BridgeError("refused", "there is no image x")
    reload(world, with_instances(web=PROCESS))
    assert (world.state(), world.reason()) == ("failed", "there is no image x")


def test_a_reload_starts_what_is_new_and_leaves_the_rest() -> None:
    world = World(with_instances(web=PROCESS))
    sent = world.send("[[hang]]")
    reload(world, with_instances(web=PROCESS, api=PROCESS))
    assert (world.state("web"), world.state("api")) == ("busy", "ready")
    reload(world, with_instances())
    assert (world.state("web"), world.state("api")) == ("busy", "ready")
    world.finish()
    assert world.end_of(sent) == "succeeded"


def test_what_was_removed_from_the_bridge_comes_back_with_its_configuration() -> None:
    world = World(with_instances(web=PROCESS))
    world.say("remove", name="web")
    world.restart()
    assert world.state() == "ready"


def test_what_was_stopped_stays_so_whatever_the_configuration_says() -> None:
    world = World(with_instances(web=PROCESS))
    world.say("stop", name="web")
    world.restart()
    assert world.state() == "stopped"


def test_a_changed_instance_takes_it_over_at_its_restart() -> None:
    world = World(with_instances(web=PROCESS))
    reload(world, with_instances(web=replace(PROCESS, program=("claude", "--model", "opus"))))
    reload(world, world.config)
    assert world.logged().count("web has changed; it takes effect with: ccbridgectl restart web") == 1
    assert world.instance().spec.program == ("claude",)
    world.say("restart", name="web")
    assert world.homes["web"].starts[-1][:3] == ["claude", "--model", "opus"]
    world.restart()
    assert world.logged().count("web has changed") == 1


def test_an_instance_that_moves_is_ended_where_it_was_and_launched_where_it_is_to_be() -> None:
    world = World(with_instances(web=PROCESS))
    reload(world, with_instances(web=InstanceConfig(runtime="docker", container="box")))
    world.say("restart", name="web")
    assert [halt.spec.runtime for halt in world.asked_for(fx.Halt)] == ["process"]
    assert [launch.spec.runtime for launch in world.asked_for(fx.Launch)] == ["process", "docker"]


def test_a_secret_that_has_changed_is_kept_although_nothing_else_has() -> None:
    world = World(with_instances(web=replace(PROCESS, env={"TOKEN": "old"})))
    reload(world, with_instances(web=replace(PROCESS, env={"TOKEN": "new"})))
    assert world.asked_for(fx.KeepEnv)[-1].env == {"TOKEN": "new"}
    assert "has changed" not in world.logged()


def test_what_this_version_cannot_do_is_said_and_not_started() -> None:
    world = World(with_instances(web=replace(PROCESS, driver="tmux"), api=replace(PROCESS, transport="files")))
    assert world.bridge.instances == {}
    assert "web is not started: the driver tmux is not available yet" in world.logged()
    assert "api is not started: the transport files is not available yet" in world.logged()


def test_a_reload_changes_the_settings_of_what_runs() -> None:
    world = World()
    world.add()
    world.send("[[hang]]")
    session = SessionConfig(max_queue=1, max_history=1, request_timeout=7.0, idle_timeout=0.0)
    health = replace(CALM.health, recovery_delay=1.0, max_consecutive_failures=1)
    reload(world, replace(CALM, session=session, health=health, approvals=ApprovalsConfig(default="allow")))
    first = world.send("first")
    with pytest.raises(BridgeError) as caught:
        world.send("second")
    assert (caught.value.code, caught.value.message) == ("busy", "the queue of web is full (1 wait)")
    world.advance(7)
    assert world.end_of(first) == "succeeded"
    assert [row[0] for row in world.disk.requests.values()] == ["web"]
    world.send("[[tool Bash ls]]")
    assert world.disk.told("approval") == []
    world.homes["web"].fault = "no login"
    world.kill_program()
    world.advance(1)
    assert world.state() == "failed"
    world.homes["web"].fault = ""
    world.say("start", name="web")
    world.kill_agent()
    world.advance(1)
    assert world.state() == "ready"


@pytest.mark.parametrize(("section", "key"), AT_START)
def test_a_setting_of_the_start_is_not_changed_by_a_reload_which_says_so(section: str, key: str) -> None:
    world = World()
    changed = replace(getattr(CALM, section), **{key: "other"})
    reload(world, replace(CALM, **{section: changed}))
    assert world.bridge.config == CALM
    assert world.logged() == f"{section}.{key} has changed; it takes effect when ccbridged is restarted"


def test_an_instance_that_is_new_after_a_reload_is_as_durable_as_the_store() -> None:
    world = World()
    reload(world, replace(with_instances(web=PROCESS), daemon=DaemonConfig(durability="process")))
    world.add("api")
    assert {one.spec.durability for one in world.bridge.instances.values()} == {"power"}


# What is kept.


def test_an_instance_is_found_again_as_it_was() -> None:
    world = World()
    docker = {"memory": "1g", "volumes": ["/a:/b"]}
    fields = {"args": ["--model", "opus"], "workdir": "/srv", "env": {"K": "v"}, "program": ["claude", "-d"]}
    world.say("add", name="web", runtime="docker", image="x", docker=docker, **fields)
    world.send("[[tool Bash ls]]")
    before = kept_from(world.disk.known()[0].body)
    spec, memory = world.instance().spec, world.instance().conversation.memory
    assert (before.spec, before.memory) == (spec, memory)
    assert spec.docker == docker
    assert len(memory.approvals) == 1
    row, waiting = world.say("status", name="web"), world.say("approvals")
    world.restart()
    after = world.say("status", name="web")
    assert after["activity"] == {**row["activity"], "heard_at": None}
    changed = {"since": 0, "link": 0, "reason": "", "activity": None}
    assert {**after, **changed} == {**row, **changed}
    assert world.say("approvals") == waiting
    assert kept_from(world.disk.known()[0].body)._replace(memory=memory) == before


def test_ids_of_ended_requests_are_remembered() -> None:
    world = World()
    world.add()
    ids = [world.send(f"prompt {n}") for n in range(3)]
    world.restart()
    assert world.say("names", kind="requests") == ids
    with pytest.raises(BridgeError, match="has ended already: succeeded"):
        world.say("cancel", id=ids[0])


def test_the_order_of_what_waits_is_remembered() -> None:
    world = World()
    world.add()
    world.send("[[hang]]")
    ids = [world.send(f"prompt {n}") for n in range(3)]
    world.say("queue", name="web", move=ids[2], to=0)
    world.restart()
    assert [row["id"] for row in world.say("queue", name="web")] == [ids[2], ids[0], ids[1]]


@pytest.mark.parametrize("saves", range(1, 12))
def test_a_daemon_killed_after_any_of_its_commits_loses_and_repeats_nothing(saves: int) -> None:
    world = World()
    world.add()
    left = [saves]

    def alive() -> bool:
        left[0] -= 1
        return left[0] != 0

    world.before_acts = alive
    world.ask("send", name="web", id="one", prompt="hi")
    if not world.alive:
        world.before_acts = lambda: True
        world.load()
    world.advance(10)
    assert world.end_of("one") == "succeeded"
    assert world.ran() == ["hi"]
    assert world.state() == "ready"
