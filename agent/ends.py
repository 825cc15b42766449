"""The agent's ends of the FIFO pair: reads ``in.fifo``, writes ``out.fifo``.

The read end is reopened before it is closed, so that bytes a dead writer left survive and its end of file is seen
once. The write end can be opened only while a host listens: its absence is a state, not an error.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ccbridged.protocol.errors import BridgeError

_F_GETPIPE_SZ = 1032
_PAGE = 4096
READ_SIZE = 64 * 1024


class Ends:
    """``incoming`` and ``outgoing`` are fds, -1 while closed. Raises BridgeError: ``bad-config``, or ``busy`` where
    another agent uses them."""

    def __init__(self, directory: str) -> None:
        self.in_path = os.path.join(directory, "in.fifo")
        self.out_path = os.path.join(directory, "out.fifo")
        self.incoming = self.outgoing = -1
        if not os.path.isdir(directory):
            raise BridgeError(
                "bad-config", f"there is no link directory {directory}", "give --link, or mount the instance's there"
            )
        if not _may_write(self.out_path):
            raise _unusable(self.out_path, PermissionError(errno.EACCES, "permission denied"))
        self._hold = _hold(directory)
        self.open_in()

    def open_in(self) -> None:
        """Open, or open again; the old end is closed after. Raises BridgeError, and then it is closed as well."""
        old, self.incoming = self.incoming, -1
        try:
            self.incoming = _open(self.in_path, os.O_RDONLY)
        except OSError as error:
            raise _unusable(self.in_path, error) from None
        finally:
            if old >= 0:
                os.close(old)

    def in_is_current(self) -> bool:
        """Whether the path still names the FIFO that is open."""
        try:
            there = os.stat(self.in_path, follow_symlinks=False)
        except OSError:
            return False
        here = os.fstat(self.incoming)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def read(self) -> bytes | None:
        """What the host wrote; b"" at the end of file, None when there is nothing now."""
        try:
            return os.read(self.incoming, READ_SIZE)
        except BlockingIOError:
            return None

    def open_out(self) -> bool:
        """Whether the host listens: ``outgoing`` is open then. Raises BridgeError where it never can."""
        try:
            self.outgoing = _open(self.out_path, os.O_WRONLY)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return False
            raise _unusable(self.out_path, error) from None
        return True

    def close_out(self) -> None:
        if self.outgoing >= 0:
            os.close(self.outgoing)
            self.outgoing = -1

    def write(self, data: memoryview) -> int:
        """Bytes written, 0 when the pipe is full. Raises BrokenPipeError when the host is gone."""
        try:
            return os.write(self.outgoing, data)
        except BlockingIOError:
            return 0

    @property
    def window(self) -> int:
        """Bytes that may be in flight to the host: what the pipe holds, less a page for acks and pings."""
        try:
            return fcntl.fcntl(self.outgoing, _F_GETPIPE_SZ) - _PAGE
        except OSError:
            return _PAGE  # Not Linux: the smallest FIFO there holds 8 KiB.

    def close(self) -> None:
        self.close_out()
        if self.incoming >= 0:
            os.close(self.incoming)
            self.incoming = -1
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1


def _hold(directory: str) -> int:
    """Two agents on one pair of FIFOs would each get half of what is said, whichever journals they have.

    The fd is the hold; -1 where the file system knows no locks. A directory that is mounted read-only can be locked.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        hint = "stop that one; is the link directory mounted in a second container?"
        raise BridgeError("busy", f"another agent uses the FIFOs in {directory}", hint) from None
    except OSError:
        os.close(fd)
        return -1
    return fd


def _open(path: str, mode: int) -> int:
    fd = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a FIFO")
    return fd


def _may_write(path: str) -> bool:
    return not os.path.exists(path) or os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _unusable(path: str, error: OSError) -> BridgeError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return _forbidden(path)
    if error.errno == errno.ENOENT:
        return BridgeError(
            "bad-config", f"there is no FIFO {path}", "is the instance's link directory of ccbridged mounted there?"
        )
    return BridgeError(
        "bad-config", f"the FIFO {path} cannot be used: {error.strerror}", "let ccbridged make it again: restart it"
    )


def _forbidden(path: str) -> BridgeError:
    try:
        info = os.stat(path)
    except OSError:
        return BridgeError("bad-config", f"uid {os.geteuid()} may not look at {path}", "mend the directory's mode")
    return BridgeError(
        "bad-config",
        f"uid {os.geteuid()} may not use {path}: it is of group {info.st_gid}, mode {stat.S_IMODE(info.st_mode):04o}",
        f"start the container with --group-add {info.st_gid}",
    )
