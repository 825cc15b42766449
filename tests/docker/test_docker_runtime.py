"""Agents in real containers, of both kinds: the real packed agent, and a host end that speaks with it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccbridged.model.effects import Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.messages import Alive
from ccbridged.system.runtimes.containers import DockerRuntime
from ccbridged.system.runtimes.docker import Engine
from tests.docker.conftest import BARE, CLAUDE, Bench, docker
from tests.system.agent_host import Host, shell, started

PATIENCE = 15.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@contextmanager
def talking(link_dir: Path) -> Iterator[Host]:
    """The host's end, once the agent has said that it is there."""
    host = Host(link_dir)
    try:
        host.until(lambda: host.of(Alive), "Alive")
        yield host
    finally:
        host.close()


def said(host: Host, script: str) -> str:
    """The one line that a program of the agent's prints."""
    started(host, shell(script))
    return host.until(host.lines, "a line")[0]


def agents(container: str) -> list[str]:
    """The command lines of the agents in a container."""
    processes = docker("top", container, "-eo", "pid,args").splitlines()[1:]
    return [line for line in processes if ".pyz" in line]


# A container that is there.


def test_an_agent_starts_beside_a_container_that_has_only_the_link_mounted(here: Bench) -> None:
    here.run(*here.link_mount)
    facts = here.runtime.launch(here.guest, {}, container=False)
    assert facts["container_id"] == docker("inspect", "-f", "{{.Id}}", here.name) and facts["created"] is False
    with talking(here.link_dir) as host:
        assert host.of(Alive)[0].user == "claude"
        assert said(host, "id -u; sleep 60") == "1000"


def test_private_variables_reach_the_programs_and_no_command_line(here: Bench) -> None:
    here.run(*here.link_mount)
    here.places.write_env(here.name, {"API_KEY": "hush-hush"})
    here.runtime.launch(here.guest, {}, container=False)
    with talking(here.link_dir) as host:
        assert said(host, "echo $API_KEY; sleep 60") == "hush-hush"
        assert "hush" not in docker("top", here.name, "-eo", "pid,args")
    own = f"/var/lib/ccbridge/{here.name}"
    facts = docker("exec", here.name, "stat", "-c", "%a %U", own, f"{own}/env")
    assert facts.splitlines() == ["700 claude", "400 claude"]
    assert "hush" not in docker("inspect", here.name)


def test_what_is_mounted_is_used_and_not_copied(here: Bench) -> None:
    agent, pack = f"{here.agent_dir}:/journal", f"{here.places.pack_dir}:/pack:ro"
    here.run(*here.link_mount, "-v", agent, "-v", pack, "--read-only")
    here.places.write_env(here.name, {"API_KEY": "hush-hush"})
    here.runtime.launch(here.guest, {}, container=False)
    with talking(here.link_dir) as host:
        assert said(host, "echo $API_KEY; sleep 60") == "hush-hush"
    assert f"/pack/{os.path.basename(here.packed.path)}" in agents(here.name)[0]
    assert {"journal", "lock", "env"} <= set(os.listdir(here.agent_dir))
    assert "No such file" in docker("exec", here.name, "sh", "-c", "ls /var/lib/ccbridge 2>&1 || true")


def test_a_mounted_file_of_an_older_pack_is_not_used(here: Bench) -> None:
    stable = Path(here.places.pack_dir) / "agent.pyz"
    newest = stable.read_bytes()
    stable.write_bytes(b"PK older")
    here.run(*here.link_mount, "-v", f"{stable}:/agent.pyz:ro")
    stable.unlink()
    stable.write_bytes(newest)
    here.runtime.launch(here.guest, {}, container=False)
    assert f"/var/lib/ccbridge/{here.name}/{os.path.basename(here.packed.path)}" in agents(here.name)[0]
    with talking(here.link_dir):
        pass


def test_launching_twice_leaves_one_agent(here: Bench) -> None:
    here.run(*here.link_mount)
    for _ in range(2):
        here.runtime.launch(here.guest, {}, container=False)
    assert len(agents(here.name)) == 1


def test_a_container_without_the_mount_is_refused_with_the_flag_that_is_missing(here: Bench) -> None:
    here.run("-v", "/tmp:/run/ccbridge/link:ro")
    with pytest.raises(BridgeError, match="link directory") as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "refused"
    assert f"-v {here.places.link_dir(here.name)}:/run/ccbridge/link:ro" in caught.value.hint


