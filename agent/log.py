"""The agent's own words: one line each on stderr, as text or JSON.

A reader of stderr that has stalled must not stall the agent: what cannot be written at once is dropped.
"""

from __future__ import annotations

import json
import os
import select
import time

_LIMIT = 4000
"""Bytes of a line: below PIPE_BUF, so that a pipe that polls writable takes it whole."""


class Log:
    """Lines for the file descriptor ``fd``; ``form`` is ``text`` or ``json``."""

    def __init__(self, fd: int, form: str) -> None:
        self._fd = fd
        self._form = form

    def info(self, text: str) -> None:
        self._write("info", text)

    def warning(self, text: str) -> None:
        self._write("warning", text)

    def error(self, text: str) -> None:
        self._write("error", text)

    def _write(self, level: str, text: str) -> None:
        line = self._line(level, text.replace("\n", " "))
        try:
            if select.select([], [self._fd], [], 0)[1]:
                os.write(self._fd, line[:_LIMIT] + b"\n")
        except (OSError, ValueError):
            pass  # Nobody can be told that nobody can be told.

    def _line(self, level: str, text: str) -> bytes:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._form == "json":
            body = text[: _LIMIT // 12]
            return json.dumps({"time": stamp, "level": level, "message": body}, separators=(",", ":")).encode()
        return f"{stamp} {level} {text}".encode("utf-8", "backslashreplace")
