#!/usr/bin/env python3
"""Records what a real Claude Code says: `record.py PATH/TO/claude [CASE ...]`.

Each case is one life of the program against the scripted endpoint, written to VERSION/CASE/stdin.jsonl and
stdout.jsonl beside this file. Lines are kept as they came but for two things: the machine's own
directories are renamed, and the long lists in the answer to `initialize` are left out.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HERE = Path(__file__).parent
ENDPOINT = HERE.parent / "fakes" / "messages_endpoint.py"
TIMEOUT = 30.0
LONGEST_FIELD = 300
ARGUMENTS = (
    *("-p", "--verbose", "--include-partial-messages", "--permission-prompt-tool", "stdio"),
    *("--input-format", "stream-json", "--output-format", "stream-json"),
)
TOUCH = '[[tool Bash {"command": "touch made-by-a-tool", "description": "Make a file"}]]'


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt, and how the host answers what Claude Code asks it on the way."""

    prompt: str
    arguments: tuple[str, ...] = ()
    hook: Json = field(default_factory=dict)
    permission: Json = field(default_factory=dict)
    interrupt_at: str = "nothing"


CASES = {
    "plain-turn": Case("[[words]] one two"),
    "tool-allowed": Case(TOUCH, permission={"behavior": "allow"}),
    "tool-denied": Case(TOUCH, permission={"behavior": "deny", "message": "not today"}),
    "api-error": Case("[[error 529]]"),
    "rate-limited": Case("[[error 429 1]]"),
    "interrupt": Case("[[delta 1000 4 20]]", interrupt_at="stream_event"),
    "blocked-by-hook": Case("never", hook={"decision": "block", "reason": "not authorised"}),
    "no-conversation": Case("never", arguments=("--resume=00000000-0000-4000-8000-000000000000",)),
}


class Host:
    """The host's side of one case: a message from Claude Code in, the lines to send out."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._interrupted = False

    def opening(self) -> list[Json]:
        hook = {"hookCallbackIds": ["start"], "timeout": 60, "onFailure": "block"}
        return [_request("initialize-1", {"subtype": "initialize", "hooks": {"UserPromptSubmit": [hook]}})]

    def hear(self, message: Json) -> list[Json]:
        case = self._case
        if message["type"] == case.interrupt_at and not self._interrupted:
            self._interrupted = True
            return [_request("interrupt-1", {"subtype": "interrupt"})]
        match message:
            case {"type": "control_response", "response": {"request_id": "initialize-1"}}:
                content = [{"type": "text", "text": case.prompt}]
                user = {"type": "user", "uuid": "prompt-1", "client_composed": True}
                return [user | {"message": {"role": "user", "content": content}}]
            case {"type": "control_request", "request_id": asked, "request": {"subtype": "hook_callback"}}:
                return [_response(asked, case.hook)]
            case {"type": "control_request", "request_id": asked, "request": {"subtype": "can_use_tool"}}:
                return [_response(asked, case.permission)]
            case {"type": "command_lifecycle", "state": "completed" | "cancelled"}:
                return [_request("end-1", {"subtype": "end_session"})]
            case _:
                return []


def _request(name: str, request: Json) -> Json:
    return {"type": "control_request", "request_id": name, "request": request}


def _response(asked: str, response: Json) -> Json:
    body = {"subtype": "success", "request_id": asked, "response": response}
    return {"type": "control_response", "response": body}


def record(claude: Path, case: Case, url: str) -> tuple[list[str], list[str]]:
    """The lines of stdin and of stdout. RuntimeError: it had to be killed."""
    with tempfile.TemporaryDirectory(prefix="transcript-") as scratch:
        home, workspace = Path(scratch, "home"), Path(scratch, "workspace")
        home.mkdir()
        workspace.mkdir()
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_BASE_URL": url}
        environment |= {"ANTHROPIC_API_KEY": "dummy", "DISABLE_AUTOUPDATER": "1"}
        environment |= {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "1"}
        with subprocess.Popen(
            [claude, *ARGUMENTS, *case.arguments],
            cwd=workspace,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            timer = threading.Timer(TIMEOUT, process.kill)
            timer.start()
            said, heard = _converse(process, Host(case))
            timer.cancel()
        if process.returncode == -signal.SIGKILL:
            raise RuntimeError(f"still running after {TIMEOUT:.0f} s; its last line: {heard[-1:]}")
        places = {str(workspace): "/workspace", str(home): "/home/claude"}
        places |= {path.replace("/", "-"): new.replace("/", "-") for path, new in places.items()}
        return [_rename(line, places) for line in said], [_rename(_shorten(line), places) for line in heard]


def _converse(process: subprocess.Popen[str], host: Host) -> tuple[list[str], list[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    said: list[str] = []
    heard: list[str] = []

    def say(messages: list[Json]) -> None:
        for message in messages:
            said.append(json.dumps(message))
            with contextlib.suppress(BrokenPipeError):
                print(said[-1], file=process.stdin, flush=True)

    say(host.opening())
    for line in process.stdout:
        heard.append(line.rstrip("\n"))
        say(host.hear(json.loads(line)))
    return said, heard


def _shorten(line: str) -> str:
    message = json.loads(line)
    answer = message.get("response", {})
    if answer.get("request_id") != "initialize-1":
        return line
    kept = {key: value for key, value in answer["response"].items() if len(json.dumps(value)) <= LONGEST_FIELD}
    answer["response"] = kept
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _rename(line: str, places: dict[str, str]) -> str:
    for path, name in places.items():
        line = line.replace(path, name)
    return line


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """The scripted endpoint's URL, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as scratch:
        ready = Path(scratch, "port")
        server = subprocess.Popen([sys.executable, ENDPOINT, "--port-file", ready])
        try:
            until = time.monotonic() + TIMEOUT
            while not ready.exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{ENDPOINT} does not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{ready.read_text().strip()}"
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    claude, *names = sys.argv[1:]
    answer = subprocess.run([claude, "--version"], check=True, capture_output=True, text=True).stdout
    version = answer.split()[0]
    with endpoint() as url:
        for name in names or CASES:
            said, heard = record(Path(claude), CASES[name], url)
            folder = HERE / version / name
            folder.mkdir(parents=True, exist_ok=True)
            for stream, lines in (("stdin", said), ("stdout", heard)):
                text = "".join(f"{line}\n" for line in lines)
                (folder / f"{stream}.jsonl").write_text(text, encoding="utf-8")
            print(f"{version}/{name}: {len(said)} lines in, {len(heard)} lines out", file=sys.stderr)


if __name__ == "__main__":
    main()
