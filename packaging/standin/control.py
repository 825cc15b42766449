"""What the host says: prompts, control requests, and answers to the program's own questions."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import frames
from frames import as_line
from turn import Prompt

if TYPE_CHECKING:
    from host import Host

Json = dict[str, Any]

ANSWERED = (
    *("set_max_thinking_tokens", "get_context_usage", "mcp_status", "get_settings", "get_session_cost", "get_usage"),
    *("get_status", "list_models", "list_permission_rules", "background_tasks", "stop_task", "rename_session"),
)


class BadLine(Exception):
    """What the host wrote cannot be used: the real program ends at once."""


def hear(host: "Host", line: bytes) -> None:
    text = line.decode("utf-8", "replace").lstrip("\ufeff").strip("\r\t ")
    if not text:
        return
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadLine(f"Error parsing streaming input line (type=unknown, {len(text)} chars): SyntaxError") from None
    match said:
        case None:
            raise BadLine("Error parsing streaming input line (type=null, 4 chars): TypeError")
        case {"type": "user", "message": {"role": "user", "content": content}}:
            _prompt(host, said, content)
        case {"type": "user"}:
            raise BadLine("Error: Expected message role 'user'")
        case {"type": "control_request", "request_id": str(request_id), "request": dict(request)}:
            _request(host, request_id, request)
        case {"type": "control_response", "response": dict(answer)} if answer.get("request_id") == host.waiting != "":
            host.advance({"subtype": "success", **answer})
        case _:
            """The real one passes over what it does not know, too."""


def _prompt(host: "Host", line: Json, content: str | list[Json]) -> None:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "\n".join(block.get("text", "") for block in blocks if block.get("type") == "text")
    prompt = Prompt(str(line.get("uuid") or ""), text, line.get("client_composed") is True)
    if prompt.uuid and prompt.uuid in host.seen:
        return
    host.seen.add(prompt.uuid)
    if prompt.uuid in host.session.answered:
        host.lifecycle([prompt.uuid], "completed")
        return
    host.lifecycle([prompt.uuid] if prompt.uuid else [], "queued")
    host.queue.append(prompt)


def _reply(host: "Host", request_id: str, body: Json) -> None:
    response = {"subtype": "success", "request_id": request_id, "response": body}
    host.write(as_line({"type": "control_response", "response": response}))


def _request(host: "Host", request_id: str, request: Json) -> None:
    match request.get("subtype"):
        case "initialize":
            _initialize(host, request_id, request)
        case "interrupt":
            _asked_to_stop(host, request_id, request.get("cancel_queued") is True)
        case "cancel_async_message":
            found = _withdraw(host, [request.get("message_uuid", "")], "cancelled")
            _reply(host, request_id, {"cancelled": bool(found)})
        case "end_session":
            _end_session(host, request_id)
        case "get_binary_version":
            _reply(host, request_id, {"version": host.settings.version})
        case "set_permission_mode":
            host.mode = str(request.get("mode"))
            _reply(host, request_id, {"mode": host.mode})
        case "set_model":
            _reply(host, request_id, {})
        case subtype if subtype in ANSWERED:
            _reply(host, request_id, {})
        case subtype:
            error = f"Unsupported control request subtype: {subtype}"
            body = {"subtype": "error", "request_id": request_id, "error": error}
            host.write(as_line({"type": "control_response", "response": {**body, "error_code": "unsupported_request"}}))


def _initialize(host: "Host", request_id: str, request: Json) -> None:
    state = "running" if host.turn else "idle"
    answer = frames.initialized(os.getpid(), host.settings.version, host.mode, state)
    if "no-hooks" in host.settings.faults:
        del answer["hooks_applied"], answer["hook_on_failure_supported"]
    else:
        host.hooks = request.get("hooks") or {}
    _reply(host, request_id, answer)


def _asked_to_stop(host: "Host", request_id: str, cancel_queued: bool) -> None:
    unstarted = list(host.turn.prompts) if host.turn and not host.turn.started else []
    waiting = [prompt.uuid for prompt in [*unstarted, *host.queue]]
    if cancel_queued:
        _reply(host, request_id, {"still_queued": [], "cancelled": _withdraw(host, waiting, "cancelled")})
    else:
        _reply(host, request_id, {"still_queued": waiting})
    if host.turn and host.turn.started:
        host.interrupt()


def _withdraw(host: "Host", uuids: Sequence[str], state: str) -> list[str]:
    """Take prompts out that have not started; those that were there."""
    if host.turn and not host.turn.started and set(host.turn.uuids) & set(uuids):
        found = [*host.turn.uuids]
        host.turn_over()
    else:
        found = []
    found += [prompt.uuid for prompt in host.queue if prompt.uuid in uuids]
    host.queue = [prompt for prompt in host.queue if prompt.uuid not in uuids]
    host.lifecycle(found, state)
    return found


def _end_session(host: "Host", request_id: str) -> None:
    host.write(as_line({"type": "control_response", "response": {"subtype": "success", "request_id": request_id}}))
    unstarted = host.turn.uuids if host.turn and not host.turn.started else []
    _withdraw(host, [*unstarted, *(prompt.uuid for prompt in host.queue)], "discarded")
    aborted = host.turn is not None
    if aborted:
        host.interrupt()
    host.exit(1 if aborted else 0)
