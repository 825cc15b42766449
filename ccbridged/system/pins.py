"""A thing in a directory, held still while it is looked at, and opened only then.

Whoever can write to a directory can put a device or a symlink where a FIFO was. A pin opens nothing and follows
nothing; what it opens later is the very thing that was looked at. No open here creates.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIFO = os.O_NONBLOCK | os.O_CLOEXEC
_PATH = getattr(os, "O_PATH", 0)


class Identity(NamedTuple):
    """Which FIFO it is, whatever its name."""

    device: int
    inode: int


class Pin:
    """What is at ``name`` in ``directory`` now, held without opening it. A context manager.

    Raises OSError when the directory is a symlink or gone, FileNotFoundError when there is nothing at ``name``.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, name)
        parent = os.open(directory, DIRECTORY)
        try:
            self._fd = os.open(name, _PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
        self.stat = os.fstat(self._fd)

    def __enter__(self) -> Pin:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._fd = -1

    def open(self, flags: int) -> int:
        """An fd on the very thing that ``stat`` describes. Raises OSError."""
        return os.open(f"/proc/self/fd/{self._fd}", flags | _FIFO)

    def chmod(self, mode: int) -> None:
        os.chmod(f"/proc/self/fd/{self._fd}", mode)

    def chown(self, gid: int) -> None:
        os.chown(f"/proc/self/fd/{self._fd}", -1, gid)


class PortablePin:
    """The same where there is no O_PATH or no /proc: looked at before and after the open, without following."""

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, name)
        self._name = name
        self._parent = os.open(directory, DIRECTORY)
        try:
            self.stat = os.stat(name, dir_fd=self._parent, follow_symlinks=False)
        except OSError:
            os.close(self._parent)
            raise

    def __enter__(self) -> PortablePin:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._parent)
        self._parent = -1

    def open(self, flags: int) -> int:
        if not stat.S_ISFIFO(self.stat.st_mode):
            raise OSError(errno.EINVAL, "not a FIFO", self.path)
        fd = os.open(self._name, flags | _FIFO | os.O_NOFOLLOW, dir_fd=self._parent)
        if identity(os.fstat(fd)) != identity(self.stat):
            os.close(fd)
            raise FileNotFoundError(errno.ENOENT, "replaced while it was opened", self.path)
        return fd

    def chmod(self, mode: int) -> None:
        os.chmod(self._name, mode, dir_fd=self._parent)

    def chown(self, gid: int) -> None:
        os.chown(self._name, -1, gid, dir_fd=self._parent, follow_symlinks=False)


def pin(directory: str, name: str) -> Pin | PortablePin:
    """The safest pin that this system has."""
    if _PATH and os.path.isdir("/proc/self/fd"):
        return Pin(directory, name)
    return PortablePin(directory, name)


def identity(facts: os.stat_result) -> Identity:
    return Identity(facts.st_dev, facts.st_ino)
