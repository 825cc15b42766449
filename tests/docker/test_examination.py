"""``discover`` and ``doctor`` on real containers: each lack is made, found, and mended by what is advised."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import docker as sdk  # noqa: F401  For a child of another uid, who can import nothing where Python is in root's home.
import pytest

from ccbridged.model.sighting import Sighting
from ccbridged.system.runtimes.examine import Examiner
from tests.docker.conftest import BARE, CLAUDE, Bench, docker
from tests.docker.main_job_kit import Site, site
from tests.scenarios.real_kit import VERBOSE, new_key, variables
from tests.system.processes import Child, nobody

PARTIAL = "rm -r /usr/lib/python3.11/json"
"""What makes of Debian's python3 what python3-minimal is, as far as the agent is concerned."""

Json = dict[str, Any]


@pytest.fixture
def home() -> Iterator[Site]:
    with site() as here:
        yield here


def bare(home: Site, name: str, *options: str, image: str = CLAUDE) -> str:
    """A container of somebody else's."""
    docker("run", "-d", "--name", home.prefix + name, *options, image, "sleep", "600")
    return home.prefix + name


def rows(home: Site, *flags: str) -> dict[str, Json]:
    """Of the containers of this test, by what follows the prefix."""
    found = json.loads(home.rig.ctl("discover", "--json", *flags).stdout)
    return {row["name"].removeprefix(home.prefix): row for row in found if row["name"].startswith(home.prefix)}


def lacks(row: Json) -> dict[str, str]:
    return {lack["what"]: lack["fix"] for lack in row["lacks"]}


def bad(home: Site, name: str) -> dict[str, tuple[str, str, str]]:
    """check -> severity, detail, fix."""
    checks = json.loads(home.rig.ctl("doctor", "--json").stdout)["checks"]
    wrong = [check for check in checks if check["instance"] == name and not check["ok"]]
    return {check["check"]: (check["severity"], check["detail"], check["fix"]) for check in wrong}


def run(fix: str, home: Site) -> None:
    """The remedy, as somebody would type it."""
    python = f"{shutil.which('env')} python3 -m ccbridgectl"
    command = fix.replace("ccbridgectl", python) if "ccbridgectl" in fix else fix
    done = subprocess.run(
        ["sh", "-c", command], env=home.rig.environment(), cwd=os.getcwd(), capture_output=True, check=False
    )
    assert done.returncode == 0, done


# discover


def test_discover_tells_what_each_container_has_and_lacks(home: Site) -> None:
    link = home.mount(f"{home.prefix}fit")
    bare(home, "fit", *link)
    bare(home, "linkless")
    bare(home, "empty", image=BARE)
    docker("exec", "-u", "0", bare(home, "part", *home.mount(f"{home.prefix}part")), "sh", "-c", PARTIAL)
    docker("stop", "-t", "0", bare(home, "stopped"))
    docker("pause", bare(home, "paused"))
    docker("create", "--name", f"{home.prefix}created", BARE)
    found = rows(home)
    assert (found["fit"]["claude"], found["fit"]["link"]) == ("2.1.329", f"{home.prefix}fit")
    assert found["fit"]["python3"].startswith("3.")
    assert found["fit"]["id"] == docker("inspect", "-f", "{{.Id}}", f"{home.prefix}fit")
    assert lacks(found["fit"]) == {}
    (flag,) = lacks(found["linkless"]).values()
    assert flag.endswith(f"-v {home.rig.state_dir}/links/{home.prefix}linkless:/run/ccbridge/link:ro")
    assert list(lacks(found["empty"])) == ["Claude Code", "python3", "the link directory"]
    assert list(lacks(found["part"])) == ["a whole python3 (it has no json)"]
    for name, state in (("stopped", "exited"), ("paused", "paused"), ("created", "created")):
        assert next(iter(lacks(found[name]))) == f"running processes (it is {state})"
        assert (found[name]["claude"], found[name]["python3"], found[name]["state"]) == (None, None, state)


def test_discover_adds_what_lacks_nothing_and_that_only(home: Site) -> None:
    bare(home, "fit", *home.mount("chosen"))
    bare(home, "linkless")
    found = rows(home, "--add")
    assert (found["fit"]["added"], found["fit"]["instance"]) == (True, "chosen")
    assert (found["linkless"]["added"], found["linkless"]["why"]) == (False, "it lacks the link directory")
    assert [(row["name"], row["state"]) for row in home.rig.json("list")] == [("chosen", "ready")]
    again = rows(home, "--add")["fit"]
    assert (again["added"], again["why"], lacks(again)) == (False, "it is chosen already", {})


