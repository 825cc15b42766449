"""A child's stdin: takes what the child does not yet, and closes when told to and empty."""

from __future__ import annotations

import os
from collections import deque

from agent.watch import WRITE, Watch


class Inlet:
    """``backlog``: bytes that the child has not taken. What comes after ``finish`` or ``close`` is dropped."""

    def __init__(self, fd: int, watch: Watch) -> None:
        self.backlog = 0
        self._fd = fd
        self._watch = watch
        self._finishing = False
        self._rest: deque[memoryview] = deque()

    def put(self, line: str) -> None:
        if self._fd >= 0 and not self._finishing:
            data = _encoded(line)
            self._rest.append(memoryview(data))
            self.backlog += len(data)
            self._write(WRITE)

    def finish(self) -> None:
        """Close it once all that was put is taken."""
        self._finishing = True
        self._write(WRITE)

    def close(self) -> None:
        if self._fd >= 0:
            self._watch.drop(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._rest.clear()
        self.backlog = 0

    def _write(self, _events: int) -> None:
        try:
            while self._rest:
                written = os.write(self._fd, self._rest[0])
                self.backlog -= written
                self._rest[0] = self._rest[0][written:]
                if not self._rest[0]:
                    self._rest.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()  # It reads no more.
        if self._finishing and not self._rest:
            self.close()
        elif self._fd >= 0:
            self._watch.set(self._fd, WRITE if self._rest else 0, self._write)


def _encoded(line: str) -> bytes:
    try:
        return line.encode("utf-8", "surrogateescape") + b"\n"
    except UnicodeEncodeError:
        return line.encode("utf-8", "replace") + b"\n"  # Half a surrogate pair stands for no bytes at all.
