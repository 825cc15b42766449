"""The store's file: made once with mode 0600, recognised or refused, never repaired and never overwritten.

Held exclusively for as long as it is open: a second daemon is told so, and SQLite needs no shared memory and fewer
system calls. Beside it lies a ballast, given up on a full disk, where even recording an acknowledgement needs room.
"""

from __future__ import annotations

import os
import shlex
import sqlite3

from ccbridged.protocol.errors import BridgeError

VERSION = 1
_APPLICATION = 0x63636272
"""``ccbr``, in the header of every file of ours."""
_CHECKED_WHOLE = 64 * 1024 * 1024
"""Bytes up to which every page is looked at when the file is opened; about 2 ms per MiB."""
_CHECKPOINT = 2000
"""Pages of write-ahead log after which it is copied back."""
_PAGE = 4096
_PIECE = 16 * _PAGE
BALLAST = (_CHECKPOINT + 256) * _PAGE
"""Bytes. The log must fit back into the file: after that it is used again from its beginning, and needs no room."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE instances (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE requests (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, open INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX requests_of ON requests (instance, open);
CREATE TABLE prompts (id TEXT PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, instance TEXT NOT NULL, request TEXT NOT NULL,
    type TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX events_of_instance ON events (instance);
CREATE INDEX events_of_request ON events (request) WHERE request <> '';
CREATE TABLE chunks (
    instance TEXT NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (instance, last)
) WITHOUT ROWID;
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, instance TEXT NOT NULL, source TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX logs_of ON logs (instance);
CREATE TABLE links (
    name TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, peer_journal TEXT NOT NULL, peer_generation INTEGER NOT NULL,
    base INTEGER NOT NULL, committed INTEGER NOT NULL
);
CREATE TABLE outbox (
    name TEXT NOT NULL, seq INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (name, seq)
) WITHOUT ROWID;
"""
# An index holds the rowid besides its columns: "of this instance, after seq" is one range of it.


def connect(path: str, *, durability: str, quota: int) -> sqlite3.Connection:
    """The file, made if there is none, locked for this process. ``quota``: bytes it may grow to.

    Raises BridgeError: ``busy`` where another process holds it, ``store`` where it is not, or no longer, what we made.
    """
    try:
        _make(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=0, cached_statements=64)
    except (OSError, sqlite3.Error) as error:
        hint = f"look at it: ls -ld {shlex.quote(os.path.dirname(path) or '.')}; or choose another state_dir"
        raise BridgeError("store", f"cannot open the store {path}: {error}", hint) from None
    try:
        _take(connection, path)
        try:
            _settle(connection, durability, quota)
        except sqlite3.OperationalError as error:
            if "full" not in str(error) or not Ballast(path).release():
                raise
            _settle(connection, durability, quota)
    except sqlite3.Error as error:
        connection.close()
        raise explain(path, error) from None
    except BridgeError:
        connection.close()
        raise
    return connection


def explain(path: str, error: sqlite3.Error) -> BridgeError:
    """What an error of SQLite's at the opening means, and what to do."""
    text = str(error)
    if "locked" in text:
        hint = f"stop it, or see who it is: fuser -v {shlex.quote(path)}"
        return BridgeError("busy", f"another process holds the store {path}", hint)
    if "full" in text:
        return BridgeError("store", f"no space for the store {path}", "free some space on that disk")
    if "malformed" in text or "not a database" in text:
        return _damaged(path, text)
    return BridgeError("store", f"the store {path} cannot be used: {text}", "see the disk's errors: dmesg")


def _make(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return
    os.close(fd)
    if os.path.exists(path + "-wal"):
        os.unlink(path)
        hint = f"bring {path} back, or move {path}-wal away to begin with an empty store"
        raise BridgeError("store", f"{path} is gone and its write-ahead log is still there", hint)


def _take(connection: sqlite3.Connection, path: str) -> None:
    """Lock it, see that it is ours and whole, and bring it to this version."""
    run = connection.execute
    run(f"PRAGMA page_size = {_PAGE}")
    run("PRAGMA locking_mode = EXCLUSIVE")
    run("PRAGMA temp_store = MEMORY")
    application = run("PRAGMA application_id").fetchone()[0]
    version = run("PRAGMA user_version").fetchone()[0]
    empty = not run("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION and not (empty and not application and not version):
        raise BridgeError(
            "store",
            f"{path} is a database of some other program",
            f"move it away, or choose another state_dir: mv {shlex.quote(path)} {shlex.quote(path + '.old')}",
        )
    if version > VERSION:
        raise BridgeError(
            "store",
            f"the store {path} was written by a newer ccbridged (version {version}; this one knows {VERSION})",
            "upgrade ccbridged, or give this one another state_dir",
        )
    if version < VERSION and not empty:
        raise BridgeError(
            "store",
            f"the store {path} is of version {version}, from which this ccbridged knows no way to its own, {VERSION}",
            "run the version of ccbridged that wrote it, or give this one another state_dir",
        )
    run("PRAGMA journal_mode = WAL")
    run("BEGIN EXCLUSIVE")
    if empty:
        for statement in _SCHEMA.split(";"):
            run(statement)
        run("INSERT INTO meta VALUES ('journal', ?), ('epoch', 0)", (os.urandom(16).hex(),))
        run(f"PRAGMA application_id = {_APPLICATION}")
        run(f"PRAGMA user_version = {VERSION}")
    run("COMMIT")
    if not empty and os.path.getsize(path) <= _CHECKED_WHOLE:
        found = run("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(path, found.splitlines()[-1])


def _settle(connection: sqlite3.Connection, durability: str, quota: int) -> None:
    limit(connection, quota)
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
    connection.execute(f"PRAGMA journal_size_limit = {2 * _CHECKPOINT * _PAGE}")
    connection.execute("PRAGMA cache_size = -8192")
    # The new epoch is durable whatever the setting: a generation must never come twice.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")


def limit(connection: sqlite3.Connection, size: int) -> None:
    """Bytes that the file may grow to; what it has it keeps."""
    connection.execute(f"PRAGMA max_page_count = {size // _PAGE}")


def _damaged(path: str, what: str) -> BridgeError:
    quoted = shlex.quote(path)
    return BridgeError(
        "store",
        f"the store {path} is damaged ({what}); nothing was changed in it",
        f"bring back a backup, or save what can be read: sqlite3 {quoted} .recover | sqlite3 {quoted}.new; "
        "or move it and its -wal away to begin an empty one, where requests under way end as uncertain",
    )


class Ballast:
    """Preallocated bytes beside the store at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path + "-ballast"

    @property
    def there(self) -> bool:
        try:
            return os.stat(self._path).st_blocks * 512 >= BALLAST
        except OSError:
            return False

    @property
    def room(self) -> int:
        """Bytes free on its disk."""
        disk = os.statvfs(os.path.dirname(self._path) or ".")
        return disk.f_bavail * disk.f_frsize

    def restore(self) -> bool:
        """Where the disk has room for it and as much again; whether it is there now."""
        if self.there or self.room < 2 * BALLAST:
            return self.there
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            _allocate(fd)
        except OSError:
            self.release()  # Half a ballast would only take what others need now.
            return False
        finally:
            os.close(fd)
        return True

    def release(self) -> bool:
        """Give the room up; False where there was none to give."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True


def _allocate(fd: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, BALLAST)
        return
    for offset in range(0, BALLAST, _PIECE):
        os.pwrite(fd, os.urandom(_PIECE), offset)  # Random, as zeros may be kept as nothing.
