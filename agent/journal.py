"""What the agent must find again after its death: its id, its link's state, and what the host has not yet committed.

Appended to until most of it is waste, then written anew under another name and renamed. The lock is a file of its
own, so that it holds through that.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import deque
from collections.abc import Iterable

from agent import records
from agent.records import Contents
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState

QUOTA = 256 * 1024 * 1024
_RESERVE = 256 * 1024
"""Bytes kept aside, so that on a full disk what the host has taken can still be dropped."""
_WASTE = 1024 * 1024


def lock(directory: str) -> int:
    """Hold the directory for this process; the fd is the hold. Raises BridgeError: ``busy`` or ``bad-config``."""
    path = os.path.join(directory, "lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BridgeError(
            "bad-config",
            f"the journal directory {directory} cannot be used by uid {os.geteuid()}: {error.strerror}",
            "mount the instance's agent directory there, read-write, writable for this user",
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise BridgeError("busy", f"another agent holds {directory}, pid {holder}", "stop it first") from None
    except OSError as error:
        # The generations of the link still fence the older of two agents; only the clear message is lost.
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    os.ftruncate(fd, 0)
    try:
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # A full disk; the number is a courtesy.
    return fd


class Journal:
    """The open journal of ``directory``, whose lock the caller holds. ``sync``: every append reaches the disk.

    ``held`` is what was found in it. Opening begins a new epoch, durable before this returns. Raises BridgeError:
    ``refused`` where the file is damaged, ``bad-config`` or ``store`` where it cannot be written.
    """

    def __init__(self, directory: str, *, sync: bool) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "journal")
        self._sync = sync
        self._fd = -1
        try:
            found = records.read(self._path) or records.new(self._path)
            self._begin(found)
            self._open()
        except OSError as error:
            raise _unusable(self._path, error) from None

    def _begin(self, found: Contents) -> None:
        self.journal = found.journal
        self.epoch = found.epoch + 1
        self.state = found.state
        self.held = found.held
        self.size = found.size
        self._freed = 0
        self._costs = deque((seq, len(records.literal(seq, text))) for seq, text in found.held)
        self._live = sum(cost for _, cost in self._costs)

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        os.ftruncate(self._fd, self.size)
        try:
            self._write(records.beginning(self.epoch))
        except OSError:
            self.spend_reserve()
            self._write(records.beginning(self.epoch))
        os.fsync(self._fd)
        self._restore_reserve()

    def append(self, state: LinkState, held: list[tuple[int, str]], *, anew: bool = False) -> None:
        """The link's state and new held messages, all or nothing. ``anew``: all held before is let go.

        Raises OSError, and then nothing has been appended.
        """
        literals = [records.literal(seq, text) for seq, text in held]
        self._write(records.batch(state, literals, self._freed, anew=anew))
        self.state = state
        if anew:
            self._costs.clear()
            self._live = 0
        for (seq, _), written in zip(held, literals, strict=True):
            self._costs.append((seq, len(written)))
            self._live += len(written)

    def free(self, seq: int) -> None:
        """Held messages up to ``seq`` are needed no more; said in the next append, or when compacted."""
        self._freed = max(self._freed, seq)
        while self._costs and self._costs[0][0] <= seq:
            self._live -= self._costs.popleft()[1]

    @property
    def wasteful(self) -> bool:
        """Whether most of the file could be dropped."""
        return self.size - self._live > _WASTE + self._live

    def compact(self, held: Iterable[tuple[int, str]]) -> None:
        """Write the file anew, with ``held`` as all that is held. Raises OSError, and then nothing has changed."""
        temporary = self._path + ".new"
        try:
            fd, size = records.write_new(temporary, self._contents(), held)
            try:
                os.rename(temporary, self._path)
            except OSError:
                os.close(fd)
                raise
        except OSError:
            _unlink(temporary)
            raise
        os.close(self._fd)
        self._fd, self.size = fd, size
        records.sync_directory(self._directory)
        self._restore_reserve()

    def make_room(self, held: Iterable[tuple[int, str]]) -> None:
        """On a full disk: spend the reserve to write the file anew. Raises OSError where even that does not help."""
        self.spend_reserve()
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < self._live:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.compact(held)

    def close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def _contents(self) -> Contents:
        return Contents(self.journal, self.epoch, self.state, deque(), 0)

    def _write(self, line: bytes) -> None:
        """At the end of what is good: a failed write's remains are overwritten, whether or not they could be cut."""
        try:
            records.write_all(self._fd, line, self.size)
            if self._sync:
                records.sync_data(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line)

    def spend_reserve(self) -> None:
        """Give its room to the next append; it is taken again when there is enough."""
        _unlink(os.path.join(self._directory, "reserve"))

    def _restore_reserve(self) -> None:
        path = os.path.join(self._directory, "reserve")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return
        try:
            if os.fstat(fd).st_blocks * 512 < _RESERVE:
                records.write_all(fd, bytes(_RESERVE), 0)
        except OSError:
            _unlink(path)  # Half a reserve would only take what others need now.
        finally:
            os.close(fd)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _unusable(path: str, error: OSError) -> BridgeError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BridgeError("store", f"no space for the journal {path}", "free some space on that disk")
    return BridgeError(
        "bad-config",
        f"the journal {path} cannot be used by uid {os.geteuid()}: {error.strerror}",
        "mend its owner or mode",
    )
