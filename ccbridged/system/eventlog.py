"""The event log and the stderr lines in the store: written in the caller's transaction, read by cursor, kept bounded.

Per instance the log is counted in *chunks* of consecutive events; trimming forgets whole chunks, oldest first. So no
save counts rows, and no start reads more than one chunk. Events of open requests stay until these are final.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from ccbridged.model.effects import SaveEvent, SaveLog
from ccbridged.protocol.wire import quoted

_LINE_LIMIT = 64 * 1024
"""Characters of a stderr line that are kept."""
_BATCH = 2000
"""Rows deleted at once: the daemon waits for it."""
_EVENT = "SELECT seq, at, instance, request, type, body FROM events WHERE "
_LINE = "SELECT seq, at, source, line FROM logs WHERE instance = ? AND seq > ? ORDER BY seq"


class Keep(NamedTuple):
    """Of each instance: the newest ``events``, at most ``bytes`` of their bodies, and as many stderr ``lines``."""

    events: int = 100_000
    bytes: int = 256 * 1024 * 1024
    lines: int = 10_000


class Entry(NamedTuple):
    """``text``: JSON of an object."""

    seq: int
    text: str
    type: str


class Chunk(NamedTuple):
    """So many ``events`` with ``bytes`` of bodies, the newest of them ``last``."""

    last: int
    events: int
    bytes: int


@dataclass(slots=True)
class _Window:
    """What is kept of one instance: closed chunks, and the open one. ``floor``: up to which it has been trimmed."""

    chunks: deque[Chunk] = field(default_factory=deque)
    last: int = 0
    count: int = 0
    bytes: int = 0
    floor: int = 0
    lines: int = 0

    @property
    def events(self) -> int:
        return self.count + sum(chunk.events for chunk in self.chunks)

    @property
    def weight(self) -> int:
        return self.bytes + sum(chunk.bytes for chunk in self.chunks)


class EventLog:
    """``last``: the newest event's seq, 0 before the first; never given twice, whatever has been dropped."""

    def __init__(self, connection: sqlite3.Connection, keep: Keep) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._keep = keep
        self._chunk = Keep(max(keep.events // 50, 1), max(keep.bytes // 50, 1), max(keep.lines // 10, 1))
        self._new: list[tuple[str, int, int]] = []
        self._lines: list[str] = []
        self._ended: list[tuple[str, str]] = []
        self._windows: dict[str, _Window] = {}
        self._due: set[str] = set()
        self._left: list[tuple[str, int]] = []
        found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self.last: int = found[0] if found else 0
        self._load()

    def add(self, event: SaveEvent, now: float) -> None:
        """In the transaction that is open."""
        self._cursor.execute(
            "INSERT INTO events (at, instance, request, type, body) VALUES (?, ?, ?, ?, ?)",
            (now, event.instance, event.request, event.type, event.body),
        )
        self._new.append((event.instance, self._cursor.lastrowid or 0, len(event.body)))

    def add_line(self, line: SaveLog, now: float) -> None:
        """In the transaction that is open."""
        text = line.line if len(line.line) <= _LINE_LIMIT else line.line[:_LINE_LIMIT] + "…"
        self._cursor.execute(
            "INSERT INTO logs (at, instance, source, line) VALUES (?, ?, ?, ?)",
            (now, line.instance, line.source, quoted(text)),
        )
        self._lines.append(line.instance)

    def ended(self, instance: str, request: str) -> None:
        """The request is final: what trimming had to leave of its events need not stay."""
        self._ended.append((instance, request))

    def forget(self, instance: str) -> None:
        """In the transaction that is open: everything of this instance."""
        for table in ("events", "chunks", "logs"):
            self._cursor.execute(f"DELETE FROM {table} WHERE instance = ?", (instance,))

    def committed(self) -> None:
        """What was added since the last commit is durable: count it."""
        for instance, seq, size in self._new:
            self.last = seq
            window = self._windows.get(instance)
            if window is None:
                window = self._windows[instance] = self._window()
            window.last = seq
            window.count += 1
            window.bytes += size
            if window.count >= self._chunk.events or window.bytes >= self._chunk.bytes:
                self._due.add(instance)
        for instance in self._lines:
            window = self._windows.setdefault(instance, self._window())
            window.lines += 1
            if window.lines >= self._chunk.lines:
                self._due.add(instance)
        for instance, request in self._ended:
            if (window := self._windows.get(instance)) and window.floor:
                self._left.append((request, window.floor))
        self.undone()

    def undone(self) -> None:
        """What was added since the last commit is not there."""
        self._new.clear()
        self._lines.clear()
        self._ended.clear()

    def dropped(self, instance: str) -> None:
        """After the commit of ``forget``."""
        self._windows.pop(instance, None)
        self._due.discard(instance)

    @property
    def due(self) -> bool:
        """Whether ``trim`` has something to do."""
        return bool(self._due or self._left)

    def trim(self) -> None:
        """In a transaction of its own: close the chunks that are full, forget what is too much, some rows at a time."""
        for instance in self._due:
            window = self._windows[instance]
            if window.count >= self._chunk.events or window.bytes >= self._chunk.bytes:
                self._close(instance, window)
            if window.lines >= self._chunk.lines:
                self._trim_lines(instance)
                window.lines = 0
        self._due.clear()
        if self._left:
            request, floor = self._left[0]
            self._cursor.execute(
                "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE request = ? AND request <> ''"
                " AND seq <= ? LIMIT ?)",
                (request, floor, _BATCH),
            )
            if self._cursor.rowcount < _BATCH:
                self._left.pop(0)

    def recount(self) -> None:
        """After a ``trim`` that was rolled back."""
        self._windows.clear()
        self._due.clear()
        self._left.clear()
        self._load()

    def read(self, after: int, instance: str, request: str, kind: str, limit: int) -> list[Entry]:
        """The next events after ``after``, at least one if there is one, until ``limit`` bytes."""
        with closing(self._connection.cursor()) as cursor:
            return _take(map(_event, _select(cursor, after, instance, request, kind)), limit)

    def lines(self, instance: str, after: int, limit: int) -> list[Entry]:
        """The next lines of stderr, likewise."""
        with closing(self._connection.cursor()) as cursor:
            return _take(map(_line, cursor.execute(_LINE, (instance, after))), limit)

    def before_last(self, instance: str, last: int) -> int:
        """The seq after which the newest ``last`` lines come."""
        query = "SELECT seq FROM logs WHERE instance = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
        found = self._connection.execute(query, (instance, last)).fetchone()
        return found[0] if found else 0

    def _window(self) -> _Window:
        """Lines were not counted before: the first one makes trimming look."""
        return _Window(lines=self._chunk.lines - 1)

    def _load(self) -> None:
        run = self._connection.execute
        for instance, *chunk in run("SELECT instance, last, count, bytes FROM chunks ORDER BY instance, last"):
            window = self._windows.setdefault(instance, self._window())
            window.chunks.append(Chunk(*chunk))
            window.last = chunk[0]
        for (name,) in run("SELECT name FROM instances UNION SELECT ''").fetchall():
            window = self._windows.setdefault(name, self._window())
            query = "SELECT count(*), total(length(body)), max(seq) FROM events WHERE instance = ? AND seq > ?"
            count, size, last = run(query, (name, window.last)).fetchone()
            window.count, window.bytes, window.last = count, int(size), last or window.last

    def _close(self, instance: str, window: _Window) -> None:
        chunk = Chunk(window.last, window.count, window.bytes)
        self._cursor.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)", (instance, *chunk))
        window.chunks.append(chunk)
        window.count = window.bytes = 0
        most = Keep(self._keep.events - self._chunk.events, self._keep.bytes - self._chunk.bytes)
        while len(window.chunks) > 1 and (window.events > most.events or window.weight > most.bytes):
            oldest = window.chunks.popleft()
            self._cursor.execute(
                "DELETE FROM events WHERE instance = ? AND seq > ? AND seq <= ?"
                " AND request NOT IN (SELECT id FROM requests WHERE instance = ? AND open = 1)",
                (instance, window.floor, oldest.last, instance),
            )
            self._cursor.execute("DELETE FROM chunks WHERE instance = ? AND last = ?", (instance, oldest.last))
            window.floor = oldest.last

    def _trim_lines(self, instance: str) -> None:
        self._cursor.execute(
            "DELETE FROM logs WHERE instance = ?1 AND seq <= (SELECT seq FROM logs WHERE instance = ?1"
            " ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            (instance, max(self._keep.lines - self._chunk.lines, 1)),
        )


def _select(cursor: sqlite3.Cursor, after: int, instance: str, request: str, kind: str) -> sqlite3.Cursor:
    wanted: list[tuple[str, int | str]] = [("seq > ?", after)]
    wanted += [("request = ? AND request <> ''", request)] if request else []
    wanted += [("instance = ?", instance)] if instance else []
    wanted += [("type = ?", kind)] if kind else []
    query = _EVENT + " AND ".join(clause for clause, _ in wanted) + " ORDER BY seq"
    return cursor.execute(query, tuple(value for _, value in wanted))


def _take(entries: Iterable[Entry], limit: int) -> list[Entry]:
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        taken.append(entry)
        size += len(entry.text)
        if size >= limit:
            break
    return taken


def _event(row: tuple[int, float, str, str, str, str]) -> Entry:
    seq, at, instance, request, kind, body = row
    head = f'{{"v":1,"seq":{seq},"at":{at!r},"instance":{quoted(instance)},"request":{quoted(request)}'
    return Entry(seq, f'{head},"type":{quoted(kind)}{"," if len(body) > 2 else ""}{body[1:]}', kind)


def _line(row: tuple[int, float, str, str]) -> Entry:
    seq, at, source, line = row
    return Entry(seq, f'{{"v":1,"seq":{seq},"at":{at!r},"source":{quoted(source)},"line":{line}}}', "log")
