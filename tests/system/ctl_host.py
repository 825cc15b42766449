"""The scripted daemon and the real ``ccbridgectl``, both as processes, and the words of which scripts are made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
CTL = [sys.executable, "-m", "ccbridgectl"]
PATIENCE = 15.0
Json = dict[str, object]
T = TypeVar("T")


class FakeDaemon:
    """One runtime directory, and the daemon that serves it, if it is up. A context manager."""

    def __init__(self, runtime_dir: Path) -> None:
        self.dir = runtime_dir
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FakeDaemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it can be called."""
        listen, tell = os.pipe()
        command = [sys.executable, str(ROOT / "tests/fakes/daemon.py"), str(self.dir), "--ready-fd", str(tell)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment(self.dir), pass_fds=[tell])
        os.close(tell)
        with open(listen, "rb") as pipe:
            assert pipe.readline() == b"ready\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.await_death()

    def await_death(self) -> None:
        assert self._process is not None
        self._process.wait(PATIENCE)
        self._process = None

    def calls(self) -> list[Json]:
        """What clients have asked so far, oldest first."""
        file = self.dir / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def environment(runtime_dir: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "CCBRIDGED_RUNTIME_DIR": str(runtime_dir), **more}


def ctl(
    daemon: FakeDaemon, *argv: str, stdin: bytes | None = None, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """One whole call; ``stdin`` None: nothing to read there."""
    done = subprocess.run(
        [*CTL, *argv],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        cwd=cwd,
        env=environment(daemon.dir, **(env or {})),
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def begin(daemon: FakeDaemon, *argv: str) -> subprocess.Popen[str]:
    """A call that goes on while the test does something."""
    return subprocess.Popen(
        [*CTL, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(daemon.dir),
    )


def script(*steps: object) -> str:
    """The prompt that makes the scripted daemon take these steps."""
    return json.dumps(list(steps))


def delta(text: str) -> list[object]:
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return ["output", {"message": {"type": "stream_event", "event": event, "parent_tool_use_id": None}}]


def message_start(id_: str) -> list[object]:
    return ["output", {"message": {"type": "stream_event", "event": {"type": "message_start", "message": {"id": id_}}}}]


def assistant(id_: str, text: str) -> list[object]:
    message = {"id": id_, "role": "assistant", "content": [{"type": "text", "text": text}]}
    return ["output", {"message": {"type": "assistant", "message": message}}]


def tool(id_: str, name: str, given: Json) -> list[object]:
    block = {"type": "tool_use", "id": id_, "name": name, "input": given}
    return ["output", {"message": {"type": "assistant", "message": {"id": "msg-t", "content": [block]}}}]


def result(state: str = "succeeded", text: str = "", error: str | None = None) -> list[object]:
    return ["result", {"state": state, "text": text, "error": error}]


def eventually(condition: Callable[[], T], what: str) -> T:
    """The first true value of ``condition``, asked again and again."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < until, f"never came: {what}"
        time.sleep(0.005)
    return value
