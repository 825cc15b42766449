"""What the daemon must find again: SQLite in WAL mode, one connection, one thread, one transaction per ``save``.

Texts go in and come out as they are; the store parses none of them. On a full disk it gives up its ballast, but only
to what makes room or records an acknowledgement: everything new is refused, and so not acknowledged to its sender.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn

from ccbridged.model.effects import (
    DropInstance,
    DropRequest,
    ForgetRequest,
    Hold,
    Json,
    Release,
    Save,
    SaveEvent,
    SaveInstance,
    SaveLink,
    SaveLog,
    SaveRequest,
)
from ccbridged.protocol.link import LinkState
from ccbridged.system import storefile
from ccbridged.system.eventlog import Entry, EventLog, Keep

QUOTA = 4 * 1024 * 1024 * 1024
_SPENT = -1
"""In the place of "open": of this request only id and state are kept."""
_BATCH = 256 * 1024
_SLACK = 256 * 1024
"""Bytes beyond the quota for what makes room."""

_log = logging.getLogger(__name__)


class StoreFailed(Exception):
    """Nothing was saved; the text says why. It may be tried again later."""


class StoreFull(StoreFailed):
    """There is no room, on the disk or below the quota."""


class Kept(NamedTuple):
    """A request as it was saved. ``prompt`` None: not asked for, or not there."""

    id: str
    instance: str
    open: bool
    body: Json
    prompt: str | None


class Health(NamedTuple):
    """Bytes: of the file, of the write-ahead log, free inside the file, allowed, free on the disk."""

    size: int
    log: int
    free: int
    quota: int
    disk_free: int
    ballast: bool


class Store:
    """``journal``: the random id of this file, made with it. ``epoch``: counts the openings, durable before this
    returns. ``durability`` power: a save survives a power failure; process: any kill -9, at less cost.

    Raises BridgeError ``store`` or ``busy``; a file that cannot be used is left as it is.
    """

    def __init__(self, path: str, *, durability: str, quota: int = QUOTA, keep: Keep = Keep()) -> None:
        self._path = path
        self._quota = quota
        self._ballast = storefile.Ballast(path)
        self._connection = storefile.connect(path, durability=durability, quota=quota)
        self._cursor = self._connection.cursor()
        try:
            meta = dict(self._connection.execute("SELECT key, value FROM meta"))
            self._events = EventLog(self._connection, keep)
        except sqlite3.Error as error:
            self._connection.close()
            raise storefile.explain(path, error) from None
        self.journal: str = meta["journal"]
        self.epoch: int = meta["epoch"]
        self._heavy = self._ballast.restore()
        self._released: dict[str, int] = {}

    def close(self) -> None:
        try:
            self._record_releases(0.0)
        except StoreFailed as error:
            _log.warning("some acknowledgements are forgotten and will be heard again: %s", error)
        self._connection.close()

    @property
    def last_event(self) -> int:
        """The seq of the newest event, 0 before the first."""
        return self._events.last

    def save(self, records: Sequence[Save], now: float) -> None:
        """All of them, durable when this returns, in one transaction. ``now``: seconds since 1970, of the events.

        Releases alone wait for the next transaction: after a crash the agent says again what it has. Raises StoreFull
        or StoreFailed, and then nothing has changed.
        """
        if all(isinstance(record, Release) for record in records):
            self._released |= {record.name: record.seq for record in records if isinstance(record, Release)}
            return
        try:
            if not self._heavy and not _makes_room(records):
                self._demand_ballast()
            self._transact([*self._releases(), *records], now)
        except StoreFull:
            self._record_releases(now)
            if not _makes_room(records):
                raise
            self._make_room()
            self._transact(records, now)
            storefile.limit(self._connection, self._quota)
        self._released.clear()
        if self._events.due:
            self._tidy()

    def refusal(self, size: int) -> str:
        """Why new work of so many bytes should not be begun; "" when there is room for it and all that follows."""
        wanted = 2 * size + _SLACK
        if self._ballast.room < wanted + (0 if self._ballast.there else 2 * storefile.BALLAST):
            return f"the disk of the store {self._path} is full"
        pages, page, free = self._pages()
        if (pages - free) * page + wanted > self._quota:
            return f"the store {self._path} has reached its quota of {self._quota} bytes"
        return ""

    def instances(self) -> list[tuple[str, Json]]:
        """Name and body, by name."""
        rows = self._connection.execute("SELECT name, body FROM instances ORDER BY name")
        return [(name, json.loads(body)) for name, body in rows]

    def open_requests(self, instance: str) -> list[Kept]:
        """With their prompts, oldest first."""
        query = "SELECT id, instance, open, body, text FROM requests LEFT JOIN prompts USING (id)"
        rows = self._connection.execute(query + " WHERE instance = ? AND open = 1 ORDER BY place", (instance,))
        return [_kept(row) for row in rows]

    def ended_requests(self, instance: str, last: int) -> list[Kept]:
        """The newest ``last`` final ones, oldest first, without their prompts."""
        query = "SELECT id, instance, open, body, NULL FROM requests WHERE instance = ? AND open = 0"
        rows = self._connection.execute(query + " ORDER BY place DESC LIMIT ?", (instance, last)).fetchall()
        return [_kept(row) for row in reversed(rows)]

    def final_states(self, instance: str) -> list[tuple[str, str]]:
        """(id, state) of the final ones whose answers are kept, oldest first."""
        return self._states(instance, 0)

    def spent_states(self, instance: str) -> list[tuple[str, str]]:
        """(id, state) of those that have left the history, oldest first."""
        return self._states(instance, _SPENT)

    def _states(self, instance: str, kind: int) -> list[tuple[str, str]]:
        query = "SELECT id, body FROM requests WHERE instance = ? AND open = ? ORDER BY place"
        rows = self._connection.execute(query, (instance, kind))
        return [(id_, str(json.loads(body)["state"])) for id_, body in rows]

    def request(self, id_: str) -> Kept | None:
        """One request, open or final, with its prompt; None for one whose answer is gone."""
        query = "SELECT id, instance, open, body, text FROM requests LEFT JOIN prompts USING (id)"
        query += f" WHERE id = ? AND open <> {_SPENT}"
        row = self._connection.execute(query, (id_,)).fetchone()
        return _kept(row) if row else None

    def prompt(self, id_: str) -> str | None:
        row = self._connection.execute("SELECT text FROM prompts WHERE id = ?", (id_,)).fetchone()
        return _prompt(row[0]) if row else None

    def link(self, name: str) -> LinkState:
        """Of a link that was never saved: the beginning."""
        query = "SELECT next_seq, peer_journal, peer_generation, base, committed FROM links WHERE name = ?"
        row = self._connection.execute(query, (name,)).fetchone()
        return LinkState(*row) if row else LinkState()

    def held(self, name: str) -> list[tuple[int, str]]:
        """(seq, text) of the messages that the agent has not committed, ascending."""
        query = "SELECT seq, text FROM outbox WHERE name = ? AND seq > ? ORDER BY seq"
        return self._connection.execute(query, (name, self._released.get(name, 0))).fetchall()

    def events(
        self, *, after: int, instance: str = "", request: str = "", only: str = "", limit_bytes: int = _BATCH
    ) -> list[Entry]:
        """The next events after ``after``: at least one if there is one, then as many as fit. ``only``: of a type."""
        return self._events.read(after, instance, request, only, limit_bytes)

    def logs(self, *, instance: str, after: int = 0, last: int | None = None, limit_bytes: int = _BATCH) -> list[Entry]:
        """The next lines of stderr, likewise; ``last``: of the newest so many only."""
        start = self._events.before_last(instance, last) if last is not None else 0
        return self._events.lines(instance, max(after, start), limit_bytes)

    def health(self) -> Health:
        """Raises StoreFailed where not even that can be read."""
        try:
            pages, page, free = self._pages()
            room = self._ballast.room
            log = os.path.getsize(self._path + "-wal") if os.path.exists(self._path + "-wal") else 0
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"the store {self._path} cannot be read: {error}") from None
        return Health(pages * page, log, free * page, self._quota, room, self._ballast.there)

    def _releases(self) -> list[Save]:
        return [Release(name, seq) for name, seq in self._released.items()]

    def _record_releases(self, now: float) -> None:
        """What lets go of something is recorded even where there is no room for more."""
        if not self._released:
            return
        try:
            self._transact(self._releases(), now)
        except StoreFull:
            self._make_room()
            self._transact(self._releases(), now)
            storefile.limit(self._connection, self._quota)
        self._released.clear()

    def _pages(self) -> tuple[int, int, int]:
        """Pages in the file, bytes of one, and how many are free."""
        run = self._connection.execute
        pages, page, free = (
            run(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size", "freelist_count")
        )
        return pages, page, free

    def _transact(self, records: Iterable[Save], now: float) -> None:
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            for record in records:
                self._write(record, now)
            self._cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._explained(error) from None
        except BaseException:
            self._roll_back()
            raise
        self._events.committed()
        for record in records:
            if isinstance(record, DropInstance):
                self._events.dropped(record.name)

    def _roll_back(self) -> None:
        self._events.undone()
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def _write(self, record: Save, now: float) -> None:
        run = self._cursor.execute
        match record:
            case SaveEvent():
                self._events.add(record, now)
            case SaveLink(name, state):
                run("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?)", (name, *state))
            case Release(name, seq):
                run("DELETE FROM outbox WHERE name = ? AND seq <= ?", (name, seq))
            case Hold(name, seq, text):
                run("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?)", (name, seq, text))
            case SaveRequest():
                self._write_request(record)
            case SaveLog():
                self._events.add_line(record, now)
            case SaveInstance(name, body):
                run("INSERT OR REPLACE INTO instances VALUES (?, ?)", (name, _text(body)))
            case DropRequest(id_, state):
                for table, key in (("events", "request"), ("prompts", "id")):
                    run(f"DELETE FROM {table} WHERE {key} = ? AND {key} <> ''", (id_,))
                left = (_SPENT, _text({"state": state}), id_)
                run("UPDATE requests SET open = ?, body = ? WHERE id = ?", left)
            case ForgetRequest(id_):
                run("DELETE FROM requests WHERE id = ?", (id_,))
            case DropInstance(name):
                run("DELETE FROM prompts WHERE id IN (SELECT id FROM requests WHERE instance = ?)", (name,))
                for table, key in (("requests", "instance"), ("links", "name"), ("outbox", "name")):
                    run(f"DELETE FROM {table} WHERE {key} = ?", (name,))
                run("DELETE FROM instances WHERE name = ?", (name,))
                self._events.forget(name)
            case _:
                _never(record)

    def _write_request(self, record: SaveRequest) -> None:
        self._cursor.execute(
            "INSERT INTO requests (id, instance, open, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, open = excluded.open, body = excluded.body",
            (record.id, record.instance, record.open, _text(record.body)),
        )
        if record.prompt is not None:
            prompt = record.prompt.encode("utf-8", "surrogatepass")
            self._cursor.execute("INSERT OR REPLACE INTO prompts VALUES (?, ?)", (record.id, prompt))
        if not record.open:
            self._events.ended(record.instance, record.id)

    def _explained(self, error: sqlite3.Error) -> StoreFailed:
        if "full" not in str(error):
            return StoreFailed(f"the store {self._path} failed: {error}")
        if self._ballast.room > storefile.BALLAST:
            return StoreFull(f"the store {self._path} has reached its quota of {self._quota} bytes")
        return StoreFull(f"the disk of the store {self._path} is full")

    def _make_room(self) -> None:
        """Room for what makes room: beyond the quota; or the ballast's, so that the log fits back into the file."""
        storefile.limit(self._connection, self._quota + _SLACK)
        if self._ballast.room > storefile.BALLAST:
            return
        self._heavy = False
        if self._ballast.release():
            _log.warning("no room on the disk of %s: gave up its ballast of %d bytes", self._path, storefile.BALLAST)
        try:
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            _log.warning("no room even without the ballast: %s", error)

    def _demand_ballast(self) -> None:
        """What is new must not eat what the ballast gave: it waits until the disk has room for both."""
        self._heavy = self._ballast.restore()
        if not self._heavy:
            raise StoreFull(f"the disk of the store {self._path} is full")
        _log.info("%s has its ballast again", self._path)

    def _tidy(self) -> None:
        """Forget what is too much. A failure is only logged: it is tried again after the next chunk."""
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            self._events.trim()
            self._cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._events.recount()
            _log.warning("could not trim the event log of %s: %s", self._path, error)


def _makes_room(records: Iterable[Save]) -> bool:
    """Whether these let go of something, or at least add nothing."""
    records = list(records)
    drops = any(isinstance(record, (DropInstance, DropRequest, ForgetRequest)) for record in records)
    return drops or all(isinstance(record, (Release, SaveLink)) for record in records)


def _kept(row: tuple[str, str, int, str, bytes | None]) -> Kept:
    id_, instance, open_, body, prompt = row
    return Kept(id_, instance, bool(open_), json.loads(body), None if prompt is None else _prompt(prompt))


def _prompt(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _text(body: Json) -> str:
    return json.dumps(body, separators=(",", ":"))


def _never(record: NoReturn) -> NoReturn:
    raise AssertionError(record)
