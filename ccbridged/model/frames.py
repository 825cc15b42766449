"""The frames that Claude Code says while a turn runs: signs of life, and what each says of what the turn is at.

A part of ``claude``, which reads the line. What is not understood says nothing and passes through.
"""

from __future__ import annotations

from dataclasses import dataclass

from ccbridged.model.effects import Json

NAME_LIMIT = 200
"""Characters of an id or a name that is kept of what a program said."""
MAX_DELAY = 86_400.0
"""Seconds; a try that is announced for later than that is not waited for any longer."""


@dataclass(frozen=True, slots=True)
class Doing:
    """What the turn is at from now on. ``kind``: of ``activity.WORDS``. ``delay``: seconds to the try that it waits
    for, None: for none."""

    kind: str
    detail: str = ""
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """The subscription's limit called ``name`` ("" for none) is reached until ``resets_at``, wall time; 0: not said."""

    name: str
    resets_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """``state``: running, requires_action (a person's), or idle."""

    state: str


@dataclass(frozen=True, slots=True)
class Background:
    """So many tasks go on in the background, turn or no turn."""

    tasks: int


News = Doing | Limit | Session | Background


@dataclass(frozen=True, slots=True)
class Frame:
    """Any frame without a meaning of its own. ``began``: (id, tool) of the calls that it opens; ``ended``: ids of
    those that it closes. ``alive``: it is a sign of progress, and not of mere existence."""

    type: str
    session_id: str
    began: tuple[tuple[str, str], ...] = ()
    ended: tuple[str, ...] = ()
    news: News | None = None
    alive: bool = True


def read_frame(kind: str, frame: Json) -> Frame:
    """``kind``: its type."""
    began, ended = _calls(frame)
    session_id = frame.get("session_id")
    news = _news(kind, frame) or (Doing("waiting_for_model") if ended else None)
    named = session_id if isinstance(session_id, str) and len(session_id) <= NAME_LIMIT else ""
    return Frame(kind, named, began, ended, news, alive=kind != "keep_alive")


def _calls(frame: Json) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    began: list[tuple[str, str]] = []
    ended: list[str] = []
    message = frame.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    for block in content if isinstance(content, list) else ():
        match block:
            case {"type": "tool_use", "id": str(id_), "name": str(name)}:
                began.append((id_, name))
            case {"type": "tool_result", "tool_use_id": str(id_)}:
                ended.append(id_)
    return tuple(began), tuple(ended)


def _news(kind: str, frame: Json) -> News | None:
    match kind, frame:
        case "system", {"subtype": str(subtype)}:
            return _system(subtype, frame)
        case "stream_event", {"event": {"type": str(event)}} if event.startswith(("message_start", "content_block")):
            return Doing("answering")
        case "assistant", _ if not frame.get("is_api_error_message"):
            return Doing("answering")
        case "tool_progress", {"subagent_retry": dict(retry)}:
            return _retry({**retry, "error": retry.get("error_category")})
        case "rate_limit_event", {"rate_limit_info": dict(info)}:
            return _limit(info)
        case _:
            return None


def _system(subtype: str, frame: Json) -> News | None:
    match subtype, frame:
        case ("init", _) | ("status", {"status": "requesting"} | {"compact_result": _}):
            return Doing("waiting_for_model")
        case "status", {"status": "compacting"}:
            return Doing("compacting")
        case "thinking_tokens", _:
            return Doing("answering")
        case "api_retry", _:
            return _retry(frame)
        case "session_state_changed", {"state": str(state)}:
            return Session(state)
        case "background_tasks_changed", {"tasks": list(tasks)}:
            return Background(sum(1 for task in tasks if isinstance(task, dict) and not task.get("ambient")))
        case _:
            return None


def _retry(frame: Json) -> Doing:
    """A call of the model has failed, and is tried again."""
    status, error = frame.get("error_status"), frame.get("error")
    kind = _failure(status, error)
    tries = f"try {_count(frame, 'attempt')} of {_count(frame, 'max_retries')}"
    told = f"status {status}, {tries}" if kind == "api_error" else tries
    return Doing(kind, told, min(_count(frame, "retry_delay_ms") / 1000, MAX_DELAY))


def _failure(status: object, error: object) -> str:
    """By the name that Claude Code gives it, else by the status of HTTP; without one there was no answer at all."""
    match error, status:
        case ("rate_limit", _) | (_, 429):
            return "rate_limited"
        case ("overloaded", _) | (_, 529):
            return "overloaded"
        case ("authentication_failed" | "oauth_org_not_allowed", _) | (_, 401):
            return "not_logged_in"
        case _, int():
            return "api_error"
        case _:
            return "no_connection"


def _limit(info: Json) -> Limit:
    if info.get("status") != "rejected":
        return Limit("")
    name = info.get("rateLimitType")
    return Limit(name if isinstance(name, str) and name else "subscription", float(_count(info, "resetsAt")))


def _count(frame: Json, name: str) -> int:
    value = frame.get(name)
    return value if isinstance(value, int) and 0 < value < 1 << 53 else 0
