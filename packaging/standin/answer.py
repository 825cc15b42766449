"""The model's side of a turn, played from a plan: calls, streamed messages, tools and the questions about them."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from typing import Any

import frames
from script import Plan
from turn import ApiError, Ask, Interrupted, Steps, Turn, Wait

Json = dict[str, Any]

RETRY_DELAY = 0.02
POLL = 0.005


def converse(turn: Turn, plan: Plan) -> Steps:
    """Tool calls as planned, then the answer, which ends up in ``turn.said``."""
    answer = f"spawned {_leave_process()}" if plan.spawn else f"echo: {turn.text}"
    for name, given in plan.tools:
        yield from _call(turn, plan)
        tool_use = f"toolu_{turn.calls}"
        block = {"type": "tool_use", "id": tool_use, "name": name, "input": given}
        yield from _message(turn, block, [json.dumps(given)], plan.pause)
        answer = "tool said: " + (yield from _use(turn, name, given, tool_use))
    yield from _call(turn, plan)
    turn.said = ""
    yield from _message(turn, {"type": "text"}, plan.pieces(answer), plan.pause)
    if plan.drop:
        raise ApiError(None)
    turn.host.stream({"type": "message_stop"}, turn.api_message)


def _call(turn: Turn, plan: Plan) -> Steps:
    """One request to the model, up to its first byte."""
    host = turn.host
    host.calls += 1
    turn.calls += 1
    turn.api_message = f"msg_{host.calls}"
    if host.partial:
        host.say(frames.status(turn.uuids))
    yield plan.wait
    attempt = 0
    while plan.error and attempt < plan.error_times:
        attempt += 1
        if attempt > host.max_retries:
            raise ApiError(plan.error)
        host.say(frames.api_retry(attempt, host.max_retries, plan.error))
        yield RETRY_DELAY


def _message(turn: Turn, block: Json, pieces: Sequence[str], pause: float) -> Steps:
    """One streamed message of one block, up to its message_delta."""
    host, uuids = turn.host, turn.uuids if turn.calls == 1 else ()
    text = block["type"] == "text"
    stop = "end_turn" if text else "tool_use"
    host.stream(
        {"type": "message_start", "message": frames.message(turn.api_message, [], None)}, turn.api_message, uuids
    )
    opening = {"type": "text", "text": ""} if text else {**block, "input": {}}
    host.stream({"type": "content_block_start", "index": 0, "content_block": opening}, turn.api_message)
    said: list[str] = []
    for number, piece in enumerate(pieces):
        yield pause if number else 0.0
        said.append(piece)
        turn.said = "".join(said) if text and pause else turn.said
        delta = {"type": "text_delta", "text": piece} if text else {"type": "input_json_delta", "partial_json": piece}
        host.stream({"type": "content_block_delta", "index": 0, "delta": delta}, turn.api_message)
    content = {"type": "text", "text": "".join(said)} if text else block
    turn.said = content["text"] if text else turn.said
    host.say(frames.assistant(frames.message(turn.api_message, [content], None), uuids))
    host.session.add("assistant", frames.message(turn.api_message, [content], stop), frames.fresh())
    host.session.flush()
    host.stream({"type": "content_block_stop", "index": 0}, turn.api_message)
    ended = {"stop_reason": stop, "stop_sequence": None}
    usage = {"output_tokens": max(1, sum(map(len, pieces)) // 4)}
    host.spend(10, usage["output_tokens"])
    host.stream({"type": "message_delta", "delta": ended, "usage": usage}, turn.api_message)


def _use(turn: Turn, name: str, given: Json, tool_use: str) -> Generator[Wait, Json, str]:
    """The tool call, asked about and run; what it told the model. Interrupted: nobody wants it any more."""
    turn.in_tool = True
    refusal, given = yield from _permission(turn, name, given, tool_use)
    refusal = refusal or (yield from _before_tool(turn, name, given, tool_use))
    told, failed = (refusal, True) if refusal else (yield from _run(turn, name, given))
    if refusal:
        turn.denials.append({"tool_name": name, "tool_use_id": tool_use, "tool_input": given})
    frame = frames.tool_result(tool_use, told, failed=failed)
    turn.host.say(frame)
    turn.host.session.add("user", frame["message"], frame["uuid"])
    turn.in_tool = False
    return told


def _permission(turn: Turn, name: str, given: Json, tool_use: str) -> Generator[Wait, Json, tuple[str, Json]]:
    """Why not, "" for permitted, and the input that is permitted."""
    host = turn.host
    if host.may(name):
        host.stream({"type": "message_stop"}, turn.api_message)
        return "", given
    if not host.asks:
        host.stream({"type": "message_stop"}, turn.api_message)
        host.say(frames.permission_denied(name, tool_use))
        return f"Claude requested permissions to use {name}, but you haven't granted it yet.", given
    request_id = host.ask(frames.question(name, given, tool_use))
    host.stream({"type": "message_stop"}, turn.api_message)
    try:
        answer = yield Ask(request_id)
    except Interrupted:
        host.say({"type": "control_cancel_request", "request_id": request_id})
        raise
    host.tell_state("running")
    verdict = answer.get("response") or {}
    match answer["subtype"], verdict.get("behavior"):
        case "success", "allow":
            for update in verdict.get("updatedPermissions") or ():
                host.allowed.update(rule["toolName"] for rule in update.get("rules", ()))
            return "", verdict.get("updatedInput") or given
        case "success", _ if verdict.get("interrupt"):
            raise Interrupted
        case "success", _:
            return str(verdict.get("message") or "denied"), given
        case "error", _:
            return str(answer.get("error")), given
        case _:
            return "Tool permission stream closed before response received", given


def _before_tool(turn: Turn, name: str, given: Json, tool_use: str) -> Generator[Wait, Json, str]:
    facts = {"tool_name": name, "tool_input": given, "tool_use_id": tool_use}
    for hook, callback in turn.host.callbacks("PreToolUse", name):
        answer = yield Ask(turn.host.ask_hook(callback, "PreToolUse", facts), hook.get("timeout", 60))
        body = answer.get("response") or {}
        decision = body.get("hookSpecificOutput", {}).get("permissionDecision")
        if answer["subtype"] == "timeout" or decision == "deny" or body.get("decision") == "block":
            return "PreToolUse hook said no"
    return ""


def _run(turn: Turn, name: str, given: Json) -> Generator[Wait, Json, tuple[str, bool]]:
    """What the tool said, and whether it failed. A command gets a session of its own, so a group kill misses it."""
    if name != "Bash":
        return json.dumps(given), False
    with tempfile.TemporaryFile() as output:
        command = ["/bin/sh", "-c", str(given.get("command", ""))]
        tool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        turn.host.tool = tool
        try:
            while tool.poll() is None:
                yield POLL
        finally:
            turn.host.tool = None
            if tool.poll() is None:
                os.killpg(tool.pid, signal.SIGKILL)
                tool.wait()
        output.seek(0)
        text = output.read(30_000).decode("utf-8", "replace").rstrip("\n")
    if tool.returncode:
        return f"Exit code {tool.returncode}\n{text}", True
    return text or "(Bash completed with no output)", False


def _leave_process() -> int:
    """The pid of a process that outlives the program unless somebody kills it; it ends by itself after five minutes."""
    null = subprocess.DEVNULL
    return subprocess.Popen(["sleep", "300"], stdin=null, stdout=null, stderr=null, start_new_session=True).pid
