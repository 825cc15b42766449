"""A FIFO pair as a stream, with agents that come, go, die, dawdle and are not what they seem."""

from __future__ import annotations

import fcntl
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccbridged.protocol.errors import BridgeError
from ccbridged.system.reactor import Reactor
from ccbridged.system.transports import (
    NamedPipeChannel,
    Stream,
    StreamBytes,
    StreamClosed,
    StreamEvent,
    StreamOpened,
    remove_link_directory,
)
from tests.system.processes import Child, countdown, nobody

WINDOW = 65536 - 4096
GONE = StreamClosed("the agent went away")
_SET_CAPACITY = 1031


class Host:
    """What the daemon does with a stream, no more: its loop, and a list of what it was told."""

    def __init__(self, directory: Path, reactor: Reactor) -> None:
        self.reactor = reactor
        self.channel: Stream = NamedPipeChannel("web", str(directory), reactor, in_mode=0o640, out_mode=0o620, gid=-1)
        self.events: list[StreamEvent] = []
        self.turns = 0

    def open(self) -> None:
        self.events += self.channel.open()

    def write(self, data: bytes) -> None:
        self.events += self.channel.write(data)

    def turn(self, timeout: float) -> None:
        for owner, readable, writable in self.reactor.wait(timeout)[0]:
            assert owner is self.channel
            self.turns += 1
            self.events += self.channel.ready(readable, writable)

    def until(self, condition: Callable[[], object]) -> None:
        for left in countdown():
            if condition():
                return
            self.turn(min(left, 0.02))

    def settle(self) -> list[StreamEvent]:
        """All that was told up to the first quiet moment; the record is empty afterwards."""
        before = -1
        while before != self.turns:
            before = self.turns
            self.turn(0.01)
        told, self.events = self.events, []
        return told

    @property
    def heard(self) -> bytes:
        return b"".join(event.chunk for event in self.events if isinstance(event, StreamBytes))


