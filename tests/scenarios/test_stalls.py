"""A loop that hangs in the kernel: the daemon ends itself, or its service manager hears no more; then all goes on."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.scenarios.breaking import fault_injected
from tests.scenarios.rig import Rig, running

CALM = "[health]\ncheck_interval = 3600.0\n"
"""Nothing but what the test does is written."""
INTERVAL = 0.25
"""Seconds between two signs of life."""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What a service manager with a watchdog of half a second hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", str(int(INTERVAL * 2e6)))
        yield listening


def fed(manager: socket.socket, seconds: float) -> int:
    """How many signs of life come in that time; those from before do not count."""
    manager.setblocking(False)
    drain(manager)
    until = time.monotonic() + seconds
    count = 0
    while (left := until - time.monotonic()) > 0:
        manager.settimeout(left)
        try:
            count += manager.recv(65536) == b"WATCHDOG=1"
        except TimeoutError:
            break
    return count


def drain(manager: socket.socket) -> None:
    try:
        while manager.recv(65536):
            pass
    except BlockingIOError:
        pass


def test_a_stalled_loop_aborts_with_its_stack_in_the_log_and_nothing_is_lost_or_repeated() -> None:
    with running(f'{CALM}[daemon]\nlog_format = "json"\n') as rig:
        rig.add("web")
        rig.rest()  # That the agent's launch is over is noted after the instance is ready.
        assert rig.daemon
        began = time.monotonic()
        with fault_injected(rig.daemon.pid, "fdatasync:delay_exit=120000000"):
            client = rig.begin("send", "web", "hello")
            rig.until(lambda: '"critical"' in rig.log.read_text(), "the abort", 60)
            assert 29 < time.monotonic() - began < 50
        # Only now: a process that is held by strace cannot end.
        assert rig.daemon.wait(30) == -signal.SIGABRT
        entry = json.loads(rig.log.read_text().splitlines()[-1])
        assert entry["message"].startswith("the loop has been in one turn for 30 s: ccbridged aborts")
        stack = entry["trace"].partition("\nThread ")[0].splitlines()
        assert stack[0] == "Thread MainThread:"
        assert stack[-1].endswith("in _transact"), "where it hangs comes last"
        rig.start()
        out, err = client.communicate(timeout=30)
        assert (client.returncode, out) == (0, b"echo: hello\n"), err
        assert rig.said("send", "web", "again") == "echo: again\n"
        assert rig.ran() == ["hello", "again"]


def test_the_service_manager_hears_nothing_of_a_loop_that_is_stalled_and_its_abort_leaves_the_stack(
    manager: socket.socket,
) -> None:
    with running(CALM) as rig:
        rig.add("web")
        assert rig.daemon
        assert fed(manager, 2.0) >= 4  # By then, too, all that comes with the start has been written.
        with fault_injected(rig.daemon.pid, "fdatasync:delay_exit=120000000"):
            client = rig.begin("send", "web", "hello")
            rig.until(lambda: fed(manager, 4 * INTERVAL) == 0, "silence")
            rig.daemon.send_signal(signal.SIGABRT)
            rig.until(lambda: "Extension modules" in rig.log.read_text(), "the end of the trace")
        assert rig.daemon.wait(30) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in rig.log.read_text()
        assert "in _transact" in rig.log.read_text()
        rig.start()
        assert client.communicate(timeout=30)[0] == b"echo: hello\n"
        assert rig.ran() == ["hello"]


def test_a_loop_that_turns_feeds_the_watchdog_also_while_the_store_cannot_be_written(
    manager: socket.socket,
) -> None:
    with running(CALM) as rig:
        rig.add("web")
        assert rig.daemon
        rig.said("send", "web", "before")
        rig.rest(INTERVAL / 2)
        with fault_injected(rig.daemon.pid, "fdatasync:error=EIO"):
            client = rig.begin("send", "web", "hello")
            rig.until(lambda: "nothing new is taken" in rig.log.read_text(), "the failure")
            assert fed(manager, 2.0) >= 4
        out, err = client.communicate(timeout=30)
        assert (client.returncode, out) == (0, b"echo: hello\n"), (err, rig.log.read_text())


def test_below_a_service_manager_no_second_watchdog_runs(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as watched:
        assert watched.daemon
        below = psutil.Process(watched.daemon.pid).num_threads()
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name)
    with running() as alone:
        assert alone.daemon
        assert psutil.Process(alone.daemon.pid).num_threads() == below + 1


def test_a_daemon_that_is_stopped_and_goes_on_is_not_taken_for_stalled(rig: Rig) -> None:
    rig.add("web")
    assert rig.daemon
    client = rig.begin("send", "web", "[[delta 2000 50 1]]")
    rig.until(lambda: rig.row("web")["state"] == "busy", "the beginning")
    for _ in range(20):
        rig.daemon.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        rig.daemon.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    out, err = client.communicate(timeout=60)
    assert (client.returncode, len(out)) == (0, 2000 * 50 + 1), err
