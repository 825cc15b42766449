"""The states of an instance, and what each event makes of each: one total table."""

from __future__ import annotations

STATES = ("stopped", "starting", "connecting", "ready", "busy", "recovering", "failed")

EVENTS = {
    "start": "somebody wants it to run",
    "stop": "somebody wants it not to run",
    "connect": "an agent is there, or has just been started",
    "ready": "Claude Code waits for a prompt",
    "feed": "a request is in flight",
    "rest": "no request is in flight",
    "lose": "agent or program went away, or could not be had; it will be tried again",
    "fail": "trying again would not help",
}

_TABLE = """
        stopped   starting    connecting  ready       busy        recovering  failed
start   starting  =           =           =           =           starting    starting
stop    =         stopped     stopped     stopped     stopped     stopped     stopped
connect =         connecting  =           =           =           connecting  =
ready   =         ready       ready       =           =           ready       =
feed    =         =           =           busy        =           =           =
rest    =         =           =           =           ready       =           =
lose    =         recovering  recovering  recovering  recovering  =           =
fail    =         failed      failed      failed      failed      failed      =
"""


def _read(table: str) -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    cells = [(state, row[0], cell) for row in rows for state, cell in zip(head, row[1:], strict=True)]
    return {(state, event): state if cell == "=" else cell for state, event, cell in cells}


NEXT = _read(_TABLE)
"""(state, event) -> state, for every pair."""


def diagram() -> str:
    """The table as a mermaid state diagram."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in NEXT.items():
        if after != state:
            arrows.setdefault((state, after), []).append(event)
    lines = [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> stopped", *lines]) + "\n"
