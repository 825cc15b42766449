"""One run of a command with some bytes on its stdin: bounded in time, in what is kept of it, in what it leaves.

It has a session of its own, and what is left of its process group when it ends, or when its time is over, is killed.
What it prints goes nowhere, but for the last line of its stderr.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

GRACE = 1.0
"""Seconds from TERM to KILL."""
_STEP = 0.05
"""Seconds after which a command whose pipes are silent is looked at."""
_PIECE = 64 * 1024
_PACE = 0.005
"""Seconds of rest after a piece: a command that floods its stderr waits, not this process."""
_KEPT = 2048
_SHOWN = 300


class Outcome(NamedTuple):
    """``fault``: "" where it ended with status 0 in time. ``words``: the last line that it said on stderr."""

    fault: str
    words: str


def run(
    command: Sequence[str], said: bytes, environ: Mapping[str, str], *, within: float, given_up: Callable[[], bool]
) -> Outcome:
    """Blocks for ``within`` seconds and the grace; less where ``given_up`` says so. Raises nothing."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environ,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        return Outcome(f"cannot be started: {getattr(error, 'strerror', None) or error}", "")
    with _Talk(child, said) as talk:
        in_time = _ends(child, talk, within, given_up)
        if not in_time:
            _signal(child, signal.SIGTERM)
            _ends(child, talk, GRACE, lambda: False)
        _signal(child, signal.SIGKILL)
        status = child.wait()
        words = talk.last_words()
    if not in_time:
        return Outcome("was ended at the daemon's end" if given_up() else f"took longer than {within:g} s", words)
    return Outcome(_meaning(status), words)


class _Talk:
    """What goes through the pipes of a child. Neither a child that reads nothing nor one that floods holds it up."""

    def __init__(self, child: subprocess.Popen[bytes], said: bytes) -> None:
        assert child.stdin
        assert child.stderr
        self._in, self._out = child.stdin, child.stderr
        self._rest = memoryview(said)
        self._words = b""
        self._selector = selectors.DefaultSelector()
        for pipe, event in ((self._in, selectors.EVENT_WRITE), (self._out, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event)

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._in.close()
        self._out.close()

    def go_on(self, seconds: float) -> bool:
        """Wait so long at most; whether anything happened."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            if key.fileobj is self._out:
                self._read()
            else:
                self._write()
        return bool(ready)

    def last_words(self) -> str:
        if not self._out.closed:
            self._words += self._out.read(1 << 20) or b""
        lines = self._words[-_KEPT:].decode("utf-8", "replace").split("\n")
        return next((line.strip()[:_SHOWN] for line in reversed(lines) if line.strip()), "")

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._in.fileno(), self._rest[:_PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = memoryview(b"")  # It need not read what it is given.
        if not self._rest:
            self._selector.unregister(self._in)
            self._in.close()

    def _read(self) -> None:
        piece = os.read(self._out.fileno(), _PIECE)
        self._words = (self._words + piece)[-_KEPT:]
        if not piece:
            self._selector.unregister(self._out)
            self._out.close()
        else:
            time.sleep(_PACE)


def _ends(child: subprocess.Popen[bytes], talk: _Talk, within: float, given_up: Callable[[], bool]) -> bool:
    """Whether it ends in that time. Its end is not waited for by a pipe's: somebody else may hold that."""
    until = time.monotonic() + within
    step = 0.001
    while not _ended(child):
        left = until - time.monotonic()
        if left <= 0 or given_up():
            return False
        step = 0.001 if talk.go_on(min(step, left)) else min(2 * step, _STEP)
    return True


def _ended(child: subprocess.Popen[bytes]) -> bool:
    """Not yet reaped where that can be had, so that the number of its process group is still its own."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return child.poll() is not None


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # Nothing is left of it, or nothing that this user may kill.


def _meaning(status: int) -> str:
    if status < 0:
        return f"was killed by signal {-status}"
    return f"ended with status {status}" if status else ""
