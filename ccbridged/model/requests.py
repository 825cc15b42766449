"""Requests and their queue: what state each is in, who is next, what it becomes.

    queued → delivered → running → succeeded | failed | cancelled | timed_out | uncertain
                  └──────────→ queued          (the program died before it was allowed to start: certainly not run)

Every change of state is a pair of saves, request and event, in the transaction of whatever caused it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ccbridged.model.effects import DropRequest, ForgetRequest, Json, Save, SaveEvent, SaveRequest
from ccbridged.protocol.errors import BridgeError

if TYPE_CHECKING:
    from ccbridged.model.memory import Moment

FINAL = ("succeeded", "failed", "cancelled", "timed_out", "uncertain")
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "queued": ("delivered", "cancelled", "timed_out", "failed"),
    "delivered": ("running", "queued", *FINAL),
    "running": ("queued", *FINAL),
}
"""``running`` goes back to ``queued`` for ``--retry-uncertain`` only."""

MAX_SPENT = 10_000
"""Ids that are known for longer than what was answered, so that none is run again."""
UNCERTAIN = "it may have run: Claude died in the middle of it; nothing was repeated"


@dataclass(frozen=True, slots=True)
class Request:
    """``created``, ``delivered_at``: wall time. ``place``: the lowest goes first. ``attempt``: the uuid that Claude
    knows it by now.

    ``timeout``: seconds from ``created``, 0 for none; ``expires``: the same on the clock of this daemon's life.
    ``ending``: "" or the final state that it has been asked to end in (cancelled, timed_out).
    """

    id: str
    instance: str
    prompt: str
    created: float
    timeout: float = 0.0
    retry_uncertain: bool = False
    state: str = "queued"
    attempt: str = ""
    attempts: int = 0
    place: int = 0
    delivered_at: float = 0.0
    ending: str = ""
    expires: float | None = None

    def body(self) -> Json:
        """Everything but the prompt, which the store keeps once."""
        fields = ("id", "instance", "created", "timeout", "retry_uncertain", "state", "place", "attempt", "attempts")
        return {name: getattr(self, name) for name in (*fields, "delivered_at", "ending")}


def from_body(body: Json, prompt: str) -> Request:
    """The request that ``Request.body`` described."""
    names = set(Request.__slots__) - {"prompt", "expires"}
    return Request(prompt=prompt, **{name: value for name, value in body.items() if name in names})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: ``state`` in FINAL, the answer's text and what Claude Code said of it."""

    state: str
    text: str = ""
    error: str = ""
    session_id: str = ""
    cost_usd: float = 0.0
    usage: Json | None = None


