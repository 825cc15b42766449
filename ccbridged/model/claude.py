"""Claude Code's stream-json: the only file that reads or writes it, but for ``frames``, which it calls.

One line of its stdout becomes one ``Said``; what is not understood passes through as Frame. A turn ends with a result
that names the prompt's uuid *and*, where the CLI has them, a terminal lifecycle frame; ``subtype:"success"`` alone is
no success.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ccbridged.model.effects import Json
from ccbridged.model.frames import NAME_LIMIT, Frame, read_frame
from ccbridged.model.jsonline import decode

BARRIER = "ccbridged-start"
"""The callback id of the UserPromptSubmit hook that no prompt passes before the host has answered."""
BARRIER_TIMEOUT = 86_400
INITIALIZE = "ccbridged-initialize"
SCRUB = ["CLAUDECODE", "CLAUDE_CODE_RESUME_INTERRUPTED_TURN"]
"""Variables that would make Claude Code start turns by itself or take itself for nested."""
VARIABLES = {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}
"""So that it says when it waits for a person, whoever asked what, and when it is idle."""
FLAGS = [
    *("-p", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json"),
    *("--include-partial-messages", "--permission-prompt-tool", "stdio"),
]
PATH_LIMIT = 4096
"""Characters of the longest path that there can be."""
MAX_COST = 1e9
"""US dollars; a greater number is none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The answer to ``initialize``. ``barrier``: no prompt starts before the host has said so. ``login``: with what it
    logs in to the model, such as a variable's name; "none"; "" where it does not say."""

    version: str
    barrier: bool
    login: str = ""


@dataclass(frozen=True, slots=True)
class StartAsked:
    """A prompt is about to start and waits for the host's word."""

    request_id: str
    transcript: str


@dataclass(frozen=True, slots=True)
class PermissionAsked:
    """``call``: the id of the tool's call that is asked about, "" where it is not said."""

    request_id: str
    tool: str
    input: Json
    suggestions: tuple[Json, ...]
    call: str = ""


@dataclass(frozen=True, slots=True)
class PermissionWithdrawn:
    request_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to a control request of ours; ``error`` "" when it succeeded."""

    request_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """``state``: queued started completed cancelled discarded refused."""

    uuid: str
    state: str

    @property
    def terminal(self) -> bool:
        return self.state in ("completed", "cancelled", "discarded", "refused")


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A result. ``state``: succeeded, failed, or cancelled when the turn was aborted. ``uuids``: whose turn it was."""

    uuids: tuple[str, ...]
    state: str
    text: str
    error: str
    session_id: str
    cost_usd: float
    usage: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Noise:
    """A line that is no stream-json."""

    line: str


Said = Ready | StartAsked | PermissionAsked | PermissionWithdrawn | Answered | Lifecycle | TurnEnded | Frame | Noise


def argv(program: Sequence[str], args: Sequence[str], session_id: str, *, resume: bool) -> list[str]:
    """The command line of one life. ``--resume=ID`` in one word: a separate value could be taken for a flag."""
    session = [f"--resume={session_id}"] if resume else ["--session-id", session_id]
    return [*program, *FLAGS, *session, *args]


def initialize() -> str:
    hook = {"hookCallbackIds": [BARRIER], "timeout": BARRIER_TIMEOUT, "onFailure": "block"}
    return _request(INITIALIZE, {"subtype": "initialize", "hooks": {"UserPromptSubmit": [hook]}})


def prompt(uuid: str, text: str) -> str:
    """A prompt taken literally (``client_composed``): "/" and "@" in it are text, not commands."""
    content = [{"type": "text", "text": text}]
    message = {"role": "user", "content": content}
    return json.dumps({"type": "user", "uuid": uuid, "client_composed": True, "message": message})


def let_start(request_id: str) -> str:
    return _answer(request_id, {})


def block_start(request_id: str, reason: str) -> str:
    return _answer(request_id, {"decision": "block", "reason": reason})


def interrupt(request_id: str) -> str:
    """Stop the running turn; a prompt that has not started yet is taken out as well."""
    return _request(request_id, {"subtype": "interrupt", "cancel_queued": True})


def ping(request_id: str) -> str:
    """The cheapest question that Claude Code answers even while busy."""
    return _request(request_id, {"subtype": "get_binary_version"})


def end_session() -> str:
    """Abort the running turn, discard what waits, account for both, and exit."""
    return _request("ccbridged-end", {"subtype": "end_session"})


