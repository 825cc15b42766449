"""Our own FIFOs: made under another name and then renamed, verified at every open, read and written without waiting.

An existing FIFO is kept, because containers hold it by inode: a new one under the old name is one they never see.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shlex
import stat
from typing import NoReturn

from ccbridged.protocol.errors import BridgeError
from ccbridged.system.pins import DIRECTORY, Identity, Pin, PortablePin, identity, pin

_GET_CAPACITY = getattr(fcntl, "F_GETPIPE_SZ", None)
_SMALLEST = 8192
"""Bytes of the smallest pipe in use: macOS's, and Linux's once a user has too many."""
READ = 65536
_WRITE_AT_ONCE = 256 * 1024
"""Bytes that one flush writes at most: a reader as fast as us must not keep us from everybody else."""


def make_fifo(directory: str, name: str, mode: int, gid: int = -1) -> Identity:
    """Our FIFO ``name`` with this mode and group, made if there is none, kept if there is. ``gid`` -1: any group.

    Raises BridgeError ``refused`` when something else is there: nothing is touched then; ``unavailable`` when the
    file system will not have it.
    """
    path = os.path.join(directory, name)
    try:
        with pin(directory, name) as found:
            return _adopt(found, mode, gid)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unavailable(path, error) from error
    try:
        return _create(directory, name, mode, gid)
    except OSError as error:
        raise unavailable(path, error) from error


def open_reader(directory: str, name: str, expected: Identity | None = None) -> int:
    """A read end of our FIFO, whether anybody writes or not. ``expected``: only this very one.

    Raises BridgeError ``refused`` when it is not (any longer) what it should be, ``unavailable`` when it cannot be
    opened.
    """
    return _open(directory, name, os.O_RDONLY, expected)


def open_writer(directory: str, name: str, expected: Identity | None = None) -> int | None:
    """A write end of our FIFO; None: nobody reads, which is a state and not an error. Raises as ``open_reader``."""
    try:
        return _open(directory, name, os.O_WRONLY, expected)
    except BridgeError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENXIO:
            return None
        raise


def temporary_name(name: str) -> str:
    """Under which a FIFO is made before it gets its name; a crash may leave it behind."""
    return f".{name}.new"


def unavailable(path: str, error: OSError) -> BridgeError:
    """``path`` cannot be used, through no fault of what is there."""
    reason = error.strerror or str(error)
    match error.errno:
        case errno.EMFILE | errno.ENFILE:
            hint = "raise the limit on open files (LimitNOFILE= in the unit, or ulimit -n)"
        case errno.ENOSPC | errno.EDQUOT:
            hint = f"free some inodes: df -i {shlex.quote(os.path.dirname(path))}"
        case errno.ENOTDIR | errno.ELOOP:
            return _refusal(path, "its directory is a symlink or no directory", os.path.dirname(path))
        case _:
            hint = f"look at it: ls -la {shlex.quote(os.path.dirname(path))}"
    return BridgeError("unavailable", f"cannot use {path}: {reason}", hint)


class Reader:
    """The read end of a FIFO. It owns ``fd``, which is -1 once closed."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._hang_up = _alarm(fd, select.POLLIN)

    def read(self, limit: int = READ) -> bytes | None:
        """Up to ``limit`` bytes; None: nothing now; b"": the last writer has left, and the fd stays ready for ever.

        A FIFO reads as ended before its first writer has come, too: only a hang-up is an end.
        """
        try:
            chunk = os.read(self.fd, limit)
        except BlockingIOError:
            return None
        if chunk or any(events & select.POLLHUP for _, events in self._hang_up.poll(0)):
            return chunk
        return None

    def replace(self, fd: int) -> None:
        """After b"": go on with a new read end of the same FIFO, opened *before* this closes the old one.

        So unread bytes survive, and the next writer and its end are seen without a spin.
        """
        os.close(self.fd)
        self.fd = fd
        self._hang_up = _alarm(fd, select.POLLIN)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Writer:
    """The write end of a FIFO. It owns ``fd``, which is -1 once closed. What does not fit is kept, up to ``limit``."""

    def __init__(self, fd: int, limit: int) -> None:
        self.fd = fd
        self._limit = limit
        self._kept = bytearray()
        self._largest = 0
        self._alarm = _alarm(fd, 0)

    @property
    def kept(self) -> int:
        """Bytes that are still to be written: ``flush`` when there is room."""
        return len(self._kept)

    @property
    def capacity(self) -> int:
        """Bytes that the FIFO holds."""
        return fcntl.fcntl(self.fd, _GET_CAPACITY) if _GET_CAPACITY is not None else _SMALLEST

    @property
    def abandoned(self) -> bool:
        """Whether the last reader has left."""
        return bool(self._alarm.poll(0))

    def write(self, data: bytes) -> None:
        """Write what fits and keep the rest: one piece however large, and besides it others up to the limit.

        Raises BrokenPipeError when nobody reads any longer, BufferError beyond the limit: nothing was taken then.
        """
        largest = max(len(data), self._largest if self._kept else 0)
        if self._kept and len(self._kept) + len(data) - largest > self._limit:
            raise BufferError(f"{len(self._kept)} bytes are waiting; the limit is {self._limit}")
        written = 0 if self._kept else _write_some(self.fd, data)
        self._kept += memoryview(data)[written:]
        self._largest = largest

    def flush(self) -> None:
        """Write what fits of what was kept. Raises BrokenPipeError."""
        if self._kept:
            del self._kept[: _write_some(self.fd, self._kept)]

    def close(self) -> None:
        """What was kept is let go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._kept.clear()


def _write_some(fd: int, data: bytes | bytearray) -> int:
    written = 0
    with memoryview(data)[:_WRITE_AT_ONCE] as view:
        while written < len(view):
            try:
                written += os.write(fd, view[written:])
            except BlockingIOError:
                break
    return written


def _alarm(fd: int, events: int) -> select.poll:
    alarm = select.poll()
    alarm.register(fd, events)
    return alarm


def _open(directory: str, name: str, flags: int, expected: Identity | None) -> int:
    path = os.path.join(directory, name)
    try:
        with pin(directory, name) as found:
            _verify(found)
            if expected is not None and identity(found.stat) != expected:
                raise BridgeError(
                    "refused", f"{path} was replaced by another FIFO", "restart the instance, and its container with it"
                )
            return found.open(flags)
    except FileNotFoundError as error:
        raise BridgeError("refused", f"{path} is gone", "restart the instance, and its container with it") from error
    except OSError as error:
        raise unavailable(path, error) from error


def _adopt(found: Pin | PortablePin, mode: int, gid: int) -> Identity:
    _verify(found)
    if gid not in (-1, found.stat.st_gid):
        found.chown(gid)
    if stat.S_IMODE(found.stat.st_mode) != mode:
        found.chmod(mode)
    return identity(found.stat)


def _create(directory: str, name: str, mode: int, gid: int) -> Identity:
    parent = os.open(directory, DIRECTORY)
    try:
        new = temporary_name(name)
        try:
            os.mkfifo(new, 0o600, dir_fd=parent)
        except FileExistsError:
            os.unlink(new, dir_fd=parent)
            os.mkfifo(new, 0o600, dir_fd=parent)
        with pin(directory, new) as made:
            ours = _adopt(made, mode, gid)
        os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        return ours
    finally:
        os.close(parent)


def _verify(found: Pin | PortablePin) -> None:
    facts = found.stat
    if not stat.S_ISFIFO(facts.st_mode):
        _refuse(found.path, "it is no FIFO")
    if facts.st_uid != os.geteuid():
        _refuse(found.path, f"it belongs to user {facts.st_uid}")
    if facts.st_nlink != 1:
        _refuse(found.path, f"it has {facts.st_nlink} names")


def _refuse(path: str, why: str) -> NoReturn:
    raise _refusal(path, why, path)


def _refusal(path: str, why: str, culprit: str) -> BridgeError:
    remove = "rm -r" if os.path.isdir(culprit) and not os.path.islink(culprit) else "rm"
    hint = f"if you do not need it: {remove} {shlex.quote(culprit)}"
    return BridgeError("refused", f"{path} is not used: {why}", hint)
