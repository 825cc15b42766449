"""The journal's file: one checked line (crc32, JSON) per append, so a batch is there whole or not at all.

A bad end is what a crash in the midst of a write leaves, and is cut off by whoever opens it; a bad line with good
ones after it is damage, and is refused.
"""

from __future__ import annotations

import binascii
import fcntl
import json
import os
import stat
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState
from ccbridged.protocol.wire import quoted

FORMAT = 1
"""Of the journal, in its first record. To be raised with every change that an older agent would misread."""


class Contents(NamedTuple):
    """What a journal says: ``held`` ascending; ``size``: bytes of good lines."""

    journal: str
    epoch: int
    state: LinkState
    held: deque[tuple[int, str]]
    size: int


def read(path: str) -> Contents | None:
    """What the file says; None where there is none. Raises BridgeError ``refused``, OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _no_file(path)
    contents: Contents | None = None
    offset, bad = 0, -1
    with open(fd, "rb") as file:
        for line in file:
            record = _record(line)
            if record is None or (contents is None and "journal" not in record):
                bad = offset if bad < 0 else bad
            elif bad >= 0:
                raise _damaged(path, bad)
            elif record.get("v", FORMAT) != FORMAT:
                raise _foreign(path, record["v"])
            else:
                contents = _applied(contents, record, offset + len(line))
            offset += len(line)
    if contents is None and offset:
        raise _damaged(path, 0)
    return contents


def _applied(contents: Contents | None, record: dict[str, Any], size: int) -> Contents:
    if contents is None:
        contents = Contents("", 0, LinkState(), deque(), 0)
    held = deque[tuple[int, str]]() if "anew" in record else contents.held
    while held and held[0][0] <= record.get("freed", 0):
        held.popleft()
    held.extend((seq, text) for seq, text in record.get("held", ()))
    state = LinkState(*record["state"]) if "state" in record else contents.state
    return Contents(record.get("journal", contents.journal), record.get("epoch", contents.epoch), state, held, size)


def _record(line: bytes) -> dict[str, Any] | None:
    """The object of a checked line; None where it is cut, or is not what was written."""
    if len(line) < 10 or line[-1:] != b"\n" or line[:9] != b"%08x " % binascii.crc32(line[9:-1]):
        return None
    record = json.loads(line[9:-1])
    return record if isinstance(record, dict) else None


def literal(seq: int, text: str) -> str:
    """A held message as it stands in a record; its length is what it costs to keep."""
    return f"[{seq},{quoted(text)}]"


def batch(state: LinkState, literals: list[str], freed: int, *, anew: bool) -> bytes:
    """The line of one append. ``freed``: held messages up to it are gone. ``anew``: all before are."""
    body = {"state": state, "freed": freed, **({"anew": True} if anew else {})}
    return _checked(f'{_json(body)[:-1]},"held":[{",".join(literals)}]}}')


def beginning(epoch: int) -> bytes:
    """The line of a new life."""
    return _checked(_json({"epoch": epoch}))


def new(path: str) -> Contents:
    """A journal with an id of its own, whole before it has its name. Raises OSError."""
    contents = Contents(os.urandom(16).hex(), 0, LinkState(), deque(), 0)
    fd, size = write_new(path + ".new", contents, ())
    os.close(fd)
    os.rename(path + ".new", path)
    sync_directory(os.path.dirname(path))
    return contents._replace(size=size)


def write_new(path: str, contents: Contents, held: Iterable[tuple[int, str]]) -> tuple[int, int]:
    """A synced file at ``path``: its fd and size. ``held`` instead of what the contents hold. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    head = {"v": FORMAT, "journal": contents.journal, "epoch": contents.epoch, "state": contents.state}
    try:
        size = write_all(fd, _checked(_json(head)), 0)
        for seq, text in held:
            size += write_all(fd, _checked(f'{{"held":[{literal(seq, text)}]}}'), size)
        os.fsync(fd)
    except OSError:
        os.close(fd)
        raise
    return fd, size


def write_all(fd: int, data: bytes, offset: int) -> int:
    """Bytes written: all. Raises OSError after any part of them."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest = rest[written:]
        offset += written
    return len(data)


def sync_data(fd: int) -> None:
    """What was written, and its length, survive the loss of power."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        # macOS: fsync leaves the data in the drive's cache.
        fcntl.fcntl(fd, getattr(fcntl, "F_FULLFSYNC", 51))


def sync_directory(directory: str) -> None:
    """A rename survives it as well."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _checked(body: str) -> bytes:
    raw = body.encode("ascii")
    return b"%08x %s\n" % (binascii.crc32(raw), raw)


def _no_file(path: str) -> BridgeError:
    return BridgeError(
        "refused",
        f"the journal {path} is no regular file",
        "move it away to begin a new one: requests that were under way then end as uncertain",
    )


def _foreign(path: str, version: object) -> BridgeError:
    known = f"this agent knows format {FORMAT}"
    return BridgeError(
        "refused",
        f"the journal {path} was written by another version of the agent (format {version}; {known})",
        "restart the instance with that version of ccbridged, or move the journal away to begin a new one: "
        "requests that were under way then end as uncertain",
    )


def _damaged(path: str, offset: int) -> BridgeError:
    return BridgeError(
        "refused",
        f"the journal {path} is damaged at byte {offset}, and good lines follow or nothing is left",
        "move it away to begin a new one: requests that were under way then end as uncertain",
    )
