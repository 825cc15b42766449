"""The real Claude Code behind a real daemon, with a scripted endpoint that knows what the model was really asked.

``Real`` is one instance, wherever it runs, so that what is expected of all of them is written once.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.messages_endpoint import Endpoint
from tests.scenarios.rig import CONFIG, Rig

CLAUDE = Path(os.environ.get("CCBRIDGE_TEST_CLAUDE", "/var/cache/ccbridge-tests/bin/claude"))
VERBOSE = CONFIG + '[daemon]\nlog_level = "debug"\n'
"""The configuration under which most is written that could give something away."""
LIMIT = 5_000_000
"""Characters of a prompt that is too long for the model, as Claude Code 2.1.329 reckons."""

Json = dict[str, Any]


def need_claude() -> None:
    if not CLAUDE.exists():
        pytest.skip("needs the real Claude Code: run `sudo tests/provision`")


def variables(url: str, key: str) -> list[str]:
    """Flags of ``add`` with which Claude Code talks to this endpoint and to nobody else."""
    values = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return [word for name, value in values.items() for word in ("--env", f"{name}={value}")]


def new_key() -> str:
    """A secret that occurs nowhere else."""
    return f"sk-test-{os.urandom(12).hex()}"


@dataclass(frozen=True, slots=True)
class Real:
    """``directory``: where its program works, as the program sees it."""

    rig: Rig
    endpoint: Endpoint
    name: str
    key: str
    directory: str

    def ask(self, prompt: str, *options: str) -> Json:
        """The result of a prompt that came through stdin; ``status`` in it is ccbridgectl's own."""
        done = self.rig.ctl("send", self.name, "-", "--json", *options, stdin=prompt.encode())
        result: Json = json.loads(done.stdout.splitlines()[-1])
        return {**result, "status": done.returncode}

    def text(self, prompt: str) -> str:
        """The answer of a prompt that succeeds, as a person sees it."""
        return self.rig.said("send", self.name, prompt)

    def begin(self, prompt: str, *options: str) -> subprocess.Popen[bytes]:
        """A ``send`` that goes on; this returns when the model has been asked."""
        before = self.times(prompt)
        client = self.rig.begin("send", self.name, prompt, *options)
        self.rig.until(lambda: self.times(prompt) > before, "the model being asked")
        return client

    def times(self, prompt: str) -> int:
        """How often the model was asked this as the newest prompt."""
        return sum(1 for request in self.endpoint.requests() if request["text"] == prompt)

    def question(self) -> Json:
        """The one permission question that waits."""
        self.rig.until(lambda: self.rig.json("approvals", self.name), "the question")
        (question,) = self.rig.json("approvals", self.name)
        found: Json = question
        return found

    def programs(self) -> list[psutil.Process]:
        """Claude Code itself, in a container or not: whoever has this instance's key."""
        found = []
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "claude" and process.environ().get("ANTHROPIC_API_KEY") == self.key:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def life(self) -> tuple[int, str, Sequence[int]]:
        """What stays the same while nothing is restarted: the agent, the session, the program."""
        row = self.rig.row(self.name)
        return row["agent"]["pid"], row["session_id"], [process.pid for process in self.programs()]


def tool(command: str) -> str:
    """A prompt on which the model uses Bash."""
    return f"[[tool Bash {json.dumps({'command': command, 'description': 'as the prompt asked for'})}]]"


def files_with(secret: str, directory: Path) -> list[str]:
    """Files below it that hold the secret, relative to it."""
    found = [path for path in directory.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return sorted(str(path.relative_to(directory)) for path in found)


def command_lines() -> str:
    """Those of all processes of this machine, in containers too."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(lines)


def left_of(rig: Rig, name: str) -> list[str]:
    """What there is of an instance in the state directory: files and FIFOs, not empty directories."""
    paths = [path for path in rig.state_dir.rglob("*") if name in str(path.relative_to(rig.state_dir))]
    return [str(path) for path in paths if not path.is_dir()]