def test_the_flag_that_is_advised_makes_an_instance_possible(home: Site) -> None:
    name = bare(home, "web")
    (fix,) = lacks(rows(home)["web"]).values()
    docker("rm", "-f", name)
    bare(home, "web", *fix.rpartition(": ")[2].split())
    assert rows(home, "--add")["web"]["added"] is True


def test_nothing_is_run_in_what_does_not_run(here: Bench) -> None:
    here.run(*here.link_mount)
    docker("pause", here.name)
    began = docker("version", "-f", "{{.Server.Version}}") and str(int(time.time()) - 1)
    (seen,) = [one for one in Examiner(here.places).survey() if one.name == here.name]
    assert (seen.state, seen.inside, seen.link and seen.link.name) == ("paused", None, here.name)
    until = str(int(time.time()) + 1)
    filters = ["--filter", f"container={here.name}", "--filter", "event=exec_create"]
    assert docker("events", "--since", began, "--until", until, *filters) == ""


@pytest.mark.parametrize(
    ("shell", "fault"),
    [
        ("sleep 300", "no answer within 1 s"),
        ("yes $'\\e[31m'", "its shell did not answer what it was asked"),
        ("while :; do echo x; sleep 0.1; done", "no answer within 1 s"),
        ("exit 126", "nothing can be run in it"),
    ],
)
def test_a_hostile_shell_costs_its_time_and_no_more(here: Bench, shell: str, fault: str) -> None:
    here.run(*here.link_mount)
    script = f"#!/bin/bash\n{shell}\n"
    docker("exec", "-u", "0", here.name, "/bin/bash", "-c", f"cat > /usr/local/sbin/sh <<'END'\n{script}END\n")
    docker("exec", "-u", "0", here.name, "chmod", "755", "/usr/local/sbin/sh")
    before = time.monotonic()
    seen = Examiner(here.places, within=1.0).container(here.guest, login=False)
    assert time.monotonic() - before < 5
    assert isinstance(seen, Sighting)
    assert seen.inside is not None
    assert seen.inside.fault == fault


def test_what_is_left_when_the_time_is_up_is_not_looked_at(here: Bench) -> None:
    here.run(*here.link_mount)
    (seen,) = [one for one in Examiner(here.places, all_within=0.0).survey() if one.name == here.name]
    assert seen.inside is not None
    assert seen.inside.fault == "the others took all of 0 s"


def test_a_container_without_a_shell_is_said_to_have_none(here: Bench) -> None:
    here.run(*here.link_mount)
    docker("exec", "-u", "0", here.name, "/bin/bash", "-c", "rm /bin/sh")
    seen = Examiner(here.places).container(here.guest, login=False)
    assert seen is not None
    assert seen.inside is not None
    assert seen.inside.fault == "it has no sh"


# doctor


def test_a_link_directory_that_was_made_anew_is_found_stale_and_mended(home: Site) -> None:
    web = home.add("guest")
    links = home.rig.state_dir / "links" / web.name
    home.rig.kill()
    shutil.rmtree(links)
    links.mkdir()
    home.rig.start()
    severity, detail, fix = bad(home, web.name)["link"]
    assert (severity, detail) == (
        "error",
        f"container {web.name} still sees an earlier link directory of {web.name}",
    )
    assert fix == f"docker restart {web.name} && ccbridgectl start {web.name}"
    docker("restart", "-t", "0", web.name)
    home.rig.said("start", web.name)
    assert "link" not in bad(home, web.name)


def test_a_container_that_was_made_again_without_its_mount_is_found(home: Site) -> None:
    web = home.add("guest")
    docker("rm", "-f", web.name)
    home.rig.until(lambda: "container" in bad(home, web.name), "its absence being found")
    assert bad(home, web.name)["container"][1] == f"there is no container {web.name}"
    home.run(web.name)
    severity, _, fix = bad(home, web.name)["link"]
    assert (severity, fix) == (
        "error",
        f"create it again with docker's flag: -v {home.rig.state_dir}/links/{web.name}:/run/ccbridge/link:ro",
    )


