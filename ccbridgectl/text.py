"""Text for people: what containers say made harmless, columns, ages.

Text from a container is data: control and bidi characters are shown, never obeyed, on a terminal and in a pipe alike.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS} | {code: f"\\u{code:04x}" for code in _BIDI}


def shown(text: str) -> str:
    """C0 but newline and tab, DEL, C1 and bidi controls as ``\\x1b`` or ``\\u202e``."""
    return text.translate(_ESCAPES)


def one_line(text: str, limit: int = 0) -> str:
    """``text`` on one line: white space folded, controls shown, cut with … beyond ``limit`` columns (0: never)."""
    part = text[: limit * 8] if limit else text
    folded = shown(" ".join(part.split()))
    if not limit or (width(folded) <= limit and len(part) == len(text)):
        return folded
    return cut(folded + "…", limit)


def cut(line: str, limit: int) -> str:
    """One that is harmless already, with … where it goes beyond ``limit`` columns."""
    if width(line) <= limit:
        return line
    while line and width(line) > limit - 1:
        line = line[:-1]
    return line + "…"


def width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell; the last is not padded."""
    widths = [max(width(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [cell + " " * (size - width(cell)) for cell, size in zip(row, widths)]  # noqa: B905
        lines.append("  ".join(cells).rstrip())
    return lines


def age(seconds: float) -> str:
    """A duration in its largest unit: ``8 s``, ``41 min``, ``3 h``, ``12 d``."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit != "min" else 1):
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.0f} ms"


def size(count: float) -> str:
    """Bytes, in a unit of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def nearest(word: str, known: Sequence[str]) -> str:
    """The one of ``known`` that ``word`` was probably meant to be, else ""."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6) or [
        name for name in known if word and name.startswith(word)
    ]
    return close[0] if close else ""
