"""A conversation with the stand-in, as a host has it: lines out, frames in, everything with a deadline."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]

STANDIN = Path(__file__).parents[2] / "packaging" / "standin" / "claude.py"
STREAM = ("-p", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json")
ASKING = (*STREAM, "--include-partial-messages", "--permission-prompt-tool", "stdio")
WITHIN = 20.0


class Program:
    """One life of the stand-in; ``heard`` keeps every frame, the raw line where it is no JSON."""

    def __init__(self, home: Path, *arguments: str, **environ: str) -> None:
        workspace = home / "workspace"
        workspace.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(STANDIN), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=workspace,
            env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
        )
        self.heard: list[Json] = []
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.reading = threading.Event()
        self.reading.set()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
            self.reading.wait()
        self.lines.put(b"")

    def pause(self) -> None:
        """Read one more line, and then none."""
        self.reading.clear()

    def go_on(self) -> None:
        self.reading.set()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def say(self, message: Json) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def request(self, request_id: str, **request: object) -> Json:
        """Ask, and wait for the answer."""
        self.say({"type": "control_request", "request_id": request_id, "request": request})
        found = self.until(lambda frame: frame.get("response", {}).get("request_id") == request_id)
        response: Json = found["response"]
        return response

    def prompt(self, uuid: str, text: str, **rest: object) -> None:
        body = {"role": "user", "content": [{"type": "text", "text": text}]}
        self.say({"type": "user", "uuid": uuid, "client_composed": True, "message": body, **rest})

    def answer(self, frame: Json, response: Json) -> None:
        body = {"subtype": "success", "request_id": frame["request_id"], "response": response}
        self.say({"type": "control_response", "response": body})

    def hear(self) -> Json:
        """The next frame. Fails where the program has ended or says nothing for long."""
        line = self.lines.get(timeout=WITHIN)
        assert line, f"the stand-in has ended: {self.heard[-1:]}"
        try:
            frame: Json = json.loads(line)
        except ValueError:
            frame = {"type": "garbage", "line": line}
        self.heard.append(frame)
        return frame

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        while not wanted(frame := self.hear()):
            pass
        return frame

    def until_type(self, kind: str) -> Json:
        return self.until(lambda frame: frame["type"] == kind)

    def until_state(self, uuid: str, state: str) -> Json:
        return self.until(lambda frame: frame.get("command_uuid") == uuid and frame["state"] == state)

    def states(self, uuid: str) -> list[str]:
        return [frame["state"] for frame in self.heard if frame.get("command_uuid") == uuid]

    def result(self) -> Json:
        return self.until_type("result")

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def ended(self) -> int:
        """The exit status; what was said before it is in ``heard``."""
        code = self.process.wait(WITHIN)
        self.reader.join(WITHIN)
        while line := self.lines.get(timeout=WITHIN):
            self.heard.append(json.loads(line))
        self.lines.put(b"")
        return code

    def complaint(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.go_on()
        self.process.wait(WITHIN)
        self.reader.join(WITHIN)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass


Starter = Callable[..., Program]
"""``(*arguments, **environ) -> Program``"""