class Queue:
    """The requests of one instance: those that wait, in order; at most one in flight; the ids and states of ended ones,
    and of those that have left the history (``spent``).

    Methods return what must be saved.
    """

    def __init__(self, *, max_queue: int, max_history: int) -> None:
        self.max_queue = max_queue
        self.max_history = max_history
        self.waiting: list[Request] = []
        self.current: Request | None = None
        self.ended: dict[str, str] = {}
        self.spent: dict[str, str] = {}

    def load(
        self,
        open_: Iterable[Request],
        ended: Iterable[tuple[str, str]],
        spent: Iterable[tuple[str, str]],
        at: Moment,
    ) -> list[Save]:
        """``open_``: oldest first; ``ended``, ``spent``: (id, state), oldest first. What was due while nobody looked is
        due, and the history may have become shorter."""
        for request in open_:
            request = replace(request, expires=_expires(request, at) if request.timeout else None)
            if request.state == "queued":
                self.waiting.append(request)
            else:
                self.current = request
        self.waiting.sort(key=lambda request: request.place)
        self.ended, self.spent = dict(ended), dict(spent)
        return self._trimmed()

    def knows(self, id_: str) -> bool:
        return id_ in self.ended or id_ in self.spent or self.find(id_) is not None

    def spent_fault(self, id_: str) -> BridgeError | None:
        """For one who asks for an answer that is no longer kept; None where that is not so."""
        if id_ not in self.spent:
            return None
        gone = f"request {id_} has ended ({self.spent[id_]}), and its answer is no longer kept"
        hint = "max_history says how many are; nothing was run again: for that, send it with another --id"
        return BridgeError("no-such-request", gone, hint)

    def ids(self) -> list[str]:
        current = [self.current.id] if self.current else []
        return [*current, *(request.id for request in self.waiting), *self.ended]

    def state(self, id_: str) -> str:
        """Raises KeyError for an id that is not this instance's."""
        open_ = self.find(id_)
        return open_.state if open_ else self.ended[id_]

    def find(self, id_: str) -> Request | None:
        return next((r for r in (self.current, *self.waiting) if r and r.id == id_), None)

    def told(self) -> list[Json]:
        """What waits, as the JSON of the client contract."""
        return [
            {"id": r.id, "state": r.state, "position": n, "created": r.created, "prompt": r.prompt}
            for n, r in enumerate(self.waiting)
        ]

    def add(self, request: Request) -> list[Save]:
        if len(self.waiting) >= self.max_queue:
            raise BridgeError(
                "busy",
                f"the queue of {request.instance} is full ({self.max_queue} wait)",
                f"see it with: ccbridgectl queue {request.instance}",
            )
        last = self.waiting[-1] if self.waiting else self.current
        request = replace(request, place=last.place + 1 if last else 0)
        self.waiting.append(request)
        told = {"id": request.id, "state": "queued", "position": len(self.waiting) - 1 + bool(self.current)}
        return [
            SaveRequest(request.id, request.instance, True, request.body(), request.prompt),
            SaveEvent(request.instance, request.id, "request", json.dumps(told)),
        ]

    def deliver(self, attempt: str, wall: float) -> tuple[Request, list[Save]]:
        """The next one that waits is in flight, under a uuid of its own."""
        request = self.waiting.pop(0)
        request = replace(request, state="delivered", attempt=attempt, attempts=request.attempts + 1, delivered_at=wall)
        self.current = request
        return request, self._changed(request)

    def run(self) -> list[Save]:
        """The one in flight is about to be allowed to start."""
        self.current = replace(self._in_flight(), state="running")
        return self._changed(self.current)

    def ask_end(self, state: str) -> list[Save]:
        """The one in flight should end as ``state``; it stays in flight until Claude says so."""
        self.current = replace(self._in_flight(), ending=state)
        return [SaveRequest(self.current.id, self.current.instance, True, self.current.body())]

    def requeue(self) -> list[Save]:
        """The one in flight certainly did not run, or may be repeated: it is the next again."""
        request = replace(self._in_flight(), state="queued", attempt="", ending="")
        self.current = None
        self.waiting.insert(0, request)
        return self._changed(request)

    def end(self, id_: str, outcome: Outcome, wall: float) -> list[Save]:
        """An open request is final. What falls out of the history goes."""
        request = self.find(id_)
        assert request is not None
        if request is self.current:
            self.current = None
        else:
            self.waiting.remove(request)
        request = replace(request, state=outcome.state)
        self.ended[id_] = outcome.state
        result = _result(request, outcome, wall)
        saves: list[Save] = [
            SaveRequest(id_, request.instance, False, {**request.body(), "finished": wall, "result": result}),
            SaveEvent(request.instance, id_, "result", json.dumps(result)),
        ]
        return [*saves, *self._trimmed()]

    def move(self, id_: str, position: int) -> list[Save]:
        """Another order among those that wait."""
        places = [request.place for request in self.waiting]
        moved = next(request for request in self.waiting if request.id == id_)
        self.waiting.remove(moved)
        self.waiting.insert(max(position, 0), moved)
        self.waiting = [replace(r, place=place) for r, place in zip(self.waiting, places, strict=True)]
        return [SaveRequest(r.id, r.instance, True, r.body()) for r in self.waiting]

    def _trimmed(self) -> list[Save]:
        """What falls out of the history goes."""
        saves: list[Save] = []
        while len(self.ended) > self.max_history:
            oldest = next(iter(self.ended))
            self.spent[oldest] = self.ended.pop(oldest)
            saves.append(DropRequest(oldest, self.spent[oldest]))
        while len(self.spent) > MAX_SPENT:
            oldest = next(iter(self.spent))
            del self.spent[oldest]
            saves.append(ForgetRequest(oldest))
        return saves

    def _in_flight(self) -> Request:
        assert self.current is not None
        return self.current

    def _changed(self, request: Request) -> list[Save]:
        told = {"id": request.id, "state": request.state, "attempt": request.attempts}
        return [
            SaveRequest(request.id, request.instance, True, request.body()),
            SaveEvent(request.instance, request.id, "state", json.dumps(told)),
        ]


def _expires(request: Request, at: Moment) -> float:
    """A clock that was put back meanwhile gives nobody more time than was asked for."""
    return at.now + min(request.created + request.timeout - at.wall, request.timeout)


def _result(request: Request, outcome: Outcome, wall: float) -> Json:
    return {
        "id": request.id,
        "state": outcome.state,
        "text": outcome.text,
        "session_id": outcome.session_id,
        "cost_usd": outcome.cost_usd,
        "usage": outcome.usage or {},
        "duration_ms": max(round((wall - (request.delivered_at or request.created)) * 1000), 0),
        "attempts": request.attempts,
        "error": outcome.error or None,
    }
