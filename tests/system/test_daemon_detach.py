"""The classic way into the background: the caller waits for the daemon's word, and nothing of the caller's stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

WITHIN = 20.0

INSTEAD = """
import json, os, signal, sys, types
from ccbridged.protocol.errors import BridgeError

class Daemon:
    def __init__(self, config, *, runtime_dir, state_dir, reload):
        self.state_dir = state_dir

    def run(self, ready):
        {body}

def facts():
    mask = os.umask(0o077)
    os.umask(mask)
    links = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(3)]
    who = {{"pid": os.getpid(), "session": os.getsid(0), "group": os.getpgid(0)}}
    return {{**who, "cwd": os.getcwd(), "umask": mask, "std": links}}

module = types.ModuleType("ccbridged.daemon")
module.Daemon = Daemon
sys.modules["ccbridged.daemon"] = module
from ccbridged.__main__ import main
sys.exit(main(sys.argv[1:]))
"""

SERVES = """
        with open(os.path.join(self.state_dir, "facts.part"), "w") as file:
            json.dump(facts(), file)
        os.rename(file.name, file.name[:-5])
        signal.signal(signal.SIGTERM, lambda *_: None)
        ready()
        signal.pause()
        return 0
"""
REFUSES = 'raise BridgeError("unavailable", "the control FIFO is somebody else\'s", "remove it")'
BREAKS = 'raise ZeroDivisionError("oh")'
ABORTS = "ready(); os.abort()"
DIES = "os.kill(os.getpid(), signal.SIGKILL)"
DIES_LATER = 'ready(); raise ZeroDivisionError("oh")'


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state directory; a daemon that still holds its lock at the end is killed and waited for."""
    path = tmp_path / "state"
    yield path
    if (path / "facts").exists():
        pid = json.loads((path / "facts").read_text())["pid"]
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
        wait_for_death(pid)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_death(pid: int) -> None:
    deadline = time.monotonic() + WITHIN
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def detach(state: Path, body: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INSTEAD.format(body=body), "--detach"]
    command += ["--state-dir", str(state), "--runtime-dir", str(state / "run")]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False, pass_fds=pass_fds)


def test_the_caller_returns_when_the_daemon_is_ready(state: Path) -> None:
    done = detach(state, SERVES)
    facts = json.loads((state / "facts").read_text())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (state / "lock").read_text() == f"{facts['pid']}\n"
    assert alive(facts["pid"])


def test_nothing_of_the_caller_stays(state: Path) -> None:
    read, write = os.pipe()
    detach(state, SERVES, (write,))
    os.close(write)
    facts = json.loads((state / "facts").read_text())
    assert facts["session"] == facts["group"] != os.getsid(0)
    assert facts["session"] != facts["pid"], "a session leader could get a terminal again"
    log = str(state / "ccbridged.log")
    assert (facts["cwd"], facts["umask"], facts["std"]) == ("/", 0o077, ["/dev/null", "/dev/null", log])
    os.set_blocking(read, False)
    assert os.read(read, 1) == b"", "somebody still holds the other end"
    os.close(read)


def test_a_caller_without_standard_streams_can_detach_too(state: Path) -> None:
    command = 'exec "$0" "$@" <&- >&- 2>&-'
    daemon = [sys.executable, "-c", INSTEAD.format(body=SERVES), "--detach", "--state-dir", str(state)]
    done = subprocess.run(["sh", "-c", command, *daemon], timeout=WITHIN, check=False)
    assert done.returncode == 0
    log = str(state / "ccbridged.log")
    assert json.loads((state / "facts").read_text())["std"] == ["/dev/null", "/dev/null", log]


def test_term_ends_it_and_frees_the_lock(state: Path) -> None:
    detach(state, SERVES)
    pid = json.loads((state / "facts").read_text())["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for_death(pid)
    assert detach(state, SERVES).returncode == 0


def test_a_refusal_reaches_the_caller_with_its_status(state: Path) -> None:
    done = detach(state, REFUSES)
    assert done.returncode == 69
    assert done.stderr == "ccbridged: the control FIFO is somebody else's; remove it\n"
    assert "somebody else's" in (state / "ccbridged.log").read_text()


def test_a_bug_reaches_the_caller_and_its_trace_the_log(state: Path) -> None:
    done = detach(state, BREAKS)
    assert done.returncode == 1
    assert done.stderr == f"ccbridged: ZeroDivisionError: oh; see {state}/ccbridged.log\n"
    assert "Traceback" in (state / "ccbridged.log").read_text()


def test_a_death_before_the_word_is_a_failure(state: Path) -> None:
    done = detach(state, DIES)
    assert done.returncode == 1
    assert "ended while it was starting" in done.stderr


def test_what_comes_after_the_word_is_in_the_log_only(state: Path) -> None:
    done = detach(state, DIES_LATER)
    assert (done.returncode, done.stderr) == (0, "")
    deadline = time.monotonic() + WITHIN
    while "ZeroDivisionError" not in (state / "ccbridged.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_interpreters_last_words_are_in_the_log(state: Path) -> None:
    assert detach(state, ABORTS).returncode == 0
    deadline = time.monotonic() + WITHIN
    while "in main" not in (state / "ccbridged.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Fatal Python error: Aborted" in (state / "ccbridged.log").read_text()


def real(mode: str, state: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ccbridged", mode, "--state-dir", state, "--runtime-dir", str(runtime)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False)


@pytest.mark.parametrize("kind", ["a file", "not to be made"])
def test_a_state_directory_that_cannot_be_used_is_told_as_in_the_foreground(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    state = str(tmp_path / "file") if kind == "a file" else "/proc/nowhere/state"
    detached, foreground = (real(mode, state, tmp_path / "run") for mode in ("--detach", "--foreground"))
    assert (detached.returncode, detached.stderr) == (foreground.returncode, foreground.stderr)
    assert detached.returncode == 69
    assert detached.stderr.startswith("ccbridged: cannot use the state directory: ")
    assert "--state-dir" in detached.stderr


ANYBODY = """
import os, sys, daemon
from ccbridged import __main__, commandline

def places(*arguments, found=commandline.places):
    if os.geteuid() == 0:
        os.setuid(65534)
    return found(*arguments)

commandline.places = places
sys.exit(__main__.main(sys.argv[1:]))
"""
"""The command, by somebody who may not read everything: root no longer is root once all is imported."""


def test_an_unreadable_state_directory_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(0)
    for mode in ("--detach", "--foreground"):
        command = [sys.executable, "-c", ANYBODY, mode, "--state-dir", str(tmp_path / "state")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, check=False)
        assert done.returncode == 69
        assert done.stderr.startswith("ccbridged: cannot use the state directory: [Errno 13] Permission denied")
        assert done.stderr.count("\n") == 1


def test_a_log_that_cannot_be_written_is_named(state: Path) -> None:
    (state / "ccbridged.log").mkdir(parents=True)
    done = detach(state, SERVES)
    assert done.returncode == 69
    assert done.stderr.startswith("ccbridged: cannot write the log: ")


@pytest.mark.parametrize("kind", ["file", "FIFO"])
def test_agents_that_are_no_directory_are_told_without_a_trace(tmp_path: Path, kind: str) -> None:
    state = tmp_path / "state"
    state.mkdir(0o700)
    (os.mkfifo if kind == "FIFO" else Path.touch)(state / "agents")
    for mode in ("--foreground", "--detach"):
        done = real(mode, str(state), tmp_path / "run")
        assert done.returncode == 69
        assert f"ccbridged: cannot use {state}/agents: Not a directory" in done.stderr
        assert "Traceback" not in done.stderr
