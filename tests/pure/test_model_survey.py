"""``discover``: what is said of each container, what it lacks, and what mends that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.config import INSTANCE_NAME
from ccbridged.model.effects import Spec
from ccbridged.model.sighting import Inside, LinkSeen, Sighting
from ccbridged.model.survey import rows
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import World

LINKS = "/var/lib/ccbridged/links"
ID = "0123456789abcdef" * 4
WHOLE = Inside(uid=1000, program="/bin/claude", claude="2.1.329", python="3.11.2", installer="apt-get")
FIT = Sighting(ID, "my-web", "image", "running", link=LinkSeen("web"), inside=WHOLE)


def one(seen: Sighting, *specs: Spec) -> dict[str, Any]:
    (row,) = rows([seen], LINKS, specs)
    return row


def lacks(seen: Sighting, *specs: Spec) -> dict[str, str]:
    return {lack["what"]: lack["fix"] for lack in one(seen, *specs)["lacks"]}


def flag(name: str) -> str:
    return f"create it again with docker's flag: -v {LINKS}/{name}:/run/ccbridge/link:ro"


def test_one_that_lacks_nothing_is_shown_with_all_that_it_has() -> None:
    assert one(FIT) == {
        "name": "my-web",
        "id": ID,
        "image": "image",
        "state": "running",
        "instance": None,
        "claude": "2.1.329",
        "python3": "3.11.2",
        "link": "web",
        "lacks": [],
    }


@pytest.mark.parametrize(
    ("installer", "claude", "python"),
    [
        (
            "apt-get",
            "apt-get update && apt-get install -y npm && npm install -g @anthropic-ai/claude-code",
            "apt-get update && apt-get install -y python3",
        ),
        ("apk", "apk add npm && npm install -g @anthropic-ai/claude-code", "apk add python3"),
        ("", "npm install -g @anthropic-ai/claude-code", ""),
        ("rm -rf /", "npm install -g @anthropic-ai/claude-code", ""),
    ],
)
def test_what_is_not_installed_is_named_with_the_command_of_its_own_package_manager(
    installer: str, claude: str, python: str
) -> None:
    found = lacks(replace(FIT, inside=Inside(installer=installer)))
    command = "docker exec -u 0 my-web sh -c '{}'"
    assert found["Claude Code"].startswith(command.format(claude) + "; or use an image")
    asked = command.format(python) if python else "install python3 in it, or use an image that has it"
    assert found["python3"] == asked


def test_a_part_of_python_and_an_old_one_are_not_python() -> None:
    part = lacks(replace(FIT, inside=replace(WHOLE, missing=("json", "a", "b", "c"))))
    assert list(part) == ["a whole python3 (it has no json, a, b, …)"]
    assert part.popitem()[1].endswith("apt-get install -y python3'")
    old = lacks(replace(FIT, inside=replace(WHOLE, python="3.9.2")))
    assert list(old) == ["python3 3.10 or newer (it has 3.9.2)"]
    assert lacks(replace(FIT, inside=replace(WHOLE, python="3.10.0"))) == {}
    assert "python3 3.10 or newer (it has what)" in lacks(replace(FIT, inside=replace(WHOLE, python="what")))


def test_without_the_link_directory_the_exact_flag_is_given() -> None:
    assert lacks(replace(FIT, link=None)) == {"the link directory": flag("my-web")}


def test_a_link_directory_that_is_no_more_needs_a_restart() -> None:
    stale = lacks(replace(FIT, link=LinkSeen("web", fresh=False)))
    assert stale == {"the present link directory (it sees an earlier one)": "docker restart my-web"}
    assert lacks(replace(FIT, link=LinkSeen("web", fresh=True))) == {}


@pytest.mark.parametrize(
    ("state", "verb"),
    [("exited", "start"), ("created", "start"), ("paused", "unpause"), ("restarting", "logs"), ("dead", "rm -f")],
)
def test_of_one_that_does_not_run_nothing_is_known_but_how_to_start_it(state: str, verb: str) -> None:
    seen = replace(FIT, state=state, inside=None)
    assert lacks(seen) == {f"running processes (it is {state})": f"docker {verb} my-web"}
    assert (one(seen)["claude"], one(seen)["python3"]) == (None, None)


def test_one_that_does_not_answer_is_said_to_be_so() -> None:
    seen = replace(FIT, inside=Inside(fault="no answer within 10 s"))
    assert lacks(seen) == {"a shell that answers (no answer within 10 s)": "docker restart my-web"}
    assert one(seen)["claude"] is None


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("my-web", "my-web"),
        ("My_Web.2", "my_web.2"),
        ("_-.x", "x"),
        ("Ünïcode", "n-code"),
        ("...", f"c{ID[:12]}"),
        ("x" * 200, "x" * 56),
        ("web", "web-2"),
    ],
)
def test_the_name_is_made_from_the_container_s_and_is_one_that_may_be_used(container: str, name: str) -> None:
    found = lacks(replace(FIT, name=container, link=None), Spec("web", "process"))
    assert found == {"the link directory": flag(name)}
    assert INSTANCE_NAME.fullmatch(name)


def test_two_that_want_the_same_name_get_two() -> None:
    found = rows([replace(FIT, id="a", name="Web", link=None), replace(FIT, id="b", name="wEb", link=None)], LINKS, [])
    assert [row["lacks"] for row in found] == [
        [{"what": "the link directory", "fix": flag("web")}],
        [{"what": "the link directory", "fix": flag("web-2")}],
    ]


@pytest.mark.parametrize(("second", "keeper"), [("web", "web"), ("a", "a"), ("zoo", "my-web")])
def test_of_several_with_the_same_link_directory_one_may_keep_it(second: str, keeper: str) -> None:
    """The one that is called like it, else the first by name."""
    found = rows([FIT, replace(FIT, id="b", name=second)], LINKS, [])
    assert {row["name"] for row in found if not row["lacks"]} == {keeper}
    (other,) = [row for row in found if row["lacks"]]
    name = str(other["name"])
    fix = flag(name if name != "web" else "web-2")
    assert other["lacks"] == [{"what": "a link directory of its own (that of web is another's)", "fix": fix}]


def test_the_link_directory_of_an_instance_elsewhere_is_not_free() -> None:
    found = lacks(FIT, Spec("web", "process"))
    assert found == {"a link directory of its own (that of web is another's)": flag("my-web")}


@pytest.mark.parametrize("reference", ["my-web", ID, ID[:12]])
def test_the_container_of_an_instance_is_known_by_name_or_id(reference: str) -> None:
    row = one(FIT, Spec("other", "docker", container="x"), Spec("web", "docker", container=reference))
    assert (row["instance"], row["lacks"]) == ("web", [])
    assert one(FIT, Spec("web", "docker", container=ID[:6]))["instance"] is None


def test_an_instance_s_container_without_its_own_link_directory_lacks_it() -> None:
    found = lacks(replace(FIT, link=LinkSeen("old")), Spec("web", "docker", container="my-web"))
    assert found == {"a link directory of its own (that of old is another's)": flag("web")}


def test_one_that_was_made_for_an_instance_is_its_own_or_a_leftover() -> None:
    made = replace(FIT, instance="web")
    assert one(made, Spec("web", "docker", image="image"))["instance"] == "web"
    left = lacks(made)
    assert left == {"an instance (it was made for web, which is no more)": "docker rm -f my-web"}


def test_what_another_ccbridged_made_is_left_to_that_one() -> None:
    found = lacks(replace(FIT, foreign=True, link=None))
    assert list(found) == ["to be free (another ccbridged made it)"]


def test_those_that_lack_least_come_first() -> None:
    empty = replace(FIT, id="b", name="b", link=None, inside=Inside())
    stopped = replace(FIT, id="c", name="a", link=None, inside=None, state="exited")
    linkless = replace(FIT, id="d", name="z", link=None)
    assert [row["name"] for row in rows([empty, stopped, linkless, FIT], LINKS, [])] == ["my-web", "z", "a", "b"]


# The verb.


def surveyed(world: World, client: str, found: list[Sighting]) -> None:
    (effect,) = world.asked_for(fx.Survey)
    world.take(fx.RuntimeDone(effect.token, "survey", None, {"links": LINKS, "containers": found}))
    assert world.answers[client]


def test_who_asked_gets_an_array() -> None:
    world = World()
    client = world.ask("discover")
    assert world.answers[client] == []
    surveyed(world, client, [FIT])
    assert world.answer(client) == [one(FIT)]


def test_without_an_engine_it_is_said_so() -> None:
    world = World()
    client = world.ask("discover")
    (effect,) = world.asked_for(fx.Survey)
    fault = BridgeError("unavailable", "no engine", "start it")
    world.take(fx.RuntimeDone(effect.token, "survey", fault, {}))
    with pytest.raises(BridgeError) as caught:
        world.answer(client)
    assert caught.value is fault


def test_who_has_gone_is_not_answered() -> None:
    world = World()
    client, other = world.ask("discover"), world.ask("discover")
    world.take(fx.ClientGone(client))
    for effect in world.asked_for(fx.Survey):
        world.take(fx.RuntimeDone(effect.token, "survey", None, {"links": LINKS, "containers": []}))
    assert world.answers[client] == []
    assert world.answer(other) == []