def test_the_mount_is_found_at_any_place_and_through_symlinks(here: Bench, tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(here.places.state_dir)
    here.run("-v", f"{tmp_path}/state/links/{here.name}:/elsewhere:ro")
    here.runtime.launch(here.guest, {}, container=False)
    with talking(here.link_dir):
        assert "--link /elsewhere" in agents(here.name)[0]


def test_a_container_that_sees_an_earlier_link_directory_must_be_restarted(here: Bench) -> None:
    here.run(*here.link_mount)
    here.link_dir.rename(here.link_dir.with_name("old"))
    here.link_dir.mkdir()
    with pytest.raises(BridgeError, match="earlier") as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.hint == f"docker restart {here.name} && ccbridgectl start {here.name}"
    here.make_fifos()
    docker("restart", "-t", "0", here.name)
    here.runtime.launch(here.guest, {}, container=False)


def test_a_read_only_container_is_refused_with_both_flags_that_are_missing(here: Bench) -> None:
    here.run(*here.link_mount, "--read-only")
    with pytest.raises(BridgeError, match="read-only") as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "refused"
    assert f"-v {here.agent_dir}:/run/ccbridge/agent" in caught.value.hint
    assert f"-v {here.places.pack_dir}:/run/ccbridge/pack:ro" in caught.value.hint


def test_a_container_without_python_is_refused_with_the_command_that_mends_it(here: Bench) -> None:
    here.run(*here.link_mount, image=BARE)
    with pytest.raises(BridgeError, match="no python3") as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "refused" and "apt-get install -y python3" in caught.value.hint


def test_a_python_that_is_too_old_is_told_in_the_agents_words(here: Bench) -> None:
    here.run(*here.link_mount, "--user", "0")
    # As Python 3.6 would have it, as far as the agent can tell.
    code = "import sys\nsys.version_info = (3, 6, 9, 'final', 0)\n"
    docker("exec", here.name, "sh", "-c", f"printf '%s' \"{code}\" > /usr/lib/python3.11/sitecustomize.py")
    with pytest.raises(BridgeError, match=r"3\.10") as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "refused" and "docker exec" in caught.value.hint


@pytest.mark.parametrize("does", ["sleep 600", "yes"])
def test_what_does_not_end_in_a_container_holds_nobody_up(here: Bench, does: str) -> None:
    here.run()
    engine = Engine("", timeout=1.0)
    began = time.monotonic()
    try:
        ran = engine.run(here.name, ["sh", "-c", does])
    except BridgeError as error:
        assert (does, error.code) == ("sleep 600", "failed")
        assert "does not end" in error.message and "docker top" in error.hint
    else:
        assert (does, ran.status, len(ran.output) <= 1 << 20) == ("yes", -1, True)
    finally:
        engine.close()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("state", ["missing", "exited", "paused"])
def test_a_container_that_does_not_run_is_told_with_the_command_that_starts_it(here: Bench, state: str) -> None:
    if state != "missing":
        here.run(*here.link_mount)
        docker(*(["pause", here.name] if state == "paused" else ["kill", here.name]))
    with pytest.raises(BridgeError) as caught:
        here.runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "not-running"
    hints = {"missing": "docker ps -a", "exited": f"docker start {here.name}", "paused": f"docker unpause {here.name}"}
    assert hints[state] in caught.value.hint
    if state != "missing":
        here.runtime.launch(here.guest, {}, container=True)
        assert len(agents(here.name)) == 1


def test_an_agent_comes_again_after_its_container_was_killed_and_keeps_its_journal(here: Bench) -> None:
    here.run(*here.link_mount)
    journal = f"/var/lib/ccbridge/{here.name}/journal"
    here.runtime.launch(here.guest, {}, container=False)
    first = json.loads(docker("exec", here.name, "head", "-1", journal)[9:])
    docker("kill", here.name)
    docker("start", here.name)
    here.runtime.launch(here.guest, {}, container=False)
    second = json.loads(docker("exec", here.name, "head", "-1", journal)[9:])
    assert first["journal"] == second["journal"]


def test_a_halted_agent_is_gone_and_its_container_stays_unless_asked(here: Bench) -> None:
    here.run(*here.link_mount)
    here.runtime.launch(here.guest, {}, container=False)
    for _ in range(2):
        here.runtime.halt(here.guest, {}, container=False)
        assert agents(here.name) == []
    assert docker("inspect", "-f", "{{.State.Status}}", here.name) == "running"
    here.runtime.halt(here.guest, {}, container=True)
    assert docker("inspect", "-f", "{{.State.Status}}", here.name) == "exited"
    here.runtime.halt(here.guest, {}, container=True)


def test_an_agent_that_does_not_listen_is_killed_with_its_container(here: Bench) -> None:
    here.run(*here.link_mount, "--init")
    here.runtime.launch(here.guest, {}, container=False)
    os.kill(int(agents(here.name)[0].split()[0]), signal.SIGSTOP)
    began = time.monotonic()
    here.runtime.halt(here.guest, {}, container=False)
    assert agents(here.name) == [] and time.monotonic() - began < 10


def test_removing_takes_away_what_was_brought_in_and_leaves_the_container(here: Bench) -> None:
    here.run(*here.link_mount)
    here.places.write_env(here.name, {"API_KEY": "hush-hush"})
    here.runtime.launch(here.guest, {}, container=False)
    assert here.runtime.remove(here.guest, {}) == {}
    assert agents(here.name) == []
    assert "No such file" in docker("exec", here.name, "sh", "-c", "ls /var/lib/ccbridge 2>&1 || true")
    assert os.listdir(here.link_dir) == [] and os.listdir(here.agent_dir) == []
    assert not [path for path in Path(here.places.state_dir).rglob("*") if path.is_file() and here.name in str(path)]


def test_an_instance_can_be_added_again_without_touching_its_container(here: Bench) -> None:
    here.run(*here.link_mount)
    here.runtime.launch(here.guest, {}, container=False)
    here.runtime.remove(here.guest, {})
    here.make_fifos()
    here.runtime.launch(here.guest, {}, container=False)
    with talking(here.link_dir):
        pass


def test_a_user_who_may_not_use_the_fifos_is_told_the_flag_where_their_group_is_given(here: Bench) -> None:
    here.run(*here.link_mount)
    gid = os.stat(here.link_dir / "in.fifo").st_gid
    runtime = DockerRuntime(here.places, here.packed, fifo_gid=gid)
    try:
        with pytest.raises(BridgeError, match="uid 1000") as caught:
            runtime.launch(here.guest, {}, container=False)
        assert caught.value.code == "refused" and f"--group-add {gid}" in caught.value.hint
        docker("rm", "-f", here.name)
        here.run(*here.link_mount, "--group-add", str(gid))
        runtime.launch(here.guest, {}, container=False)
    finally:
        runtime.close()


# A container that is made.


def test_a_made_container_has_the_agent_as_its_main_process(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    about = json.loads(docker("inspect", f"ccbridge-{here.name}"))[0]
    assert facts == {"container_id": about["Id"], "created": True, "pid": about["State"]["Pid"]}
    assert (
        about["Config"]["Labels"]
        | {
            "ccbridged.install": here.places.install_id,
            "ccbridged.instance": here.name,
        }
        == about["Config"]["Labels"]
    )
    assert about["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert {mount["Destination"]: mount["RW"] for mount in about["Mounts"]} == {
        "/run/ccbridge/link": False,
        "/run/ccbridge/agent": True,
        "/run/ccbridge/pack": False,
        "/home/claude/.claude": True,
    }
    with talking(here.link_dir) as host:
        assert host.of(Alive)[0][0] == 1 and host.of(Alive)[0].user == "claude"
        assert said(host, "pwd; sleep 60") == "/workspace"


def test_a_made_containers_programs_get_their_private_variables(here: Bench) -> None:
    here.places.write_env(here.name, {"API_KEY": "hush-hush"})
    here.runtime.launch(here.made(), {}, container=False)
    with talking(here.link_dir) as host:
        assert said(host, "echo $API_KEY; sleep 60") == "hush-hush"
    assert "hush" not in docker("inspect", f"ccbridge-{here.name}")
    assert (
        docker("exec", f"ccbridge-{here.name}", "stat", "-c", "%a %u:%g", "/run/ccbridge/agent/env") == "400 1000:1000"
    )


def test_dockers_own_options_reach_a_made_container(here: Bench, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from the host")
    options: dict[str, object] = {"volumes": [f"{tmp_path}:/notes:ro"], "network": "none", "user": "4321:1000"}
    here.places.write_env(here.name, {"KEY": "mine"})
    spec = Spec(
        here.name,
        "docker",
        image=CLAUDE,
        workdir="/notes",
        durability="process",
        docker={**options, "memory": "200m", "cpus": "0.5"},
    )
    here.runtime.launch(spec, {}, container=False)
    config = json.loads(docker("inspect", f"ccbridge-{here.name}"))[0]["HostConfig"]
    assert (config["Memory"], config["NanoCpus"], config["NetworkMode"]) == (200 << 20, 500_000_000, "none")
    os.chmod(tmp_path, 0o755)
    with talking(here.link_dir) as host:
        assert said(host, "echo $(cat note) $(id -u) $KEY; sleep 60") == "from the host 4321 mine"


def test_options_that_docker_does_not_take_are_a_usage_fault(here: Bench) -> None:
    for options in ({"memory": "much"}, {"cpus": "two"}):
        with pytest.raises(BridgeError) as caught:
            here.runtime.launch(here.made(**options), {}, container=False)
        assert caught.value.code == "usage"
    assert docker("ps", "-aq", "--filter", f"name={here.name}") == ""


def test_an_image_that_is_not_there_is_told_with_the_command_that_brings_it(here: Bench) -> None:
    for image, command in (("example/no-such", "docker pull example/no-such"), ("ccbridge/none", "docker build")):
        with pytest.raises(BridgeError, match="no image") as caught:
            here.runtime.launch(Spec(here.name, "docker", image=image), {}, container=False)
        assert caught.value.code == "refused" and command in caught.value.hint


def test_an_image_without_python_is_refused_and_leaves_no_container(here: Bench) -> None:
    with pytest.raises(BridgeError, match="no python3") as caught:
        here.runtime.launch(Spec(here.name, "docker", image=BARE), {}, container=False)
    assert caught.value.code == "refused" and "Dockerfile" in caught.value.hint
    assert docker("ps", "-aq", "--filter", f"name={here.name}") == ""


def test_a_container_of_that_name_that_is_not_ours_is_refused_and_left_alone(here: Bench) -> None:
    docker("create", "--name", f"ccbridge-{here.name}", BARE)
    with pytest.raises(BridgeError) as caught:
        here.runtime.launch(here.made(), {}, container=False)
    assert caught.value.code == "exists" and f"docker rm -f ccbridge-{here.name}" in caught.value.hint
    here.runtime.halt(here.made(), {}, container=True)
    here.runtime.remove(here.made(), {})
    assert docker("inspect", "-f", "{{.State.Status}}", f"ccbridge-{here.name}") == "created"


def test_a_killed_container_is_started_again_with_its_journal(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    journal = here.agent_dir / "journal"
    first = journal.read_text().splitlines()[0]
    docker("kill", f"ccbridge-{here.name}")
    again = here.runtime.launch(here.made(), facts, container=False)
    assert again["container_id"] == facts["container_id"] and again["pid"] != facts["pid"]
    assert json.loads(journal.read_text().splitlines()[0][9:])["journal"] == json.loads(first[9:])["journal"]
    with talking(here.link_dir):
        pass


def test_a_container_that_was_taken_away_is_made_anew(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    docker("rm", "-f", f"ccbridge-{here.name}")
    again = here.runtime.launch(here.made(), facts, container=False)
    assert again["container_id"] != facts["container_id"]


def test_one_that_was_made_and_not_remembered_is_found_again_unless_its_shape_changed(here: Bench) -> None:
    first = here.runtime.launch(here.made(), {}, container=False)
    assert here.runtime.launch(here.made(), {}, container=False)["container_id"] == first["container_id"]
    other = here.runtime.launch(here.made(memory="300m"), {}, container=False)
    assert other["container_id"] != first["container_id"]


def test_a_stopped_instance_stays_stopped_and_starts_again(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    began = time.monotonic()
    here.runtime.halt(here.made(), facts, container=False)
    assert time.monotonic() - began < 3, "TERM is enough for an agent"
    assert docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", f"ccbridge-{here.name}") == "exited 0"
    assert here.runtime.launch(here.made(), facts, container=False)["container_id"] == facts["container_id"]


def test_removing_a_made_container_leaves_nothing(here: Bench) -> None:
    facts = here.runtime.launch(here.made(), {}, container=False)
    here.runtime.remove(here.made(), facts)
    assert docker("ps", "-aq", "--filter", f"name={here.name}") == ""
    assert docker("volume", "ls", "-q", "--filter", f"name={here.name}") == ""
    assert [path for path in Path(here.places.state_dir).rglob("*") if here.name in path.name] == []
    here.runtime.remove(here.made(), facts)


def test_an_agent_that_cannot_begin_is_reported_with_its_own_words_and_does_not_loop(here: Bench) -> None:
    (here.agent_dir / "journal").write_text("this is not a journal\n")
    os.chmod(here.agent_dir / "journal", 0o666)
    with pytest.raises(BridgeError, match="damaged") as caught:
        here.runtime.launch(here.made(), {}, container=False)
    assert caught.value.code == "refused" and "docker logs" in caught.value.hint
    assert docker("inspect", "-f", "{{.State.Status}}", f"ccbridge-{here.name}") == "exited"


# The engine.


def test_a_probe_tells_the_engine_and_every_container(here: Bench) -> None:
    here.run(*here.link_mount)
    specs = (here.guest, Spec("other", "docker", container="no-such-container"), Spec("here", "process"))
    facts = here.runtime.probe(specs, {})
    ok, detail = facts["docker_daemon"]  # type: ignore[misc]
    assert ok is True and detail.startswith("version ")  # type: ignore[has-type]
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", here.name))
    assert facts["container"] == {
        here.name: [True, f"running, pid {pid}", ""],
        "other": [False, "is missing", ""],
    }
    docker("pause", here.name)
    paused = f"is paused; let it go on: docker unpause {here.name}"
    assert here.runtime.probe([here.guest], {})["container"] == {here.name: [False, paused, "paused"]}
    docker("kill", here.name)
    assert here.runtime.probe([here.guest], {})["container"] == {here.name: [False, "exited with status 137", ""]}


def test_a_container_with_another_name_is_found_by_its_id_and_a_new_one_by_its_name(here: Bench) -> None:
    here.run()
    id_ = docker("inspect", "-f", "{{.Id}}", here.name)
    docker("rename", here.name, f"ccbridge-{here.name}")
    found = here.runtime.probe([here.guest], {here.name: id_})["container"]
    assert found[here.name][0] is True  # type: ignore[index]
    docker("rm", "-f", f"ccbridge-{here.name}")
    here.run()
    found = here.runtime.probe([here.guest], {here.name: id_})["container"]
    assert found[here.name][0] is True  # type: ignore[index]


def test_a_probe_tells_why_a_container_ended(here: Bench) -> None:
    docker("create", "--name", here.name, BARE, "no-such-program")
    assert here.runtime.probe([here.guest], {})["container"] == {here.name: [False, "was never started", ""]}
    docker("start", here.name, check=False)
    (found,) = here.runtime.probe([here.guest], {})["container"].values()  # type: ignore[attr-defined]
    assert found[1].startswith("could not be started: ") and "no-such-program" in found[1]
    docker("rm", here.name)
    docker("run", "-m", "32m", "--name", here.name, BARE, "sh", "-c", "tail /dev/zero", check=False)
    exited = "exited with status 137: out of memory"
    assert here.runtime.probe([here.guest], {})["container"] == {here.name: [False, exited, ""]}
    docker("rm", here.name)
    docker("run", "-d", "--restart", "always", "--name", here.name, BARE, "sh", "-c", "exit 5")
    again = [False, "exited with status 5; docker starts it again", ""]
    until(lambda: here.runtime.probe([here.guest], {})["container"] == {here.name: again})


def test_an_engine_that_is_not_there_is_told_without_a_trace(here: Bench) -> None:
    runtime = DockerRuntime(here.places, here.packed, host="unix:///nonexistent")
    with pytest.raises(BridgeError) as caught:
        runtime.launch(here.guest, {}, container=False)
    assert caught.value.code == "unavailable" and "systemctl start docker" in caught.value.hint
    assert "unix:///nonexistent is not running" in caught.value.message and "Traceback" not in caught.value.message
    facts = runtime.probe([here.guest], {})
    assert facts["docker_daemon"] == [False, caught.value.message]
    assert facts["container"] == {here.name: [False, "unknown: the engine does not answer", "unknown"]}


def test_the_engine_is_looked_for_where_the_environment_says(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    with pytest.raises(BridgeError, match="unix:///nonexistent"):
        DockerRuntime(here.places, here.packed).launch(here.guest, {}, container=False)


def test_a_user_who_may_not_use_the_engine_is_told_how_to_let_him(here: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a second user: run `sudo .venv/bin/pytest tests/docker`")
    runtime = DockerRuntime(here.places, here.packed)
    os.seteuid(65534)
    try:
        facts = runtime.probe([], {})
    finally:
        os.seteuid(0)
    ok, detail = facts["docker_daemon"]  # type: ignore[misc]
    assert ok is False and "may not use the Docker engine" in detail  # type: ignore[has-type]