def test_missing_programs_are_found_in_an_instance_of_the_configuration(home: Site) -> None:
    empty = bare(home, "empty", *home.mount("empty"), image=BARE)
    part = bare(home, "part", *home.mount("part"))
    docker("exec", "-u", "0", part, "sh", "-c", f"{PARTIAL}; rm /usr/local/bin/claude")
    home.rig.kill()
    sections = [f'[instances.{name}]\ncontainer = "{home.prefix}{name}"\n' for name in ("empty", "part")]
    home.rig.config.write_text(VERBOSE + "".join(sections))
    home.rig.start()
    found = bad(home, "empty")
    assert found["python3"][1:] == (
        f"container {empty} has no python3, which the agent needs",
        f"docker exec -u 0 {empty} sh -c 'apt-get update && apt-get install -y python3'",
    )
    assert found["claude"][1] == f"container {empty} has no claude on the PATH of its user"
    assert bad(home, "part")["python3"][1] == f"container {part} has only a part of python3: json is missing"
    assert "npm install -g" in bad(home, "part")["claude"][2]


def test_a_login_is_asked_of_claude_code_in_the_container(home: Site) -> None:
    out = bare(home, "out", *home.mount("out"))
    home.rig.said("add", "out", "--container", out)
    severity, detail, fix = bad(home, "out")["login"]
    assert (severity, detail) == ("error", "Claude Code says that it is not logged in")
    assert fix.startswith(f"docker exec -it {out} claude auth login;")
    home.rig.said("remove", "-y", "out")
    home.rig.said("add", "out", "--container", out, *variables(home.endpoint.url, new_key()))
    assert "login" not in bad(home, "out")


def test_one_that_has_never_run_is_asked_with_its_own_variables(here: Bench) -> None:
    here.run(*here.link_mount)
    examiner = Examiner(here.places)
    for env, login in (({}, "no"), ({"ANTHROPIC_API_KEY": "sk-test"}, "yes")):
        here.places.write_env(here.name, env)
        seen = examiner.container(here.guest, login=True)
        assert seen is not None
        assert seen.inside is not None
        assert seen.inside.login == login


def test_root_inside_and_sessions_without_a_volume_are_advised_against(home: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a daemon that is root: run `sudo tests/run`")
    root = bare(home, "root", "-u", "0", *home.mount("root"))
    other = bare(home, "other", *home.mount("other"), "-v", f"{home.prefix}home:/home/claude")
    key = variables(home.endpoint.url, new_key())
    home.rig.said("add", "root", "--container", root, *key)
    home.rig.said("add", "other", "--container", other, *key)
    found = bad(home, "root")
    assert (found["uid"][0], found["uid"][2]) == ("advice", f"create {root} again with docker's flag: --user 1000")
    assert found["sessions"][0] == "advice"
    assert bad(home, "other") == {}
    assert home.rig.ctl("doctor").returncode == 0, "advice is no fault"
    docker("rm", "-f", other)
    docker("volume", "rm", f"{home.prefix}home")


def test_one_that_was_stopped_with_its_container_is_no_fault(home: Site) -> None:
    web = bare(home, "web", "--init", *home.mount("web"))
    home.rig.said("add", "web", "--container", web)
    home.rig.said("stop", "web", "--container")
    assert bad(home, "web") == {}


def test_an_engine_that_may_not_be_used_is_told_with_what_lets_one() -> None:
    socket = docker("context", "inspect", "-f", "{{.Endpoints.docker.Host}}").removeprefix("unix://")
    other = nobody()
    if os.stat(socket).st_mode & 0o006:
        pytest.skip("needs an engine that not everybody may use: run `sudo tests/provision`")

    def ask() -> bytes:
        os.environ["HOME"] = "/nonexistent"
        from ccbridged.system.places import Places

        fault = Examiner(Places("/nonexistent", "x"), host=f"unix://{socket}").engine().fault
        return json.dumps([fault.code, fault.message, fault.hint] if fault else []).encode()

    with Child(ask, other) as child:
        code, message, hint = json.loads(child.result())
    assert (code, message) == ("not-permitted", f"nobody may not use the Docker engine at unix://{socket}")
    assert hint.startswith("let it: sudo usermod -aG docker nobody")
