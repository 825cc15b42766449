"""``doctor``: every finding with its words and what mends it; and that a healthy one is told to be healthy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ccbridged.model import claude
from ccbridged.model import effects as fx
from ccbridged.model.sighting import (
    Disk,
    EngineSeen,
    Examination,
    Host,
    Inside,
    LinkSeen,
    Place,
    Sighting,
)
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import World

LINKS = "/var/lib/ccbridged/links"
MIB, GIB = 1024**2, 1024**3
WHOLE = Inside(
    uid=1000,
    home="/home/claude",
    program="/bin/claude",
    claude="2.1.329",
    python="3.11.2",
    ahead=0.0,
    free=9 * GIB,
    login="yes",
    installer="apk",
)
BOX = Sighting(
    "0" * 64, "my-web", "", "running", "", False, LinkSeen("web", fresh=True), ("/home/claude",), WHOLE, host_uid=1000
)
HERE = Place("/srv", "", WHOLE)
STATE = Disk("state directory", "/var/lib/ccbridged", 50 * GIB, 100 * GIB, 10**6)
HOST = Host(0, 77, "systemd", (STATE,), (True, "1 MB"), {})
ENGINE = EngineSeen(None, "20.10", 0.0)

Json = dict[str, Any]


@pytest.fixture
def world() -> World:
    """With an instance in a container of somebody else's."""
    world = World()
    assert world.say("add", name="web", runtime="docker", container="my-web")["state"] == "ready"
    return world


def told(world: World, seen: Sighting | Place | None, *, host: Host = HOST, engine: EngineSeen = ENGINE) -> Json:
    client = world.ask("doctor")
    effect = world.asked_for(fx.Examine)[-1]
    facts: fx.Json = {"links": LINKS, "seen": Examination(host, engine, {spec.name: seen for spec in effect.specs})}
    world.take(fx.RuntimeDone(effect.token, "examine", None, facts))
    document: Json = world.answer(client)
    wrong = [check for check in document["checks"] if not check["ok"] and check["severity"] == "error"]
    assert document["ok"] is not bool(wrong)
    assert all(check["detail"] and bool(check["fix"]) is not check["ok"] for check in document["checks"])
    return document


def bad(document: Json) -> dict[str, tuple[str, str, str]]:
    """check -> severity, detail, fix."""
    return {
        check["check"]: (check["severity"], check["detail"], check["fix"])
        for check in document["checks"]
        if not check["ok"]
    }


def test_a_healthy_one_has_nothing_but_good_news(world: World) -> None:
    document = told(world, BOX)
    assert (document["v"], document["ok"], bad(document)) == (1, True, {})
    shared = [check["check"] for check in document["checks"] if not check["instance"]]
    own = [check["check"] for check in document["checks"] if check["instance"] == "web"]
    assert shared == ["engine", "clock", "disk", "store", "service"]
    assert own == [
        "state",
        "container",
        "link",
        "python3",
        "claude",
        "login",
        "uid",
        "clock",
        "disk",
        "sessions",
        "agent",
    ]
    assert set(document["checks"][0]) == {"check", "instance", "ok", "severity", "detail", "fix"}


# For all.


def test_an_engine_that_is_needed_and_cannot_be_used_is_an_error(world: World) -> None:
    fault = BridgeError("not-permitted", "you may not use the engine", "let yourself")
    document = told(world, None, engine=EngineSeen(fault))
    assert bad(document) == {"engine": ("error", "you may not use the engine", "let yourself")}
    assert [check["check"] for check in document["checks"] if check["instance"]] == ["state", "agent"]


def test_an_engine_that_nobody_needs_is_missed_by_nobody() -> None:
    fault = BridgeError("unavailable", "no engine", "start it")
    document = told(World(), None, engine=EngineSeen(fault))
    assert bad(document) == {"engine": ("advice", "no engine; no instance needs it", "start it")}
    assert document["ok"] is True


@pytest.mark.parametrize(("ahead", "words"), [(31.4, "31 s ahead of"), (-7200.0, "7200 s behind")])
def test_clocks_that_differ_are_an_error(world: World, ahead: float, words: str) -> None:
    engine = bad(told(world, BOX, engine=EngineSeen(None, "20.10", ahead)))["clock"]
    assert engine[:2] == ("error", f"the engine's clock is {words} this host's")
    inside = bad(told(world, replace(BOX, inside=replace(WHOLE, ahead=ahead))))["clock"]
    assert inside[:2] == ("error", f"the container's clock is {words} this host's")


