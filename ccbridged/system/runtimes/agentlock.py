"""Who holds the lock of an agent directory, asked of the kernel: looking must never be what makes an agent fail.

The pid in the file is a hint for people; it counts only where the kernel names the same process.
"""

from __future__ import annotations

import fcntl
import os

from ccbridged.protocol.errors import BridgeError


def holder(path: str) -> int:
    """The pid of the process that holds the lock file, as the kernel and the file agree; 0 when nobody does.

    Raises BridgeError ``busy`` where somebody holds it who cannot be told: an agent in a container, for one.
    """
    owners = _owners(path)
    if not owners:
        return 0
    said = _said(path)
    pid = int(said) if said.isdigit() else 0
    if pid in owners or -1 in owners:
        return pid
    raise BridgeError("busy", f"another process holds {path}", f"see who it is: fuser -v {path}")


def held(path: str) -> bool:
    """Whether anybody on this kernel holds it, in a container or not; the file may be another user's."""
    return bool(_owners(path))


def _said(path: str) -> bytes:
    try:
        fd = _open(path)
    except OSError:
        return b""
    try:
        return os.read(fd, 32).strip()
    finally:
        os.close(fd)


def _owners(path: str) -> set[int]:
    """Pids that hold the flock; {-1}: somebody, and this system does not say who."""
    try:
        inode = b"%d" % os.lstat(path).st_ino
    except OSError:
        return set()
    try:
        with open("/proc/locks", "rb") as file:
            lines = [line.split() for line in file if b"->" not in line]
    except FileNotFoundError:
        return _probe(path)
    return {int(line[4]) for line in lines if line[1] == b"FLOCK" and line[5].rpartition(b":")[2] == inode}


def _probe(path: str) -> set[int]:
    """Where there is no /proc: a shared lock for a moment, never while an agent is being started."""
    try:
        fd = _open(path)
    except OSError:
        return set()
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return {-1}
    finally:
        os.close(fd)
    return set()


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
