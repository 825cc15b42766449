"""``discover`` and ``doctor`` as people see them; and what ``doctor`` sees where there is no daemon to be asked."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccbridgectl import offline
from ccbridged.protocol.errors import BridgeError
from tests.system.ctl_host import FakeDaemon, ctl
from tests.system.processes import Child, nobody

NO_DAEMON = BridgeError("no-daemon", "no ccbridged is running", "start it")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("checkup") / "run") as running:
        yield running


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name leaves room for a socket's, and that others may enter."""
    with tempfile.TemporaryDirectory(prefix="ccb-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


# discover


def test_discover_is_a_table_and_a_line_for_each_thing_that_is_lacking(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "discover")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["CONTAINER", "STATE", "INSTANCE", "CLAUDE", "PYTHON3", "LINK", "LACKS"]
    assert rows[0].split() == ["my-web", "running", "web", "2.1", "3.11.2", "web", "nothing"]
    assert rows[3].split() == [
        "bare",
        "running",
        "-",
        "\\x1b[2Jevil",
        "-",
        "-",
        *["python3;", "the", "link", "directory"],
    ]
    assert rows[4].split()[:6] == ["still", "exited", "-", "?", "?", "-"]
    assert rows[5:] == [
        "",
        "bare lacks python3: install \\x1b[31mit",
        "bare lacks the link directory: mount it",
        "still lacks running processes: docker start still",
    ]
    assert done.returncode == 0


def test_discover_adds_what_lacks_nothing_and_says_what_it_did_not_add(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "discover", "--add")
    assert done.stdout.splitlines()[-5:] == [
        "not added: my-web: it is web already",
        "added fit-link in container fit",
        "not added: unlucky: what \\x1b[31mhappened; what to do",
        "not added: bare: it lacks python3, the link directory",
        "not added: still: it lacks running processes",
    ]
    assert done.returncode == 1, "one was fit for it and could not be added"
    added = [call for call in daemon.calls() if call["verb"] == "add"][-2:]
    assert [(call["name"], call["container"], call["runtime"]) for call in added] == [
        ("fit-link", "fit", "docker"),
        ("error-refused", "unlucky", "docker"),
    ]


def test_discover_as_json_tells_what_became_of_each(daemon: FakeDaemon) -> None:
    plain = json.loads(ctl(daemon, "discover", "--json").stdout)
    assert set(plain[0]) == {"name", "id", "image", "state", "instance", "claude", "python3", "link", "lacks"}
    rows = json.loads(ctl(daemon, "discover", "--add", "--json").stdout)
    assert [(row["instance"], row["tried"], row["added"]) for row in rows] == [
        ("web", False, False),
        ("fit-link", True, True),
        (None, True, False),
        (None, False, False),
        (None, False, False),
    ]
    assert [bool(row["why"]) for row in rows] == [True, False, True, True, True]


# doctor


def test_doctor_is_a_line_for_each_check_and_the_remedy_below(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "doctor")
    assert done.stdout.splitlines() == [
        f"ok     daemon      serves {daemon.dir}",
        "ok     engine      version 20",
        "advice service     by hand",
        "    use systemd",
        "wrong  web: login  \\x1b[1mno",
        "    log in",
    ]
    assert done.returncode == 1


def test_doctor_as_json_has_the_same_checks(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "doctor", "--json")
    told = json.loads(done.stdout)
    assert (told["v"], told["ok"], done.returncode) == (1, False, 1)
    assert [check["check"] for check in told["checks"]] == ["daemon", "engine", "service", "login"]
    assert {frozenset(check) for check in told["checks"]} == {
        frozenset({"check", "instance", "ok", "severity", "detail", "fix"})
    }


def test_without_a_daemon_doctor_says_so_first_and_what_else_it_sees(short: Path) -> None:
    (short / "run").mkdir()
    none = FakeDaemon(short / "run")
    done = ctl(none, "doctor", env={"DOCKER_HOST": f"unix://{short}/none.sock"})
    first, remedy, python, directory, engine, *rest = done.stdout.splitlines()
    assert first.startswith("wrong  daemon")
    assert "no ccbridged is running" in first
    assert "ccbridged --detach" in remedy
    assert python.startswith("ok     python")
    assert directory.endswith(f"{short}/run")
    assert engine.startswith("advice engine")
    assert rest == ["    start it: sudo systemctl start docker"]
    assert done.returncode == 69
    told = json.loads(ctl(none, "doctor", "--json").stdout)
    assert (told["v"], told["ok"], told["checks"][0]["check"]) == (1, False, "daemon")


def found(runtime_dir: Path, host: str = "") -> dict[str, Any]:
    return {str(check["check"]): check for check in offline.checks(NO_DAEMON, str(runtime_dir), {"DOCKER_HOST": host})}


def test_a_runtime_directory_that_cannot_be_right_is_told(short: Path) -> None:
    assert "runtime directory" not in found(short / "none")
    assert found(short)["runtime directory"]["ok"] is True
    (short / "file").touch()
    assert found(short / "file")["runtime directory"]["detail"].endswith("is no directory")
    assert found(short / "file" / "below")["runtime directory"]["detail"].endswith("Not a directory")
    os.chmod(short, 0o777)
    assert found(short)["runtime directory"]["fix"] == f"chmod o-w {short}"


def test_the_engine_s_socket_is_knocked_at(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/s")
        assert found(short, f"unix://{short}/s")["engine"]["ok"] is False, "nobody listens"
        listener.listen()
        assert found(short, f"unix://{short}/s")["engine"]["ok"] is True
    assert found(short, "tcp://engine:2376")["engine"]["ok"] is True


def test_somebody_else_may_use_neither_directory_nor_engine(short: Path) -> None:
    other = nobody()
    (short / "run").mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/s")
        os.chmod(f"{short}/s", stat.S_IRUSR | stat.S_IWUSR)
        listener.listen()
        listener.setblocking(False)
        with Child(lambda: json.dumps(found(short / "run", f"unix://{short}/s")).encode(), other) as child:
            told = json.loads(child.result())
    assert told["runtime directory"]["detail"] == f"you may not enter {short}/run"
    assert told["engine"]["detail"] == f"you may not use the Docker engine at {short}/s"
    assert told["engine"]["fix"].startswith("let yourself: sudo usermod -aG docker")