class Agent:
    """The agent's two ends, opened in this process: a FIFO does not care whose they are."""

    def __init__(self, directory: Path) -> None:
        self.reads = os.open(directory / "in.fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.writes = os.open(directory / "out.fifo", os.O_WRONLY | os.O_NONBLOCK)

    def say(self, data: bytes) -> None:
        os.write(self.writes, data)

    def hear(self, limit: int = 1 << 20) -> bytes:
        try:
            return os.read(self.reads, limit)
        except BlockingIOError:
            return b""

    def stop_reading(self) -> None:
        os.close(self.reads)
        self.reads = -1

    def stop_writing(self) -> None:
        os.close(self.writes)
        self.writes = -1

    def leave(self) -> None:
        for fd in (self.reads, self.writes):
            if fd >= 0:
                os.close(fd)
        self.reads = self.writes = -1


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "links" / "web"


@pytest.fixture
def host(link: Path, reactor: Reactor) -> Iterator[Host]:
    host = Host(link, reactor)
    host.open()
    yield host
    host.channel.close()


@pytest.fixture
def agents(link: Path) -> Iterator[Callable[[], Agent]]:
    born: list[Agent] = []

    def arrive() -> Agent:
        born.append(Agent(link))
        return born[-1]

    yield arrive
    for agent in born:
        agent.leave()


@pytest.fixture
def greeted(host: Host, agents: Callable[[], Agent]) -> Agent:
    """An agent with which the stream is open."""
    agent = agents()
    agent.say(b"\n")
    assert host.settle() == [StreamOpened(WINDOW), StreamBytes(b"\n")]
    return agent


def test_the_fifos_have_their_modes_and_a_directory_that_others_can_only_pass(host: Host, link: Path) -> None:
    modes = {name: stat.S_IMODE((link / name).lstat().st_mode) for name in sorted(os.listdir(link))}
    assert modes == {"in.fifo": 0o640, "out.fifo": 0o620}
    assert stat.S_IMODE(link.stat().st_mode) == 0o755
    assert host.events == []


def test_an_agent_that_is_there_already_is_found_at_once(
    host: Host, link: Path, reactor: Reactor, agents: Callable[[], Agent]
) -> None:
    agent = agents()
    host.channel.close()
    again = Host(link, reactor)
    again.open()
    assert again.events == [StreamOpened(WINDOW)]
    again.open()
    assert again.events == [StreamOpened(WINDOW)]
    again.write(b"hello\n")
    assert agent.hear() == b"hello\n"
    again.channel.close()


def test_an_agent_that_comes_later_is_found_by_its_first_bytes(host: Host, agents: Callable[[], Agent]) -> None:
    agent = agents()
    assert host.settle() == []
    agent.say(b"\nhello\n")
    assert host.settle() == [StreamOpened(WINDOW), StreamBytes(b"\nhello\n")]
    agent.say(b"more\n")
    assert host.settle() == [StreamBytes(b"more\n")]


def test_bytes_of_one_who_does_not_listen_are_dropped(host: Host, agents: Callable[[], Agent]) -> None:
    agent = agents()
    agent.stop_reading()
    agent.say(b"from the grave")
    agent.leave()
    assert host.settle() == []
    assert host.channel.listening


def test_last_words_come_before_the_end_and_the_end_once(host: Host, greeted: Agent) -> None:
    greeted.say(b"last words")
    greeted.leave()
    assert host.settle() == [StreamBytes(b"last words"), GONE]
    assert not host.channel.drained


def test_after_an_end_nothing_spins(host: Host, greeted: Agent) -> None:
    greeted.leave()
    assert host.settle() == [GONE]
    turns = host.turns
    host.turn(0.2)
    assert host.turns == turns


def test_the_next_agent_is_a_new_stream(host: Host, greeted: Agent, agents: Callable[[], Agent]) -> None:
    for _ in range(3):
        greeted.leave()
        assert host.settle() == [GONE]
        greeted = agents()
        greeted.say(b"\nagain")
        assert host.settle() == [StreamOpened(WINDOW), StreamBytes(b"\nagain")]


def test_an_agent_that_only_stops_reading_has_gone(host: Host, greeted: Agent) -> None:
    greeted.say(b"last words")
    greeted.stop_reading()
    assert host.settle() == [StreamBytes(b"last words"), GONE]
    turns = host.turns
    host.turn(0.1)
    assert host.turns == turns


def test_an_agent_that_only_stops_writing_has_gone(host: Host, greeted: Agent) -> None:
    greeted.stop_writing()
    assert host.settle() == [GONE]


def test_a_write_to_the_dead_is_the_end_and_no_error(host: Host, greeted: Agent) -> None:
    greeted.say(b"last words")
    greeted.leave()
    host.write(b"hello?")
    assert host.settle() == [StreamBytes(b"last words"), GONE]
    host.write(b"anybody?")
    assert host.settle() == []


def test_a_kill_in_the_middle_of_a_large_write_is_an_end(host: Host, link: Path) -> None:
    def agent() -> bytes:
        reads = os.open(link / "in.fifo", os.O_RDONLY | os.O_NONBLOCK)
        writes = os.open(link / "out.fifo", os.O_WRONLY)
        os.write(writes, b"\n" + bytes(1 << 22))
        return str(reads).encode()

    with Child(agent) as child:
        host.until(lambda: len(host.heard) > 100_000)
        child.kill()
        host.until(lambda: host.events[-1] == GONE)
        assert host.events[0] == StreamOpened(WINDOW)
        assert host.events.count(GONE) == 1


def test_both_ends_closed_leave_nothing_of_the_past(
    host: Host, link: Path, reactor: Reactor, agents: Callable[[], Agent]
) -> None:
    agent = agents()
    agent.say(b"\nold")
    host.until(lambda: host.heard)
    host.write(b"unread")
    agent.leave()
    host.channel.close()
    again = Host(link, reactor)
    again.open()
    assert again.settle() == []
    young = agents()
    young.say(b"\nnew")
    assert again.settle() == [StreamOpened(WINDOW), StreamBytes(b"\nnew")]
    assert young.hear() == b""
    again.channel.close()


def test_what_does_not_fit_is_kept_and_arrives_whole(host: Host, greeted: Agent) -> None:
    data = os.urandom(300_000)
    assert host.channel.drained
    host.write(data)
    assert not host.channel.drained
    got = b""
    for _ in countdown():
        got += greeted.hear(10_000)
        host.turn(0)
        if len(got) == len(data):
            break
    assert got == data
    assert host.channel.drained
    assert host.settle() == []


def test_a_pipe_of_8_kib_has_a_window_of_half_and_carries_everything(
    host: Host, link: Path, agents: Callable[[], Agent]
) -> None:
    agent = agents()
    fcntl.fcntl(agent.reads, _SET_CAPACITY, 8192)
    fcntl.fcntl(agent.writes, _SET_CAPACITY, 8192)
    agent.say(b"\n")
    assert host.settle() == [StreamOpened(4096), StreamBytes(b"\n")]
    data = os.urandom(50_000)
    host.write(data)
    got = b""
    for _ in countdown():
        got += agent.hear()
        host.turn(0)
        if len(got) == len(data):
            break
    assert got == data


def test_an_agent_that_reads_a_byte_at_a_time_costs_no_spin(host: Host, greeted: Agent) -> None:
    host.write(bytes(100_000))
    host.settle()
    turns = host.turns
    for _ in range(100):
        assert greeted.hear(1) == b"\0"
        host.turn(0)
    assert host.turns == turns
    host.turn(0.1)
    assert host.turns == turns


def test_an_agent_that_writes_a_byte_at_a_time_is_heard_byte_by_byte(host: Host, greeted: Agent) -> None:
    for byte in b"slowly\n":
        greeted.say(bytes([byte]))
        assert host.settle() == [StreamBytes(bytes([byte]))]


def test_a_noisy_agent_leaves_time_for_others(host: Host, greeted: Agent) -> None:
    fcntl.fcntl(greeted.writes, _SET_CAPACITY, 1 << 20)
    greeted.say(bytes(1 << 20))
    host.turn(1)
    assert len(host.heard) == 256 * 1024
    host.settle()


def test_a_second_reader_that_steals_bytes_does_no_other_harm(host: Host, link: Path, greeted: Agent) -> None:
    thief = os.open(link / "out.fifo", os.O_RDONLY | os.O_NONBLOCK)
    greeted.say(b"secret")
    assert os.read(thief, 100) == b"secret"
    host.events += host.channel.ready(readable=True, writable=True)
    assert host.settle() == []
    greeted.say(b"public")
    assert host.settle() == [StreamBytes(b"public")]
    os.close(thief)


def test_being_called_for_nothing_is_harmless(host: Host, link: Path, reactor: Reactor) -> None:
    for _ in range(3):
        assert host.channel.ready(readable=True, writable=True) == []
    assert host.channel.listening
    closed = NamedPipeChannel("web", str(link), reactor, in_mode=0o640, out_mode=0o620, gid=-1)
    assert closed.ready(readable=True, writable=True) == []
    closed.pause()
    closed.resume()
    closed.close()


def test_a_paused_stream_is_not_read_does_not_spin_and_loses_nothing(host: Host, greeted: Agent) -> None:
    host.channel.pause()
    greeted.say(b"wait for me")
    assert host.settle() == []
    turns = host.turns
    host.turn(0.1)
    assert host.turns == turns
    host.write(b"still writing")
    assert greeted.hear() == b"still writing"
    host.channel.resume()
    assert host.settle() == [StreamBytes(b"wait for me")]


def test_a_death_is_noticed_while_paused(host: Host, greeted: Agent) -> None:
    host.channel.pause()
    greeted.say(b"not to be kept now")
    greeted.leave()
    assert host.settle() == [GONE]
    turns = host.turns
    host.turn(0.1)
    assert host.turns == turns
    host.channel.resume()
    assert host.settle() == []


def test_out_of_fds_at_the_reopen_is_said_and_can_be_tried_again(
    host: Host, greeted: Agent, agents: Callable[[], Agent]
) -> None:
    greeted.leave()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        (closed,) = host.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(closed, StreamClosed)
    assert "Too many open files" in closed.reason
    assert "LimitNOFILE" in closed.reason
    assert not host.channel.listening
    host.open()
    agents().say(b"\n")
    assert host.settle() == [StreamOpened(WINDOW), StreamBytes(b"\n")]


def a_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices: run `sudo .venv/bin/pytest tests/system`")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def a_file(path: Path) -> None:
    path.write_text("precious")


def anothers(path: Path) -> None:
    os.mkfifo(path)
    os.chown(path, nobody(), -1)


IMPOSTORS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "is gone"),
    "another fifo": (os.mkfifo, "was replaced by another FIFO"),
    "somebody else's fifo": (anothers, "belongs to user"),
    "a file": (a_file, "is no FIFO"),
    "a symlink": (lambda path: path.symlink_to("/etc/passwd"), "is no FIFO"),
    "a device": (a_device, "is no FIFO"),
}


