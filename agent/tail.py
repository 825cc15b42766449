"""The end of a file, for the host to look at: a transcript after the program's death."""

from __future__ import annotations

import os
import stat

from ccbridged.protocol.messages import Tail, Tailed

LIMIT = 4 * 1024 * 1024
"""Bytes of an answer, whatever was asked."""


def read_tail(asked: Tail) -> Tailed:
    """The last ``size`` bytes, from the first whole line on."""
    try:
        return Tailed(asked.query, _read(os.path.expanduser(asked.path), min(max(asked.size, 0), LIMIT)), "")
    except (OSError, ValueError) as error:
        return Tailed(asked.query, "", getattr(error, "strerror", None) or str(error))


def _read(path: str, size: int) -> str:
    # A FIFO opened without O_NONBLOCK would hold up everything.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a regular file")
        start = max(info.st_size - size, 0)
        file.seek(start)
        data = file.read(size)
    if start:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "surrogateescape")
