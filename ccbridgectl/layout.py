"""The daemon's documents as lines for people. Pure; keys that are missing or not known are left out.

Values come from instances too, so every cell goes through ``one_line`` or ``shown``.
"""

from __future__ import annotations

import time

from ccbridgectl.document import Json, number, table, tables, text
from ccbridgectl.text import age, columns, one_line, shown, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = list[Json]
_WIDE = 200


def pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Two columns, without the rows that say nothing."""
    return columns([(name, value) for name, value in rows if value])


def daemon_lines(body: Json) -> list[str]:
    daemon, instances = table(body.get("daemon")), table(body.get("instances"))
    counts = [f"{number(count):.0f} {one_line(state)}" for state, count in instances.items() if number(count)]
    service = text(daemon.get("service"))
    rows = [
        ("ccbridged", one_line(text(daemon.get("version")))),
        ("running", f"{age(number(daemon.get('uptime_s')))}, pid {number(daemon.get('pid')):.0f}"),
        ("service", "none: started by hand" if service == "none" else one_line(service)),
        ("memory", size(number(daemon.get("rss_bytes")))),
        ("open files", text(daemon.get("fds"))),
        ("instances", ", ".join(counts) or "none: add one with: ccbridgectl add NAME --process"),
    ]
    return pairs([*rows, *_health_rows(tables(body.get("health")))])


def _health_rows(components: Rows) -> list[tuple[str, str]]:
    ill = [item for item in components if item.get("ok") is not True]
    if not ill:
        return [("health", f"all {len(components)} well" if components else "")]
    return [("health", f"{_cell(item, 'name')}: {_cell(item, 'detail') or 'not well'}") for item in ill]


def instance_lines(body: Json, now: float) -> list[str]:
    transport, why = _cell(body, "transport"), _cell(body, "transport_reason")
    health = body.get("health")
    rows = [
        ("name", _cell(body, "name")),
        ("state", state(body)),
        ("for", _since(body, "since", now)),
        ("runtime", " ".join(filter(None, (_cell(body, "runtime"), _cell(body, "container") or _cell(body, "image"))))),
        ("transport", f"{transport} ({why})" if why else transport),
        ("driver", _cell(body, "driver")),
        ("program", _words(body.get("program"))),
        ("workdir", _cell(body, "workdir")),
        ("version", _cell(body, "version")),
        ("agent", _agent(table(body.get("agent")))),
        ("session", _cell(body, "session_id")),
        ("request", _cell(body, "running")),
        ("queued", text(body.get("queued"))),
    ]
    checks = tables(health) if isinstance(health, list) else [item for item in [table(health)] if item]
    for item in checks:
        verdict = "well" if item.get("ok") is True else "not well"
        parts = (_cell(item, "name"), verdict, _cell(item, "detail"), _ago(item, "checked_at", now))
        rows.append(("health", ", ".join(filter(None, parts))))
    return pairs(rows)


def state(body: Json) -> str:
    """``busy: waiting for approval of Bash``."""
    reason = _cell(body, "reason")
    return _cell(body, "state") + (f": {reason}" if reason else "")


def _agent(agent: Json) -> str:
    if not agent:
        return ""
    older = "older than the daemon: restart the instance" if agent.get("current") is False else ""
    pid = f"pid {number(agent.get('pid')):.0f}" if agent.get("pid") else ""
    return ", ".join(filter(None, (_cell(agent, "version"), pid, _cell(agent, "digest")[:12], older)))


def list_lines(rows: Rows, now: float) -> list[str]:
    """The reason comes last: it may be long."""
    head = ("NAME", "STATE", "AGE", "RUNTIME", "TRANSPORT", "QUEUED", "SESSION", "REASON")
    cells = [
        (
            _cell(row, "name"),
            _cell(row, "state"),
            _since(row, "since", now) or "-",
            _cell(row, "runtime") or "-",
            _cell(row, "transport") or "-",
            text(row.get("queued")) or "0",
            _cell(row, "session_id")[:8] or "-",
            one_line(text(row.get("reason")), _WIDE) or "-",
        )
        for row in rows
    ]
    return columns([head, *cells])


def queue_lines(rows: Rows, now: float) -> list[str]:
    """The running request too, if the daemon tells of it; a place is of those that wait."""
    head = ("PLACE", "ID", "STATE", "AGE", "PROMPT")
    cells = [
        (
            text(row.get("position")) or "-",
            _cell(row, "id"),
            _cell(row, "state") or "queued",
            _since(row, "created", now) or "-",
            one_line(text(row.get("prompt")), 60),
        )
        for row in rows
    ]
    return columns([head, *cells])


def approval_lines(rows: Rows, now: float) -> list[str]:
    from ccbridgectl.transcript import about

    head = ("ID", "INSTANCE", "TOOL", "AGE", "INPUT")
    cells = [
        (
            _cell(row, "id"),
            _cell(row, "instance"),
            _cell(row, "tool"),
            _since(row, "asked_at", now) or "-",
            one_line(about(row.get("input")), _WIDE),
        )
        for row in rows
    ]
    return columns([head, *cells])


def health_lines(components: Rows, now: float) -> list[str]:
    """A line for each component, and of those that every instance has its own of, for each instance."""
    head = ("COMPONENT", "INSTANCE", "OK", "CHECKED", "DETAIL")
    cells = []
    for item in components:
        own = {name: table(one) for name, one in table(item.get("instances")).items()} or {"-": item}
        for name, one in own.items():
            well = "yes" if one.get("ok") is True else "no"
            checked = _ago(item, "checked_at", now) or "-"
            cells.append((_cell(item, "name"), one_line(name), well, checked, _cell(one, "detail")))
    return columns([head, *cells])


def history_lines(row: Json) -> list[str]:
    """A request and its answer: a line of facts, the prompt quoted with ``>``, the answer as it was."""
    outcome = table(row.get("result")) or row
    ended = _cell(row, "state") or _cell(outcome, "state")
    took = number(outcome.get("duration_ms"))
    cost = number(outcome.get("cost_usd"))
    facts = [
        _cell(row, "id"),
        moment(number(row.get("created")) or number(row.get("at"))),
        ended,
        age(took / 1000) if took else "",
        f"${cost:.4f}" if cost else "",
    ]
    prompt = [f"> {line}" for line in shown(text(row.get("prompt"))).split("\n")]
    answer = shown(text(outcome.get("text")))
    error = one_line(text(outcome.get("error")))
    lines = [
        "  ".join(filter(None, facts)),
        *(prompt if row.get("prompt") else []),
        *answer.split("\n")[: None if answer else 0],
    ]
    return [*lines, *([f"! {error}"] if error and error != answer else []), ""]


def event_line(body: Json) -> str:
    """``SEQ  TIME  INSTANCE  TYPE  REQUEST  what``."""
    parts = (
        f"{number(body.get('seq')):>6.0f}",
        moment(number(body.get("at"))),
        f"{_cell(body, 'instance') or '-':<12}",
        f"{_cell(body, 'type'):<10}",
        f"{_cell(body, 'request') or '-':<16}",
        _what(body),
    )
    return "  ".join(parts).rstrip()


def _what(body: Json) -> str:
    match body.get("type"):
        case "output":
            message = table(body.get("message"))
            kind = "/".join(filter(None, (text(message.get("type")), text(message.get("subtype")))))
            return one_line(f"{kind} {_said(table(message.get('message')))}".strip(), _WIDE)
        case "approval" | "approval_closed":
            return one_line(" ".join(text(body.get(key)) for key in ("id", "tool", "verdict") if body.get(key)), _WIDE)
        case "recovery":
            took = number(body.get("after_s"))
            came = f"{text(body.get('came'))} after {took:.1f} s" if took else text(body.get("came"))
            done = text(body.get("done"))
            return one_line(f"{done}: {came or text(body.get('seen'))}", _WIDE)
        case "container":
            code = f" with status {text(body.get('exit_code'))}" if "exit_code" in body else ""
            was = f" from {text(body.get('was'))}" if body.get("was") else ""
            return one_line(f"{text(body.get('container'))}: {text(body.get('did'))}{code}{was}", _WIDE)
        case _:
            words = (text(body.get(key)) for key in ("state", "reason", "program", "code", "error", "detail"))
            return one_line(" ".join(filter(None, words)), _WIDE)


def _said(message: Json) -> str:
    words = []
    for block in tables(message.get("content")):
        words.append(text(block.get("text")) or text(block.get("name")))
    return " ".join(filter(None, words)) or text(message.get("content"))


def log_line(body: Json) -> str:
    source = one_line(text(body.get("source")))
    return f"{source:<7} | {shown(text(body.get('line')))}"


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "-"


def _cell(body: Json, key: str) -> str:
    return one_line(text(body.get(key)))


def _words(value: object) -> str:
    return one_line(" ".join(map(text, value))) if isinstance(value, list) else one_line(text(value))


def _since(body: Json, key: str, now: float) -> str:
    at = number(body.get(key))
    return age(now - at) if at else ""


def _ago(body: Json, key: str, now: float) -> str:
    since = _since(body, key, now)
    return f"{since} ago" if since else ""
