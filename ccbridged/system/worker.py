"""The one thread for what blocks: runtime actions, in order. It touches nothing of the daemon's; it only posts."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from ccbridged.model.effects import Json, RuntimeDone
from ccbridged.protocol.errors import BridgeError

LIMIT = 1000
"""Actions that may wait."""

_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """``call`` returns what was learnt, or raises BridgeError."""

    name: str
    action: str
    call: Callable[[], Json]


class Worker:
    """``post`` is called in the worker's thread, once for every job, with its RuntimeDone."""

    def __init__(self, post: Callable[[RuntimeDone], None], *, limit: int = LIMIT) -> None:
        self._post = post
        self._jobs: queue.Queue[Job | None] = queue.Queue(limit)
        self._thread = threading.Thread(target=self._work, name="runtimes", daemon=True)
        self._thread.start()

    def submit(self, name: str, action: str, call: Callable[[], Json]) -> None:
        """Never blocks: where too many wait already, the answer is posted at once, as ``busy``."""
        try:
            self._jobs.put_nowait(Job(name, action, call))
        except queue.Full:
            fault = BridgeError("busy", f"{self._jobs.maxsize} runtime actions wait already", "try again in a while")
            self._post(RuntimeDone(name, action, fault, {}))

    def close(self, timeout: float) -> bool:
        """Let what waits go, and wait for the job at hand; False when it still runs. It dies with the process then."""
        try:
            while True:
                self._jobs.get_nowait()
        except queue.Empty:
            self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while job := self._jobs.get():
            self._post(_done(job))


def _done(job: Job) -> RuntimeDone:
    try:
        return RuntimeDone(job.name, job.action, None, job.call())
    except BridgeError as fault:
        return RuntimeDone(job.name, job.action, fault, {})
    except Exception as error:
        _log.exception("%s of %s failed unexpectedly", job.action, job.name)
        unexpected = BridgeError(
            "failed",
            f"{job.action} of {job.name} failed: {type(error).__name__}: {error}",
            "the daemon's log has the details: journalctl -u ccbridged",
        )
        return RuntimeDone(job.name, job.action, unexpected, {})
