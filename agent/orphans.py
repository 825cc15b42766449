"""Finding and killing what a child's processes leave behind, whoever their parent has become."""

from __future__ import annotations

import os
import signal
import sys

from agent.launch import MARK

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ENV_START, _ENV_END = 47, 48
"""Where ``stat`` says between which addresses the environment is, counted from the state; 0 where there is none."""


def become_subreaper() -> bool:
    """Adopt the orphans of this process's descendants. False where the system cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """A KILL for this process as soon as its parent is gone, where the system can."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def offspring() -> list[int]:
    """The pids of this process's direct children, dead ones not yet waited for included."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid in _pids() if _parent(pid) == me]


def kill_strays(known: set[int], mark: str) -> list[int]:
    """KILL what was adopted from a reaper that was itself killed; the pids after whose end to look again.

    As pid 1 this process also adopts what others leave in the container: only what carries the mark is ours there.
    What cannot be told yet is left alone and looked at again: the dying may still leave us theirs.
    """
    strays = [pid for pid in offspring() if pid not in known]
    if os.getpid() != 1:
        return [pid for pid in strays if kill(pid)]
    marked = {pid: _is_marked(pid, mark) for pid in strays}
    return [pid for pid in strays if marked[pid] is None or (marked[pid] and kill(pid))]


def sweep(mark: str) -> list[int]:
    """KILL what an earlier agent of this journal left, where it and its reaper were killed at once; the pids."""
    found = [pid for pid in _pids() if pid != os.getpid() and _is_marked(pid, mark)]
    return [pid for pid in found if kill(pid)]


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        return int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _is_marked(pid: int, mark: str) -> bool | None:
    """None where that cannot be told now: as it dies, and within an execve, a process shows no environment."""
    try:
        # The first thread may be gone and others live on.
        for thread in os.listdir(f"/proc/{pid}/task"):
            if environ := _read(f"/proc/{pid}/task/{thread}/environ"):
                return f"{MARK}={mark}".encode() in environ.split(b"\0")
            if _is_bare(_read(f"/proc/{pid}/task/{thread}/stat")):
                return False
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return False  # Another user's.
    return None


def _is_bare(stat: bytes) -> bool:
    """Whether there is an environment, and it is empty."""
    fields = stat.rpartition(b")")[2].split()
    return len(fields) > _ENV_END and fields[_ENV_START] == fields[_ENV_END] != b"0"


def _read(path: str) -> bytes:
    """b"" where the process is gone."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def kill(pid: int) -> bool:
    """KILL; False where that cannot be: it is gone, or another user's."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def kill_group(leader: int) -> None:
    """All there is where orphans are not adopted."""
    if sys.platform != "linux":
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
