"""Real second processes for tests: forked, with no inherited fd, killed and reaped whatever happens."""

from __future__ import annotations

import grp  # noqa: F401  For children of another uid, who can import nothing where Python is in root's home (pyenv).
import os
import pwd
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

PATIENCE = 60.0
"""Seconds: a mere guard, so that a test that fails ends. Nothing may depend on it."""


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def countdown(seconds: float = PATIENCE) -> Iterator[float]:
    """Remaining seconds, as long as there are some; then a failure."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        yield left
    raise AssertionError("it never happened")


def nobody() -> int:
    """The uid of somebody else, whom only root can become."""
    if os.geteuid() != 0:
        pytest.skip("needs a second user: run `sudo .venv/bin/pytest tests/system`")
    return pwd.getpwnam("nobody").pw_uid


class Child:
    """A process that runs ``function`` and whose return value can be read. A context manager."""

    def __init__(self, function: Callable[[], bytes], uid: int | None = None) -> None:
        self._out, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _run(function, uid, end)
        os.close(end)
        os.set_blocking(self._out, False)
        self._said = b""

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        if self.pid > 0:
            os.waitpid(self.pid, 0)
        os.close(self._out)

    def signal(self, number: int) -> None:
        if self.pid > 0:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As kill -9; returns when the process is gone and all its fds are closed."""
        self.signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = -1

    @property
    def done(self) -> bool:
        """Whether it has ended well; it is an error when it ended badly."""
        if self.pid < 0:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            self._drain()
            return False
        self.pid = -1
        self._drain()
        assert status == 0, f"the child failed with {status}"
        return True

    def result(self) -> bytes:
        until(lambda: self.done)
        return self._said

    def _drain(self) -> None:
        try:
            while chunk := os.read(self._out, 1 << 20):
                self._said += chunk
        except BlockingIOError:
            pass


def _run(function: Callable[[], bytes], uid: int | None, end: int) -> None:
    try:
        os.closerange(3, end)
        os.closerange(end + 1, 1 << 16)
        signal.set_wakeup_fd(-1)
        if uid is not None:
            os.setgroups([])
            os.setgid(pwd.getpwuid(uid).pw_gid)
            os.setuid(uid)
        said = function()
        while said:
            said = said[os.write(end, said) :]
        os._exit(0)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
