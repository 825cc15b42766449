"""What is said to a container's own python3 through ``docker exec``, and what is copied into it.

The scripts are for any Python 3 and use little of its library, as what is missing must be found out and not crashed on.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from typing import NamedTuple

OWN = "/var/lib/ccbridge"
"""Where the agent's things are in a container that has no mount for them."""
LOG = "log"

LOOK = """
import os, sys
link, agent, pack = sys.argv[1:4]
def inode(path):
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
def digest(path):
    try:
        import hashlib
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except Exception:
        return "-"
reach = os.access(link + "/in.fifo", os.R_OK) and os.access(link + "/out.fifo", os.W_OK)
print("ccbridge", os.getuid(), os.getgid(), inode(link), int(reach), int(os.access(agent, os.W_OK)), digest(pack))
"""

BEGIN = """
import os, sys
log = sys.argv[1]
try:
    os.rename(log, log + ".1")
except OSError:
    pass
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(out, 1)
os.dup2(out, 2)
os.execvp(sys.executable or "python3", [sys.executable or "python3", "-I"] + sys.argv[2:])
"""

_HELD = """
import fcntl, os, signal, sys, time
directory, patience = sys.argv[1], float(sys.argv[2])
def held():
    try:
        fd = os.open(directory + "/lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)
def words():
    try:
        with open(directory + "/log") as file:
            return file.read()[-4000:].strip()
    except (OSError, ValueError):
        return ""
until = time.monotonic() + patience
"""

READY = (
    _HELD
    + """
while time.monotonic() < until and not words():
    time.sleep(0.01)
time.sleep(0.05)
print(words())
sys.exit(0 if held() else 1)
"""
)
"""Looks at the lock only after the agent's first words: before these, looking could be what makes it fail."""

END = (
    _HELD
    + """
def pid():
    try:
        with open(directory + "/lock") as file:
            number = int(file.read())
        with open("/proc/%d/cmdline" % number, "rb") as file:
            words = file.read().split(b"\\0")
        return number if directory.encode() in words else 0
    except (OSError, ValueError):
        return 0
for number in (signal.SIGTERM, signal.SIGKILL):
    found = pid()
    if not (held() and found):
        break
    try:
        os.kill(found, number)
    except OSError:
        pass
    until = time.monotonic() + patience
    while held() and time.monotonic() < until:
        time.sleep(0.02)
sys.exit(1 if held() else 0)
"""
)

CLEAR = """
import os, shutil, sys
shutil.rmtree(sys.argv[1], True)
try:
    os.rmdir(os.path.dirname(sys.argv[1]))
except OSError:
    pass
"""


class Sight(NamedTuple):
    """What LOOK saw: as whom it ran, the link directory's inode (0: none), whether the FIFOs and the agent directory
    can be used, the digest of the pack that is there ("-": none)."""

    uid: int
    gid: int
    inode: int
    reach: bool
    writable: bool
    digest: str


def sight(output: str) -> Sight | None:
    """None where that is not LOOK's answer."""
    for line in output.splitlines():
        match line.split():
            case ["ccbridge", uid, gid, inode, reach, writable, digest]:
                return Sight(int(uid), int(gid), int(inode), reach == "1", writable == "1", digest)
    return None


def own(name: str) -> str:
    """The instance's directory in a container without a mount for it."""
    return posixpath.join(OWN, name)


class Entry(NamedTuple):
    """One thing to copy in: a directory where ``content`` is None. ``path`` is relative to where the archive goes."""

    path: str
    content: bytes | None
    mode: int
    uid: int = 0
    gid: int = 0


def archive(entries: list[Entry]) -> bytes:
    """The entries as a tar, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
            info.type = tarfile.DIRTYPE if entry.content is None else tarfile.REGTYPE
            info.size = len(entry.content or b"")
            tar.addfile(info, io.BytesIO(entry.content or b""))
    return buffer.getvalue()
