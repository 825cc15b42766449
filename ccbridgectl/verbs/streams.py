"""Verbs that print lines as they come: events, logs; and those of the shells: completion, names."""

from __future__ import annotations

from ccbridgectl import layout
from ccbridgectl.client import Client
from ccbridgectl.document import Json, table
from ccbridgectl.grammar import Given
from ccbridgectl.screen import Screen
from ccbridgectl.stream import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def events(given: Given, client: Client, screen: Screen) -> int:
    call: Json = {"verb": "events", "name": given.word(), "since": given.count("since"), "follow": given.has("follow")}
    return _print(call, client, screen, lambda event: layout.event_line(event.body))


def logs(given: Given, client: Client, screen: Screen) -> int:
    call: Json = {"verb": "logs", "name": given.word(), "follow": given.has("follow")}
    call |= {"count": given.count("n")} if given.has("n") else {}
    return _print(call, client, screen, lambda event: layout.log_line(event.body))


def names(given: Given, client: Client, screen: Screen) -> int:
    """For completion scripts: what exists, one a line."""
    found = client.ask({"verb": "names", "kind": given.word()})
    listed = found if isinstance(found, list) else table(found).get("names")
    screen.lines([name for name in listed if isinstance(name, str)] if isinstance(listed, list) else [])
    return 0


def _print(call: Json, client: Client, screen: Screen, line: Callable[[Event], str]) -> int:
    stream = client.follow(call)
    for event in stream:
        screen.put((event.raw if screen.json else line(event)) + "\n")
    return stream.status
