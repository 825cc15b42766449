"""One daemon per state directory: an flock, because the kernel lets go of it however its holder dies.

The file also names the holder, for people; the name alone proves nothing and is never trusted.
"""

import fcntl
import os

from ccbridged.protocol.errors import BridgeError


def hold(state_dir: str) -> int:
    """Take the lock; returns its descriptor, which holds it until it is closed. Makes the directory if need be.

    Raises BridgeError ``busy`` naming the holder, ``unavailable`` where the directory cannot be used.
    """
    path = os.path.join(state_dir, "lock")
    try:
        os.makedirs(state_dir, 0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        hint = "choose another one with --state-dir, or make this one writable"
        raise BridgeError("unavailable", f"cannot use the state directory: {error}", hint) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        who = f"ccbridged with pid {holder}" if holder.isdigit() else "another ccbridged"
        hint = f"stop it with kill {holder or 'PID'}, or give this one another --state-dir"
        raise BridgeError("busy", f"{who} already serves {state_dir}", hint) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
