"""How things are broken for the tests: what is put in the place of a FIFO, what fills a disk, what fails."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.scenarios.rig import Rig

FIFOS = ("in.fifo", "out.fifo")
SET_CAPACITY, GET_CAPACITY = 1031, 1032


def link_dir(rig: Rig, name: str) -> Path:
    return rig.state_dir / "links" / name


def agent_dir(rig: Rig, name: str) -> Path:
    return rig.state_dir / "agents" / name


def agent_of(rig: Rig, name: str) -> psutil.Process:
    """The agent of an instance."""
    place = str(agent_dir(rig, name))
    return next(agent for agent in rig.agents() if place in agent.cmdline())


def kill_agent(rig: Rig, name: str) -> None:
    agent = agent_of(rig, name)
    agent.kill()
    agent.wait(10)


def put(thing: str, path: Path) -> None:
    """In the place of what is at ``path``: a symlink, a device, a file, a directory, another FIFO, or nothing."""
    path.unlink()
    if thing == "symlink":
        path.symlink_to(canary(path))
    elif thing == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif thing == "file":
        path.write_bytes(b"")
    elif thing == "directory":
        path.mkdir()
    elif thing == "another FIFO":
        os.mkfifo(path)
        path.chmod(0o640 if path.name == "in.fifo" else 0o620)


def canary(path: Path) -> Path:
    """What a symlink in the place of ``path`` names: nobody may write there."""
    target = path.parent.parent.parent.parent / f"canary-{path.parent.name}-{path.name}"
    target.touch()
    return target


def take_away(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


@contextmanager
def pipe_of(path: Path, size: int) -> Iterator[int]:
    """The FIFO's pipe has ``size`` bytes as long as anybody has it open; the fd, for both directions."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.fcntl(fd, SET_CAPACITY, size)
        assert fcntl.fcntl(fd, GET_CAPACITY) == size
        yield fd
    finally:
        os.close(fd)


def capacity(path: Path) -> int:
    """Bytes of the pipe that those have who have the FIFO open."""
    with open(os.open(path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        return fcntl.fcntl(pipe, GET_CAPACITY)


@contextmanager
def small_disk(place: Path, *options: str) -> Iterator[Path]:
    """A tmpfs at ``place``. What was there is hidden."""
    if os.geteuid() != 0:
        pytest.skip("needs to mount: run `sudo tests/run`")
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(path: Path, *, leaving: int = 0) -> None:
    """All of the disk, but ``leaving`` bytes."""
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
        file.truncate(max(file.tell() - leaving, 0))


@contextmanager
def fault_injected(pid: int, rule: str) -> Iterator[None]:
    """The system calls of a process fail as ``rule`` says, in strace's words."""
    if (strace := shutil.which("strace")) is None:
        pytest.skip("needs strace: run `sudo tests/provision`")
    command = [strace, "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"inject={rule}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr
    assert b"attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.terminate()
        try:
            tracer.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            tracer.kill()  # It waits for one thread of a process of which another was killed.
            tracer.communicate()


def peak_memory(pid: int) -> int:
    """Bytes, of its whole life."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def processor_time(pid: int) -> float:
    """Seconds."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def reason(rig: Rig, name: str) -> str:
    """Of the state that an instance is in."""
    return str(rig.row(name)["reason"])


def wait_for(rig: Rig, name: str, state: str, seconds: float = 30.0) -> None:
    rig.until(lambda: rig.row(name)["state"] == state, f"{name} {state}", seconds)


def write_all(fd: int, data: bytes, until: Callable[[], bool] = lambda: False) -> None:
    """Into a FIFO, whatever its reader's pace."""
    rest = memoryview(data)
    while rest and not until():
        try:
            rest = rest[os.write(fd, rest[:65536]) :]
        except BlockingIOError:
            time.sleep(0.001)
