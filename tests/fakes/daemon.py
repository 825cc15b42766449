"""A scripted daemon end: the real control FIFO, documents that never change, and prompts that say what becomes of them.

    python3 tests/fakes/daemon.py RUNTIME_DIR [--ready-fd FD]

A prompt that is a JSON list is a list of steps: ``["sleep", 0.2]``, ``["die"]`` (once: the next daemon goes on),
``["wait-for", FILE]``, or ``[TYPE, BODY]``, an event. Another prompt is repeated as the answer. Events are the same
however often they are asked for, so what a client gets across a restart can be compared with what it should have got.
A name or id ``error-CODE`` is answered with that error; the name ``dies`` is the daemon's end, once. Every call is
kept, one a line, in RUNTIME_DIR/calls.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator

from ccbridged.protocol import calls
from ccbridged.protocol.calls import Call
from ccbridged.protocol.errors import BridgeError, exit_status
from ccbridged.system.control import CallArrived, ClientLeft, ControlPort
from ccbridged.system.reactor import Reactor

Json = dict[str, object]
Answer = Iterator[bytes | float]
"""Lines of an answer, and seconds to wait before the next."""

AT = 1_700_000_000.0
WEB: Json = {
    "name": "web",
    "state": "busy",
    "reason": "waiting for approval of Bash",
    "since": AT,
    "runtime": "docker",
    "container": "my-web",
    "transport": "fifo",
    "transport_reason": "the engine shares this kernel",
    "driver": "claude",
    "session_id": "f14de56f-c789-4ce0",
    "queued": 2,
    "running": "cafe0123",
    "agent": {"pid": 7, "digest": "0123456789abcdef", "current": True},
    "a-key-of-a-later-version": {"x": 1},
}
API: Json = {
    **WEB,
    "name": "api",
    "state": "ready",
    "reason": "",
    "runtime": "process",
    "session_id": "",
    "queued": 0,
    "running": None,
}
COMPONENTS: list[Json] = [
    {"name": "docker_daemon", "ok": True, "detail": "20.10", "checked_at": AT},
    {"name": "fifo_pipes", "ok": False, "detail": "web: out.fifo is gone", "checked_at": AT},
]
STATUS: Json = {
    "v": 1,
    "daemon": {
        "version": "0.1.0",
        "pid": 1,
        "uptime_s": 7300.0,
        "rss_bytes": 31457280,
        "fds": 23,
        "service": "systemd",
    },
    "instances": {"ready": 1, "busy": 1, "failed": 0},
    "health": COMPONENTS,
}
APPROVALS: list[Json] = [
    {
        "v": 1,
        "id": "41c0",
        "instance": "web",
        "request": "cafe0123",
        "tool": "Bash",
        "input": {"command": "rm -r build"},
        "asked_at": AT,
        "approve": "ccbridgectl approve 41c0",
    },
]
QUEUE: list[Json] = [
    {"id": "beef", "state": "queued", "position": 0, "created": AT, "prompt": "first\nthing"},
    {"id": "f00d", "state": "queued", "position": 1, "created": AT, "prompt": "second \x1b[2J thing"},
]
HISTORY: list[Json] = [
    {
        "id": "aaaa",
        "state": "succeeded",
        "created": AT,
        "prompt": "one\ntwo",
        "result": {"text": "three", "cost_usd": 0.0123, "duration_ms": 1500, "error": None},
    },
    {
        "id": "bbbb",
        "state": "failed",
        "created": AT,
        "prompt": "four",
        "result": {"text": "", "error": "API Error: 500"},
    },
]
RESULT: Json = {"v": 1, "id": "aaaa", "state": "succeeded", "text": "three", "cost_usd": 0.0123, "error": None}
_CONTAINER: Json = {"id": "0" * 64, "image": "x", "state": "running", "claude": "2.1", "python3": "3.11.2"}
CONTAINERS: list[Json] = [
    {**_CONTAINER, "name": "my-web", "instance": "web", "link": "web", "lacks": []},
    {**_CONTAINER, "name": "fit", "instance": None, "link": "fit-link", "lacks": []},
    {**_CONTAINER, "name": "unlucky", "instance": None, "link": "error-refused", "lacks": []},
    {
        **_CONTAINER,
        "name": "bare",
        "instance": None,
        "claude": "\x1b[2Jevil",
        "python3": "",
        "link": None,
        "lacks": [{"what": "python3", "fix": "install \x1b[31mit"}, {"what": "the link directory", "fix": "mount it"}],
    },
    {**_CONTAINER, "name": "still", "state": "exited", "instance": None, "claude": None, "python3": None, "link": None}
    | {"lacks": [{"what": "running processes", "fix": "docker start still"}]},
]
CHECKS: list[Json] = [
    {"check": "engine", "instance": "", "ok": True, "severity": "error", "detail": "version 20", "fix": ""},
    {"check": "service", "instance": "", "ok": False, "severity": "advice", "detail": "by hand", "fix": "use systemd"},
    {"check": "login", "instance": "web", "ok": False, "severity": "error", "detail": "\x1b[1mno", "fix": "log in"},
]
NAMES: dict[str, list[str]] = {"instances": ["api", "web"], "requests": ["beef", "cafe0123"], "approvals": ["41c0"]}


class Scripted:
    def __init__(self, runtime_dir: str) -> None:
        self.dir = runtime_dir

    def answer(self, line: bytes) -> Answer:
        try:
            yield from self._answer(calls.parse(line))
        except BridgeError as fault:
            yield calls.error(fault)

    def _answer(self, call: Call) -> Answer:
        self._keep(call)
        for value in (call.fields.get("name"), call.fields.get("id")):
            if isinstance(value, str) and value.startswith("error-"):
                raise BridgeError(value.removeprefix("error-"), "what \x1b[31mhappened", "what to do")
        if call.fields.get("name") == "dies":
            self._die_once("name")
        match call.verb:
            case "send":
                self._remember(call)
                yield from self._send(call)
            case "wait":
                yield from self._follow(self._recall(call.text("id")), call.count("since"))
            case "events" | "logs":
                yield from self._log(call)
            case "health":
                chosen = [c for c in COMPONENTS if call.text("component") in ("", c["name"])]
                ok = all(c["ok"] for c in chosen)
                yield from _document({"v": 1, "ok": ok, "components": chosen})
            case _:
                yield from _document(self._result(call))

    def _result(self, call: Call) -> object:
        match call.verb:
            case "status":
                image = {"image": "ccbridge/claude"} if call.text("name") == "made" else {}
                return {"v": 1, **WEB, **image} if call.text("name") else STATUS
            case "list":
                return [row for row in (API, WEB) if call.text("state") in ("", row["state"])]
            case "add" | "start" | "stop" | "restart" | "remove":
                return {"v": 1, "name": call.text("name"), "state": "ready", "reason": ""}
            case "result":
                return RESULT
            case "cancel":
                return {"v": 1, "id": call.text("id"), "state": "cancelled"}
            case "interrupt":
                return {"v": 1, "stopped": "cafe0123", "queued": ["beef", "f00d"]}
            case "approve" | "deny":
                verdict = {"approve": "allowed", "deny": "denied"}[call.verb]
                return {"v": 1, "id": call.text("id"), "instance": "web", "tool": "Bash", "verdict": verdict}
            case "discover":
                return CONTAINERS
            case "doctor":
                return {"v": 1, "ok": False, "checks": CHECKS}
            case "names":
                return NAMES[call.text("kind")]
            case "approvals":
                return APPROVALS
            case "queue":
                return QUEUE
            case "history":
                return HISTORY[-call.count("count") :]
            case _:
                return {"v": 1}

    def _send(self, call: Call) -> Answer:
        if call.flag("follow"):
            yield from self._follow(self._recall(call.text("id")), call.count("since"))
        else:
            yield _item(1, call.text("id"), "request", _queued(call.text("id")))
            yield calls.end(0)

    def _follow(self, request: Json, since: int) -> Answer:
        """The request's events after ``since``; its steps take their time however often they are followed."""
        id_, prompt = str(request["id"]), str(request["prompt"])
        steps = json.loads(prompt) if prompt.startswith("[[") else _echo(prompt)
        seq, state = 1, "succeeded"
        if since < 1:
            yield _item(1, id_, "request", _queued(id_))
        for number, step in enumerate(steps):
            match step:
                case ["sleep", seconds]:
                    yield float(seconds) if seq >= since else 0.0
                case ["wait-for", file]:
                    while not os.path.exists(file):
                        yield 0.01
                case ["die"]:
                    self._die_once(f"{id_}-{number}")
                case [kind, body]:
                    seq += 1
                    if kind == "result":
                        state = body["state"]
                        body = {"v": 1, "id": id_, "text": "", "error": None, **body}
                    if seq > since:
                        yield _item(seq, id_, kind, body)
        yield calls.end(exit_status(state))

    def _log(self, call: Call) -> Answer:
        count = 5
        first = max(call.count("since"), count - call.count("count") if call.fields.get("count") else 0)
        for seq in range(first + 1, count + 1):
            log: Json = {"source": "program", "line": f"line {seq} \x1b]0;title\x07"}
            state: Json = {"id": "beef", "state": "running"}
            yield _item(seq, "beef", "state", state) if call.verb == "events" else _item(seq, "", "log", log)
        while call.flag("follow"):
            count += 1
            yield 0.05
            if count > call.count("since"):
                yield _item(count, "beef", "state", {"id": "beef", "state": "running"})
        yield calls.end(0)

    def _die_once(self, mark: str) -> None:
        path = os.path.join(self.dir, f"died-{mark}")
        if not os.path.exists(path):
            open(path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    def _keep(self, call: Call) -> None:
        prompt = str(call.fields.get("prompt", "")).encode("utf-8", "surrogatepass")
        facts = {"prompt_bytes": len(prompt), "prompt_sha256": hashlib.sha256(prompt).hexdigest()} if prompt else {}
        given = {name: value for name, value in call.fields.items() if name != "prompt"}
        with open(os.path.join(self.dir, "calls"), "a") as file:
            file.write(json.dumps({"verb": call.verb, **given, **facts}) + "\n")

    def _remember(self, call: Call) -> None:
        with open(os.path.join(self.dir, f"request-{call.text('id')}"), "w") as file:
            json.dump({"id": call.text("id"), "prompt": call.text("prompt")}, file)

    def _recall(self, id_: str) -> Json:
        try:
            with open(os.path.join(self.dir, f"request-{id_}")) as file:
                return dict(json.load(file))
        except FileNotFoundError:
            raise BridgeError("no-such-request", f"there is no request {id_}", "see: ccbridgectl history") from None


def _document(value: object) -> Answer:
    yield calls.result(value)
    yield calls.end(0)


def _item(seq: int, request: str, kind: str, body: Json) -> bytes:
    common = {"v": 1, "seq": seq, "at": AT + seq, "instance": "web", "request": request, "type": kind}
    return calls.item(json.dumps(common | body))


def _queued(id_: str) -> Json:
    return {"id": id_, "state": "queued", "position": 0}


def _echo(prompt: str) -> list[list[object]]:
    return [["result", {"state": "succeeded", "text": f"{len(prompt)} characters: {prompt[:100]}"}]]


def serve(runtime_dir: str, ready_fd: int) -> None:
    script = Scripted(runtime_dir)
    waiting: dict[str, tuple[float, Answer]] = {}
    with Reactor() as reactor:
        port = ControlPort(runtime_dir, reactor)
        port.open()
        if ready_fd >= 0:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
        while True:
            now = time.monotonic()
            due = [at for at, _ in waiting.values()] + ([port.deadline] if port.deadline is not None else [])
            ready, _, _ = reactor.wait(min(due) - now if due else None)
            now = time.monotonic()
            happened = [found for item in ready for found in port.ready(item.owner, item.readable, item.writable, now)]
            for found in [*happened, *port.tick(now)]:
                match found:
                    case CallArrived(client, _, line):
                        waiting[client] = (now, script.answer(line))
                    case ClientLeft(client):
                        waiting.pop(client, None)
            for client, (at, answer) in list(waiting.items()):
                if at <= now:
                    _go_on(port, client, answer, waiting)


def _go_on(port: ControlPort, client: str, answer: Answer, waiting: dict[str, tuple[float, Answer]]) -> None:
    while port.room(client):
        piece = next(answer, None)
        if piece is None:
            port.finish(client)
            del waiting[client]
            return
        if isinstance(piece, float):
            waiting[client] = (time.monotonic() + piece, answer)
            return
        port.reply(client, piece)
    waiting[client] = (time.monotonic() + 0.01, answer)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else -1)