def allow(request_id: str, given: Json, rules: Sequence[Json] = ()) -> str:
    """``given``: the tool's input. ``rules``: taken for the rest of this session, never written to the workspace."""
    verdict: Json = {"behavior": "allow", "updatedInput": given}
    if rules:
        verdict["updatedPermissions"] = [{**rule, "destination": "session"} for rule in rules]
    return _answer(request_id, verdict)


def deny(request_id: str, reason: str) -> str:
    return _answer(request_id, {"behavior": "deny", "message": reason})


def _request(request_id: str, body: Json) -> str:
    return json.dumps({"type": "control_request", "request_id": request_id, "request": body})


def _answer(request_id: str, body: Json) -> str:
    response = {"subtype": "success", "request_id": request_id, "response": body}
    return json.dumps({"type": "control_response", "response": response})


def read_line(line: str) -> Said:
    """What one line of stdout says."""
    try:
        frame: Any = decode(line)
    except ValueError:
        return Noise(line)
    match frame:
        case {"type": "control_request", "request_id": str(request_id), "request": dict(request)}:
            return _read_request(request_id, request)
        case {"type": "control_response", "response": {"request_id": str(request_id)}}:
            return _read_response(request_id, frame["response"])
        case {"type": "control_cancel_request", "request_id": str(request_id)}:
            return PermissionWithdrawn(request_id)
        case {"type": "command_lifecycle", "command_uuid": str(uuid), "state": str(state)}:
            return Lifecycle(uuid, state)
        case {"type": "result"}:
            return _read_result(frame)
        case {"type": str(kind)}:
            return read_frame(kind, frame)
        case _:
            return Noise(line)


def _read_request(request_id: str, request: Json) -> Said:
    match request:
        case {"subtype": "hook_callback", "callback_id": callback, "input": dict(given)} if callback == BARRIER:
            return StartAsked(request_id, _text(given.get("transcript_path"))[:PATH_LIMIT])
        case {"subtype": "can_use_tool", "tool_name": str(tool), "input": dict(given)}:
            rules = request.get("permission_suggestions")
            kept = tuple(rule for rule in rules if isinstance(rule, dict)) if isinstance(rules, list) else ()
            return PermissionAsked(request_id, tool, given, kept, _text(request.get("tool_use_id")))
        case _:
            return Frame(f"control_request/{_text(request.get('subtype'))}", "")


def _read_response(request_id: str, rest: Json) -> Said:
    body = rest.get("response")
    if request_id == INITIALIZE and rest.get("subtype") == "success" and isinstance(body, dict):
        barrier = body.get("hooks_applied") is True and body.get("hook_on_failure_supported") is True
        version, login = _text(body.get("claude_code_version")), _login(body.get("account"))
        return Ready(version[:NAME_LIMIT], barrier, login[:NAME_LIMIT])
    return Answered(request_id, "" if rest.get("subtype") == "success" else _text(rest.get("error")) or "refused")


def _login(account: object) -> str:
    """A cloud provider brings its own login, of which Claude Code says nothing; a key goes before a token."""
    told = account if isinstance(account, dict) else {}
    provider, key, token = (_text(told.get(name)) for name in ("apiProvider", "apiKeySource", "tokenSource"))
    if provider not in ("", "firstParty"):
        return provider
    return key if key not in ("", "none") else token


def _read_result(frame: Json) -> TurnEnded:
    uuids = frame.get("user_message_uuids")
    cost, usage = frame.get("total_cost_usd"), frame.get("usage")
    state, error = _outcome(frame)
    return TurnEnded(
        tuple(map(str, uuids)) if isinstance(uuids, list) else (),
        state,
        _text(frame.get("result")),
        error,
        _text(frame.get("session_id")),
        float(cost) if isinstance(cost, (int, float)) and 0 <= cost < MAX_COST else 0.0,
        usage if isinstance(usage, dict) else {},
    )


def _outcome(frame: Json) -> tuple[str, str]:
    reason = _text(frame.get("terminal_reason"))
    if reason.startswith("aborted"):
        return "cancelled", "interrupted"
    if frame.get("subtype") == "success" and frame.get("is_error") is False and reason == "completed":
        return "succeeded", ""
    errors = frame.get("errors")
    told = [str(error) for error in errors] if isinstance(errors, list) else []
    if not reason and not told and frame.get("num_turns") == 0:
        told = [_text(frame.get("result")) or "Claude Code did not run the prompt: a hook blocked it"]
    return "failed", "; ".join(told) or _text(frame.get("result")) or reason or _text(frame.get("subtype"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def session_unusable(complaint: str) -> bool:
    """Whether what Claude Code said before it died means that this session id can be neither resumed nor made."""
    return "No conversation found" in complaint or "is already in use" in complaint
