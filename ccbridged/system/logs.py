"""Where the daemon's log goes: stderr for whoever supervises it, or a file of bounded size when nobody does.

A line is a line: control characters in a message are shown, so what a container said cannot forge another line.
"""

import json
import logging
import logging.handlers
import os
import time

ROTATE_AT = 10 * 1024 * 1024
KEPT = 3


class TextFormatter(logging.Formatter):
    """``TIME LEVEL message``, and the lines of an exception's trace."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{utc(record.created)} {record.levelname} {shown(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object per line: ``time level message``, and ``trace`` of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": utc(record.created), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up(level: str, format: str, path: str = "") -> None:
    """``level`` and ``format`` as in the configuration; ``path``: a file instead of stderr."""
    handler: logging.Handler = logging.StreamHandler()
    if path:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=ROTATE_AT, backupCount=KEPT, encoding="utf-8")
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
