"""What becomes of containers, heard at once: a thread that listens to the engine and does nothing else.

It has a client of its own, because listening blocks and the worker's must not. The engine's silence is no fault; its
end is, and is told once, however long it stays away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ccbridged.model.effects import EngineFound, EngineLost, EngineSaid
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.runtimes.docker import TIMEOUT, Engine, Events

ACTIONS = ("start", "die", "oom", "kill", "pause", "unpause", "rename", "destroy")
"""The engine itself leaves out all else: of each ``docker exec`` alone there would be three more."""
FIRST, LONGEST = 1.0, 30.0
"""Seconds between two tries to find the engine: twice as long after each that failed."""
_LAST_WORDS = 1.0
"""Seconds that the thread may take to end."""

_log = logging.getLogger(__name__)


class EngineWatch:
    """``host``: the engine's address, "" for docker's own way. ``post`` is called in the thread and must not block.

    ``timeout``: seconds for an answer; what the engine has to tell may take for ever. ``first``: see FIRST.
    """

    def __init__(
        self,
        host: str,
        post: Callable[[EngineSaid | EngineLost | EngineFound], None],
        *,
        timeout: float = TIMEOUT,
        first: float = FIRST,
    ) -> None:
        self._host = host
        self._post = post
        self._timeout = timeout
        self._first = first
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._events: Events | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen from now on, if that is not done yet."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._watch, name="engine", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """For good. An engine that owes an answer at this moment is waited for a little only."""
        self._closing.set()
        self._part()
        if self._thread is not None:
            self._thread.join(_LAST_WORDS)

    def _watch(self) -> None:
        delay, absent = self._first, False
        while not self._closing.is_set():
            began = time.monotonic()
            found, reason = self._visit()
            if self._closing.is_set():
                return
            if found or not absent:
                self._post(EngineLost(reason))
            absent = True
            if found and time.monotonic() - began > LONGEST:
                delay = self._first
            self._closing.wait(delay)
            delay = min(delay * 2, LONGEST)

    def _visit(self) -> tuple[bool, str]:
        """Listen to the end: whether the engine was there, and why it is over."""
        found = False
        engine = Engine(self._host, timeout=self._timeout)
        try:
            events = engine.events(ACTIONS)
            with self._lock:
                self._events = events
            # Asked after the events, so whoever looks at a container when it hears of this misses nothing of it.
            version = engine.version()
            found = not self._closing.is_set()
            if found:
                self._post(EngineFound(version))
                self._hear(events)
            return found, self._why()
        except BridgeError as fault:
            return found, fault.message
        except Exception as error:
            _log.exception("listening to the engine failed unexpectedly")
            return found, f"listening to the engine failed: {type(error).__name__}: {error}"
        finally:
            self._part()
            engine.close()

    def _part(self) -> None:
        """End the events, if there are any, in whichever thread."""
        with self._lock:
            events, self._events = self._events, None
        if events is not None:
            events.close()

    def _hear(self, events: Events) -> None:
        for event in events:
            if self._closing.is_set():
                return
            if (said := told(event)) is not None:
                self._post(said)

    def _why(self) -> str:
        """An end has no reason in it; who asks for one at once is told it, or that the engine is there again."""
        if self._closing.is_set():
            return ""
        engine = Engine(self._host, timeout=self._timeout)
        try:
            engine.version()
        except BridgeError as fault:
            return fault.message
        finally:
            engine.close()
        return f"{engine.described} ended the connection: it is being stopped or restarted"


def told(event: Mapping[str, Any]) -> EngineSaid | None:
    """One of the engine's own JSON objects; None where that is no event of a container's."""
    match event:
        case {"Action": str(action), "Actor": {"ID": str(id_), "Attributes": {"name": str(name), **more}}}:
            return EngineSaid(id_, name, action, dict(_details(more)))
    return None


def _details(attributes: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    """Each kind of event has its own; a container's labels are among them too."""
    for name, value in attributes.items():
        match name, value:
            case "exitCode", str(code) if code.isdigit():
                yield "exit_code", int(code)
            case "signal", str():
                yield "signal", value
            case "oldName", str(old):
                yield "was", old.removeprefix("/")
