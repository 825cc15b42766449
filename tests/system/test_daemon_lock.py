"""One daemon per state directory and per runtime directory, whatever became of the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import lock
from ccbridged.system.runtimes import agentlock

HOLDER = "import sys; from ccbridged.system import lock; lock.hold(sys.argv[1]); print('held', flush=True); input()"


def holder(state: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is killed or its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(state)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        with pytest.raises(BridgeError, match=f"pid {first.pid} already serves {tmp_path}") as caught:
            lock.hold(str(tmp_path))
        assert caught.value.exit_status == 75
        first.kill()


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
    fd = lock.hold(str(tmp_path))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    fd = lock.hold(str(tmp_path))
    with subprocess.Popen(["sleep", "60"]) as child:
        os.close(fd)
        os.close(lock.hold(str(tmp_path)))
        child.kill()


def test_the_state_directory_is_made_private(tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    os.close(lock.hold(str(state)))
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BridgeError, match="state directory") as caught:
        lock.hold(str(tmp_path / "file"))
    assert "--state-dir" in caught.value.hint


def test_a_symlink_instead_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(BridgeError):
        lock.hold(str(tmp_path))
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("kind", ["FIFO", "directory"])
def test_a_lock_that_is_no_file_is_refused_with_the_command_that_mends_it(tmp_path: Path, kind: str) -> None:
    (os.mkfifo if kind == "FIFO" else os.mkdir)(tmp_path / "lock")
    for hold in (lock.hold, lock.hold_runtime):
        with pytest.raises(BridgeError, match="lock is not used: it is no regular file") as caught:
            hold(str(tmp_path))
        remove = "rm" if kind == "FIFO" else "rm -r"
        assert caught.value.hint == f"if you do not need it: {remove} {tmp_path}/lock"


def test_one_directory_may_be_both(tmp_path: Path) -> None:
    with lock.held(str(tmp_path), str(tmp_path)):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def daemon(mode: str, state: Path, runtime: Path) -> subprocess.CompletedProcess[str]:
    """A daemon that is expected to fail."""
    command = [sys.executable, "-m", "ccbridged", mode, "--state-dir", str(state), "--runtime-dir", str(runtime)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def serving(state: Path, runtime: Path) -> Iterator[int]:
    """The pid of a daemon that is ready; it is killed afterwards."""
    assert daemon("--detach", state, runtime).returncode == 0
    pid = int((runtime / "lock").read_text())
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while agentlock.held(str(runtime / "lock")):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("mode", ["--foreground", "--detach"])
def test_a_second_daemon_on_the_same_runtime_directory_exits_75(tmp_path: Path, mode: str) -> None:
    run = tmp_path / "run"
    with serving(tmp_path / "one", run) as pid:
        assert (run / "lock").stat().st_mode & 0o777 == 0o600
        other = daemon(mode, tmp_path / "two", run)
        assert other.returncode == 75
        hint = f"stop it with kill {pid}, or give this one another --runtime-dir"
        assert other.stderr == f"ccbridged: ccbridged with pid {pid} already serves {run}; {hint}\n"
        twin = daemon(mode, tmp_path / "one", run)
        assert twin.returncode == 75
        assert twin.stderr.endswith("another --state-dir and another --runtime-dir\n")
        third = daemon(mode, tmp_path / "one", tmp_path / "elsewhere")
        assert third.stderr.endswith("another --state-dir\n")


def test_a_killed_daemon_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    with serving(tmp_path / "one", tmp_path / "run"):
        pass
    with serving(tmp_path / "two", tmp_path / "run") as pid:
        ctl = [sys.executable, "-m", "ccbridgectl", "--runtime-dir", str(tmp_path / "run"), "doctor", "--json"]
        done = subprocess.run(ctl, capture_output=True, text=True, timeout=30, check=False)
        assert f"serves {tmp_path / 'run'}" in done.stdout
        assert (tmp_path / "run" / "lock").read_text() == f"{pid}\n"


@pytest.mark.parametrize("mode", ["--foreground", "--detach"])
def test_a_second_daemon_exits_75_and_says_who_holds_it(tmp_path: Path, mode: str) -> None:
    with holder(tmp_path) as first:
        done = daemon(mode, tmp_path, tmp_path / "run")
        assert done.returncode == 75
        assert f"pid {first.pid}" in done.stderr
        first.kill()
