"""What Claude Code keeps is kept when the container that was made for it is made anew, and goes with its instance."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccbridged.model.effects import Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import STABLE
from ccbridged.system.runtimes import homes
from ccbridged.system.runtimes.docker import Engine
from ccbridged.system.runtimes.keep import Keep
from ccbridged.system.runtimes.made import INSTALL, INSTANCE
from tests.docker.conftest import BARE, CLAUDE, Bench, docker
from tests.docker.main_job_kit import WORKSPACE, Site, container, containers, site, volumes
from tests.scenarios.real_kit import Real, new_key, variables

HOME = "/home/claude"
KEPT = f"{HOME}/.claude"


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site() as place:
        yield place


def added(place: Site, called: str, *options: str) -> Real:
    name, key = f"{place.prefix}{called}-made", new_key()
    where = ["--image", CLAUDE, "--network", "host", *options]
    place.rig.said("add", name, *where, *variables(place.endpoint.url, key))
    return Real(place.rig, place.endpoint, name, key, WORKSPACE)


def about(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


def mounts(here: Bench) -> dict[str, str]:
    return {mount["Destination"]: mount["Type"] for mount in about(f"ccbridge-{here.name}")["Mounts"]}


def variables_of(here: Bench) -> dict[str, str]:
    return homes.environment(about(f"ccbridge-{here.name}")["Config"])


def within(here: Bench, script: str) -> str:
    return docker("exec", f"ccbridge-{here.name}", "sh", "-c", script)


# With the real Claude Code.


@pytest.mark.parametrize("user", ["", "root", "4321:4321"])
def test_a_session_goes_on_in_a_container_that_was_made_anew(place: Site, user: str) -> None:
    web = added(place, user.partition(":")[0] or "own", *(["--user", user] if user else []))
    first = web.ask("my name is Ada")
    docker("exec", container(web), "sh", "-c", f"echo login > {KEPT}/.credentials.json")
    life = docker("inspect", "-f", "{{.Id}}", container(web))
    docker("rm", "-fv", container(web))
    second = web.ask("what is my name?")
    assert (second["state"], second["session_id"]) == ("succeeded", first["session_id"])
    assert web.endpoint.requests()[-1]["texts"][-2:] == ["my name is Ada", "what is my name?"]
    assert docker("inspect", "-f", "{{.Id}}", container(web)) != life
    kept = docker("exec", container(web), "sh", "-c", f"cd {KEPT} && cat .credentials.json && ls .claude.json")
    assert kept.split() == ["login", ".claude.json"]
    assert docker("exec", container(web), "sh", "-c", "test -e ~/.claude.json || echo none") == "none"
    web.rig.said("remove", "-y", web.name)
    assert (containers(web.name), volumes(web.name)) == ([], [])


# Where it lies.


def test_what_the_image_has_is_there_at_first_and_what_came_later_stays(here: Bench) -> None:
    image = f"ccbridge-test-{here.name}"
    script = "mkdir ~/.claude && echo rules > ~/.claude/CLAUDE.md && echo '{\"theme\": 1}' > ~/.claude.json"
    docker("run", "--name", here.name, CLAUDE, "sh", "-c", script)
    docker("commit", here.name, image)
    try:
        spec = Spec(here.name, "docker", image=image, durability="process")
        facts = here.runtime.launch(spec, {}, container=False)
        assert within(here, f"cat {KEPT}/CLAUDE.md {KEPT}/.claude.json") == 'rules\n{"theme": 1}'
        assert within(here, f"stat -c '%a %U' {KEPT} {KEPT}/.claude.json").split() == ["700", "claude", "600", "claude"]
        within(here, f"echo mine > {KEPT}/CLAUDE.md; echo later > {KEPT}/.claude.json")
        docker("rm", "-fv", f"ccbridge-{here.name}")
        here.runtime.launch(spec, facts, container=False)
        assert within(here, f"cat {KEPT}/CLAUDE.md {KEPT}/.claude.json") == "mine\nlater"
    finally:
        docker("rm", "-fv", here.name, f"ccbridge-{here.name}")
        docker("rmi", image)


def test_the_home_of_a_user_is_looked_up_in_the_image_and_nothing_of_that_is_left(here: Bench) -> None:
    engine = Engine("")
    labels = {INSTALL: here.places.install_id, INSTANCE: here.name}
    try:
        for user, home in (("games", "/usr/games"), ("5:60", "/usr/games"), ("0", "/root"), ("4321", "")):
            spec = Spec(here.name, "docker", image=BARE, docker={"user": user})
            plan = Keep(engine, here.places).plan(spec, labels)
            (volume,) = plan.volumes
            assert (volume.target, plan.environment) == (f"{home}/.claude", {"CLAUDE_CONFIG_DIR": f"{home}/.claude"})
    finally:
        engine.close()
    assert docker("ps", "-aq", "--filter", f"name={here.name}") == ""


@pytest.mark.parametrize("target", [HOME, f"{HOME}/", KEPT])
def test_whoever_mounts_it_himself_is_left_to_himself(here: Bench, tmp_path: Path, target: str) -> None:
    os.chmod(tmp_path, 0o777)
    here.runtime.launch(here.made(volumes=[f"{tmp_path}:{target}"]), {}, container=False)
    assert "volume" not in mounts(here).values()
    assert "CLAUDE_CONFIG_DIR" not in variables_of(here)
    assert docker("volume", "ls", "-q", "--filter", f"name={here.name}") == ""


def test_a_settings_file_that_somebody_mounts_is_the_one_that_counts(here: Bench, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("{}")
    here.runtime.launch(here.made(volumes=[f"{settings}:{HOME}/.claude.json"]), {}, container=False)
    assert mounts(here)[KEPT] == "volume"
    assert "CLAUDE_CONFIG_DIR" not in variables_of(here)


def test_another_directory_that_the_instance_is_given_is_the_one_that_is_kept(here: Bench) -> None:
    here.places.write_env(here.name, {"CLAUDE_CONFIG_DIR": "/workspace/else"})
    here.runtime.launch(here.made(), {}, container=False)
    assert mounts(here)["/workspace/else"] == "volume" and KEPT not in mounts(here)
    assert "CLAUDE_CONFIG_DIR" not in variables_of(here)
    assert within(here, "stat -c '%a %U' /workspace/else") == "700 claude"


def test_what_would_be_lost_with_a_container_is_found_out_from_the_outside(here: Bench, tmp_path: Path) -> None:
    def lost(found: Any) -> list[str]:
        kept = homes.lasting(found["Mounts"])
        return [path for path in homes.home(found["Config"], lambda: b"", {}) if not homes.covered(path, kept)]

    def unkept(*options: str) -> list[str]:
        here.run(*options)
        found = about(here.name)
        docker("rm", "-fv", here.name)
        return lost(found)

    both = [f"{HOME}/.claude", f"{HOME}/.claude.json"]
    assert unkept() == both
    assert unkept("-v", f"{tmp_path}:{HOME}") == []
    assert unkept("-v", f"{tmp_path}:{HOME}:ro") == both
    assert unkept("-v", HOME) == both, "a volume without a name is another one next time"
    assert unkept("--tmpfs", HOME) == both
    assert unkept("-v", f"{tmp_path}:{HOME}/.claude") == both[1:]
    assert unkept("-v", f"{tmp_path}:{KEPT}", "-e", f"CLAUDE_CONFIG_DIR={KEPT}") == []
    here.runtime.launch(here.made(), {}, container=False)
    assert lost(about(f"ccbridge-{here.name}")) == []


# Whose it is.


def test_a_volume_of_that_name_that_is_not_ours_is_refused_and_left_alone(here: Bench) -> None:
    name = f"ccbridge-{here.name}"
    docker("volume", "create", "--label", f"{INSTANCE}={here.name}", name)
    with pytest.raises(BridgeError, match="not made by this ccbridged") as caught:
        here.runtime.launch(here.made(), {}, container=False)
    assert caught.value.code == "exists"
    assert f"docker volume rm {name}" in caught.value.hint and f"--volume {name}:{KEPT}" in caught.value.hint
    here.runtime.remove(here.made(), {})
    assert docker("volume", "ls", "-q", "--filter", f"name={name}") == name


def test_a_volume_that_another_container_uses_is_left_and_said_to_be(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    here.run("-v", f"ccbridge-{here.name}:/mnt")
    assert here.runtime.remove(here.made(), facts) == {"left": [f"docker volume ccbridge-{here.name}"]}


def test_a_container_of_an_earlier_version_goes_on_without_a_volume(here: Bench) -> None:
    name, gid = f"ccbridge-{here.name}", os.stat(here.link_dir / "in.fifo").st_gid
    labels = {INSTALL: here.places.install_id, INSTANCE: here.name, "ccbridged.shape": "earlier"}
    pack = ["-v", f"{here.places.pack_dir}:/run/ccbridge/pack:ro", "-v", f"{here.agent_dir}:/run/ccbridge/agent"]
    flags = [word for label, value in labels.items() for word in ("--label", f"{label}={value}")]
    places = ["--link", "/run/ccbridge/link", "--journal", "/run/ccbridge/agent"]
    command = ["-I", f"/run/ccbridge/pack/{STABLE}", *places]
    options = [*flags, *here.link_mount, *pack, "--group-add", str(gid), "--entrypoint", "python3"]
    id_ = docker("create", "--name", name, *options, CLAUDE, *command)
    facts = here.runtime.launch(here.made(), {"container_id": id_, "created": True}, container=False)
    assert facts["container_id"] == id_ and KEPT not in mounts(here)
