"""A scripted Anthropic Messages endpoint on loopback that the real Claude Code talks to.

What it answers is in `messages_script`. Each request is logged before it is answered, so that the log
counts how often a prompt reached the model even if Claude Code was killed meanwhile. Mind its retries:
2.1.329 sends a prompt that is refused with 400 several times, with fewer features each time, and one
refused with 401, 429 or 5xx up to 1 + CLAUDE_CODE_MAX_RETRIES times.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

# Imported from its package by tests; a plain script, with no package, when it is run.
if TYPE_CHECKING or __package__:
    from .messages_script import Conversation, Json, Plan, events, make_plan, read_conversation, whole
else:
    from messages_script import Conversation, Json, Plan, events, make_plan, read_conversation, whole

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
LOGGED_CHARACTERS = 4096


class Endpoint:
    """The server with its log. `log`: a JSONL file that every request is appended to."""

    def __init__(self, host: str, port: int, log: Path | None) -> None:
        self._log = log.open("a", encoding="utf-8") if log else None
        self._requests: list[Json] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self.server = _Server((host, port), _Handler)
        self.server.endpoint = self
        self.port: int = self.server.server_address[1]
        self.url = f"http://{host}:{self.port}"

    def requests(self) -> list[Json]:
        with self._lock:
            return list(self._requests)

    def record(self, conversation: Conversation, facts: Json) -> tuple[int, int]:
        """Log a request; returns its number from 1 on, and how many before it had the same prompt."""
        texts = [text[:LOGGED_CHARACTERS] for text in conversation.texts]
        text = conversation.prompt[:LOGGED_CHARACTERS]
        entry = {"time": time.time(), "text": text, "texts": texts, "folded": conversation.folded}
        entry |= {"tool_results": len(conversation.results), **facts}
        with self._lock:
            earlier = sum(1 for request in self._requests if request["text"] == text)
            self._requests.append(entry)
            if self._log is not None:
                self._log.write(json.dumps(entry) + "\n")
                self._log.flush()
            return len(self._requests), earlier

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        if self._log is not None:
            self._log.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    endpoint: Endpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is an everyday event here: clients are killed on purpose."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _endpoint(self) -> Endpoint:
        return cast("_Server", self.server).endpoint

    def log_message(self, format: str, *args: object) -> None:
        """The request log is enough."""

    def do_HEAD(self) -> None:
        self._answer(200, {})

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/":
                self._answer(200, {"ok": True})
            case "/log":
                requests = self._endpoint.requests()
                self._answer(200, {"count": len(requests), "requests": requests})
            case _:
                self._fail(404, f"no such path: {self.path}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            match urlsplit(self.path).path:
                case "/v1/messages":
                    self._message(json.loads(body))
                case "/v1/messages/count_tokens":
                    self._answer(200, {"input_tokens": max(1, len(body) // 4)})
                case _:
                    self._fail(404, f"no such path: {self.path}")
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            self._fail(400, f"cannot read this request: {fault!r}")

    def _message(self, body: Json) -> None:
        conversation = read_conversation(body["messages"])
        facts = {
            "messages": len(body["messages"]),
            "stream": bool(body.get("stream")),
            "retry": int(self.headers.get("x-stainless-retry-count", 0)),
            "session": self.headers.get("x-claude-code-session-id"),
        }
        number, earlier = self._endpoint.record(conversation, facts)
        plan = make_plan(conversation, earlier)
        model = str(body.get("model", "scripted"))
        streams = bool(body.get("stream"))
        if not self._pause(plan.wait) or (plan.drop and not streams):
            self.close_connection = True
        elif plan.error is not None:
            self._fail(plan.error, "as the prompt asked for", _limits(plan))
        elif streams:
            self._stream(events(plan, number, model), plan)
        else:
            self._answer(200, whole(plan, number, model))

    def _stream(self, stream: Iterator[tuple[float, Json]], plan: Plan) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for pause, event in stream:
            if not self._pause(pause):
                self.close_connection = True
                return
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        if plan.drop:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _pause(self, seconds: float) -> bool:
        """False: the client hung up, or the endpoint closes, before the time was over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._endpoint.closing.wait(min(left, 0.1)):
                return False
            with contextlib.suppress(BlockingIOError):
                if self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                    return False
        return True

    def _answer(self, status: int, body: Json, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _fail(self, status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        kind = ERROR_TYPES.get(status, "api_error")
        self._answer(status, {"type": "error", "error": {"type": kind, "message": message}}, headers)


def _limits(plan: Plan) -> dict[str, str]:
    """What the API says of limits besides an error."""
    headers = {"retry-after": f"{plan.after:.0f}"} if plan.after else {}
    if plan.limit:
        facts = {"status": "rejected", "reset": f"{time.time() + plan.limit:.0f}", "representative-claim": "five_hour"}
        headers |= {f"anthropic-ratelimit-unified-{name}": value for name, value in facts.items()}
    return headers


@contextlib.contextmanager
def serve(port: int = 0, log: Path | None = None, host: str = "127.0.0.1") -> Iterator[Endpoint]:
    endpoint = Endpoint(host, port, log)
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="a scripted Messages endpoint; ends on TERM or INT")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--log", type=Path, help="append every request to this JSONL file")
    parser.add_argument("--port-file", type=Path, help="write the port here once it listens")
    parser.add_argument("--ready-fd", type=int, help="write the port and a newline here once it listens")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with serve(options.port, options.log, options.host) as endpoint:
        if options.port_file is not None:
            partial = options.port_file.with_name(options.port_file.name + ".part")
            partial.write_text(f"{endpoint.port}\n")
            partial.replace(options.port_file)
        if options.ready_fd is not None:
            os.write(options.ready_fd, f"{endpoint.port}\n".encode())
            os.close(options.ready_fd)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
