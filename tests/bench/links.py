"""Durable round trips against what they are made of: bare FIFOs on this host, one ``docker exec`` in a container."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from tests.bench.figures import Row
from tests.bench.pingpong import PingPong
from tests.bench.trips import Host, Site

LINE = '{"type":"user","message":{"role":"user","content":"hello"},"uuid":"0123456789abcdef0123456789abcdef"}'
"""What a short prompt is on Claude's stdin."""
AIMS = {"process": "<= 4 x", "power": "<= 9 x"}
_ROUNDS, _TRIPS = 20, 100
_EXECS = 25


def rows() -> list[Row]:
    return [_bare(), *(_on_this_host(durability) for durability in AIMS)]


def container_rows(image: str) -> list[Row]:
    return [_in_a_container(durability, image) for durability in AIMS]


def _bare() -> Row:
    line = LINE.encode() + b"\n"
    with _directory() as one, _directory() as other, PingPong(one) as near, PingPong(other) as far:
        with _placed(near.pid, same=True):
            on_one = [near.trip(line) for _ in range(_ROUNDS * _TRIPS)]
        with _placed(far.pid, same=False):
            on_two = [far.trip(line) for _ in range(_ROUNDS * _TRIPS)]
    return Row("bare FIFO ping-pong, two CPUs", "the same on one CPU", on_two, on_one, "-")


def _on_this_host(durability: str) -> Row:
    line = LINE.encode() + b"\n"
    with _directory() as ours, _directory() as theirs, Host(Site(ours, durability)) as host, PingPong(theirs) as bare:
        agent = psutil.Process(int(str(host.facts["pid"])))
        pids = [process.pid for process in (agent, *agent.children(recursive=True))]
        with _placed(bare.pid, *pids, same=False):
            samples = _in_turns(lambda: host.trip(LINE), lambda: bare.trip(line), _ROUNDS, _TRIPS, _TRIPS)
    return Row(f"durable round trip, {durability}", "bare FIFO ping-pong, two CPUs", *samples, AIMS[durability])


@contextmanager
def _placed(*pids: int, same: bool) -> Iterator[None]:
    """This process on one CPU, the others on that or another: where a scheduler puts two processes is worth a factor
    of four to the bare pair, and it differs from minute to minute."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < 2:
        yield
        return
    for pid in pids:
        os.sched_setaffinity(pid, {cpus[0] if same else cpus[1]})
    os.sched_setaffinity(0, {cpus[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def _in_a_container(durability: str, image: str) -> Row:
    with _directory() as directory, Host(Site(directory, durability, image)) as host:
        container = str(host.facts["container_id"])
        samples = _in_turns(lambda: host.trip(LINE), lambda: _execute(container), _EXECS, 80, 1)
    what = f"the same into a container, {durability}"
    return Row(what, "docker exec ... true", *samples, ">= 150 x faster", inverse=True)


def _in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int, each: int, others: int
) -> tuple[list[float], list[float]]:
    """In blocks that follow each other; what comes first in a block, after a pause, is not counted."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for samples, trip, count in ((found[0], ours, each), (found[1], theirs, others)):
            if count > 1:
                trip()
            samples += (trip() for _ in range(count))
    return found


def _execute(container: str) -> float:
    begun = time.perf_counter()
    subprocess.run(["docker", "exec", container, "true"], stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ccb-", dir=os.environ.get("TMPDIR"))
