"""The control FIFO: honest clients through their own half, hostile ones by hand, and other users as themselves."""

from __future__ import annotations

import grp
import os
import resource
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccbridgectl import port
from ccbridgectl.port import DaemonGone, Port
from ccbridged.protocol import calls
from ccbridged.protocol.errors import BridgeError
from ccbridged.system import runtimedir
from ccbridged.system.control import PER_USER, REPLY_LIMIT, CallArrived, ClientLeft, ControlEvent, ControlPort
from ccbridged.system.reactor import Reactor
from tests.system.processes import Child, countdown, nobody, until


class Daemon:
    """The daemon's loop around one port, and what it was told."""

    def __init__(self, directory: Path, reactor: Reactor) -> None:
        self.directory = directory
        self.reactor = reactor
        self.port = ControlPort(str(directory), reactor)
        self.port.open()
        self.now = 1000.0
        self.turns = 0
        self.events: list[ControlEvent] = []

    def turn(self, timeout: float) -> None:
        for owner, readable, writable in self.reactor.wait(timeout)[0]:
            self.turns += 1
            self.events += self.port.ready(owner, readable, writable, self.now)

    def settle(self) -> list[ControlEvent]:
        before = -1
        while before != self.turns:
            before = self.turns
            self.turn(0.01)
        told, self.events = self.events, []
        return told

    def until(self, condition: Callable[[], object]) -> None:
        for _ in countdown():
            if condition():
                return
            self.turn(0.01)

    def next_call(self) -> CallArrived:
        self.until(lambda: any(isinstance(event, CallArrived) for event in self.events))
        call = next(event for event in self.events if isinstance(event, CallArrived))
        self.events.remove(call)
        return call

    def answer(self, call: CallArrived, *lines: bytes) -> None:
        for line in lines:
            self.port.reply(call.client, line)
        self.port.finish(call.client)

    @property
    def waiting_files(self) -> list[str]:
        return os.listdir(self.directory / "clients")


class Caller:
    """A client made by hand, for what an honest one never does."""

    def __init__(self, directory: Path) -> None:
        self.id = os.urandom(16).hex()
        self.req = directory / "clients" / f"{self.id}.req"
        self.rep = directory / "clients" / f"{self.id}.rep"
        self.fds: dict[Path, int] = {}

    def make(self, path: Path, mode: int) -> None:
        os.mkfifo(path)
        path.chmod(mode)
        self.hold(path)

    def hold(self, path: Path) -> None:
        flags = os.O_RDWR if path == self.req else os.O_RDONLY
        self.fds[path] = os.open(path, flags | os.O_NONBLOCK)

    def prepare(self) -> None:
        self.make(self.req, 0o644)
        self.make(self.rep, 0o622)

    def knock(self, control: Path) -> None:
        shout(control, f"\n{self.id}\n".encode())

    def say(self, data: bytes) -> int:
        return os.write(self.fds[self.req], data)

    def hear(self, limit: int = 1 << 20) -> bytes:
        try:
            return os.read(self.fds[self.rep], limit)
        except BlockingIOError:
            return b""

    def leave(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self.fds.clear()


def shout(control: Path, data: bytes) -> None:
    """Anything into the control FIFO."""
    fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


@pytest.fixture
def runtime_dir(public_dir: Path) -> Path:
    return public_dir / "run"


@pytest.fixture
def daemon(runtime_dir: Path, reactor: Reactor) -> Iterator[Daemon]:
    daemon = Daemon(runtime_dir, reactor)
    yield daemon
    daemon.port.close()


@pytest.fixture
def everybodys(daemon: Daemon) -> Daemon:
    """A daemon that lets every user in, so that hostile ones get as far as they can."""
    daemon.directory.chmod(0o755)
    (daemon.directory / "control").chmod(0o622)
    return daemon


@pytest.fixture
def callers(daemon: Daemon) -> Iterator[Callable[[], Caller]]:
    born: list[Caller] = []

    def arrive() -> Caller:
        born.append(Caller(daemon.directory))
        return born[-1]

    yield arrive
    for caller in born:
        caller.leave()


@pytest.fixture
def control(daemon: Daemon) -> Path:
    return daemon.directory / "control"


@pytest.fixture
def caller(daemon: Daemon, callers: Callable[[], Caller], control: Path) -> Caller:
    """One whose call has arrived."""
    caller = callers()
    caller.prepare()
    caller.knock(control)
    caller.say(b'{"verb":"ping"}\n')
    assert daemon.settle() == [CallArrived(caller.id, os.geteuid(), b'{"verb":"ping"}')]
    return caller


def talk(directory: Path, line: bytes) -> Callable[[], bytes]:
    return lambda: b"\n".join(Port(str(directory)).call(line))


def assert_serves(daemon: Daemon) -> None:
    """An honest client is served, whatever came before."""
    with Child(talk(daemon.directory, b"honest")) as child:
        call = daemon.next_call()
        assert call.line == b"honest"
        daemon.answer(call, calls.end(0))
        daemon.until(lambda: child.done)
        assert child.result() == b'{"end":0}'


def test_directories_and_fifo_have_the_modes_of_the_design(daemon: Daemon) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.lstat().st_mode)

    assert mode(daemon.directory) == (0o750 if os.geteuid() == 0 else 0o700)
    assert mode(daemon.directory / "clients") == 0o1733
    assert mode(daemon.directory / "control") == 0o620


