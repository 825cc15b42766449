"""Chunks in, whole lines out, each with the size it had: what is too long is cut, never silently."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """``text`` without its newline; shorter than ``size`` bytes where it was beyond the limit."""

    text: bytes
    size: int


class Splitter:
    """Of a line longer than ``limit`` bytes only the first ``keep`` stay. Memory: ``limit`` + one chunk."""

    def __init__(self, limit: int, keep: int) -> None:
        self._limit = limit
        self._keep = keep
        self._parts: list[bytes] = []
        self._size = 0
        self._cut = False

    def feed(self, chunk: bytes) -> list[Line]:
        *ends, tail = chunk.split(b"\n")
        lines = []
        for end in ends:
            self._add(end)
            lines.append(self.rest())
        if tail:
            self._add(tail)
        return lines

    def rest(self) -> Line:
        """The line so far, taken out: at the end of file, what has no newline."""
        line = Line(b"".join(self._parts), self._size)
        self._parts.clear()
        self._size, self._cut = 0, False
        return line

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._cut:
            return
        self._parts.append(part)
        if self._size > self._limit:
            self._cut = True
            self._parts[:] = [b"".join(self._parts)[: self._keep]]
