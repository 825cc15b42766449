"""A real daemon with real agents and a scripted program, each in processes of its own, and the real client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
STANDIN = ROOT / "packaging" / "standin" / "claude.py"
PATIENCE = 30.0

CONFIG = """
[health]
recovery_delay = 0.05
"""


class Rig:
    """``directory``: everything is below it. ``config``: TOML text."""

    def __init__(self, directory: Path, config: str = CONFIG) -> None:
        self.directory = directory
        self.runtime_dir = directory / "run"
        self.state_dir = directory / "state"
        self.log = directory / "log"
        self.record = directory / "record"
        self.config = directory / "ccbridged.toml"
        self.config.write_text(config)
        self.daemon: subprocess.Popen[bytes] | None = None
        self._clients: list[subprocess.Popen[bytes]] = []

    def start(self, *, wrapper: Sequence[str] = ()) -> None:
        """Returns when it serves. ``wrapper``: such as strace and its options."""
        places = ["--runtime-dir", str(self.runtime_dir), "--state-dir", str(self.state_dir)]
        command = [sys.executable, "-m", "ccbridged", "--foreground", "--config", str(self.config), *places]
        with open(self.log, "ab") as log:
            log.write(b"-- start\n")
            log.flush()
            self.daemon = subprocess.Popen([*wrapper, *command], stderr=log, stdout=log, cwd=ROOT)
        self.until(lambda: "serving" in self.log.read_text().rpartition("-- start")[2], "the daemon's start")

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.daemon
        self.daemon.send_signal(number)
        return self.daemon.wait(PATIENCE)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CCBRIDGED_RUNTIME_DIR": str(self.runtime_dir), "PYTHONPATH": str(ROOT)}

    def begin(self, *argv: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """A ccbridgectl that goes on by itself."""
        command = [sys.executable, "-m", "ccbridgectl", *argv]
        pipe = subprocess.PIPE
        client = subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, env=self.environment(), cwd=ROOT)
        self._clients.append(client)
        return client

    def ctl(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A ccbridgectl from its start to its end, whatever that is."""
        client = self.begin(*argv, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL)
        out, err = client.communicate(stdin or None, PATIENCE)
        return subprocess.CompletedProcess(argv, client.returncode, out, err)

    def said(self, *argv: str) -> str:
        """What a ccbridgectl that ends well prints."""
        done = self.ctl(*argv)
        assert done.returncode == 0, (argv, done)
        return done.stdout.decode()

    def json(self, *argv: str) -> Any:
        return json.loads(self.said(*argv, "--json"))

    def add(self, name: str, *args: str, env: Sequence[str] = ()) -> None:
        """An instance with the scripted program, which records what it runs."""
        variables = [word for one in (f"CCBRIDGE_STANDIN_RECORD={self.record}", *env) for word in ("--env", one)]
        program = ["--program", sys.executable, str(STANDIN)]
        self.said("add", name, "--process", "--workdir", str(self.directory), *variables, *args, *program)

    def ran(self) -> list[str]:
        """The prompts that a program really ran, in order."""
        if not self.record.exists():
            return []
        return [json.loads(line)["prompt"] for line in self.record.read_text().splitlines()]

    def row(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("status", name)
        return found

    def agents(self) -> list[psutil.Process]:
        """The agents of this rig, whoever started them, and not the reapers that they forked."""
        mine = str(self.state_dir)
        found = {}
        for process in psutil.process_iter(["cmdline", "ppid"]):
            command = process.info["cmdline"] or []
            if len(command) > 3 and command[1] == "-I" and mine in command[2]:
                found[process.pid] = process
        return [process for process in found.values() if process.info["ppid"] not in found]

    def programs(self) -> list[psutil.Process]:
        """The scripted programs below those agents."""
        return [
            child
            for agent in self.agents()
            for child in agent.children(recursive=True)
            if any("claude.py" in word for word in child.cmdline())
        ]

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}; the log:\n{self.log.read_text()[-3000:]}"
            assert self.daemon is None or self.daemon.poll() is None, f"the daemon ended:\n{self.log.read_text()}"
            time.sleep(0.01)

    def rest(self, seconds: float = 1.0, within: float = PATIENCE) -> None:
        """Until no thread of the daemon has run for so long: what began by itself is over."""
        assert self.daemon
        seen, since = self._switches(), time.monotonic()
        deadline = since + within
        while time.monotonic() < since + seconds:
            assert time.monotonic() < deadline, f"the daemon is never at rest; the log:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)
            if seen != (now := self._switches()):
                seen, since = now, time.monotonic()

    def _switches(self) -> list[str]:
        """Of every thread of the daemon: how often it went to sleep, and how often it was interrupted."""
        assert self.daemon
        tasks = Path(f"/proc/{self.daemon.pid}/task").glob("*/status")
        return [line for task in tasks for line in task.read_text().splitlines() if "ctxt_switches" in line]

    def close(self) -> None:
        """Nothing of it is left running."""
        for client in self._clients:
            if client.poll() is None:
                client.kill()
            client.communicate()
        if self.daemon is not None and self.daemon.poll() is None:
            self.kill()
        for agent in self.agents():
            agent.kill()
            while agent.is_running() and agent.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.005)


@contextmanager
def running(config: str = CONFIG) -> Iterator[Rig]:
    """A rig whose daemon serves. Its directory has a short name: FIFOs and sockets have limits."""
    directory = Path(tempfile.mkdtemp(prefix="ccb-"))
    rig = Rig(directory, config)
    try:
        rig.start()
        yield rig
    finally:
        rig.close()
        shutil.rmtree(directory)
