"""Talk to ccbridged from a script or a bot; ``ccbridgectl`` itself is built on this.

    from ccbridgectl.client import Client, RequestFailed

    bridge = Client()
    try:
        print(bridge.send("web", "What changed since yesterday?", timeout=600).text)
    except RequestFailed as failure:
        print(failure.result.state, failure.message)      # cancelled, timed_out, uncertain, failed

    for event in bridge.stream("web", "Fix the tests"):
        if event.type == "output":
            print(event.body["message"])                  # as Claude Code said it

Every failure is a ``BridgeError``: ``.code``, ``.message``, ``.hint`` and ``.exit_status``. When the daemon restarts
while something is waited for, the client reconnects and goes on from the last event it saw: no gap, no repeat. Pass
``id`` to make a ``send`` repeatable: the same id gets the same answer, whatever was restarted, and runs once.

The classes are plain: every call of ccbridgectl loads this, and typing or dataclasses would double its time.
"""

from __future__ import annotations

import os

from ccbridgectl import document, places
from ccbridgectl.document import Json, number, table, tables, text
from ccbridgectl.port import DaemonGone, Port
from ccbridgectl.stream import GIVE_UP, Answer, Event, Patience, Stream
from ccbridged.protocol.errors import EXIT_STATUS, BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["BridgeError", "Client", "Event", "RequestFailed", "Result", "Stream"]

Rows = list[Json]


class Result:
    """How a request ended: ``state`` succeeded, failed, cancelled, timed_out or uncertain; ``error`` "" or why."""

    __slots__ = ("body", "cost_usd", "duration_ms", "error", "id", "session_id", "state", "text", "usage")

    def __init__(self, body: Json) -> None:
        self.body = body
        self.id = text(body.get("id"))
        self.state = text(body.get("state"))
        self.text = text(body.get("text"))
        self.session_id = text(body.get("session_id"))
        self.cost_usd = number(body.get("cost_usd"))
        self.usage = table(body.get("usage"))
        self.duration_ms = number(body.get("duration_ms"))
        self.error = text(body.get("error"))

    @property
    def exit_status(self) -> int:
        return 0 if self.state == "succeeded" else EXIT_STATUS.get(self.state.replace("_", "-"), 1)

    def __repr__(self) -> str:
        return f"Result({document.dumps(self.body)})"


class RequestFailed(BridgeError):
    """A request ended otherwise than ``succeeded``: see ``result``."""

    def __init__(self, result: Result) -> None:
        code = result.state.replace("_", "-")
        super().__init__(
            code if code in EXIT_STATUS else "failed", result.error or f"the request ended as {result.state}"
        )
        self.result = result


class Client:
    """``runtime_dir``: where the daemon is, None for the usual places (raises BridgeError ``no-daemon`` where there is
    none). ``notice`` is told, in one line, when a call has to wait for the daemon to come back, which it does for up to
    ``patience`` seconds."""

    def __init__(
        self, runtime_dir: str | None = None, *, notice: Callable[[str], None] | None = None, patience: float = GIVE_UP
    ) -> None:
        self.runtime_dir = places.runtime_dir(runtime_dir or "", os.environ, os.getuid())
        self.notice = notice or _keep_quiet
        self.patience = patience

    def send(self, instance: str, prompt: str, *, id: str | None = None, timeout: float | None = None) -> Result:
        """Run a prompt and wait for its end. Raises RequestFailed when it did not succeed."""
        return _ended(self.stream(instance, prompt, id=id, timeout=timeout))

    def stream(
        self,
        instance: str,
        prompt: str,
        *,
        id: str | None = None,
        timeout: float | None = None,
        retry_uncertain: bool = False,
        follow: bool = True,
    ) -> Stream:
        """The events of a prompt, from ``request`` to ``result``; with ``follow=False`` only that it is queued.

        ``id`` None: a new one. Raises BridgeError ``usage`` for an empty one.
        """
        if id == "":
            raise BridgeError("usage", "an id must not be empty", "leave it out to get a new one")
        call: Json = {"verb": "send", "name": instance, "id": new_id() if id is None else id, "prompt": prompt}
        call |= {"timeout": timeout} if timeout else {}
        call |= {"retry_uncertain": True} if retry_uncertain else {}
        return self.follow(call | ({} if follow else {"follow": False}))

    def watch(self, id_: str) -> Stream:
        """The events of a request that exists, from its beginning to its ``result``."""
        return self.follow({"verb": "wait", "id": id_})

    def wait(self, id_: str) -> Result:
        """Wait for a request's end. Raises RequestFailed when it did not succeed."""
        return _ended(self.watch(id_))

    def result(self, id_: str) -> Result:
        """The result of an ended request, whatever it was."""
        return Result(table(self.ask({"verb": "result", "id": id_})))

    def cancel(self, id_: str) -> Json:
        return table(self.ask({"verb": "cancel", "id": id_}))

    def status(self, instance: str = "") -> Json:
        return table(self.ask({"verb": "status", "name": instance}))

    def list(self, state: str = "") -> Rows:
        """All instances, or those in ``state``."""
        return tables(self.ask({"verb": "list", "state": state}))

    def events(self, instance: str = "", *, since: int = 0, follow: bool = False) -> Stream:
        """The event log after ``since``: up to its end, or with ``follow`` for ever."""
        return self.follow({"verb": "events", "name": instance, "since": since, "follow": follow})

    def ask(self, call: Json) -> object:
        """The one document of a call's answer. Raises BridgeError ``unavailable`` if the daemon died over it."""
        return self.answer(call).result

    def answer(self, call: Json) -> Answer:
        """All of the answer to a call that is made once only."""
        try:
            return Answer(self.lines(call))
        except DaemonGone:
            raise BridgeError(
                "unavailable",
                "ccbridged went away before it answered: what was asked may or may not have been done",
                "look with: ccbridgectl status",
            ) from None

    def follow(self, call: Json) -> Stream:
        """The answer to a call that may be repeated, as it comes."""
        return Stream(self.lines, call, self.runtime_dir, lambda: Patience(self.patience, self.notice))

    def lines(self, call: Json) -> Generator[bytes, None, None]:
        """The raw answer to one call. Raises DaemonGone, and BridgeError for a call that failed."""
        try:
            yield from Port(self.runtime_dir).call(document.dumps(call).encode("ascii"))
        except DaemonGone:
            raise
        except BridgeError as fault:
            raise places.nobody(self.runtime_dir) if fault.code == "no-daemon" else fault from None


def new_id() -> str:
    return os.urandom(8).hex()


def _ended(stream: Stream) -> Result:
    body: Json = {}
    for event in stream:
        if event.type == "result":
            body = event.body
    result = Result(body or table(stream.result))
    if result.state != "succeeded":
        raise RequestFailed(result)
    return result


def _keep_quiet(_: str) -> None:
    """A script that did not ask is not told."""
