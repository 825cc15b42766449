"""The agent as a process of this host, in a session of its own: it outlives the daemon and is found again by its lock.

A pid alone is never trusted: before a signal is sent, the kernel must say that this very process holds the lock of the
instance's agent directory.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Container, Mapping

from ccbridged.model.effects import AgentEnded, Json, Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import Pack
from ccbridged.system.places import Places
from ccbridged.system.runtimes.agentlock import holder

GRACE = 15.0
"""Seconds from TERM to KILL: an agent gives its programs most of that."""
_START = 5.0
"""Seconds in which a start is watched."""
_SETTLE = 0.05
"""Seconds that an agent must live on after its first words."""
_LOG_LIMIT = 256 * 1024
_OURS = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "FDSTORE"),
    *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID", "CREDENTIALS_DIRECTORY"),
    *("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "LOGS_DIRECTORY", "CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY"),
)
"""Variables that the service manager meant for the daemon alone."""


class ProcessRuntime:
    """``environ``: the daemon's own environment, of which agents get the rest. ``grace``: seconds from TERM to KILL."""

    def __init__(self, places: Places, pack: Pack, environ: Mapping[str, str], *, grace: float = GRACE) -> None:
        self._grace = grace
        self._places = places
        self._pack = pack
        self.environ = {name: value for name, value in environ.items() if name not in _OURS}
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        """Facts: ``pid`` of the agent. Raises BridgeError with the agent's last words."""
        self._places.make(spec.name, shared=False)
        self._places.hand_env(spec.name)
        if pid := self._running(spec.name):
            return {"pid": pid}
        log = os.path.join(self._places.agent_dir(spec.name), "log")
        child, offset = self._spawn(spec, log)
        status = _watch(child, log, offset)
        if status is None:
            with self._lock:
                self._children[spec.name] = child
            return {"pid": child.pid}
        if pid := self._running(spec.name):
            return {"pid": pid}
        raise _failure(spec.name, status, log, offset)

    def halt(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        with self._lock:
            child = self._children.get(spec.name)
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(self._grace)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        elif pid := self._running(spec.name):
            _end(pid, self._lock_file(spec.name), self._grace)
        return {}

    def remove(self, spec: Spec, facts: Json) -> Json:
        self.halt(spec, facts, container=False)
        left = self._places.remove(spec.name, keep_mounted=False)
        return {"left": left} if left else {}

    def pidfd(self, name: str) -> int:
        """A descriptor that becomes readable when this daemon's agent of ``name`` ends, for the caller to close; -1
        where there is none: then SIGCHLD tells."""
        with self._lock:
            child = self._children.get(name)
        if child is None or child.returncode is not None or not hasattr(os, "pidfd_open"):
            return -1
        try:
            return os.pidfd_open(child.pid)
        except OSError:
            return -1

    def reap(self) -> list[AgentEnded]:
        """The agents that this daemon started and that have ended since the last call; call it in any thread."""
        with self._lock:
            ended = [(name, child) for name, child in self._children.items() if child.poll() is not None]
            for name, _ in ended:
                del self._children[name]
        return [AgentEnded(name, child.returncode, self._last_words(name, child.returncode)) for name, child in ended]

    def strays(self, names: Container[str]) -> list[str]:
        """A sentence for each agent that runs here for an instance of no known name."""
        found = []
        for name in sorted(self._places.agent_names()):
            if name not in names and (pid := holder(self._lock_file(name))):
                told = f"an agent of {name} runs (pid {pid}), and there is no such instance: was the database wiped?"
                found.append(f"{told} To take it over: ccbridgectl add {name} …; to end it: kill {pid}")
        return found

    def _spawn(self, spec: Spec, log: str) -> tuple[subprocess.Popen[bytes], int]:
        """The new process, and where its words begin in the log."""
        places = self._places
        command = [sys.executable, "-I", self._pack.path, "--link", places.link_dir(spec.name)]
        command += ["--journal", places.agent_dir(spec.name), "--durability", spec.durability]
        try:
            if os.path.exists(log) and os.path.getsize(log) > _LOG_LIMIT:
                os.replace(log, log + ".1")
            with open(log, "ab", opener=_private) as out:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=_directory(spec.workdir, self.environ),
                    env=self.environ,
                    start_new_session=True,
                    umask=0o022,
                )
                return child, out.tell()
        except OSError as error:
            hint = "a limit on processes or files? see: ulimit -a, and TasksMax= in the unit"
            raise BridgeError("failed", f"cannot start the agent of {spec.name}: {error}", hint) from None

    def _last_words(self, name: str, status: int) -> str:
        log = os.path.join(self._places.agent_dir(name), "log")
        return _words(log, 0) if status > 0 and os.path.exists(log) else ""

    def _lock_file(self, name: str) -> str:
        return os.path.join(self._places.agent_dir(name), "lock")

    def _running(self, name: str) -> int:
        """The pid of the agent, whoever started it; 0 for none. Raises BridgeError where there is one beyond reach."""
        return holder(self._lock_file(name))


def _end(pid: int, lock_file: str, grace: float) -> None:
    """TERM, then KILL, for an agent that is no child of ours."""
    if not hasattr(os, "pidfd_open"):
        _end_by_number(pid, lock_file, grace)
        return
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, GRACE)):
            # With the descriptor in hand the pid cannot become another's: it still is the holder, or it is over.
            if holder(lock_file) != pid:
                return
            signal.pidfd_send_signal(fd, number)
            if select.select([fd], [], [], patience)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(fd)
    raise BridgeError(
        "failed", f"the agent with pid {pid} cannot be killed", f"see what holds it: cat /proc/{pid}/stack"
    )


def _end_by_number(pid: int, lock_file: str, grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + grace
        while holder(lock_file) == pid and time.monotonic() < until:
            os.kill(pid, number)
            time.sleep(0.1)


def _watch(child: subprocess.Popen[bytes], log: str, offset: int) -> int | None:
    """Until the agent has said something and lives on: None; or its exit status."""
    until = time.monotonic() + _START
    while time.monotonic() < until:
        try:
            return child.wait(_SETTLE)
        except subprocess.TimeoutExpired:
            if os.path.getsize(log) > offset:
                break
    try:
        return child.wait(_SETTLE)
    except subprocess.TimeoutExpired:
        return None


def _failure(name: str, status: int, log: str, offset: int) -> BridgeError:
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    said = f"the agent of {name} ended {how}: {_words(log, offset)}"
    return BridgeError("refused" if status == 78 else "failed", said, f"see the rest: cat {shlex.quote(log)}")


def _words(log: str, offset: int) -> str:
    """The last line of what was said since ``offset``."""
    with open(log, "rb") as file:
        file.seek(max(offset, os.path.getsize(log) - 4096))
        said = file.read().decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else "it said nothing"


def _directory(workdir: str, environ: Mapping[str, str]) -> str:
    """A missing workdir is reported by the agent, per program; the agent itself can be anywhere."""
    places = (workdir, environ.get("HOME", ""), "/")
    return next(place for place in places if os.path.isdir(place) and os.access(place, os.X_OK))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
