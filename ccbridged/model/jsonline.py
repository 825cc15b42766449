"""A line of JSON from a program that is not trusted: read only if it can be written down again.

Python reads NaN and pits of any depth, but what it makes of them others refuse, or it runs out of stack itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite

MAX_DEPTH = 64
"""Levels of lists and objects."""


def decode(line: str) -> object:
    """Raises ValueError for what is no JSON, for numbers beyond all bounds and for what is nested too deep."""
    try:
        value = _DECODER.decode(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    level = [value] if line.count("{") + line.count("[") > MAX_DEPTH else []
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _within(outer)]
    if level:
        raise ValueError("nested too deep")
    return value


def as_ascii(line: str) -> str:
    """The same JSON, in ASCII."""
    return line if line.isascii() else json.dumps(json.loads(line), separators=(",", ":"))


def _within(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is out of bounds")
    return number


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
