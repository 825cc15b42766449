"""JSON without the ``json`` module: importing that one, with ``re``, takes longer than the rest of a short call.

CPython's own scanner and string encoder live in ``_json``; where there is none, or it fails, ``json`` decides.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii as quoted
    from _json import make_scanner
except ImportError:
    from json import JSONDecoder as make_scanner  # type: ignore[assignment]  # noqa: N813
    from json.encoder import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, object]

_SPACE = " \t\r\n"


class _Rules:
    """What the scanner asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012  asked for by the scanner in pure Python


def _scanner() -> Callable[[str, int], tuple[object, int]]:
    if make_scanner.__module__ == "json.decoder":
        return make_scanner().raw_decode  # type: ignore
    return make_scanner(_Rules)  # type: ignore[arg-type]


_scan = _scanner()


def loads(text: str) -> object:
    """The value of a JSON text. Raises ValueError when it is none."""
    stripped = text.strip(_SPACE)
    try:
        value, end = _scan(stripped, 0)
        if end == len(stripped):
            return value
    except (StopIteration, ValueError, SystemError, RecursionError):
        pass
    import json

    try:
        value = json.loads(stripped)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def dumps(value: object) -> str:
    """JSON text in ASCII, on one line. Raises TypeError for what is not JSON, ValueError for what is not finite."""
    if isinstance(value, str):
        return quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{value} is not JSON")
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{quoted(key)}:{dumps(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def table(value: object) -> Json:
    """``value`` if it is an object, else {}: what a daemon of another version says is read with care."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Json]:
    """The objects of an array; [] for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """``value`` if it is text, a number as text, else ""."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def number(value: object) -> float:
    """``value`` if it is a number, else 0."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
