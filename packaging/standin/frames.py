"""The shapes of what Claude Code 2.1.329 says on stdout, as recorded; every function returns one frame.

The session's id is added where a frame is said, because `/clear` may change it in between.
"""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

MODEL = "claude-standin"
TOOLS = ["AskUserQuestion", "Bash", "Edit", "Read", "Write"]


def fresh() -> str:
    return str(uuid.uuid4())


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


def whose(uuids: Sequence[str]) -> Json:
    """The marks of the prompts that a frame belongs to."""
    return {"user_message_uuid": uuids[0], "user_message_uuids": list(uuids)} if uuids else {}


def lifecycle(prompt: str, state: str) -> Json:
    return {"type": "command_lifecycle", "command_uuid": prompt, "state": state, "uuid": fresh()}


def initialized(pid: int, version: str, mode: str, state: str) -> Json:
    """The answer to ``initialize`` of a program whose hooks work."""
    account = {"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY", "apiProvider": "firstParty"}
    program = {"pid": pid, "claude_code_version": version, "current_permission_mode": mode, "session_state": state}
    return {"account": account, "hooks_applied": True, "hook_on_failure_supported": True, **program}


def init(cwd: str, version: str, mode: str, capabilities: list[str], uuids: Sequence[str]) -> Json:
    facts = {"cwd": cwd, "tools": TOOLS, "mcp_servers": [], "model": MODEL, "permissionMode": mode}
    rest = {"claude_code_version": version, "capabilities": capabilities, "uuid": fresh()}
    marks = {"user_message_uuids": list(uuids)} if uuids else {}
    return {"type": "system", "subtype": "init", **facts, **rest, **marks}


def status(uuids: Sequence[str]) -> Json:
    return {"type": "system", "subtype": "status", "status": "requesting", "uuid": fresh()} | (
        {"user_message_uuids": list(uuids)} if uuids else {}
    )


def session_state(state: str) -> Json:
    return {"type": "system", "subtype": "session_state_changed", "state": state, "uuid": fresh()}


def stream(event: Json, api_message: str, uuids: Sequence[str] = ()) -> Json:
    frame = {"type": "stream_event", "event": event, "parent_tool_use_id": None, "uuid": fresh()}
    return frame | {"api_message_id": api_message, **whose(uuids)}


def message(api_message: str, content: list[Json], stop_reason: str | None) -> Json:
    usage = {"input_tokens": 10, "output_tokens": 1}
    head = {"id": api_message, "type": "message", "role": "assistant", "model": MODEL}
    return {**head, "content": content, "stop_reason": stop_reason, "stop_sequence": None, "usage": usage}


def assistant(body: Json, uuids: Sequence[str]) -> Json:
    frame = {"type": "assistant", "message": body, "parent_tool_use_id": None, "uuid": fresh(), "timestamp": now()}
    return frame | whose(uuids)


def user(content: list[Json]) -> Json:
    body = {"role": "user", "content": content}
    return {"type": "user", "message": body, "parent_tool_use_id": None, "uuid": fresh(), "timestamp": now()}


def tool_result(tool_use: str, text: str, *, failed: bool) -> Json:
    return user([{"tool_use_id": tool_use, "type": "tool_result", "content": text, "is_error": failed}])


def api_retry(attempt: int, most: int, api_status: int | None) -> Json:
    names = {529: "overloaded", 429: "rate_limit", 401: "authentication_failed"}
    name = names.get(api_status or 0, "server_error" if api_status else "unknown")
    facts = {"attempt": attempt, "max_retries": most, "retry_delay_ms": 20, "error_status": api_status, "error": name}
    return {"type": "system", "subtype": "api_retry", **facts, "uuid": fresh()}


def api_error(text: str, api_status: int | None, uuids: Sequence[str]) -> Json:
    content = [{"type": "text", "text": text}]
    body = message(fresh(), content, "stop_sequence") | {"model": "<synthetic>", "stop_sequence": ""}
    names = {529: "overloaded_error", 429: "rate_limit_error", 401: "authentication_error"}
    rest = {"error": "server_error", "is_api_error_message": True, "api_error_status": api_status}
    return assistant(body, uuids) | rest | {"api_error_type": names.get(api_status or 0, "api_error")}


def blocked(kind: str, reason: str, prompt: str) -> Json:
    """A prompt that a hook, or its silence, kept from starting."""
    outcome = {"kind": kind, "prompt_kept": False, "reason": reason}
    content = f"UserPromptSubmit operation blocked by hook:\n{reason}\n\nOriginal prompt: {prompt}"
    facts = {"content": content, "level": "warning", "prevent_continuation": True, "prompt_submit_outcome": outcome}
    return {"type": "system", "subtype": "informational", **facts, "uuid": fresh()}


def permission_denied(tool: str, tool_use: str) -> Json:
    facts = {"tool_name": tool, "tool_use_id": tool_use, "uuid": fresh()}
    return {"type": "system", "subtype": "permission_denied", **facts}


def question(tool: str, given: Json, tool_use: str) -> Json:
    """The body of a permission question."""
    rule = {"toolName": tool, "ruleContent": f"{given.get('command', '')} *"}
    rules = {"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "localSettings"}
    asked: Json = {"subtype": "can_use_tool", "tool_name": tool, "display_name": tool, "input": given}
    if tool == "AskUserQuestion":
        asked["requires_user_interaction"] = True
    return {**asked, "description": given.get("description", ""), "permission_suggestions": [rules]} | {
        "tool_use_id": tool_use
    }


def result(uuids: Sequence[str], end: Json, spent: Json) -> Json:
    """``end``: subtype, is_error, terminal_reason, result or errors, …; ``spent``: cost, usage, numbers."""
    return {"type": "result", "duration_ms": 1, "duration_api_ms": 0, "uuid": fresh(), **spent, **end, **whose(uuids)}


def as_line(frame: Json) -> bytes:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
