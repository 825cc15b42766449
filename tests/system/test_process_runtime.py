"""The agent as a process of this host: the real packed agent, real FIFOs, a real daemon process that dies."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ccbridged.model.effects import AgentEnded, Json, RuntimeDone, Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import Pack, pack
from ccbridged.system.fifo import make_fifo
from ccbridged.system.places import Places
from ccbridged.system.runtimes.agentlock import holder
from ccbridged.system.runtimes.process import ProcessRuntime
from ccbridged.system.worker import Worker

PATIENCE = 10.0
REPOSITORY = Path(__file__).resolve().parents[2]
WEB = Spec("web", "process", durability="process")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(str(tmp_path / "state"), "install")


@pytest.fixture
def packed(places: Places) -> Pack:
    return pack(places.pack_dir)


@pytest.fixture
def runtime(places: Places, packed: Pack) -> Iterator[ProcessRuntime]:
    make_pipes(places)
    runtime = ProcessRuntime(places, packed, os.environ)
    yield runtime
    runtime.halt(WEB, {}, container=False)
    runtime.reap()


def make_pipes(places: Places) -> None:
    places.make("web", shared=False)
    for name in ("in.fifo", "out.fifo"):
        make_fifo(places.link_dir("web"), name, 0o600)


def agent_dir(places: Places) -> Path:
    return Path(places.agent_dir("web"))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def launch(runtime: ProcessRuntime, spec: Spec = WEB) -> int:
    pid = runtime.launch(spec, {}, container=False)["pid"]
    assert isinstance(pid, int)
    return pid


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def is_gone(pid: int) -> bool:
    return not is_there(pid)


def test_a_launched_agent_holds_its_lock_and_reads_its_fifo(runtime: ProcessRuntime, places: Places) -> None:
    pid = launch(runtime)
    assert holder(str(agent_dir(places) / "lock")) == pid
    os.close(os.open(os.path.join(places.link_dir("web"), "in.fifo"), os.O_WRONLY | os.O_NONBLOCK))


def test_a_second_launch_finds_the_first_agent(runtime: ProcessRuntime) -> None:
    assert launch(runtime) == launch(runtime)


def test_an_agent_has_nothing_of_the_daemons(places: Places, packed: Pack) -> None:
    make_pipes(places)
    environ = {**os.environ, "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "3", "LISTEN_PID": "1"}
    runtime = ProcessRuntime(places, packed, {**environ, "KEPT": "yes"})
    leaky = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaky, True)
    try:
        pid = launch(runtime)
        names = {pair.split(b"=")[0] for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert b"KEPT" in names
        assert not names & {b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"LISTEN_FDS", b"LISTEN_PID"}
        fds = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
        assert "/etc/passwd" not in fds
        assert os.getsid(pid) == pid != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
    finally:
        os.close(leaky)
        runtime.halt(WEB, {}, container=False)
        runtime.reap()


def test_an_agent_works_in_the_instances_directory(runtime: ProcessRuntime, tmp_path: Path) -> None:
    pid = launch(runtime, Spec("web", "process", workdir=str(tmp_path), durability="process"))
    assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)


def test_the_end_of_an_agent_is_told_once_with_its_status(runtime: ProcessRuntime) -> None:
    pid = launch(runtime)
    fd = runtime.pidfd("web")
    try:
        assert runtime.reap() == []
        assert not select.select([fd], [], [], 0)[0]
        os.kill(pid, signal.SIGKILL)
        assert select.select([fd], [], [], PATIENCE)[0]
    finally:
        os.close(fd)
    assert runtime.reap() == [AgentEnded("web", -signal.SIGKILL)]
    assert runtime.reap() == [] and runtime.pidfd("web") == -1


def test_after_a_kill_the_next_launch_is_a_new_agent(runtime: ProcessRuntime) -> None:
    first = launch(runtime)
    os.kill(first, signal.SIGKILL)
    until(runtime.reap)
    assert launch(runtime) != first


def test_a_halted_agent_is_gone_and_halting_again_is_no_fault(runtime: ProcessRuntime, places: Places) -> None:
    pid = launch(runtime)
    runtime.halt(WEB, {}, container=False)
    assert not is_there(pid) and holder(str(agent_dir(places) / "lock")) == 0
    assert runtime.reap() == [AgentEnded("web", 0)]
    runtime.halt(WEB, {}, container=False)


DAEMON = """
import os, sys
from ccbridged.model.effects import Spec
from ccbridged.system.agentpack import pack
from ccbridged.system.places import Places
from ccbridged.system.runtimes.process import ProcessRuntime
places = Places(sys.argv[1], "install")
runtime = ProcessRuntime(places, pack(places.pack_dir), os.environ)
print(runtime.launch(Spec("web", "process", durability="process"), {}, container=False)["pid"], flush=True)
sys.stdin.read()
"""


def killed_daemon(places: Places) -> int:
    """The pid of an agent whose daemon was killed, with its whole process group."""
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, places.state_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        start_new_session=True,
    ) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        os.killpg(daemon.pid, signal.SIGKILL)
    return pid


def test_an_agent_outlives_its_daemon_and_the_next_one_finds_and_halts_it(
    runtime: ProcessRuntime, places: Places
) -> None:
    pid = killed_daemon(places)
    assert launch(runtime) == pid
    assert runtime.pidfd("web") == -1 and runtime.reap() == []
    runtime.halt(WEB, {}, container=False)
    until(partial(is_gone, pid))


def test_an_agent_that_does_not_listen_is_killed(places: Places, packed: Pack) -> None:
    make_pipes(places)
    runtime = ProcessRuntime(places, packed, os.environ, grace=0.2)
    for pid in (killed_daemon(places), launch(runtime)):
        os.kill(pid, signal.SIGSTOP)
        runtime.halt(WEB, {}, container=False)
        until(partial(is_gone, pid))
    runtime.reap()


def test_a_pid_that_has_become_anothers_is_left_alone(runtime: ProcessRuntime, places: Places) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        (agent_dir(places) / "lock").write_text(f"{bystander.pid}\n")
        runtime.halt(WEB, {}, container=False)
        assert bystander.poll() is None
        bystander.communicate(b"\n")
        assert bystander.returncode == 0


def test_a_lock_held_by_a_stranger_is_told_and_the_named_pid_left_alone(
    runtime: ProcessRuntime, places: Places
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        with open(agent_dir(places) / "lock", "w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{bystander.pid}\n")
            file.flush()
            for act in (runtime.launch, runtime.halt):
                with pytest.raises(BridgeError, match="another process holds") as caught:
                    act(WEB, {}, container=False)
                assert caught.value.code == "busy" and "fuser" in caught.value.hint
        assert bystander.poll() is None
        bystander.communicate(b"\n")


def test_an_agent_that_cannot_begin_is_reported_with_its_own_words(runtime: ProcessRuntime, places: Places) -> None:
    (agent_dir(places) / "journal").write_text("this is not a journal\n")
    with pytest.raises(BridgeError, match="damaged") as caught:
        launch(runtime)
    assert caught.value.code == "refused" and "log" in caught.value.hint
    assert runtime.reap() == []


def test_the_agents_log_is_private_and_bounded(runtime: ProcessRuntime, places: Places) -> None:
    log = agent_dir(places) / "log"
    log.write_bytes(b"x" * 1_000_000)
    launch(runtime)
    assert log.stat().st_size < 10_000 and log.stat().st_mode & 0o077 == 0
    assert {entry.name for entry in os.scandir(agent_dir(places))} >= {"log", "log.1"}


def test_private_variables_reach_the_agents_directory_and_nobody_else(runtime: ProcessRuntime, places: Places) -> None:
    places.write_env("web", {"KEY": "secret"})
    pid = launch(runtime)
    env = agent_dir(places) / "env"
    assert json.loads(env.read_text()) == {"KEY": "secret"}
    assert env.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    places.write_env("web", {"KEY": "newer"})
    assert json.loads(env.read_text()) == {"KEY": "newer"}


def test_a_symlink_in_the_agents_directory_is_not_written_through(
    runtime: ProcessRuntime, places: Places, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (agent_dir(places) / "env").symlink_to(victim)
    places.write_env("web", {"KEY": "secret"})
    places.hand_env("web")
    assert victim.read_text() == "mine"
    assert not (agent_dir(places) / "env").is_symlink()


def test_removing_leaves_nothing_behind(runtime: ProcessRuntime, places: Places) -> None:
    places.write_env("web", {"KEY": "secret"})
    pid = launch(runtime)
    assert runtime.remove(WEB, {}) == {}
    assert not is_there(pid)
    left = [path for path in Path(places.state_dir).rglob("*") if "web" in path.name]
    assert left == []


def test_the_worker_does_jobs_in_order_and_survives_every_exception(caplog: pytest.LogCaptureFixture) -> None:
    done: list[RuntimeDone] = []

    def refuse() -> Json:
        raise BridgeError("refused", "no", "hint")

    def burst() -> Json:
        raise ZeroDivisionError("surprise")

    worker = Worker(done.append)
    worker.submit("a", "launch", lambda: {"pid": 1})
    worker.submit("b", "halt", refuse)
    worker.submit("c", "remove", burst)
    worker.submit("d", "launch", lambda: {"pid": 2})
    until(lambda: len(done) == 4)
    assert worker.close(PATIENCE)
    assert [(d.name, d.action, d.error and d.error.code, d.facts) for d in done] == [
        ("a", "launch", None, {"pid": 1}),
        ("b", "halt", "refused", {}),
        ("c", "remove", "failed", {}),
        ("d", "launch", None, {"pid": 2}),
    ]
    assert "surprise" in str(done[2].error) and "Traceback" in caplog.text


def test_a_worker_with_too_much_to_do_says_so_at_once() -> None:
    done: list[RuntimeDone] = []
    begun, finish = threading.Event(), threading.Event()

    def slow() -> Json:
        begun.set()
        return {"finished": finish.wait(PATIENCE)}

    worker = Worker(done.append, limit=2)
    worker.submit("slow", "launch", slow)
    assert begun.wait(PATIENCE)
    for number in range(5):
        worker.submit(str(number), "launch", dict)
    assert [(d.name, d.error and d.error.code) for d in done] == [("2", "busy"), ("3", "busy"), ("4", "busy")]
    assert not worker.close(0.01), "the job at hand still runs"
    finish.set()
    assert worker.close(PATIENCE)
    assert done[3:] == [RuntimeDone("slow", "launch", None, {"finished": True})], "what waited was let go"
