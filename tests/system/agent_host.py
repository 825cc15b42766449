"""A real agent process, and a small host end that speaks the link to it over the FIFO pair.

The host keeps what a store would keep in a Disk, so it can be dropped at any moment and made again from it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ccbridged.protocol.link import Acked, Event, Link, LinkState, Message
from ccbridged.protocol.messages import Alive, Exited, FromAgent, Output, Start, Started, ToAgent, decode, encode

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds: a mere guard, so that a test that fails ends. Nothing may depend on it."""
T = TypeVar("T")


def pack(target: Path) -> Path:
    """The agent as one file, as it is carried into a container."""
    with zipfile.ZipFile(target, "w") as packed:
        for folder in ("agent", "ccbridged/protocol"):
            for source in sorted((ROOT / folder).glob("*.py")):
                packed.write(source, f"{folder}/{source.name}")
        packed.write(ROOT / "ccbridged/__init__.py", "ccbridged/__init__.py")
        packed.write(ROOT / "agent/__main__.py", "__main__.py")
    return target


def eventually(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """The first true value of ``condition``, asked again and again."""
    until = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < until, f"never came: {what}"
        time.sleep(0.005)
    return value


@dataclass
class Disk:
    """What a host's store keeps, changed only in whole transactions."""

    journal: str = "host"
    epoch: int = 0
    state: LinkState = field(default_factory=LinkState)
    held: list[tuple[int, str]] = field(default_factory=list)
    messages: list[FromAgent] = field(default_factory=list)


class Host:
    """The host's end. ``messages``: everything the agent ever said to this disk."""

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.disk.epoch += 1
        self.events: list[Event] = []
        self.link = Link(
            journal=self.disk.journal, epoch=self.disk.epoch, state=self.disk.state, held=self.disk.held, digest="host"
        )
        self._unsent = b""
        self._directory = directory
        self.out = os.open(directory / "out.fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.into = eventually(self._open_in, "a reader of in.fifo")
        self.link.connect(time.monotonic(), fcntl.fcntl(self.into, 1032) - 4096)

    @property
    def messages(self) -> list[FromAgent]:
        return self.disk.messages

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self.messages if isinstance(message, kind)]

    def lines(self) -> list[str]:
        return [message.line for message in self.of(Output)]

    def send(self, message: ToAgent) -> None:
        self.send_text(encode(message))

    def send_text(self, text: str) -> None:
        seq = self.link.send(text)
        self.disk.held.append((seq, text))
        self.disk.state = self.link.state
        self._flush()

    def until(self, condition: Callable[[], T], what: str = "", patience: float = PATIENCE) -> T:
        """Serve the link until the condition is true; its value."""
        end = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < end, f"never came: {what or condition}; last {str(self.messages[-5:])[:2000]}"
            self.serve(0.02)
        return value

    def serve(self, timeout: float) -> None:
        """One turn: hear, commit, answer."""
        readable, _, _ = select.select([self.out], [self.into] if self._unsent else [], [], timeout)
        if readable:
            try:
                chunk = os.read(self.out, 65536)
            except BlockingIOError:
                chunk = b""
            self.take(chunk)
            if not chunk:
                time.sleep(0.005)
        self.link.tick(time.monotonic())
        self._flush()

    def take(self, chunk: bytes) -> None:
        for event in self.link.hear(chunk, time.monotonic()):
            self.events.append(event)
            match event:
                case Message(seq, text):
                    message = decode(text)
                    assert message is not None
                    self.disk.messages.append(message)  # type: ignore[arg-type]
                    self.link.commit(seq)
                case Acked(seq):
                    self.disk.held = [held for held in self.disk.held if held[0] > seq]
                case _:
                    pass
        self.disk.state = self.link.state

    def close(self) -> None:
        """Gone without a word, as after a kill."""
        for fd in (self.out, self.into):
            os.close(fd)
        self.out = self.into = -1

    def _flush(self) -> None:
        try:
            while self._unsent or (more := self.link.output(time.monotonic())):
                self._unsent = self._unsent or more
                self._unsent = self._unsent[os.write(self.into, self._unsent) :]
        except (BlockingIOError, BrokenPipeError):
            pass

    def _open_in(self) -> int:
        try:
            return os.open(self._directory / "in.fifo", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
            return 0


class Rig:
    """Directories, FIFOs, and whatever is started in them."""

    def __init__(self, root: Path) -> None:
        self.link = root / "link"
        self.journal = root / "agent"
        self.link.mkdir(exist_ok=True)
        self.journal.mkdir(exist_ok=True)
        self.make_fifos()
        self.pyz = pack(root / "agent.pyz")
        self.errors = root / "stderr"
        self.agent: subprocess.Popen[bytes] | None = None
        self.host: Host | None = None

    def make_fifos(self) -> None:
        os.mkfifo(self.link / "in.fifo", 0o640)
        os.mkfifo(self.link / "out.fifo", 0o620)

    def command(self, *extra: str) -> list[str]:
        here = ["--link", str(self.link), "--journal", str(self.journal)]
        return [sys.executable, "-I", str(self.pyz), *here, "--durability", "process", *extra]

    def start(self, *extra: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start the agent; ``before`` comes before its command."""
        with self.errors.open("ab") as errors:
            command = [*before, *self.command(*extra)]
            self.agent = subprocess.Popen(command, stderr=errors, stdin=subprocess.DEVNULL)
        return self.agent

    def refused(self, *extra: str) -> tuple[int, str]:
        """Start an agent that should not come up: its exit status and stderr."""
        done = subprocess.run(self.command(*extra), stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
        return done.returncode, done.stderr.decode()

    def connect(self, disk: Disk | None = None) -> Host:
        self.host = Host(self.link, disk)
        return self.host

    def reconnect(self) -> Host:
        """The host is killed, and started again from its disk."""
        assert self.host
        self.host.close()
        return self.connect(self.host.disk)

    def kill(self) -> None:
        """kill -9 of the agent."""
        assert self.agent
        self.agent.kill()
        self.agent.wait()

    def log(self) -> str:
        return self.errors.read_text()

    def close(self) -> None:
        if self.host and self.host.out >= 0:
            self.host.close()
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(signal.SIGCONT)
            self.kill()


@contextmanager
def rig(root: Path) -> Iterator[Rig]:
    """A rig; whatever it started is gone afterwards."""
    made = Rig(root)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def connected(root: Path, *extra: str) -> Iterator[tuple[Rig, Host]]:
    """A running agent and a host that has heard its Alive."""
    with rig(root) as made:
        made.start(*extra)
        host = made.connect()
        host.until(lambda: host.of(Alive), "Alive")
        yield made, host


def start(*argv: str, life: int = 1, channel: str = "main", **fields: object) -> Start:
    """A Start with nothing special about it."""
    plain: dict[str, object] = {"cwd": "", "env": {}, "scrub": [], "farewell": ""}
    return Start(channel, life, list(argv), **{**plain, **fields})  # type: ignore[arg-type]


def shell(script: str, life: int = 1) -> Start:
    return start("/bin/sh", "-c", script, life=life)


def started(host: Host, what: Start) -> int:
    """Start it; the program's pid."""
    host.send(what)

    def found() -> int:
        return next((said.pid for said in host.of(Started) if said[:2] == (what.channel, what.life)), 0)

    return host.until(found, "Started")


def exited(host: Host, life: int = 1) -> Exited:
    """Wait for the end of a life of ``main``."""
    return host.until(lambda: next((said for said in host.of(Exited) if said.life == life), None), "Exited")  # type: ignore[return-value]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def offspring(pid: int) -> list[int]:
    """Direct children, zombies included."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
