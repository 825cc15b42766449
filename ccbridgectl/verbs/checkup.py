"""Verbs that look for what is wrong or missing: discover, doctor. The latter needs no daemon to say something."""

from __future__ import annotations

import os
import sys

from ccbridgectl import findings
from ccbridgectl.client import Client
from ccbridgectl.document import Json, dumps, table, tables, text
from ccbridgectl.grammar import Given
from ccbridgectl.screen import Screen
from ccbridged.protocol.errors import BridgeError

_MARKS = {"ok": ("✓", "green"), "wrong": ("✗", "red"), "advice": ("!", "yellow")}


def discover(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "discover"})
    rows = tables(answer.result)
    if given.has("add"):
        rows = [_addition(row, client) for row in rows]
    if screen.json:
        screen.lines([dumps(rows) if given.has("add") else answer.raw])
    elif rows:
        head, *lines = findings.container_lines(rows)
        screen.lines([screen.paint(head, "bold"), *lines])
        wanting = findings.mending_lines(rows)
        screen.lines(["", *wanting] if wanting else [])
        screen.lines(["", *findings.addition_lines(rows)] if given.has("add") else [])
    else:
        screen.note("there is no container on this engine")
    return 1 if any(row.get("tried") is True and not row.get("added") for row in rows) else answer.status


def doctor(given: Given, screen: Screen) -> int:
    """69 only if there is no daemon."""
    try:
        client = Client(given.text("runtime-dir"))
        told = table(client.answer({"verb": "doctor"}).result)
    except BridgeError as fault:
        if fault.code not in ("no-daemon", "not-permitted"):
            raise
        from ccbridgectl import offline

        checks = offline.checks(fault, given.text("runtime-dir"), os.environ)
        _show({"v": 1, "ok": False, "checks": checks}, screen)
        return 69 if fault.code == "no-daemon" else 1
    first = {"check": "daemon", "instance": "", "ok": True, "severity": "error", "fix": ""}
    checks = [{**first, "detail": f"serves {client.runtime_dir}"}, *tables(told.get("checks"))]
    _show({**told, "checks": checks}, screen)
    return 0 if told.get("ok") is True else 1


def _show(told: Json, screen: Screen) -> None:
    checks = tables(told.get("checks"))
    screen.lines([dumps(told)] if screen.json else findings.check_lines(checks, lambda word: _mark(word, screen)))


def _mark(word: str, screen: Screen) -> str:
    """A sign on a terminal that can show it, else the word."""
    if screen.out_is_terminal and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8":
        sign, color = _MARKS[word]
        return screen.paint(sign, color)
    return f"{word:<6}"


def _addition(row: Json, client: Client) -> Json:
    """The row, and what became of it: ``added``, or ``why`` not. ``tried``: it was fit for it."""
    lacks = ", ".join(text(lack.get("what")) for lack in tables(row.get("lacks")))
    if row.get("instance"):
        return {**row, "tried": False, "added": False, "why": f"it is {text(row.get('instance'))} already"}
    if lacks or not row.get("link"):
        return {**row, "tried": False, "added": False, "why": f"it lacks {lacks}"}
    name = text(row.get("link"))
    try:
        client.answer({"verb": "add", "name": name, "runtime": "docker", "container": text(row.get("name"))})
    except BridgeError as fault:
        why = fault.message + (f"; {fault.hint}" if fault.hint else "")
        return {**row, "tried": True, "added": False, "why": why}
    return {**row, "instance": name, "tried": True, "added": True, "why": ""}
