"""A session's transcript: one file of JSON rows under the home directory, neither locked nor written ahead.

A row reaches the file a while after the model was called, as with the real program, so a death in between leaves less
than what happened.
"""

import json
import os
import re
import time
import uuid
from typing import Any

Json = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Refused(Exception):
    """The program cannot start; the message goes to stderr, and ``session_id`` unless empty to a result line."""

    def __init__(self, message: str, session_id: str = "") -> None:
        super().__init__(message)
        self.session_id = session_id


class Session:
    def __init__(self, session_id: str, path: str) -> None:
        self.id = session_id
        self.path = path
        self.parent: str | None = None
        self.pending: list[Json] = []
        self.answered: set[str] = set()
        """Prompts of earlier lives with an assistant row behind them, ended or not: they are not run again."""

    def add(self, kind: str, message: Json, row_id: str) -> None:
        """A row that waits for ``flush``; ``row_id``: the prompt's own uuid for what the user said."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        row = {"parentUuid": self.parent, "sessionId": self.id, "cwd": os.getcwd(), "type": kind, "message": message}
        self.pending.append({**row, "uuid": row_id, "timestamp": now})
        self.parent = row_id

    def flush(self) -> None:
        """Best effort and never fsynced, like the real one."""
        if not self.pending:
            return
        rows, self.pending = self.pending, []
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path, "a", encoding="utf-8", errors="replace") as file:
                if file.tell() == 0:
                    file.write(json.dumps({"type": "queue-operation", "operation": "enqueue"}) + "\n")
                file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        except OSError:
            pass


def projects() -> str:
    return os.path.expanduser("~/.claude/projects")


def new_path(session_id: str) -> str:
    return f"{projects()}/{re.sub(r'[^A-Za-z0-9]', '-', os.getcwd())}/{session_id}.jsonl"


def begin(session_id: str) -> Session:
    """A new session. Raises Refused where the id is no UUID or has a file, even an empty one."""
    session_id = session_id or str(uuid.uuid4())
    if not _UUID.fullmatch(session_id):
        raise Refused("Error: Invalid session ID. Must be a valid UUID.")
    if _find(session_id):
        raise Refused(f"Error: Session ID {session_id} is already in use.")
    return Session(session_id, new_path(session_id))


def resume(session_id: str) -> Session:
    """A session with a row of the user's, from any working directory. Raises Refused where there is none."""
    path = _find(session_id)
    rows = _rows(path) if path else []
    if not any(row.get("type") == "user" for row in rows):
        raise Refused(f"No conversation found with session ID: {session_id}", session_id)
    session = Session(session_id, path)
    session.parent = next((row["uuid"] for row in reversed(rows) if "uuid" in row), None)
    asked: set[str] = set()
    for row in rows:
        if row.get("type") == "assistant":
            session.answered |= asked
        elif row.get("type") == "user":
            asked = {str(row.get("uuid"))}
    return session


def _find(session_id: str) -> str:
    try:
        folders = sorted(os.listdir(projects()))
    except OSError:
        return ""
    paths = [f"{projects()}/{folder}/{session_id}.jsonl" for folder in folders]
    return next((path for path in paths if os.path.exists(path)), "")


def _rows(path: str) -> list[Json]:
    """The rows that can be read; others are skipped without a word."""
    rows = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    rows.append(row)
    except OSError:
        pass
    return rows
