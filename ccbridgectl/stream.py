"""Answers as they come: lines to events, each once and in order, across restarts of the daemon.

An answer ends with a line that says so. If the daemon dies before that, the call is made again with ``since`` at the
last event seen; that is safe for every call that streams, because a request's id is the client's.
"""

from __future__ import annotations

import time

from ccbridgectl import document, places
from ccbridgectl.document import Json, number, table, text
from ccbridgectl.port import DaemonGone
from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Lines = Generator[bytes, None, None]

GIVE_UP = 60.0
"""Seconds that a daemon may be away before a call that waits fails."""
FIRST_DELAY = 0.1
LAST_DELAY = 2.0


class Event:
    """One entry of the event log. ``type``: request, state, output, approval, approval_closed, result, program, …

    ``seq`` is the cursor (0: the entry has none), ``at`` seconds since 1970, ``request`` "" for what belongs to none;
    ``body`` the whole object, ``raw`` its JSON text.
    """

    __slots__ = ("at", "body", "instance", "raw", "request", "seq", "type")

    def __init__(self, body: Json, raw: str = "") -> None:
        self.body = body
        self.raw = raw or document.dumps(body)
        self.seq = int(number(body.get("seq")))
        self.at = number(body.get("at"))
        self.type = text(body.get("type"))
        self.instance = text(body.get("instance"))
        self.request = text(body.get("request"))

    def __repr__(self) -> str:
        return f"Event({self.raw})"


class Stream:
    """Events as they come. When it is exhausted, ``status`` is the exit status that the daemon gave, and ``result``
    the one document of the answer, if it had one. Whatever happens to the daemon, each event comes once, in order."""

    def __init__(
        self, lines: Callable[[Json], Lines], call: Json, where: str, patience: Callable[[], Patience]
    ) -> None:
        self.status = 0
        self.result: object = None
        self.result_raw = ""
        self._lines = lines
        self._call = call
        self._where = where
        self._patience = patience
        self._seen = int(number(call.get("since")))
        self._events = self._run()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Listen no longer; what was asked goes on. For who leaves before the end."""
        self._events.close()

    def _run(self) -> Generator[Event, None, None]:
        patience = self._patience()
        repeated = False
        while True:
            lines = self._lines(self._next_call())
            try:
                for line in lines:
                    patience.refill()
                    event = self._read(line)
                    if event and self._is_new(event, repeated=repeated):
                        yield event
            except DaemonGone:
                fault = places.nobody(self._where)
            except BridgeError as error:
                if error.code != "no-daemon" or not patience.waiting:
                    raise
                fault = error
            else:
                return
            finally:
                lines.close()
            patience.wait(fault)
            repeated = True

    def _next_call(self) -> Json:
        """The call, from where its answer broke off; "the last N" was meant of the first time."""
        if not self._seen:
            return self._call
        return self._call | {"since": self._seen} | ({"count": 0} if "count" in self._call else {})

    def _read(self, line: bytes) -> Event | None:
        kind, value, raw = read_line(line)
        if kind == "item":
            return Event(table(value), raw)
        if kind == "result":
            self.result, self.result_raw = value, raw
        elif kind == "end":
            self.status = int(number(value))
        return None

    def _is_new(self, event: Event, *, repeated: bool) -> bool:
        """What a repeated call says again is dropped; an entry without a number opens an answer: no news then."""
        if event.seq == 0:
            return not repeated
        fresh = event.seq > self._seen
        self._seen = max(self._seen, event.seq)
        return fresh


class Patience:
    """How long to wait for a daemon that went away: ``seconds`` since the last sign of life, which ``refill`` tells."""

    def __init__(self, seconds: float, notice: Callable[[str], None]) -> None:
        self.waiting = False
        self._seconds = seconds
        self._notice = notice
        self._delay = FIRST_DELAY
        self._until = 0.0

    def refill(self) -> None:
        self.waiting = False
        self._delay = FIRST_DELAY

    def wait(self, fault: BridgeError) -> None:
        """Sleep before the next try. Raises ``fault`` when it has been too long."""
        now = time.monotonic()
        if not self.waiting:
            self.waiting = True
            self._until = now + self._seconds
            self._notice("ccbridged went away; waiting for it…")
        elif now >= self._until:
            raise fault
        time.sleep(self._delay)
        self._delay = min(self._delay * 2, LAST_DELAY)


class Answer:
    """An answer that is complete: its one document (or its items, as a list), the JSON text of that, and the exit
    status that the daemon gave."""

    __slots__ = ("raw", "result", "status")

    def __init__(self, lines: Lines) -> None:
        """Raises DaemonGone, and BridgeError for a call that failed."""
        self.status = 0
        self.result: object = None
        self.raw = ""
        rows: list[object] = []
        try:
            for line in lines:
                kind, value, raw = read_line(line)
                if kind == "item":
                    rows.append(value)
                elif kind == "result":
                    self.result, self.raw = value, raw
                else:
                    self.status = int(number(value))
        finally:
            lines.close()
        if not self.raw:
            self.result, self.raw = rows, document.dumps(rows)


def read_line(line: bytes) -> tuple[str, object, str]:
    """Kind of an answer's line (item, result or end), its value and the value's JSON text. Raises BridgeError for the
    error that it tells, or ``unavailable`` for what cannot be read."""
    raw = line.decode("utf-8", "replace").strip()
    try:
        body = table(document.loads(raw))
    except ValueError:
        body = {}
    if "error" in body:
        told = table(body["error"])
        raise BridgeError(text(told.get("code")) or "failed", text(told.get("message")), text(told.get("hint")))
    for kind in ("item", "result", "end"):
        if kind in body:
            opening = f'{{"{kind}":'
            exact = raw.startswith(opening) and len(body) == 1
            return kind, body[kind], raw[len(opening) : -1] if exact else document.dumps(body[kind])
    raise BridgeError(
        "unavailable",
        "ccbridged said something that this client cannot read",
        "restart ccbridged: it may be of another version",
    )
