"""One daemon per state directory and per runtime directory: an flock in each, because the kernel lets go of it however
its holder dies.

The file also names the holder, for people; the name alone proves nothing and is never trusted.
"""

import contextlib
import fcntl
import os
import shlex
import stat
from collections.abc import Iterator

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import runtimedir
from ccbridged.system.fifo import unavailable
from ccbridged.system.runtimes import agentlock


@contextlib.contextmanager
def held(state_dir: str, runtime_dir: str) -> Iterator[None]:
    """Both locks, while this lasts. Raises BridgeError as ``hold`` and ``hold_runtime`` do."""
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, hold(state_dir, runtime_dir))
        runtimedir.prepare(runtime_dir, -1)
        if not os.path.samefile(state_dir, runtime_dir):
            stack.callback(os.close, hold_runtime(runtime_dir))
        yield


def hold(state_dir: str, runtime_dir: str = "") -> int:
    """Take the lock; returns its descriptor, which holds it until it is closed. Makes the directory if need be.

    ``runtime_dir``: the one to be served, for the advice. Raises BridgeError ``busy`` naming the holder,
    ``unavailable`` where the directory cannot be used, ``refused`` where something else is in the lock's place.
    """
    try:
        os.makedirs(state_dir, 0o700, exist_ok=True)
        fd = _open(state_dir)
    except OSError as error:
        hint = "choose another one with --state-dir, or make this one writable"
        raise BridgeError("unavailable", f"cannot use the state directory: {error}", hint) from None
    both = runtime_dir and agentlock.held(os.path.join(runtime_dir, "lock"))
    return _locked(fd, state_dir, "--state-dir and another --runtime-dir" if both else "--state-dir")


def hold_runtime(runtime_dir: str) -> int:
    """The same for the runtime directory, which is there: of two daemons at one FIFO each would get half the calls."""
    try:
        fd = _open(runtime_dir)
    except OSError as error:
        raise unavailable(os.path.join(runtime_dir, "lock"), error) from None
    return _locked(fd, runtime_dir, "--runtime-dir")


def _open(directory: str) -> int:
    """The lock file, made if there is none. Raises OSError, and BridgeError ``refused`` for what is no file."""
    path = os.path.join(directory, "lock")
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        remove = "rm -r" if os.path.isdir(path) and not os.path.islink(path) else "rm"
        hint = f"if you do not need it: {remove} {shlex.quote(path)}"
        raise BridgeError("refused", f"{path} is not used: it is no regular file", hint)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _locked(fd: int, directory: str, option: str) -> int:
    """The descriptor, locked, with our pid in its file. ``option``: what another daemon needs another of."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        who = f"ccbridged with pid {holder}" if holder.isdigit() else "another ccbridged"
        hint = f"stop it with kill {holder or 'PID'}, or give this one another {option}"
        raise BridgeError("busy", f"{who} already serves {directory}", hint) from None
    except OSError as error:
        os.close(fd)
        raise unavailable(os.path.join(directory, "lock"), error) from None
    os.ftruncate(fd, 0)
    with contextlib.suppress(OSError):  # A full disk; the number is a courtesy.
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
