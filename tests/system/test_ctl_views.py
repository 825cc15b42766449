"""Verbs that look, and verbs that change instances: what they print, what they ask of the daemon."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.ctl_host import FakeDaemon, ctl


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("views") / "run") as running:
        yield running


def test_status_is_two_columns(daemon: FakeDaemon) -> None:
    lines = ctl(daemon, "status").stdout.splitlines()
    assert lines[0] == "ccbridged   0.1.0"
    assert "instances   1 ready, 1 busy" in lines
    assert "health      fifo_pipes: web: out.fifo is gone" in lines


def test_status_of_an_instance_has_its_reason_and_its_transports(daemon: FakeDaemon) -> None:
    lines = ctl(daemon, "status", "web").stdout.splitlines()
    assert "state      busy: waiting for approval of Bash" in lines
    assert "transport  fifo (the engine shares this kernel)" in lines


@pytest.mark.parametrize("verb", ["list", "ls", "ps"])
def test_list_is_aligned(daemon: FakeDaemon, verb: str) -> None:
    head, api, web = ctl(daemon, verb).stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "AGE", "RUNTIME", "TRANSPORT", "QUEUED", "SESSION", "REASON"]
    assert api[head.index("STATE") :].startswith("ready")
    assert web[head.index("RUNTIME") :].startswith("docker")


def test_list_filters_and_gives_names_only(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "list", "-q").stdout == "api\nweb\n"
    assert ctl(daemon, "list", "-q", "--filter", "state=ready").stdout == "api\n"
    assert ctl(daemon, "list", "--filter", "colour=red").returncode == 2


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["status"], dict),
        (["status", "web"], dict),
        (["list"], list),
        (["list", "-q"], list),
        (["queue", "web"], list),
        (["history", "web"], list),
        (["approvals"], list),
        (["health"], dict),
        (["discover"], list),
        (["discover", "--add"], list),
        (["doctor"], dict),
        (["add", "web", "--process"], dict),
        (["stop", "web"], dict),
        (["remove", "-y", "web"], dict),
        (["cancel", "beef"], dict),
        (["interrupt", "web"], dict),
        (["approve", "41c0"], dict),
        (["deny", "41c0"], dict),
    ],
)
def test_json_is_one_document_on_one_line(daemon: FakeDaemon, argv: list[str], kind: type) -> None:
    out = ctl(daemon, *argv, "--json").stdout
    assert out.endswith("\n")
    assert out.count("\n") == 1
    assert isinstance(json.loads(out), kind)


def test_health_is_0_only_if_all_are_well(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "health").returncode == 1
    assert ctl(daemon, "health", "--json").returncode == 1
    assert ctl(daemon, "health", "--component", "docker_daemon").returncode == 0
    assert "out.fifo is gone" in ctl(daemon, "health", "--component=fifo_pipes").stdout


def test_queue_history_and_approvals_are_harmless_and_readable(daemon: FakeDaemon) -> None:
    assert "second \\x1b[2J thing" in ctl(daemon, "queue", "web").stdout
    history = ctl(daemon, "history", "web").stdout.splitlines()
    assert history[1:4] == ["> one", "> two", "three"]
    assert "! API Error: 500" in history
    assert "rm -r build" in ctl(daemon, "approvals").stdout


def test_queue_is_edited_by_id(daemon: FakeDaemon) -> None:
    ctl(daemon, "queue", "web", "--move", "f00d", "0")
    assert [daemon.calls()[-1][key] for key in ("move", "to", "drop")] == ["f00d", 0, ""]
    ctl(daemon, "queue", "web", "--drop", "beef")
    assert [daemon.calls()[-1][key] for key in ("move", "to", "drop")] == ["", -1, "beef"]


def test_history_is_cut_to_the_last(daemon: FakeDaemon) -> None:
    assert [row["id"] for row in json.loads(ctl(daemon, "history", "web", "-n", "1", "--json").stdout)] == ["bbbb"]


def test_events_and_logs_are_a_line_each(daemon: FakeDaemon) -> None:
    assert [
        json.loads(line)["seq"] for line in ctl(daemon, "events", "--since", "3", "--json").stdout.splitlines()
    ] == [4, 5]
    assert ctl(daemon, "events").stdout.splitlines()[0].split() == [
        *("1", "2023-11-14"),
        *(ctl(daemon, "events").stdout.split()[2], "web", "state", "beef", "running"),
    ]
    assert ctl(daemon, "logs", "web", "-n1").stdout == "program | line 5 \\x1b]0;title\\x07\n"


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_an_instance_is_started_and_stopped_with_its_container(daemon: FakeDaemon, verb: str) -> None:
    assert ctl(daemon, verb, "web", "--container", "--no-wait").stdout == "web\n"
    call = daemon.calls()[-1]
    assert (call["verb"], call["name"], call["container"], call["wait"]) == (verb, "web", True, False)


def test_add_process_starts_here(daemon: FakeDaemon, tmp_path: Path) -> None:
    done = ctl(daemon, "add", "here", "--process", "--", "--model", "opus", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "here\n")
    call = daemon.calls()[-1]
    assert (call["runtime"], call["workdir"], call["args"]) == ("process", str(tmp_path), ["--model", "opus"])


def test_add_image_carries_dockers_own_flags(daemon: FakeDaemon, tmp_path: Path) -> None:
    flags = ["-v", "./src:/w:ro", "--volume=data:/d", "--network", "none", "--user=1000", "-m", "2g", "--cpus", "1.5"]
    ctl(daemon, "add", "api", "--image", "ccbridge/claude", *flags, cwd=tmp_path)
    call = daemon.calls()[-1]
    assert (call["runtime"], call["image"]) == ("docker", "ccbridge/claude")
    assert call["docker"] == {
        "volumes": [f"{tmp_path}/src:/w:ro", "data:/d"],
        "network": "none",
        "user": "1000",
        "memory": "2g",
        "cpus": "1.5",
    }


def test_add_takes_variables_from_here_a_file_and_the_flag_and_prints_none(daemon: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# keys\n\nA=1\nB=with = and space \nFROM_HERE\n")
    argv = ["add", "e", "--container", "c", "--env-file", str(file), "--env", "A=secret", "-eC="]
    done = ctl(daemon, *argv, env={"FROM_HERE": "here"})
    assert daemon.calls()[-1]["env"] == {"A": "secret", "B": "with = and space ", "FROM_HERE": "here", "C": ""}
    assert "secret" not in done.stdout + done.stderr


def test_a_variable_that_is_not_set_here_is_a_usage_error(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "add", "e", "--process", "--env", "SURELY_NOT_SET")
    assert done.returncode == 2
    assert "SURELY_NOT_SET is not set here" in done.stderr


def test_program_takes_all_up_to_the_next_flag(daemon: FakeDaemon) -> None:
    ctl(daemon, "add", "p", "--program", "python3", "fake.py", "x", "--transport", "fifo", "--process")
    call = daemon.calls()[-1]
    assert (call["program"], call["transport"]) == (["python3", "fake.py", "x"], "fifo")


@pytest.mark.parametrize("argv", [["--process", "--image", "i"], [], ["--process", "--memory", "1g"]])
def test_add_refuses_what_does_not_go_together(daemon: FakeDaemon, argv: list[str]) -> None:
    before = len(daemon.calls())
    assert ctl(daemon, "add", "x", *argv).returncode == 2
    assert len(daemon.calls()) == before


def test_remove_needs_yes_where_nobody_can_be_asked(daemon: FakeDaemon) -> None:
    before = len(daemon.calls())
    done = ctl(daemon, "remove", "web")
    assert (done.returncode, len(daemon.calls())) == (2, before)
    assert "ccbridgectl remove -y web" in done.stderr
    assert ctl(daemon, "rm", "web", "--yes").stdout == "web\n"


def test_approvals_are_answered_with_their_scope_and_reason(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "approve", "41c0", "--session").stdout == "41c0: web Bash allowed\n"
    assert daemon.calls()[-1]["scope"] == "session"
    assert ctl(daemon, "deny", "41c0", "--reason", "not here").stdout == "41c0: web Bash denied\n"
    assert daemon.calls()[-1]["reason"] == "not here"
    assert ctl(daemon, "approve", "41c0", "--session", "--always").returncode == 2


def test_the_runtime_directory_may_be_given_anywhere(daemon: FakeDaemon) -> None:
    env = {"CCBRIDGED_RUNTIME_DIR": "/nowhere"}
    assert ctl(daemon, "list", "-q", env=env).returncode == 69
    assert ctl(daemon, "list", "-q", f"--runtime-dir={daemon.dir}", env=env).returncode == 0
    assert ctl(daemon, "--runtime-dir", str(daemon.dir), "list", "-q", env=env).stdout == "api\nweb\n"


def test_the_user_services_daemon_is_found(daemon: FakeDaemon, tmp_path: Path) -> None:
    os.symlink(daemon.dir, tmp_path / "ccbridged")
    env = {"CCBRIDGED_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert ctl(daemon, "list", "-q", env=env).stdout == "api\nweb\n"


def test_colour_is_for_those_who_want_it(daemon: FakeDaemon) -> None:
    assert "\x1b" not in ctl(daemon, "list").stdout
    assert "\x1b[32mready\x1b[0m" in ctl(daemon, "list", "--color", "always", env={"NO_COLOR": "1"}).stdout
