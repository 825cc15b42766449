"""Whole processes: what a call of ccbridgectl costs against Python's own start, both in an environment from a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path

from tests.bench.figures import Row
from tests.scenarios.rig import running

ROOT = Path(__file__).parents[2]
_ROUNDS = 150
_LONG_QUEUE = "[session]\nmax_queue = 1000\n"


def rows(directory: str) -> list[Row]:
    tools = install(directory)
    python = (f"{tools}/python3", "-I", "-c", "pass")
    ctl = f"{tools}/ccbridgectl"
    found = []
    with running(_LONG_QUEUE) as rig:
        rig.add("web")
        rig.said("send", "web", "[[hang]]", "--no-wait")
        env = {**os.environ, "CCBRIDGED_RUNTIME_DIR": str(rig.runtime_dir)}
        for what, argv in (
            ("ccbridgectl status", ["status"]),
            ("ccbridgectl send --no-wait, queued durably", ["send", "web", "hello", "--no-wait"]),
        ):
            ours, theirs = race([ctl, *argv], python, env)
            found.append(
                Row(what, "python3 -I -c pass", ours, theirs, "<= 1.5 x" if argv == ["status"] else "<= 1.8 x")
            )
    with instant_daemon(directory) as env:
        ours, theirs = race([ctl, "send", "web", "hello"], python, env)
        found.append(Row("ccbridgectl send, answered at once", "python3 -I -c pass", ours, theirs, "<= 1.8 x"))
    return found


def install(directory: str) -> str:
    """The bin of a fresh virtual environment. Only the client is called there, and it needs no dependency."""
    bin_ = os.path.join(directory, "venv", "bin")
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
        [sys.executable, "-m", "venv", os.path.join(directory, "venv")],
    ):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    pip = [f"{bin_}/python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", *glob(f"{directory}/*.whl")]
    subprocess.run(pip, check=True, capture_output=True)
    return bin_


@contextmanager
def instant_daemon(directory: str) -> Iterator[dict[str, str]]:
    """The tests' scripted daemon, which answers a prompt at once; the environment of its clients."""
    runtime = os.path.join(directory, "instant")
    ready, tell = os.pipe()
    command = [sys.executable, "-m", "tests.fakes.daemon", runtime, "--ready-fd", str(tell)]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[tell]) as daemon:
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)
        yield {**os.environ, "CCBRIDGED_RUNTIME_DIR": runtime}
        daemon.terminate()


def race(ours: Sequence[str], theirs: Sequence[str], env: dict[str, str]) -> tuple[list[float], list[float]]:
    """In turns; the first pair, which warms caches, does not count."""
    pairs = [(spawn(ours, env), spawn(theirs, env)) for _ in range(_ROUNDS + 1)]
    return [pair[0] for pair in pairs[1:]], [pair[1] for pair in pairs[1:]]


def spawn(command: Sequence[str], env: dict[str, str]) -> float:
    """Seconds from spawn to exit."""
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    begun = time.perf_counter()
    pid = os.posix_spawnp(command[0], list(command), env, file_actions=nowhere)
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - begun
    assert status == 0, command
    return seconds
