"""The configuration file: read it, and say of every fault on which line it is.

TOML parsers keep no line numbers, so a key's line is found again by a scan for tables and keys. A scan that finds
nothing names the table's line, or only the file.
"""

from __future__ import annotations

import grp
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

import tomli

from ccbridged.model.config import Config, ConfigFaults, read
from ccbridged.model.kinds import Fault, quoted
from ccbridged.protocol.errors import BridgeError

_TABLE = re.compile(r"\s*\[\[?\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([\w.\"' -]+?)\s*=")
_AT = re.compile(r" \(at line (\d+), column \d+\)$")


def load(path: str) -> Config:
    """The configuration in the file. Raises BridgeError ``bad-config``: a line per fault, ``FILE:LINE: key: …``."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _bad([f"{path}: is no regular file; give a file with --config"])
            text = file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad([f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8"]) from None
    except OSError as error:
        right = "make it readable" if isinstance(error, PermissionError) else "give an existing file with --config"
        raise _bad([f"{path}: cannot be read: {os.strerror(error.errno or 0)}; {right}"]) from None
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _bad([_syntax(path, str(error), text)]) from None
    faults = list(_foreign(document))
    try:
        config = read(document)
    except ConfigFaults as error:
        faults = error.faults + faults
    if faults:
        lines = line_numbers(text)
        placed = sorted(((_line(lines, fault.path), fault) for fault in faults), key=lambda pair: pair[0])
        raise _bad([f"{path}:{line}: {fault}" if line else f"{path}: {fault}" for line, fault in placed])
    return config


def _at_once(path: str, flags: int) -> int:
    """A FIFO that nobody writes to would keep its opener for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def line_numbers(text: str) -> dict[str, int]:
    """Key path -> the first line where it stands, from 1 on; tables too."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            table = _plain(found[1])
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            lines.setdefault(f"{table}.{_plain(found[1])}" if table else _plain(found[1]), number)
    return lines


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _line(lines: dict[str, int], path: str) -> int:
    """The line of the key, or of the nearest thing around it; 0 for the file as a whole."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 0)


def _syntax(path: str, message: str, text: str) -> str:
    found = _AT.search(message)
    line = int(found[1]) if found else text.count("\n") + 1
    what = _AT.sub("", message).removesuffix(" (at end of document)")
    return f"{path}:{line}: {what[:1].lower()}{what[1:]}; mend the TOML there, or see ccbridged --print-config"


def _foreign(document: dict[str, Any]) -> Iterator[Fault]:
    """What only this machine can tell."""
    match document:
        case {"pipes": {"group": str(group)}} if group:
            try:
                grp.getgrnam(group)
            except KeyError:
                wrong = f"there is no group {quoted(group)}"
                yield Fault("pipes.group", wrong, "name an existing one, or make it with groupadd")


def _bad(lines: list[str]) -> BridgeError:
    return BridgeError("bad-config", "\n".join(lines), "ccbridged --check-config shows this again")