@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_a_replaced_out_fifo_ends_the_stream_with_the_reason(
    host: Host, link: Path, greeted: Agent, impostor: str
) -> None:
    replace, reason = IMPOSTORS[impostor]
    (link / "out.fifo").unlink()
    replace(link / "out.fifo")
    greeted.say(b"last words")
    greeted.leave()
    last, closed = host.settle()
    assert last == StreamBytes(b"last words")
    assert isinstance(closed, StreamClosed)
    assert reason in closed.reason
    assert not host.channel.listening
    host.turn(0.05)
    assert host.events == []


@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_a_replaced_in_fifo_is_never_written_to(
    host: Host, link: Path, agents: Callable[[], Agent], impostor: str
) -> None:
    replace, reason = IMPOSTORS[impostor]
    agent = agents()
    (link / "in.fifo").unlink()
    replace(link / "in.fifo")
    agent.say(b"\nhello")
    (closed,) = host.settle()
    assert isinstance(closed, StreamClosed)
    assert reason in closed.reason
    assert not host.channel.listening


def test_a_recreated_directory_is_noticed_and_used_when_opened_again(
    host: Host, link: Path, greeted: Agent, agents: Callable[[], Agent]
) -> None:
    remove_link_directory(str(link))
    link.mkdir()
    greeted.leave()
    (closed,) = host.settle()
    assert isinstance(closed, StreamClosed)
    assert "out.fifo is gone" in closed.reason
    host.open()
    agents().say(b"\n")
    assert host.settle() == [StreamOpened(WINDOW), StreamBytes(b"\n")]