def test_clocks_of_which_nothing_is_known_are_not_judged(world: World) -> None:
    document = told(world, replace(BOX, inside=replace(WHOLE, ahead=None)), engine=EngineSeen(None, "1"))
    assert not [check for check in document["checks"] if check["check"] == "clock"]


@pytest.mark.parametrize(
    ("disk", "severity"),
    [
        (replace(STATE, free=63 * MIB), "error"),
        (replace(STATE, free=900 * MIB), "advice"),
        (replace(STATE, free=900 * MIB, size=2 * GIB), ""),
        (replace(STATE, inodes=999), "error"),
        (replace(STATE, inodes=None), ""),
    ],
)
def test_a_disk_that_is_nearly_full_is_told_before_it_is(world: World, disk: Disk, severity: str) -> None:
    found = bad(told(world, BOX, host=replace(HOST, disks=(disk,))))
    assert [(level, fix) for level, _, fix in found.values()] == (
        [(severity, "see what fills it: du -xh /var/lib/ccbridged | sort -h | tail")] if severity else []
    )


def test_a_directory_that_is_gone_is_no_disk(world: World) -> None:
    found = bad(told(world, BOX, host=replace(HOST, disks=(Disk("runtime directory", "/run/x", 0, 0, fault="gone"),))))
    assert found["disk"][:2] == ("error", "runtime directory /run/x: gone")


def test_the_container_s_disk_counts_too(world: World) -> None:
    found = bad(told(world, replace(BOX, inside=replace(WHOLE, free=MIB))))
    assert found["disk"][:2] == ("error", "1 MiB free where Claude Code keeps its sessions")
    assert "disk" not in bad(told(world, replace(BOX, inside=replace(WHOLE, free=None))))


def test_a_store_that_is_not_well_is_an_error(world: World) -> None:
    found = bad(told(world, BOX, host=replace(HOST, store=(False, "cannot be read"))))
    assert found == {"store": ("error", "cannot be read", "make room there, or mend its disk")}


@pytest.mark.parametrize(("uid", "systemctl"), [(0, "sudo systemctl"), (501, "systemctl --user")])
def test_a_daemon_that_nobody_starts_again_is_advised_about_it(world: World, uid: int, systemctl: str) -> None:
    found = bad(told(world, BOX, host=replace(HOST, service="none", uid=uid)))
    severity, _, fix = found["service"]
    assert (severity, fix.startswith(f"kill 77; {systemctl} enable --now ccbridged")) == ("advice", True)


# In a container.


def inside(**changes: Any) -> Callable[[], Sighting]:
    return lambda: replace(BOX, inside=replace(WHOLE, **changes))


@pytest.mark.parametrize(
    ("seen", "check", "detail", "fix"),
    [
        (
            inside(python=""),
            "python3",
            "container my-web has no python3, which the agent needs",
            "docker exec -u 0 my-web sh -c 'apk add python3'",
        ),
        (
            inside(missing=("json",)),
            "python3",
            "container my-web has only a part of python3: json is missing",
            "docker exec -u 0 my-web sh -c 'apk add python3'",
        ),
        (
            inside(program="", claude=""),
            "claude",
            "container my-web has no claude on the PATH of its user",
            "docker exec -u 0 my-web sh -c 'apk add npm && npm install -g @anthropic-ai/claude-code'"
            "; or use an image that has it, such as ccbridge/claude",
        ),
        (
            inside(login="no"),
            "login",
            "Claude Code says that it is not logged in",
            "docker exec -it my-web claude auth login; or remove web and add it with --env ANTHROPIC_API_KEY",
        ),
        (
            lambda: replace(BOX, link=None),
            "link",
            "container my-web does not have the link directory of web mounted",
            f"create it again with docker's flag: -v {LINKS}/web:/run/ccbridge/link:ro",
        ),
        (
            lambda: replace(BOX, link=LinkSeen("api")),
            "link",
            "container my-web has the link directory of api mounted, not that of web",
            f"create it again with docker's flag: -v {LINKS}/web:/run/ccbridge/link:ro",
        ),
        (
            lambda: replace(BOX, link=LinkSeen("web", fresh=False)),
            "link",
            "container my-web still sees an earlier link directory of web",
            "docker restart my-web && ccbridgectl start web",
        ),
        (
            lambda: replace(BOX, state="exited", inside=None),
            "container",
            "container my-web is exited",
            "ccbridgectl start web --container",
        ),
        (
            lambda: replace(BOX, inside=Inside(fault="it has no sh")),
            "container",
            "nothing can be seen in container my-web: it has no sh",
            "docker restart my-web",
        ),
        (
            lambda: None,
            "container",
            "there is no container my-web",
            f"create it again with docker's flag: -v {LINKS}/web:/run/ccbridge/link:ro",
        ),
    ],
)
def test_what_is_wrong_with_a_container_is_an_error_with_what_mends_it(
    world: World, seen: Callable[[], Sighting | None], check: str, detail: str, fix: str
) -> None:
    assert bad(told(world, seen())) == {check: ("error", detail, fix)}


