"""Where the daemon's log goes: stderr for whoever supervises it, or a file of bounded size when nobody does.

A line is a line: control characters in a message are shown, so what a container said cannot forge another line.
"""

import json
import logging
import logging.handlers
import os
import shlex
import time

from ccbridged.protocol.errors import BridgeError

ROTATE_AT = 10 * 1024 * 1024
KEPT = 3


class _Formatter(logging.Formatter):
    def trace(self, record: logging.LogRecord) -> str:
        """Of its exception, or what was given as ``extra={"trace": …}``; "" for none."""
        return self.formatException(record.exc_info) if record.exc_info else getattr(record, "trace", "")


class TextFormatter(_Formatter):
    """``TIME LEVEL message``, and the lines of a trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{utc(record.created)} {record.levelname} {shown(record.getMessage())}"
        return f"{line}\n{trace}" if (trace := self.trace(record)) else line


class JsonFormatter(_Formatter):
    """One object per line: ``time level message``, and ``trace`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": utc(record.created), "level": record.levelname.lower(), "message": record.getMessage()}
        if trace := self.trace(record):
            entry["trace"] = trace
        return json.dumps(entry)


class _File(logging.handlers.RotatingFileHandler):
    """``also``: a descriptor that is this file too, whichever that is; -1 for none."""

    def __init__(self, path: str, also: int) -> None:
        super().__init__(path, maxBytes=ROTATE_AT, backupCount=KEPT, encoding="utf-8")
        self._also = also
        self._bend()

    def doRollover(self) -> None:  # noqa: N802  The base class's name.
        super().doRollover()
        self._bend()

    def _bend(self) -> None:
        if self._also >= 0 and self.stream:
            os.dup2(self.stream.fileno(), self._also)


def set_up(level: str, format: str, path: str = "", also: int = -1) -> None:
    """``level`` and ``format`` as in the configuration; ``path``: a file instead of stderr.

    ``also``: a descriptor that becomes that file, for what does not come through here, such as the interpreter's last
    words. Raises BridgeError ``unavailable`` where the file cannot be written.
    """
    handler: logging.Handler = logging.StreamHandler()
    if path:
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            handler = _File(path, also)
        except OSError as error:
            hint = f"look at it: ls -ld {shlex.quote(path)}"
            raise BridgeError("unavailable", f"cannot write the log: {error}", hint) from None
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())


def shown(text: str) -> str:
    """The text with everything that a terminal would obey escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def utc(at: float) -> str:
    """``2026-11-21T04:03:50.098Z``"""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