def test_a_chmod_0_is_mended_at_the_next_open(host: Host, link: Path) -> None:
    for name in ("in.fifo", "out.fifo"):
        (link / name).chmod(0)
    link.chmod(0)
    host.channel.close()
    host.open()
    assert [stat.S_IMODE((link / name).lstat().st_mode) for name in ("in.fifo", "out.fifo")] == [0o640, 0o620]
    assert stat.S_IMODE(link.stat().st_mode) == 0o755


def test_an_open_that_is_refused_holds_nothing_and_can_be_repeated(link: Path, reactor: Reactor) -> None:
    host = Host(link, reactor)
    link.mkdir(parents=True)
    (link / "in.fifo").write_text("precious")
    for _ in range(2):
        with pytest.raises(BridgeError) as caught:
            host.open()
        assert caught.value.code == "refused"
        assert not host.channel.listening
    assert (link / "in.fifo").read_text() == "precious"
    (link / "in.fifo").unlink()
    host.open()
    assert host.channel.listening
    host.channel.close()


def test_somebody_elses_directory_is_refused(link: Path, reactor: Reactor) -> None:
    link.mkdir(parents=True)
    os.chown(link, nobody(), -1)
    with pytest.raises(BridgeError, match="belongs to user"):
        Host(link, reactor).open()


def test_a_removed_link_directory_is_gone_and_removing_it_again_is_fine(host: Host, link: Path) -> None:
    os.mkfifo(link / ".in.fifo.new")
    host.channel.close()
    remove_link_directory(str(link))
    assert not link.exists()
    remove_link_directory(str(link))


@pytest.mark.parametrize(
    ("name", "make"), [("notes.txt", a_file), ("out.fifo", a_file), ("mine", os.mkfifo), ("out.fifo", anothers)]
)
def test_a_link_directory_with_anything_foreign_is_left_alone(
    link: Path, name: str, make: Callable[[Path], object]
) -> None:
    link.mkdir(parents=True)
    os.mkfifo(link / "in.fifo")
    make(link / name)
    with pytest.raises(BridgeError, match=name) as caught:
        remove_link_directory(str(link))
    assert caught.value.hint.endswith(f"rm -r {link / name}")
    assert sorted(os.listdir(link)) == sorted(["in.fifo", name])


def test_a_round_trip_takes_well_under_a_millisecond(host: Host, link: Path, greeted: Agent) -> None:
    samples = []
    for _ in range(300):
        started = time.perf_counter()
        host.write(b"ping\n")
        greeted.say(greeted.hear())
        host.turn(1)
        samples.append(time.perf_counter() - started)
    assert sorted(samples)[150] < 0.001