def test_fifos_that_are_not_as_they_should_be_are_mended_by_a_restart(world: World) -> None:
    found = bad(told(world, BOX, host=replace(HOST, pipes={"web": "in.fifo is no FIFO"})))
    assert found == {"link": ("error", "in.fifo is no FIFO", "ccbridgectl restart web")}


def test_a_writable_link_directory_is_advised_against(world: World) -> None:
    found = bad(told(world, replace(BOX, link=LinkSeen("web", writable=True, fresh=True))))
    assert found["link"][0] == "advice"
    assert found["link"][2].endswith(f"-v {LINKS}/web:/run/ccbridge/link:ro")


@pytest.mark.parametrize(
    ("host_uid", "uid_inside", "ours", "words", "other"),
    [
        (0, 0, 0, "root inside and outside", "1000"),
        (1000, 1000, 1000, "uid 1000 inside and outside", "1001"),
        (-1, 1000, 1000, "uid 1000 inside and outside", "1001"),
        (100000, 0, 0, "", ""),
        (1000, 1000, 0, "", ""),
        (-1, -1, 0, "", ""),
    ],
)
def test_the_same_uid_inside_and_outside_is_advised_against(
    world: World, host_uid: int, uid_inside: int, ours: int, words: str, other: str
) -> None:
    """With user namespaces root inside is somebody else outside."""
    seen = replace(BOX, host_uid=host_uid, inside=replace(WHOLE, uid=uid_inside))
    found = bad(told(world, seen, host=replace(HOST, uid=ours)))
    if not words:
        assert found == {}
        return
    severity, detail, fix = found["uid"]
    assert (severity, fix) == ("advice", f"create my-web again with docker's flag: --user {other}")
    assert detail.startswith(words)


@pytest.mark.parametrize(
    ("volumes", "config_dir", "lost"),
    [
        ((), "", "/home/claude/.claude and /home/claude/.claude.json are in the container only"),
        (("/home/claude/.claude",), "", "/home/claude/.claude.json is in the container only"),
        (("/home/claude/.claude/projects", "/home/claudette"), "/x", "/x is in the container only"),
        (("/data",), "/data/claude", ""),
        (("/",), "", ""),
        (("/home/claude/.claude", "/home/claude/.claude.json"), "", ""),
    ],
)
def test_sessions_that_would_die_with_the_container_are_advised_about(
    world: World, volumes: tuple[str, ...], config_dir: str, lost: str
) -> None:
    found = bad(told(world, replace(BOX, volumes=volumes, inside=replace(WHOLE, config_dir=config_dir))))
    assert [(level, detail.partition(":")[0]) for level, detail, _ in found.values()] == (
        [("advice", lost)] if lost else []
    )


def test_a_home_that_is_none_is_not_judged(world: World) -> None:
    document = told(world, replace(BOX, volumes=(), inside=replace(WHOLE, home="../x")))
    assert not [check for check in document["checks"] if check["check"] == "sessions"]


def test_of_one_that_was_made_for_it_the_remedies_are_ours() -> None:
    world = World()
    world.say("add", name="web", runtime="docker", image="image")
    same = replace(BOX, host_uid=0, volumes=())
    found = bad(told(world, same))
    remove = "ccbridgectl remove web (its sessions, its login and its history go with it), then add it again with:"
    assert found["uid"][2] == f"{remove} --user 1000"
    assert found["sessions"][2] == f"{remove} -v web-home:/home/claude"
    assert bad(told(world, None)) == {}


def test_what_somebody_has_stopped_is_well_as_it_is(world: World) -> None:
    world.say("stop", name="web", container=True)
    document = told(world, replace(BOX, state="exited", inside=None))
    assert bad(document) == {}
    assert "container my-web is exited, and web was stopped" in [check["detail"] for check in document["checks"]]
    assert bad(told(world, None)) == {}


