"""Kinds of values that a setting may have: what each accepts, and what it says of what it does not.

A kind never raises. It appends a Fault and returns None, so that one reading finds every fault of a file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

EMPTY: Mapping[str, str] = MappingProxyType({})

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """``path``: the key, such as ``health.check_interval``; what is ``wrong``; what would be ``right``."""

    path: str
    wrong: str
    right: str

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}; {self.right}"


class Kind(Protocol):
    def read(self, value: object, path: str, faults: list[Fault]) -> object: ...


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, value: object, path: str, faults: list[Fault]) -> bool | None:
        if isinstance(value, bool):
            return value
        faults.append(Fault(path, f"{shown(value)} is neither true nor false", "write true or false, without quotes"))
        return None


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def read(self, value: object, path: str, faults: list[Fault]) -> int | None:
        if type(value) is not int:
            wrong = f"{shown(value)} is not a whole number"
        elif not self.low <= value <= self.high:
            wrong = f"{value} is out of bounds"
        else:
            return value
        faults.append(Fault(path, wrong, f"give a whole number from {self.low} to {self.high}"))
        return None


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration in seconds, whole or not; never infinite, never NaN."""

    low: float
    high: float

    def read(self, value: object, path: str, faults: list[Fault]) -> float | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            wrong = f"{shown(value)} is not a number"
        elif not self.low <= value <= self.high:
            wrong = f"{value} is out of bounds"
        else:
            return float(value)
        faults.append(Fault(path, wrong, f"give seconds from {self.low:g} to {self.high:.0f}, without quotes or unit"))
        return None


@dataclass(frozen=True, slots=True)
class Mode:
    """Permission bits; the owner, which is the daemon, must keep reading and writing."""

    def read(self, value: object, path: str, faults: list[Fault]) -> int | None:
        bits = int(value, 8) if isinstance(value, str) and re.fullmatch(r"(0o?)?[0-7]{3}", value) else value
        if type(bits) is not int:
            wrong = f"{shown(value)} is not a mode"
        elif bits & ~0o666:
            wrong = f"{bits} is {bits:#o}, which is more than reading and writing"
        elif bits & 0o600 != 0o600:
            wrong = f"{bits:#o} takes reading or writing from the owner"
        else:
            return bits
        faults.append(Fault(path, wrong, "give an octal number such as 0o640, between 0o600 and 0o666"))
        return None


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``pattern`` is what it must match unless it is empty, ``right`` says that in words."""

    pattern: str = r"[^\x00-\x1f\x7f]*"
    right: str = "give one line of text in quotes"

    def read(self, value: object, path: str, faults: list[Fault]) -> str | None:
        if isinstance(value, str) and (value == "" or re.fullmatch(self.pattern, value)):
            return value
        wrong = "does not fit" if isinstance(value, str) else "is not text"
        faults.append(Fault(path, f"{shown(value)} {wrong}", self.right))
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[str, ...]

    def read(self, value: object, path: str, faults: list[Fault]) -> str | None:
        if isinstance(value, str) and value in self.options:
            return value
        meant = nearest(value, self.options) if isinstance(value, str) else ""
        right = f"did you mean {quoted(meant)}? " if meant else "give "
        names = [quoted(option) for option in self.options]
        right += ("one of " if meant else "") + ", ".join(names[:-1]) + f" or {names[-1]}"
        faults.append(Fault(path, f"{shown(value)} is not known", right))
        return None


@dataclass(frozen=True, slots=True)
class Words:
    """A list of texts, such as a command; at least ``least`` of them."""

    least: int

    def read(self, value: object, path: str, faults: list[Fault]) -> tuple[str, ...] | None:
        right = 'give a list of texts, such as ["claude", "--model", "opus"]'
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            faults.append(Fault(path, f"{shown(value)} is not a list of texts", right))
        elif len(value) < self.least:
            faults.append(Fault(path, "the list is empty", right))
        elif any("\0" in word for word in value):
            faults.append(Fault(path, "a NUL character cannot be passed to a program", right))
        else:
            return tuple(value)
        return None


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables. Their values may be secrets and are never repeated in a fault."""

    def read(self, value: object, path: str, faults: list[Fault]) -> dict[str, str] | None:
        right = 'give a table of texts, such as {ANTHROPIC_BASE_URL = "http://…"}'
        if not isinstance(value, dict):
            faults.append(Fault(path, f"{type_name(value)} is not a table", right))
            return None
        for name, text in value.items():
            if not ENV_NAME.fullmatch(name):
                faults.append(Fault(f"{path}.{name}", "is not a variable's name", "use letters, digits and _"))
            elif not isinstance(text, str) or "\0" in text:
                faults.append(Fault(f"{path}.{name}", f"{type_name(text)} is not text", "put the value in quotes"))
        return dict(value)


def read_table(shape: type[T], raw: object, path: str, faults: list[Fault], homes: Mapping[str, str] = EMPTY) -> T:
    """One table as a dataclass whose fields' metadata have a ``kind``; a setting that is at fault keeps its default.

    ``homes``: where keys belong that may be looked for here.
    """
    if not isinstance(raw, dict):
        faults.append(Fault(path, f"{type_name(raw)} is not a table", f"write [{path}] and its keys below"))
        return shape()
    kinds = {item.name: item.metadata["kind"] for item in fields(shape)}
    values: dict[str, object] = {}
    for key, value in raw.items():
        if key not in kinds:
            faults.append(unknown(key, path, kinds, homes))
            continue
        result = kinds[key].read(value, f"{path}.{key}", faults)
        if result is not None:
            values[key] = result
    return shape(**values)


def unknown(key: str, path: str, known: Iterable[str], homes: Mapping[str, str]) -> Fault:
    """The fault of a key that does not exist: names the nearest right one, or the section where it belongs."""
    meant, home = nearest(key, known), homes.get(key)
    if meant and home:
        right = f"did you mean {quoted(meant)}, or does it belong in [{home}]?"
    elif home:
        right = f"it belongs in [{home}]"
    elif meant:
        right = f"did you mean {quoted(meant)}?"
    else:
        right = "known are " + ", ".join(sorted(known))
    return Fault(f"{path}.{key}" if path else key, "is not a known key", right)


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar of ``known``, or "" where none comes near."""
    return next(iter(difflib.get_close_matches(word, sorted(known), 1)), "")


def quoted(text: str) -> str:
    return f'"{text}"'


def shown(value: object) -> str:
    """A value as the file has it, on one line, cut short."""
    match value:
        case bool():
            text = str(value).lower()
        case int() | float():
            text = str(value)
        case str():
            text = quoted(value if value.isprintable() else value.encode("unicode_escape").decode("ascii"))
        case _:
            text = type_name(value)
    return text if len(text) <= 60 else text[:57] + "…"


def type_name(value: object) -> str:
    names: dict[type, str] = {str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return (names | {list: "a list", dict: "a table"}).get(type(value), "a date or time")