def test_a_call_is_answered_and_leaves_no_file(daemon: Daemon) -> None:
    with Child(talk(daemon.directory, b'{"verb":"list"}')) as child:
        call = daemon.next_call()
        assert (call.uid, call.line) == (os.geteuid(), b'{"verb":"list"}')
        assert daemon.waiting_files == []
        daemon.answer(call, calls.item('{"n":1}'), calls.item('{"n":2}'), calls.end(0))
        daemon.until(lambda: child.done)
        assert child.result() == b'{"item":{"n":1}}\n{"item":{"n":2}}\n{"end":0}'
    assert daemon.settle() == []
    assert daemon.port.deadline is None


def test_the_caller_is_known_by_its_uid(everybodys: Daemon) -> None:
    other = nobody()
    with Child(talk(everybodys.directory, b"who am I"), other) as child:
        call = everybodys.next_call()
        assert call.uid == other
        everybodys.answer(call, calls.end(0))
        everybodys.until(lambda: child.done)
    assert everybodys.waiting_files == []


def test_a_daemon_that_is_not_root_serves_other_users(public_dir: Path) -> None:
    other = nobody()
    os.chown(public_dir, other, -1)

    def serve() -> bytes:
        with Reactor() as reactor:
            daemon = Daemon(public_dir / "run", reactor)
            call = daemon.next_call()
            daemon.answer(call, calls.item(str(call.uid)), calls.end(0))
        return b""

    with Child(serve, other) as child:
        until(lambda: reads_control(public_dir / "run"))
        assert list(Port(str(public_dir / "run")).call(b"who am I")) == [b'{"item":0}', b'{"end":0}']
        assert child.result() == b""
    assert os.listdir(public_dir / "run" / "clients") == []


def test_sixty_four_megabytes_go_both_ways(daemon: Daemon) -> None:
    size = 64 << 20

    def echo_size() -> bytes:
        first, last = Port(str(daemon.directory)).call(b"x" * size)
        return f"{len(first)} {last.decode()}".encode()

    with Child(echo_size) as child:
        call = daemon.next_call()
        assert len(call.line) == size
        daemon.answer(call, call.line + b"\n", calls.end(0))
        daemon.until(lambda: child.done)
        assert child.result() == b'%d {"end":0}' % size


def test_fifty_clients_at_a_time_each_get_their_own_answer(daemon: Daemon) -> None:
    children = [Child(talk(daemon.directory, b"%d" % n)) for n in range(50)]
    for _ in children:
        call = daemon.next_call()
        daemon.answer(call, calls.item(call.line.decode()), calls.end(0))
    for n, child in enumerate(children):
        with child:
            daemon.until(lambda child=child: child.done)  # type: ignore[misc]
            assert child.result() == b'{"item":%d}\n{"end":0}' % n


