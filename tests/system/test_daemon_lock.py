"""One daemon per state directory, whatever became of the last one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import lock

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


@pytest.mark.parametrize("mode", ["--foreground", "--detach"])
def test_a_second_daemon_exits_75_and_says_who_holds_it(tmp_path: Path, mode: str) -> None:
    with holder(tmp_path) as first:
        command = [sys.executable, "-m", "ccbridged", mode, "--state-dir", str(tmp_path)]
        command += ["--runtime-dir", str(tmp_path / "run")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 75
        assert f"pid {first.pid}" in done.stderr
        first.kill()
