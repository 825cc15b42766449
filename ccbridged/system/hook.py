"""``[notify] command``: run for each event, one after the other, in a thread of its own, which is there only then.

A notification, and no more: the event log is the truth. No event is told twice; what cannot be told in time, what waits
beyond the bounds or at the daemon's end is dropped; a daemon that starts begins with what is new. Nobody waits for it.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ccbridged.model.effects import Save, SaveEvent
from ccbridged.system import oneshot
from ccbridged.system.eventlog import Entry
from ccbridged.system.store import Store

WITHIN = 10.0
"""Seconds for one run."""
WAITING = 1000
WAITING_SIZE = 64 * 1024 * 1024
"""Characters of all events that wait; the newest may always."""
_NOT_TOLD = ("output",)
"""Types of events that are Claude's stream, of which there are thousands."""
_AGAIN = 60.0
"""Seconds until a reason may be logged again."""

_log = logging.getLogger(__name__)


class Hook:
    """For the daemon's thread. ``environ``: what the command gets of the daemon's own. ``within``: seconds of a run.

    Logged of a command is its first word only: the others may be secret.
    """

    def __init__(self, store: Store, environ: Mapping[str, str], *, within: float = WITHIN) -> None:
        self._store = store
        self._environ = environ
        self._within = within
        self._read_to = 0
        self._behind = False
        self._warnings = _Warnings()
        self._changed = threading.Condition()
        self._command: tuple[str, ...] = ()
        self._line = _Line()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._given_up = threading.Event()

    def use(self, command: tuple[str, ...]) -> None:
        """From now on this command, also for what waits; (): none, and what waits is dropped."""
        with self._changed:
            if not self._command:
                self._read_to = self._store.last_event
            self._command = command
            if not command:
                self._line.clear()
            elif self._thread is None:
                self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def saved(self, saves: Iterable[Save]) -> None:
        """These are in the log now."""
        if not self._command:
            return
        if self._behind or any(isinstance(save, SaveEvent) and save.type not in _NOT_TOLD for save in saves):
            self._read()
        else:
            self._read_to = self._store.last_event

    def close(self, patience: float) -> None:
        """What waits has so many seconds left."""
        with self._changed:
            thread, self._ending = self._thread, True
            self._changed.notify_all()
        if thread is None:
            return
        thread.join(patience)
        if thread.is_alive():
            with self._changed:
                left = self._line.clear()
            _log.warning("the [notify] command still runs and is ended; %d more events are not told to it", left)
            self._given_up.set()
            thread.join(2 * oneshot.GRACE)

    def _read(self) -> None:
        try:
            while found := self._store.events(after=self._read_to):
                self._read_to = found[-1].seq
                self._put([entry for entry in found if entry.type not in _NOT_TOLD])
            self._behind = False
        except sqlite3.Error as error:
            self._behind = True
            self._warnings.warn("log", f"the event log cannot be read for the [notify] command, later then: {error}")

    def _put(self, entries: list[Entry]) -> None:
        _log.debug("> notify of %s", [f"{entry.seq} {entry.type}" for entry in entries])
        with self._changed:
            began = not self._line.dropped
            for entry in entries:
                self._line.put(entry)
            began = began and self._line.dropped > 0
            self._changed.notify_all()
        if began:
            _log.warning("more events wait for the [notify] command than may: the oldest are dropped")

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.dropped:
                _log.warning("the [notify] command has caught up: %d events were dropped", job.dropped)
            said = job.entry.text.encode() + b"\n"
            done = oneshot.run(job.command, said, self._environ, within=self._within, given_up=self._given_up.is_set)
            if done.fault:
                where = f"the [notify] command {job.command[0]} {done.fault}, for event {job.entry.seq}"
                self._warnings.warn(done.fault, f"{where}: {done.words}" if done.words else where)

    def _next(self) -> _Job | None:
        """None: there is nothing to do for this thread any more."""
        with self._changed:
            while self._command and not self._line.entries and not self._ending:
                self._changed.wait()
            if not self._command or not self._line.entries:
                self._thread = None
                return None
            return _Job(self._command, *self._line.take())


class _Job(NamedTuple):
    """``dropped``: events, where this one is the last that waits."""

    command: tuple[str, ...]
    entry: Entry
    dropped: int


class _Line:
    """The events that wait. Beyond the bounds the oldest leave, and are counted until nothing waits any more."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.dropped = 0
        self._size = 0

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._size += len(entry.text)
        while len(self.entries) > WAITING or (self._size > WAITING_SIZE and len(self.entries) > 1):
            self._size -= len(self.entries.popleft().text)
            self.dropped += 1

    def take(self) -> tuple[Entry, int]:
        """The oldest; and how many were dropped, said with the last one."""
        entry = self.entries.popleft()
        self._size -= len(entry.text)
        dropped = 0
        if not self.entries:
            dropped, self.dropped = self.dropped, 0
        return entry, dropped

    def clear(self) -> int:
        """How many there were."""
        left = len(self.entries)
        self.entries.clear()
        self._size = self.dropped = 0
        return left


class _Warnings:
    """Each reason at most once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}

    def warn(self, reason: str, text: str) -> None:
        now = self._clock()
        at, kept = self._said.get(reason, (-math.inf, 0))
        if now - at < _AGAIN:
            self._said[reason] = (at, kept + 1)
            return
        self._said[reason] = (now, 0)
        _log.warning("%s%s", text, f" ({kept} times more since this was last said)" if kept else "")