def test_the_end_of_a_followed_answer_comes_after_all_of_it(daemon: Daemon, caller: Caller) -> None:
    body = os.urandom(500_000).hex().encode() + b"\n"
    daemon.port.reply(caller.id, body)
    daemon.port.reply(caller.id, calls.end(0))
    daemon.port.finish(caller.id)
    got = b""
    for _ in countdown():
        got += caller.hear(50_000)
        daemon.turn(0)
        if len(got) == len(body) + 10:
            break
    assert got == body + calls.end(0)
    assert daemon.settle() == []
    assert not daemon.port.room(caller.id)


def test_a_client_that_leaves_is_told_once_and_nothing_spins(daemon: Daemon, caller: Caller) -> None:
    caller.leave()
    assert daemon.settle() == [ClientLeft(caller.id)]
    turns = daemon.turns
    daemon.turn(0.1)
    assert daemon.turns == turns
    daemon.port.reply(caller.id, b"to nobody")
    daemon.port.finish(caller.id)
    assert daemon.settle() == []


def test_a_client_that_is_killed_is_told(daemon: Daemon) -> None:
    with Child(talk(daemon.directory, b"wait")) as child:
        call = daemon.next_call()
        child.kill()
        daemon.until(lambda: daemon.events)
        assert daemon.events == [ClientLeft(call.client)]
    assert daemon.waiting_files == []


def test_a_client_that_closes_its_answer_has_left(daemon: Daemon, caller: Caller) -> None:
    os.close(caller.fds.pop(caller.rep))
    assert daemon.settle() == [ClientLeft(caller.id)]


def test_a_write_to_one_who_has_left_is_told_at_the_next_tick(daemon: Daemon, caller: Caller) -> None:
    caller.leave()
    daemon.port.reply(caller.id, b"hello?")
    assert daemon.port.deadline == 0.0
    assert daemon.port.tick(daemon.now) == [ClientLeft(caller.id)]
    assert daemon.port.deadline is None


def test_there_is_room_until_a_quarter_of_a_mebibyte_waits(daemon: Daemon, caller: Caller) -> None:
    daemon.port.reply(caller.id, bytes(300_000))
    assert daemon.port.room(caller.id)
    daemon.port.reply(caller.id, bytes(100_000))
    assert not daemon.port.room(caller.id)
    while caller.hear():
        daemon.turn(0)
    assert daemon.port.room(caller.id)