def test_another_program_than_claude_code_is_only_looked_for() -> None:
    world = World()
    world.say("add", name="web", runtime="docker", container="my-web", program=["/opt/agent"])
    other = replace(WHOLE, program="/opt/agent", claude="", login="")
    document = told(world, replace(BOX, inside=other))
    assert bad(document) == {}
    assert not {"login", "sessions"} & {check["check"] for check in document["checks"]}
    found = bad(told(world, replace(BOX, inside=replace(other, program=""))))
    assert found["claude"][1] == "container my-web has no /opt/agent on the PATH of its user"


# On this host.


@pytest.fixture
def local() -> World:
    world = World()
    world.add("web")
    return world


def test_a_healthy_process_has_nothing_but_good_news(local: World) -> None:
    document = told(local, HERE)
    assert bad(document) == {}
    own = [check["check"] for check in document["checks"] if check["instance"]]
    assert own == ["state", "workdir", "claude", "login", "disk", "agent"]


@pytest.mark.parametrize(
    ("place", "check", "detail"),
    [
        (
            replace(HERE, fault="there is no such directory"),
            "workdir",
            "/srv cannot be used: there is no such directory",
        ),
        (replace(HERE, inside=Inside(fault="no shell")), "program", "no shell"),
        (replace(HERE, inside=Inside()), "claude", "claude is not on the daemon's PATH"),
        (replace(HERE, inside=replace(WHOLE, login="no")), "login", "Claude Code says that it is not logged in"),
    ],
)
def test_what_is_wrong_with_a_process_is_an_error(local: World, place: Place, check: str, detail: str) -> None:
    found = bad(told(local, place))
    assert {name: row[:2] for name, row in found.items()} == {check: ("error", detail)}


def test_fifos_and_other_programs_of_a_process_are_looked_at_too() -> None:
    world = World()
    world.add("web", program=["agent"])
    pipes = replace(HOST, pipes={"web": "gone"})
    found = bad(told(world, replace(HERE, inside=Inside()), host=pipes))
    assert found["link"] == ("error", "gone", "ccbridgectl restart web")
    assert found["claude"] == ("error", "agent is not on the daemon's PATH", "install it, or add web with its path")


# What is known of the instance itself.


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        ("ANTHROPIC_API_KEY", "", "by ANTHROPIC_API_KEY"),
        ("none", "", None),
        ("none", "yes", "logged in"),
        ("none", "no", None),
        ("", "yes", "logged in"),
        ("", "no", None),
    ],
)
def test_what_claude_code_says_now_goes_before_what_it_said_when_it_started(
    local: World, before: str, now: str, word: str | None
) -> None:
    conversation = local.instance().conversation
    body = {"claude_code_version": "2", "account": {"tokenSource": before} if before else {}}
    response = {"subtype": "success", "request_id": claude.INITIALIZE, "response": body}
    local.program().say("control_response", response=response)
    local.run()
    assert conversation.memory.login == before
    local.restart()
    assert local.instance().conversation.memory.login == before
    document = told(local, replace(HERE, inside=replace(WHOLE, login=now)))
    assert local.asked_for(fx.Examine)[-1].logins == (("web",) if before in ("", "none") else ())
    (login,) = [check for check in document["checks"] if check["check"] == "login"]
    assert (login["ok"], login["detail"] if login["ok"] else None) == (word is not None, word)


def test_a_login_of_which_nobody_says_anything_is_not_judged(local: World) -> None:
    document = told(local, replace(HERE, inside=replace(WHOLE, login="")))
    assert not [check for check in document["checks"] if check["check"] == "login"]


def test_an_older_agent_is_advised_to_be_restarted(local: World) -> None:
    local.instance().agency.told = {**local.instance().agency.told, "digest": "older"}
    assert bad(told(local, HERE)) == {"agent": ("advice", "older than the daemon", "ccbridgectl restart web")}
    local.say("stop", name="web")
    assert bad(told(local, HERE)) == {}


def test_an_instance_that_has_failed_says_why() -> None:
    world = World()
    world.add()
    world.faults["web", "launch"] = BridgeError("refused", "no python3")
    world.kill_agent()
    world.advance(60)
    found = bad(told(world, HERE))
    assert found["state"][:2] == ("error", "failed: no python3")
    assert found["state"][2].endswith("ccbridgectl start web")


def test_an_instance_that_has_gone_meanwhile_is_not_judged(local: World) -> None:
    client = local.ask("doctor")
    (effect,) = local.asked_for(fx.Examine)
    local.say("remove", name="web")
    local.add("api")
    facts: fx.Json = {"links": LINKS, "seen": Examination(HOST, ENGINE, {"web": HERE})}
    local.take(fx.RuntimeDone(effect.token, "examine", None, facts))
    assert {check["instance"] for check in local.answer(client)["checks"]} == {""}
