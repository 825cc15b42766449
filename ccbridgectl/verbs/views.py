"""Verbs that look and change nothing: status, list, history, approvals, health."""

from __future__ import annotations

import time

from ccbridgectl import layout
from ccbridgectl.client import Client
from ccbridgectl.document import Json, dumps, table, tables, text
from ccbridgectl.grammar import Given
from ccbridgectl.screen import Screen
from ccbridgectl.stream import Answer
from ccbridgectl.text import cut
from ccbridged.protocol.errors import BridgeError


def status(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "status", "name": given.word()})
    body = table(answer.result)
    if screen.json:
        screen.lines([answer.raw])
    elif given.word():
        screen.lines([screen.state(line, text(body.get("state"))) for line in layout.instance_lines(body, time.time())])
    else:
        screen.lines(layout.daemon_lines(body))
    return answer.status


def list_(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "list", "state": _state(given)})
    rows = tables(answer.result)
    names = [text(row.get("name")) for row in rows]
    if screen.json:
        screen.lines([dumps(names) if given.has("quiet") else answer.raw])
    elif given.has("quiet"):
        screen.lines(names)
    else:
        width = screen.columns() if screen.out_is_terminal else 0
        head, *lines = [cut(line, width) if width else line for line in layout.list_lines(rows, time.time())]
        states = [text(row.get("state")) for row in rows]
        screen.lines([screen.paint(head, "bold"), *map(screen.state, lines, states)])
    return answer.status


def history(given: Given, client: Client, screen: Screen) -> int:
    call: Json = {"verb": "history", "name": given.word()}
    answer = client.answer(call | ({"count": given.count("n")} if given.has("n") else {}))
    if screen.json:
        screen.lines([answer.raw])
    else:
        for row in tables(answer.result):
            head, *lines = layout.history_lines(row)
            screen.lines([screen.paint(head, "bold"), *lines])
    return answer.status


def approvals(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "approvals", "name": given.word()})
    rows = tables(answer.result)
    if screen.json:
        screen.lines([answer.raw])
    elif rows:
        screen.lines(layout.approval_lines(rows, time.time()))
    else:
        screen.note("nothing waits for an approval")
    return answer.status


def health(given: Given, client: Client, screen: Screen) -> int:
    """Exit 0 only if all are well: what is not said to be well is not."""
    answer = client.answer({"verb": "health", "component": given.text("component")})
    body = table(answer.result)
    components = tables(body.get("components"))
    if screen.json:
        screen.lines([answer.raw])
    else:
        screen.lines(layout.health_lines(components, time.time()))
    return _verdict(answer, body, components)


def _verdict(answer: Answer, body: Json, components: list[Json]) -> int:
    well = body.get("ok") is True and all(item.get("ok") is True for item in components)
    return answer.status if answer.status or well else 1


def _state(given: Given) -> str:
    """The state of ``--filter state=ready``, the only filter there is."""
    if not given.has("filter"):
        return ""
    key, equals, value = given.text("filter").partition("=")
    if key != "state" or not equals or not value:
        raise BridgeError("usage", f"--filter {given.text('filter')!r} is not known", "write: --filter state=ready")
    return value