def test_a_client_that_never_reads_is_dropped_and_others_are_served(daemon: Daemon, caller: Caller) -> None:
    for _ in range(4):
        daemon.port.reply(caller.id, bytes(REPLY_LIMIT // 3))
    assert daemon.port.deadline is None
    daemon.port.reply(caller.id, bytes(REPLY_LIMIT // 3))
    assert daemon.port.tick(daemon.now) == [ClientLeft(caller.id)]
    assert_serves(daemon)


def test_a_knock_without_a_call_is_sent_away_after_ten_seconds(
    daemon: Daemon, callers: Callable[[], Caller], control: Path
) -> None:
    silent = callers()
    silent.prepare()
    silent.knock(control)
    silent.say(b"half a call")
    assert daemon.settle() == []
    deadline = daemon.port.deadline
    assert deadline is not None
    assert deadline == pytest.approx(daemon.now + 10, abs=0.1)
    assert daemon.port.tick(deadline - 0.1) == []
    assert silent.hear() == b""
    assert daemon.port.tick(deadline) == []
    assert b'"timed-out"' in silent.hear()
    assert daemon.port.deadline is None


def test_a_long_call_may_take_longer_while_it_makes_progress(
    daemon: Daemon, callers: Callable[[], Caller], control: Path
) -> None:
    slow = callers()
    slow.prepare()
    slow.knock(control)
    sent = 0
    for _ in countdown():
        try:
            sent += slow.say(b"x" * 65536)
        except BlockingIOError:
            daemon.turn(0)
        if sent >= 20 << 20:
            break
    daemon.settle()
    assert daemon.port.deadline == pytest.approx(daemon.now + 10 + 20, abs=0.1)


def test_a_call_beyond_the_limit_is_refused_in_words(
    daemon: Daemon, callers: Callable[[], Caller], control: Path
) -> None:
    greedy = callers()
    greedy.prepare()
    greedy.knock(control)
    piece = b"x" * 65536
    said = b""
    for _ in countdown():
        try:
            greedy.say(piece)
        except BlockingIOError:
            daemon.turn(0)
        if said := greedy.hear():
            break
    assert b'"too-large"' in said
    assert daemon.settle() == []
    with pytest.raises(BridgeError, match="limit") as caught:
        next(Port(str(daemon.directory)).call(b"x" * (calls.CALL_LIMIT + 1)))
    assert caught.value.code == "too-large"


def test_unfinished_calls_have_a_limit_in_all(
    daemon: Daemon, callers: Callable[[], Caller], control: Path, reactor: Reactor
) -> None:
    daemon.port.close()
    daemon.port = ControlPort(str(daemon.directory), reactor, receiving=100_000)
    daemon.port.open()

    def begin(data: bytes) -> Caller:
        caller = callers()
        caller.prepare()
        caller.say(data)
        caller.knock(control)
        daemon.turn(1)
        return caller

    for _ in range(3):
        begin(b"x" * 60_000 + b"\n").leave()
        daemon.settle()
    begin(b"x" * 60_000).leave()
    daemon.settle()
    first, second = begin(b"x" * 60_000), begin(b"x" * 60_000)
    assert b'"busy"' in second.hear()
    assert first.hear() == b""
    first.say(b"\n")
    assert isinstance(daemon.settle()[0], CallArrived)


def test_one_who_says_more_than_one_call_is_dropped(daemon: Daemon, caller: Caller) -> None:
    caller.say(b"and another thing\n")
    assert daemon.settle() == [ClientLeft(caller.id)]


def test_a_second_knock_of_the_same_name_changes_nothing(
    daemon: Daemon, caller: Caller, callers: Callable[[], Caller], control: Path
) -> None:
    caller.knock(control)
    assert daemon.settle() == []
    twin = callers()
    twin.id, twin.req, twin.rep = caller.id, caller.req, caller.rep
    twin.prepare()
    twin.say(b"call\n")
    twin.knock(control)
    assert daemon.settle() == []
    daemon.port.reply(caller.id, b"still here")
    assert caller.hear() == b"still here"


def test_a_half_knock_does_not_spoil_the_next_one(daemon: Daemon, control: Path) -> None:
    shout(control, b"\n" + b"a" * 20)
    daemon.settle()
    assert_serves(daemon)
    assert daemon.port.refused == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"../../etc/passwd",
        b"../" + b"a" * 29,
        b"A" * 32,
        b"a" * 31,
        b"a" * 33,
        b"\xff" * 32,
        b"\0" * 32,
        b"a" * 32 + b".req",
        b"x" * 60_000,
    ],
    ids=["path", "dots", "capitals", "short", "long", "bytes", "nul", "suffix", "flood"],
)
def test_a_name_that_is_none_opens_nothing(daemon: Daemon, control: Path, garbage: bytes) -> None:
    shout(control, b"\n" + garbage + b"\n")
    assert daemon.settle() == []
    assert_serves(daemon)


def test_a_flood_without_a_newline_keeps_no_memory_and_no_one_out(daemon: Daemon, control: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(500):
        shout(control, b"f" * 65536)
        for _ in range(65536 // 16384):
            daemon.turn(1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    assert_serves(daemon)


def test_a_flood_of_knocks_is_worked_off_in_pieces(daemon: Daemon, control: Path) -> None:
    shout(control, b"".join(b"\n%032x\n" % n for n in range(1900)))
    daemon.turn(1)
    assert 0 < daemon.port.refused < 1000
    daemon.settle()
    assert daemon.port.refused == 1900
    assert_serves(daemon)


def a_file(caller: Caller, path: Path) -> None:
    path.write_text("call\n")


def a_symlink(caller: Caller, path: Path) -> None:
    target = path.parent.parent / "target"
    os.mkfifo(target, 0o644)
    path.symlink_to(target)
    caller.fds[path] = os.open(target, os.O_RDWR | os.O_NONBLOCK)


def a_second_name(caller: Caller, path: Path) -> None:
    caller.make(path, 0o644)
    os.link(path, path.with_suffix(".second"))


def a_device(caller: Caller, path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices: run `sudo .venv/bin/pytest tests/system`")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def somebody_elses(caller: Caller, path: Path) -> None:
    caller.make(path, 0o644)
    os.chown(path, nobody(), -1)


def nothing(caller: Caller, path: Path) -> None:
    pass


def group_writable(caller: Caller, path: Path) -> None:
    caller.make(path, 0o664)


def everybody_writable(caller: Caller, path: Path) -> None:
    caller.make(path, 0o646)


def nobody_reads(caller: Caller, path: Path) -> None:
    os.mkfifo(path)
    path.chmod(0o622)


ANYWHERE = [a_file, a_symlink, a_second_name, a_device, somebody_elses, nothing]
Trick = Callable[[Caller, Path], None]


@pytest.mark.parametrize("trick", [*ANYWHERE, group_writable, everybody_writable])
def test_a_request_that_others_could_have_written_is_not_read(
    daemon: Daemon, callers: Callable[[], Caller], control: Path, trick: Trick
) -> None:
    hostile = callers()
    trick(hostile, hostile.req)
    hostile.make(hostile.rep, 0o622)
    if hostile.req in hostile.fds:
        hostile.say(b"call\n")
    hostile.knock(control)
    assert daemon.settle() == []
    assert daemon.port.refused == 1
    assert hostile.hear() == b""
    assert_serves(daemon)


@pytest.mark.parametrize("trick", [*ANYWHERE, nobody_reads])
def test_an_answer_is_not_written_to_what_is_not_the_callers(
    daemon: Daemon, callers: Callable[[], Caller], control: Path, trick: Trick
) -> None:
    hostile = callers()
    hostile.make(hostile.req, 0o644)
    trick(hostile, hostile.rep)
    hostile.say(b"call\n")
    hostile.knock(control)
    assert daemon.settle() == []
    assert daemon.port.refused == 1
    assert_serves(daemon)


def test_one_user_cannot_list_or_remove_the_clients_of_another(everybodys: Daemon) -> None:
    other = nobody()
    victim = Caller(everybodys.directory)
    victim.prepare()

    def attack() -> bytes:
        refusals = 0
        for attempt in (
            lambda: os.listdir(everybodys.directory / "clients"),
            lambda: os.unlink(victim.req),
            lambda: os.rename(victim.req, victim.req.with_suffix(".x")),
            lambda: os.open(victim.req, os.O_WRONLY | os.O_NONBLOCK),
            lambda: os.open(victim.rep, os.O_RDONLY | os.O_NONBLOCK),
            lambda: os.open(everybodys.directory / "control", os.O_RDONLY | os.O_NONBLOCK),
        ):
            try:
                attempt()
            except PermissionError:
                refusals += 1
        return b"%d" % refusals

    with Child(attack, other) as child:
        assert child.result() == b"6"
    victim.leave()


def test_somebody_who_is_not_in_the_group_is_told_what_to_do(daemon: Daemon) -> None:
    def knock() -> bytes:
        try:
            next(Port(str(daemon.directory)).call(b"hello"))
        except BridgeError as fault:
            return f"{fault.code}: {fault.hint}".encode()
        return b"it got in"

    with Child(knock, nobody()) as child:
        group = grp.getgrgid(daemon.directory.stat().st_gid).gr_name
        assert child.result().startswith(f"not-permitted: join its group: sudo usermod -aG {group} ".encode())
    daemon.directory.chmod(0o700)
    with Child(knock, nobody()) as child:
        assert child.result() == b"not-permitted: it serves only the user root"


def test_one_user_has_only_so_many_clients_and_another_still_gets_in(
    everybodys: Daemon, callers: Callable[[], Caller], control: Path
) -> None:
    crowd = [callers() for _ in range(PER_USER + 1)]
    for one in crowd:
        one.prepare()
        one.say(b"call\n")
        one.knock(control)
        everybodys.settle()
    assert crowd[PER_USER - 1].hear() == b""
    assert b'"busy"' in crowd[PER_USER].hear()
    if os.geteuid() == 0:
        with Child(talk(everybodys.directory, b"me too"), nobody()) as child:
            everybodys.answer(everybodys.next_call(), calls.end(0))
            everybodys.until(lambda: child.done)
    for one in crowd:
        one.leave()
    everybodys.settle()
    assert_serves(everybodys)


def test_without_fds_a_knock_is_lost_and_the_daemon_is_not(
    daemon: Daemon, callers: Callable[[], Caller], control: Path
) -> None:
    unlucky = callers()
    unlucky.prepare()
    unlucky.knock(control)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert daemon.settle() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert daemon.port.refused == 1
    assert_serves(daemon)


def test_what_dead_clients_left_is_swept_and_the_living_are_not(daemon: Daemon) -> None:
    clients = daemon.directory / "clients"
    os.mkfifo(clients / "dead.req")
    (clients / "file").write_text("x")
    (clients / "link").symlink_to("/etc/passwd")
    (clients / "empty").mkdir()
    (clients / "full").mkdir()
    (clients / "full" / "x").write_text("x")
    runtimedir.sweep(str(clients), 60)
    assert len(daemon.waiting_files) == 5
    until(lambda: time.time() > (clients / "full").stat().st_ctime)
    runtimedir.sweep(str(clients), 0)
    assert daemon.waiting_files == ["full"]
    runtimedir.sweep(str(clients / "none"), 0)


def test_nobody_reads_control_means_no_daemon(daemon: Daemon) -> None:
    daemon.port.close()
    with pytest.raises(BridgeError, match="no daemon") as caught:
        next(Port(str(daemon.directory)).call(b"hello"))
    assert (caught.value.code, caught.value.exit_status) == ("no-daemon", 69)
    assert "start it" in caught.value.hint
    assert daemon.waiting_files == []


def test_no_control_at_all_means_no_daemon(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(BridgeError) as caught:
            next(Port(str(directory)).call(b"hello"))
        assert caught.value.code == "no-daemon"


def test_a_control_that_is_a_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("")
    with pytest.raises(BridgeError, match="is no FIFO") as caught:
        next(Port(str(tmp_path)).call(b"hello"))
    assert caught.value.code == "refused"
    assert (tmp_path / "control").read_text() == ""


def serve_one_line_and_wait(directory: Path) -> bytes:
    with Reactor() as reactor:
        daemon = Daemon(directory, reactor)
        daemon.port.reply(daemon.next_call().client, calls.item("1"))
        while True:
            daemon.turn(None)  # type: ignore[arg-type]


def test_a_daemon_killed_in_mid_answer_is_noticed(runtime_dir: Path) -> None:
    with Child(lambda: serve_one_line_and_wait(runtime_dir)) as child:
        until(lambda: reads_control(runtime_dir))
        answer = Port(str(runtime_dir)).call(b"hello")
        assert next(answer) == b'{"item":1}'
        child.kill()
        with pytest.raises(DaemonGone) as caught:
            next(answer)
        assert caught.value.code == "no-daemon"
    assert os.listdir(runtime_dir / "clients") == []


def test_a_daemon_killed_before_it_looked_is_noticed(runtime_dir: Path) -> None:
    with Child(lambda: serve_one_line_and_wait(runtime_dir)) as child:
        until(lambda: reads_control(runtime_dir))
        child.signal(signal.SIGSTOP)

        def call() -> bytes:
            try:
                next(Port(str(runtime_dir)).call(b"hello"))
            except DaemonGone:
                return b"noticed"
            return b"answered"

        with Child(call) as client:
            until(lambda: len(os.listdir(runtime_dir / "clients")) == 2)
            child.kill()
            assert client.result() == b"noticed"
    assert os.listdir(runtime_dir / "clients") == []


def test_a_daemon_that_stands_still_is_not_waited_for_for_ever(daemon: Daemon) -> None:
    with pytest.raises(BridgeError, match="does not take calls") as caught:
        next(Port(str(daemon.directory), patience=0.1).call(b"hello"))
    assert caught.value.code == "unavailable"
    assert daemon.waiting_files == []


def test_a_full_control_fifo_is_said_to_be_so(daemon: Daemon, control: Path) -> None:
    shout(control, bytes(65536))
    with pytest.raises(BridgeError, match="does not take calls"):
        next(Port(str(daemon.directory)).call(b"hello"))
    assert daemon.waiting_files == []
    daemon.settle()
    assert_serves(daemon)


def test_a_long_silence_after_the_call_was_taken_is_no_fault(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    knock = port._knock

    def knock_and_be_taken(control: int, name: str) -> None:
        knock(control, name)
        until(lambda: not daemon.waiting_files)

    monkeypatch.setattr(port, "_knock", knock_and_be_taken)
    with Child(lambda: b"".join(Port(str(daemon.directory), patience=0.05).call(b"think"))) as child:
        call = daemon.next_call()
        silence = time.monotonic() + 0.3
        while time.monotonic() < silence:
            daemon.turn(0.05)
        daemon.answer(call, calls.end(3))
        daemon.until(lambda: child.done)
        assert child.result() == b'{"end":3}'


def test_a_call_that_is_given_up_is_withdrawn(daemon: Daemon) -> None:
    def peek() -> bytes:
        answer = Port(str(daemon.directory)).call(b"follow")
        first = next(answer)
        answer.close()  # type: ignore[attr-defined]
        until(lambda: len(os.listdir("/proc/self/fd")) <= 5)
        return first

    with Child(peek) as child:
        call = daemon.next_call()
        daemon.port.reply(call.client, calls.item("1"))
        daemon.until(lambda: daemon.events)
        assert daemon.events == [ClientLeft(call.client)]
        assert child.result() == b'{"item":1}'


def test_a_port_that_is_closed_and_opened_again_serves(daemon: Daemon, caller: Caller) -> None:
    daemon.port.close()
    assert daemon.port.deadline is None
    daemon.port.open()
    assert daemon.settle() == []
    assert_serves(daemon)


def test_somebody_elses_runtime_directory_is_refused(runtime_dir: Path, reactor: Reactor) -> None:
    runtime_dir.mkdir()
    os.chown(runtime_dir, nobody(), -1)
    with pytest.raises(BridgeError, match="belongs to user") as caught:
        ControlPort(str(runtime_dir), reactor).open()
    assert caught.value.hint == f"choose another runtime_dir, or: rm -r {runtime_dir}"


def test_a_runtime_directory_that_others_can_write_to_is_refused(runtime_dir: Path, reactor: Reactor) -> None:
    runtime_dir.mkdir()
    runtime_dir.chmod(0o1777)
    with pytest.raises(BridgeError, match="others can write") as caught:
        ControlPort(str(runtime_dir), reactor).open()
    assert caught.value.hint.endswith(f"chmod go-w {runtime_dir}")
    assert os.listdir(runtime_dir) == []


def test_somebody_elses_clients_directory_is_refused(runtime_dir: Path, reactor: Reactor) -> None:
    (runtime_dir / "clients").mkdir(parents=True)
    os.chown(runtime_dir / "clients", nobody(), -1)
    with pytest.raises(BridgeError, match="belongs to user"):
        ControlPort(str(runtime_dir), reactor).open()


def test_a_control_that_is_no_fifo_is_refused_with_the_command_that_mends_it(
    runtime_dir: Path, reactor: Reactor
) -> None:
    runtime_dir.mkdir()
    (runtime_dir / "control").write_text("precious")
    with pytest.raises(BridgeError) as caught:
        ControlPort(str(runtime_dir), reactor).open()
    assert (caught.value.code, caught.value.exit_status) == ("refused", 78)
    assert caught.value.hint == f"if you do not need it: rm {runtime_dir / 'control'}"
    assert (runtime_dir / "control").read_text() == "precious"


def test_the_group_that_may_knock_gets_through(runtime_dir: Path, reactor: Reactor) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root changes groups at will: run `sudo .venv/bin/pytest tests/system`")
    runtime_dir.mkdir(mode=0o700)
    port = ControlPort(str(runtime_dir), reactor, gid=12345)
    port.open()
    port.close()
    facts = runtime_dir.stat()
    assert (facts.st_gid, stat.S_IMODE(facts.st_mode)) == (12345, 0o750)
    facts = (runtime_dir / "control").lstat()
    assert (facts.st_gid, stat.S_IMODE(facts.st_mode)) == (12345, 0o620)


def test_a_clients_directory_that_vanished_costs_no_more_than_the_calls(daemon: Daemon, control: Path) -> None:
    shutil.rmtree(daemon.directory / "clients")
    shout(control, b"\n%032x\n" % 1)
    assert daemon.settle() == []
    assert daemon.port.refused == 1


def reads_control(directory: Path) -> bool:
    try:
        shout(directory / "control", b"\n")
    except OSError:
        return False
    return True
