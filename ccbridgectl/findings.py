"""What ``discover`` and ``doctor`` found, as lines for people. Much of it comes from containers: all is harmless."""

from __future__ import annotations

from ccbridgectl.document import Json, tables, text
from ccbridgectl.text import columns, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Rows = list[Json]
_WIDE = 48


def container_lines(rows: Rows) -> list[str]:
    """A line for each container, then one for each thing that one lacks, with what mends it."""
    head = ("CONTAINER", "STATE", "INSTANCE", "CLAUDE", "PYTHON3", "LINK", "LACKS")
    cells = [
        (
            one_line(text(row.get("name")), _WIDE),
            one_line(text(row.get("state")), _WIDE),
            _found(row.get("instance")),
            *("?" if row.get(key) is None else _found(row.get(key)) for key in ("claude", "python3")),
            _found(row.get("link")),
            one_line("; ".join(text(lack.get("what")) for lack in tables(row.get("lacks")))) or "nothing",
        )
        for row in rows
    ]
    return columns([head, *cells])


def mending_lines(rows: Rows) -> list[str]:
    return [
        f"{one_line(text(row.get('name')))} lacks {one_line(text(lack.get('what')))}: {one_line(text(lack.get('fix')))}"
        for row in rows
        for lack in tables(row.get("lacks"))
    ]


def addition_lines(rows: Rows) -> list[str]:
    """What ``--add`` did, and did not do."""
    lines = []
    for row in rows:
        name, why = one_line(text(row.get("name"))), one_line(text(row.get("why")))
        added = f"added {one_line(text(row.get('instance')))} in container {name}"
        lines.append(added if row.get("added") is True else f"not added: {name}: {why}")
    return lines


def check_lines(checks: Rows, mark: Callable[[str], str]) -> list[str]:
    """``mark``: shows ok, wrong or advice. What mends it is on a line of its own."""
    subjects = [": ".join(filter(None, (_cell(one, "instance"), _cell(one, "check")))) for one in checks]
    width = max(map(len, subjects), default=0)
    lines = []
    for check, subject in zip(checks, subjects):  # noqa: B905
        lines.append(f"{mark(verdict(check))} {subject:<{width}}  {_cell(check, 'detail')}".rstrip())
        lines += [f"    {_cell(check, 'fix')}"] if check.get("ok") is not True and check.get("fix") else []
    return lines


def verdict(check: Json) -> str:
    """ok, wrong or advice."""
    if check.get("ok") is True:
        return "ok"
    return "advice" if check.get("severity") == "advice" else "wrong"


def _found(value: object) -> str:
    return one_line(text(value), _WIDE) or "-"


def _cell(body: Json, key: str) -> str:
    return one_line(text(body.get(key)))
