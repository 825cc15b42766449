"""What a client may ask of the daemon, and the envelopes of the answer.

A call is one JSON object with its verb and fields; it is checked here, on the daemon's side, against one table. Answers
are lines: any number of ``item``, or one ``result``; then one ``end`` or ``error``. No answer ends by EOF.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ccbridged.protocol.errors import BridgeError

NAME_LIMIT = 63
KNOCK_LIMIT = 512
"""Bytes of the one atomic write into the control FIFO, on every system."""
CALL_LIMIT = 96 * 1024 * 1024
"""Bytes of a call's line: a prompt of the link's limit, escaped."""
_LARGEST = 1 << 53
_DEPTH = 8

Field = tuple[type | tuple[type, ...], object]
REQUIRED = object()

_NAME: Field = (str, REQUIRED)
_STRING: Field = (str, "")
_FLAG: Field = (bool, False)
_NUMBER: Field = ((int, float), 0)
_COUNT: Field = (int, 0)
_STRINGS: Field = (list, ())
_TABLE: Field = (dict, {})

VERBS: dict[str, dict[str, Field]] = {
    "ping": {},
    "status": {"name": _STRING},
    "list": {"state": _STRING},
    "add": {
        "name": _NAME,
        "runtime": _NAME,
        "container": _STRING,
        "image": _STRING,
        "transport": _STRING,
        "driver": _STRING,
        "program": _STRINGS,
        "args": _STRINGS,
        "workdir": _STRING,
        "env": _TABLE,
        "docker": _TABLE,
        "wait": (bool, True),
    },
    "remove": {"name": _NAME},
    "start": {"name": _NAME, "container": _FLAG, "wait": (bool, True)},
    "stop": {"name": _NAME, "container": _FLAG, "wait": (bool, True)},
    "restart": {"name": _NAME, "container": _FLAG, "wait": (bool, True)},
    "send": {
        "name": _NAME,
        "id": _NAME,
        "prompt": _NAME,
        "timeout": _NUMBER,
        "retry_uncertain": _FLAG,
        "follow": (bool, True),
        "since": _COUNT,
    },
    "wait": {"id": _NAME, "since": _COUNT},
    "result": {"id": _NAME},
    "cancel": {"id": _NAME},
    "interrupt": {"name": _NAME},
    "queue": {"name": _NAME, "move": _STRING, "to": (int, -1), "drop": _STRING},
    "history": {"name": _NAME, "count": _COUNT},
    "events": {"name": _STRING, "since": _COUNT, "follow": _FLAG},
    "logs": {"name": _NAME, "count": _COUNT, "follow": _FLAG, "since": _COUNT},
    "health": {"component": _STRING},
    "discover": {},
    "doctor": {},
    "approvals": {"name": _STRING},
    "approve": {"id": _NAME, "scope": _STRING},
    "deny": {"id": _NAME, "reason": _STRING},
    "names": {"kind": _STRING},
}


class Call(NamedTuple):
    """One checked call: every field of its verb is there, with its type."""

    verb: str
    fields: dict[str, object]

    def text(self, field: str) -> str:
        value = self.fields[field]
        assert isinstance(value, str)
        return value

    def number(self, field: str) -> float:
        value = self.fields[field]
        assert isinstance(value, (int, float))
        return value

    def count(self, field: str) -> int:
        value = self.fields[field]
        assert isinstance(value, int)
        return value

    def flag(self, field: str) -> bool:
        return self.fields[field] is True

    def strings(self, field: str) -> list[str]:
        value = self.fields[field]
        assert isinstance(value, (list, tuple))
        return [str(item) for item in value]

    def table(self, field: str) -> dict[str, object]:
        value = self.fields[field]
        assert isinstance(value, dict)
        return dict(value)


def parse(line: bytes) -> Call:
    """The call of one line. Raises BridgeError ``usage`` with what is wrong."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raise BridgeError("usage", "the call is not JSON") from None
    verb = raw.pop("verb", None) if isinstance(raw, dict) else None
    if not isinstance(verb, str) or verb not in VERBS:
        raise BridgeError("usage", "unknown verb", "client and daemon may be of different versions: restart ccbridged")
    raw.pop("v", None)
    fields = {name: _field(f"{verb}: {name}", raw.pop(name, REQUIRED), field) for name, field in VERBS[verb].items()}
    if raw:
        raise BridgeError("usage", f"{verb}: unknown field {min(raw)[:NAME_LIMIT]!r}")
    return Call(verb, fields)


def _field(what: str, value: object, field: Field) -> object:
    kind, default = field
    if value is REQUIRED:
        if default is REQUIRED:
            raise BridgeError("usage", f"{what} is missing")
        return default
    texts = not isinstance(value, list) or all(isinstance(item, str) for item in value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or not texts:
        raise BridgeError("usage", f"{what} is of the wrong type")
    fault = _fault(value, _DEPTH)
    if fault:
        raise BridgeError("usage", f"{what} {fault}")
    return value


def _fault(value: object, depth: int) -> str:
    """Why a value cannot be kept or passed on, however well it is typed; "" if it can."""
    match value:
        case str():
            return _text_fault(value)
        case None | bool():
            return ""
        case int() | float():
            return "" if abs(value) < _LARGEST else "is not a number of use"
        case list() | dict() if depth:
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            return next(filter(None, (_fault(part, depth - 1) for part in parts)), "")
        case _:
            return "is nested too deeply"


def _text_fault(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not text: it holds half a character"
    return "holds a NUL character" if "\0" in text else ""


def item(body: str) -> bytes:
    """One line of a stream; ``body`` is JSON text."""
    return f'{{"item":{body}}}\n'.encode("ascii")


def result(value: object) -> bytes:
    """The one document of an answer."""
    return (json.dumps({"result": value}, separators=(",", ":")) + "\n").encode("ascii")


def end(status: int) -> bytes:
    """The last line of an answer that went well: the exit status that the client should end with."""
    return f'{{"end":{status}}}\n'.encode("ascii")


def error(fault: BridgeError) -> bytes:
    """The last line of an answer that did not."""
    return (json.dumps({"error": fault.as_json()["error"]}, separators=(",", ":")) + "\n").encode("ascii")
