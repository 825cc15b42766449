"""Answers that are longer than a moment: read from the store as fast as their client reads them, and no faster.

A client that stops reading costs a cursor; what it has not read stays in the store.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ccbridged.model.effects import (
    DropInstance,
    DropRequest,
    Follow,
    FollowLogs,
    Recall,
    RecallHistory,
    Save,
    SaveEvent,
    SaveLog,
)
from ccbridged.protocol import calls
from ccbridged.protocol.errors import BridgeError, exit_status
from ccbridged.system.control import ControlPort
from ccbridged.system.store import Kept, Store

Answer = Iterator[bytes | None]
"""Pieces of an answer; None: there is no more for now."""

Question = Follow | FollowLogs | Recall | RecallHistory


class _Reading(NamedTuple):
    question: Question
    answer: Answer


class Followers:
    """``begin`` and ``saved`` say that there may be something to read, ``pump`` that a client may have room."""

    def __init__(self, store: Store, port: ControlPort) -> None:
        self._store = store
        self._port = port
        self._readings: dict[str, _Reading] = {}

    def begin(self, question: Question) -> None:
        self._readings[question.client] = _Reading(question, _answer(question, self._store))
        self.pump(question.client)

    def leave(self, client: str) -> None:
        self._readings.pop(client, None)

    def saved(self, saves: Iterable[Save]) -> None:
        """These are in the store now: whoever waits for them goes on."""
        if self._readings:
            fresh = [save for save in saves if isinstance(save, (SaveEvent, SaveLog, DropInstance, DropRequest))]
            for client, reading in list(self._readings.items()):
                if any(_concerns(save, reading.question) for save in fresh):
                    self.pump(client)

    def pump(self, client: str) -> None:
        """Give this client what there is and what it has room for."""
        reading = self._readings.get(client)
        while reading is not None and self._port.room(client):
            try:
                piece = next(reading.answer)
            except StopIteration:
                self._end(client)
                return
            except BridgeError as fault:
                self._port.reply(client, calls.error(fault))
                self._end(client)
                return
            if piece is None:
                return
            self._port.reply(client, piece)

    def _end(self, client: str) -> None:
        self.leave(client)
        self._port.finish(client)


def _concerns(save: Save, question: Question) -> bool:
    match save, question:
        case SaveEvent(instance, request, kind), Follow():
            return (
                question.instance in ("", instance)
                and question.request in ("", request)
                and question.only in ("", kind)
            )
        case SaveLog(instance), FollowLogs():
            return question.instance == instance
        case ((DropInstance() | DropRequest()), _):
            return True
    return False


def _answer(question: Question, store: Store) -> Answer:
    try:
        match question:
            case Follow():
                yield from _follow(question, store)
            case FollowLogs():
                yield from _logs(question, store)
            case Recall():
                yield from _recall(_request(store, question.id), store)
            case RecallHistory():
                yield from _history(question, store)
    except sqlite3.Error as error:
        raise BridgeError("store", f"the store cannot be read: {error}", "see: ccbridgectl health") from None


def _follow(question: Follow, store: Store) -> Answer:
    after = question.since
    while True:
        found = store.events(after=after, instance=question.instance, request=question.request, only=question.only)
        for seq, text, kind in found:
            after = seq
            yield calls.item(text)
            if kind == "result" and question.until == "result":
                yield calls.end(exit_status(json.loads(text)["state"]))
                return
        if not found and question.until == "end":
            yield calls.end(0)
            return
        if not found and question.until == "result":
            kept = _request(store, question.request)
            if not kept.open:
                yield from _recall(kept, store)
                return
        if not found:
            yield None


def _logs(question: FollowLogs, store: Store) -> Answer:
    after, last = question.since, question.last
    while True:
        found = store.logs(instance=question.instance, after=after, last=last)
        last = None
        for seq, text, _ in found:
            after = seq
            yield calls.item(text)
        if not found and not question.forever:
            yield calls.end(0)
            return
        if not found:
            yield None


def _recall(kept: Kept, store: Store) -> Answer:
    """The result as the event that told it. Where that is gone: the same, with no place and time (0)."""
    result = kept.body["result"]
    assert isinstance(result, dict)
    told = store.events(after=0, request=kept.id, only="result")
    gone = {"v": 1, "seq": 0, "at": 0.0, "instance": kept.instance, "request": kept.id}
    yield calls.result(json.loads(told[-1].text) if told else {**gone, "type": "result", **result})
    yield calls.end(exit_status(result["state"]))


def _history(question: RecallHistory, store: Store) -> Answer:
    open_ = store.open_requests(question.instance)[: question.count]
    ended = store.ended_requests(question.instance, max(question.count - len(open_), 0))
    for kept in [*ended, *open_]:
        row = {key: kept.body.get(key) for key in ("id", "state", "created", "result")}
        prompt = kept.prompt if kept.prompt is not None else store.prompt(kept.id)
        yield calls.item(json.dumps({**row, "prompt": prompt or ""}, separators=(",", ":")))
    yield calls.end(0)


def _request(store: Store, id_: str) -> Kept:
    kept = store.request(id_)
    if kept is None:
        raise BridgeError("no-such-request", f"request {id_} is no longer there", "its instance may have been removed")
    return kept
