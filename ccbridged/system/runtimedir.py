"""The runtime directory, where clients find the daemon, and ``clients/`` in it, where they put their FIFOs.

``clients/`` has mode 1733: everybody who gets that far may put a name there, nobody can list it or touch another's.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterable

from ccbridged.protocol.errors import BridgeError
from ccbridged.system.fifo import unavailable
from ccbridged.system.pins import DIRECTORY

_SHARED = 0o1733
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_GROUP_PASS = stat.S_IRGRP | stat.S_IXGRP


def prepare(path: str, gid: int) -> None:
    """A directory of ours that nobody else can write to; ``gid`` (-1: any) may pass. An existing one keeps its mode
    otherwise. Raises BridgeError ``refused`` or ``unavailable``."""
    fd, fresh = _open(path)
    try:
        facts = os.fstat(fd)
        _verify_owner(path, facts)
        if facts.st_mode & _OTHERS_WRITE:
            hint = f"choose another runtime_dir, or: chmod go-w {shlex.quote(path)}"
            raise BridgeError("refused", f"{path} is not used: others can write to it", hint)
        mode = stat.S_IMODE(facts.st_mode)
        if gid not in (-1, facts.st_gid):
            os.fchown(fd, -1, gid)
        if gid != -1 or (fresh and os.geteuid() == 0):
            mode |= _GROUP_PASS
        if mode != stat.S_IMODE(facts.st_mode):
            os.fchmod(fd, mode)
    except OSError as error:
        raise unavailable(path, error) from error
    finally:
        os.close(fd)


def prepare_shared(path: str) -> None:
    """The directory of the clients' FIFOs, inside ours. Raises BridgeError ``refused`` or ``unavailable``."""
    fd, _ = _open(path)
    try:
        facts = os.fstat(fd)
        _verify_owner(path, facts)
        if stat.S_IMODE(facts.st_mode) != _SHARED:
            os.fchmod(fd, _SHARED)
    except OSError as error:
        raise unavailable(path, error) from error
    finally:
        os.close(fd)


def sweep(path: str, older_than: float) -> None:
    """Remove what has lain in ``path`` for more than this many seconds: clients that died before they were heard."""
    limit = time.time() - older_than
    try:
        with os.scandir(path) as entries:
            # ctime: the owner cannot set it.
            old = [entry.name for entry in entries if _ctime(entry) < limit]
    except OSError:
        return  # Gone or out of fds: nobody's calls wait for a clean directory.
    unlink(path, old)


def unlink(directory: str, names: Iterable[str]) -> None:
    """Take the names away, whatever they are; a directory only when it is empty."""
    for name in names:
        path = os.path.join(directory, name)
        try:
            os.unlink(path)
        except IsADirectoryError:
            try:
                os.rmdir(path)
            except OSError:
                pass
        except OSError:
            pass


def is_fifo_of(facts: os.stat_result, uid: int) -> bool:
    """A FIFO of ``uid``'s that has no second name by which it could have come from elsewhere."""
    return stat.S_ISFIFO(facts.st_mode) and facts.st_uid == uid and facts.st_nlink == 1


def is_private_fifo(facts: os.stat_result) -> bool:
    """A FIFO into which only its owner can have written."""
    return is_fifo_of(facts, facts.st_uid) and not facts.st_mode & _OTHERS_WRITE


def _open(path: str) -> tuple[int, bool]:
    """An fd of the directory, and whether it was made just now."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        try:
            os.mkdir(path, 0o700)
            fresh = True
        except FileExistsError:
            fresh = False
        return os.open(path, DIRECTORY), fresh
    except OSError as error:
        raise unavailable(os.path.join(path, "control"), error) from error


def _verify_owner(path: str, facts: os.stat_result) -> None:
    if facts.st_uid != os.geteuid():
        hint = f"choose another runtime_dir, or: rm -r {shlex.quote(path)}"
        raise BridgeError("refused", f"{path} is not used: it belongs to user {facts.st_uid}", hint)


def _ctime(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_ctime
    except OSError:
        return float("inf")
