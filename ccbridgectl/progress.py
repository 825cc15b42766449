"""What a request is at, for the quiet line: in the words of ``status``, from the same frames of Claude's.

Pure; only a terminal needs it, so a pipe is spared the module.
"""

from __future__ import annotations

from ccbridgectl.document import Json, number, table, tables, text
from ccbridgectl.text import one_line
from ccbridgectl.transcript import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ccbridgectl.stream import Event

_ERRORS = {
    "rate_limit": "rate limited by the API",
    "overloaded": "the API is overloaded",
    "authentication_failed": "not logged in",
    "oauth_org_not_allowed": "not logged in",
}
_STATUSES = {429: _ERRORS["rate_limit"], 529: _ERRORS["overloaded"], 401: _ERRORS["authentication_failed"]}
_WRITING = ("message_start", "content_block")
_STATUS_WORDS = {"requesting": "waiting for the model", "compacting": "compacting its conversation"}


class Progress:
    """``now``, ``started`` and the times of events: seconds since 1970."""

    def __init__(self, instance: str, started: float) -> None:
        self.instance = instance
        self._started = started
        self._stage = "sending"
        self._since = self._heard = started
        self._try = ""
        self._try_at = 0.0
        self._tools: dict[str, tuple[str, str, float]] = {}
        self._asked: dict[str, tuple[str, str, float]] = {}

    def read(self, event: Event, now: float) -> None:
        body, at = event.body, event.at or now
        self.instance = event.instance or self.instance
        match event.type:
            case "request" | "state":
                ahead = body.get("position")
                behind = f", {ahead} before it" if ahead else ""
                self._enter("queued" + behind if body.get("state") == "queued" else "starting", at)
            case "approval":
                self._asked[text(body.get("id"))] = (text(body.get("tool")), text(body.get("tool_use_id")), at)
            case "approval_closed":
                self._answered(text(body.get("id")), at)
            case "output":
                self._heard = at
                self._frame(table(body.get("message")), at)
            case _:
                pass

    def line(self, now: float, limit: int) -> str:
        """``web: running Bash 12 s (40 s in all): make test``, within ``limit`` columns."""
        doing, what, since = self._present(now)
        whole = round(now - self._started)
        in_all = f" ({_seconds(whole)} in all)" if whole >= round(now - since) + 5 else ""
        return one_line(f"{self.instance}: {doing}{in_all}" + (f": {what}" if what else ""), limit)

    def _present(self, now: float) -> tuple[str, str, float]:
        """Words with their age, what a tool is asked to do, and since when."""
        if self._try:
            wait = round(self._try_at - now)
            when = f"in {wait} s" if wait > 0 else "now"
            return f"{self._stage} {_seconds(now - self._since)}, {self._try} {when}", "", self._since
        if self._asked:
            tool, _, since = next(iter(self._asked.values()))
            return f"waiting for approval of {tool} {_seconds(now - since)}", "", since
        if self._tools:
            tool, what, since = self._tools[next(reversed(self._tools))]
            return f"running {tool} {_seconds(now - since)}", what, since
        doing = f"{self._stage} {_seconds(now - self._since)}"
        if self._stage == "answering":
            doing += f", last heard {_seconds(now - self._heard)} ago"
        return doing, "", self._since

    def _answered(self, id_: str, at: float) -> None:
        """The tool that waited for that runs only now."""
        _, call, _ = self._asked.pop(id_, ("", "", 0.0))
        if call in self._tools:
            tool, what, _ = self._tools[call]
            self._tools[call] = (tool, what, at)

    def _enter(self, stage: str, at: float) -> None:
        self._try = ""
        if stage != self._stage:
            self._stage, self._since = stage, at

    def _frame(self, frame: Json, at: float) -> None:
        match frame:
            case {"type": "system", "subtype": "api_retry"}:
                self._retry(frame, at)
            case {"type": "system", "subtype": "init"} | {"type": "system", "subtype": "status", "compact_result": _}:
                self._enter(_STATUS_WORDS["requesting"], at)
            case {"type": "system", "subtype": "status", "status": str(status)} if status in _STATUS_WORDS:
                self._enter(_STATUS_WORDS[status], at)
            case {"type": "assistant"} if not frame.get("is_api_error_message"):
                self._enter("answering", at)
            case {"type": "system", "subtype": "thinking_tokens"}:
                self._enter("answering", at)
            case {"type": "stream_event", "event": {"type": str(kind)}} if kind.startswith(_WRITING):
                self._enter("answering", at)
            case _:
                pass
        self._calls(frame, at)

    def _retry(self, frame: Json, at: float) -> None:
        status, error = frame.get("error_status"), text(frame.get("error"))
        failure = "the API fails" if isinstance(status, int) else "no connection to the API"
        named = _ERRORS.get(error) or (_STATUSES.get(status) if isinstance(status, int) else None)
        self._enter(named or failure, at)
        told = f"status {status}, " if named is None and isinstance(status, int) else ""
        self._try = f"{told}try {number(frame.get('attempt')):.0f} of {number(frame.get('max_retries')):.0f}"
        self._try_at = at + number(frame.get("retry_delay_ms")) / 1000

    def _calls(self, frame: Json, at: float) -> None:
        for block in tables(table(frame.get("message")).get("content")):
            match block:
                case {"type": "tool_use", "id": str(id_), "name": str(name)}:
                    self._tools[id_] = (name, about(block.get("input")), at)
                case {"type": "tool_result", "tool_use_id": str(id_)}:
                    self._tools.pop(id_, None)
                    self._enter(_STATUS_WORDS["requesting"], at)
                case _:
                    pass


def _seconds(seconds: float) -> str:
    """As ``status`` has it."""
    seconds = max(seconds, 0.0)
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
