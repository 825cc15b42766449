"""Every fault of the pipes and of who is at their ends, against the real daemon and real agents: nothing is lost,
nothing runs twice, what is wrong is said with what to do, and once it is mended all goes on by itself."""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.scenarios.breaking import (
    FIFOS,
    agent_dir,
    agent_of,
    canary,
    capacity,
    kill_agent,
    link_dir,
    peak_memory,
    pipe_of,
    processor_time,
    put,
    reason,
    take_away,
    wait_for,
    write_all,
)
from tests.scenarios.rig import CONFIG, ROOT, Rig, running

FOREIGN = ("symlink", "device", "file", "directory")
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
MISSING = ("another FIFO", "gone")


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """A daemon that many tests break an instance of their own behind."""
    with running() as rig:
        yield rig


@pytest.mark.parametrize("thing", FOREIGN)
def test_a_fifo_replaced_by_something_else_is_refused_until_it_is_taken_away(shared: Rig, thing: str) -> None:
    rig, name = shared, thing
    rig.add(name)
    links = link_dir(rig, name)
    for fifo in FIFOS:
        put(thing, links / fifo)
    prompt = f"{thing} while both have theirs open"
    assert rig.said("send", name, prompt) == f"echo: {prompt}\n"
    health = rig.ctl("health", "--component", "fifo_pipes", "--json")
    assert (health.returncode != 0, f"{name}: in.fifo is no FIFO" in health.stdout.decode()) == (True, True)
    kill_agent(rig, name)
    rig.until(lambda: "it is no FIFO" in reason(rig, name), "the refusal")
    assert "if you do not need it: rm" in rig.log.read_text()
    client = rig.begin("send", name, f"{thing} waits")
    for fifo in FIFOS:
        take_away(links / fifo)
    out, err = client.communicate(timeout=30)
    assert (out.decode(), client.returncode) == (f"echo: {thing} waits\n", 0), err
    assert canary(links / "in.fifo").read_bytes() == canary(links / "out.fifo").read_bytes() == b""
    assert rig.ran().count(f"{thing} waits") == 1


@pytest.mark.parametrize("thing", MISSING)
def test_a_fifo_that_is_gone_or_another_one_is_made_anew(shared: Rig, thing: str) -> None:
    rig, name = shared, thing.split(maxsplit=1)[0]
    rig.add(name)
    links = link_dir(rig, name)
    for fifo in FIFOS:
        put(thing, links / fifo)
    health = rig.ctl("health", "--component", "fifo_pipes", "--json")
    assert (health.returncode != 0, f"{name}: in.fifo" in health.stdout.decode()) == (True, True)
    kill_agent(rig, name)
    assert rig.said("send", name, f"{thing} after") == f"echo: {thing} after\n"
    health = rig.ctl("health", "--component", "fifo_pipes", "--json")
    assert f"{name}:" not in health.stdout.decode()
    assert rig.ran().count(f"{thing} after") == 1


def test_fifos_broken_while_no_daemon_was_there(rig: Rig) -> None:
    names = {thing: thing.split()[0] for thing in (*FOREIGN, *MISSING)}
    for name in names.values():
        rig.add(name)
    rig.kill()
    for thing, name in names.items():
        for fifo in FIFOS:
            put(thing, link_dir(rig, name) / fifo)
    rig.start()
    rig.until(lambda: all("it is no FIFO" in reason(rig, names[thing]) for thing in FOREIGN), "the refusals")
    for thing in FOREIGN:
        for fifo in FIFOS:
            take_away(link_dir(rig, names[thing]) / fifo)
    clients = [rig.begin("send", name, f"to {name}") for name in names.values()]
    for client in clients:
        assert client.wait(60) == 0, client.communicate()
    assert sorted(rig.ran()) == sorted(f"to {name}" for name in names.values())


def test_a_link_directory_that_was_recreated_is_found_again(rig: Rig) -> None:
    rig.add("web")
    shutil.rmtree(link_dir(rig, "web"))
    link_dir(rig, "web").mkdir()
    assert rig.said("send", "web", "held open") == "echo: held open\n"
    kill_agent(rig, "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    rig.kill(signal.SIGTERM)
    shutil.rmtree(link_dir(rig, "web"))
    rig.start()
    assert rig.said("send", "web", "anew") == "echo: anew\n"
    assert rig.ran() == ["held open", "after", "anew"]


def test_a_mode_of_0_is_said_and_mended_or_waited_for(rig: Rig) -> None:
    rig.kill()
    rig.start(wrapper=WITHOUT_PRIVILEGE)
    rig.add("web")
    links = link_dir(rig, "web")
    for fifo in FIFOS:
        (links / fifo).chmod(0)
    (health,) = json.loads(rig.ctl("health", "--component", "fifo_pipes", "--json").stdout)["components"]
    assert health["detail"] == "web: in.fifo has mode 0000, not 0640"
    kill_agent(rig, "web")
    assert rig.said("send", "web", "mended") == "echo: mended\n"
    assert [(links / fifo).stat().st_mode & 0o777 for fifo in FIFOS] == [0o640, 0o620]
    links.chmod(0)
    kill_agent(rig, "web")
    rig.until(lambda: "in.fifo: Permission denied" in reason(rig, "web"), "word of it")
    assert f"look at it: ls -la {links}" in reason(rig, "web")
    client = rig.begin("send", "web", "waits")
    links.chmod(0o755)
    assert client.wait(30) == 0
    assert rig.ran() == ["mended", "waits"]


def test_a_prompt_and_an_answer_of_a_megabyte_go_through_pipes_of_8_kib(rig: Rig) -> None:
    rig.add("web")
    rig.kill()
    links = link_dir(rig, "web")
    with pipe_of(links / "out.fifo", 8192):
        with pipe_of(links / "in.fifo", 8192):
            pass
        rig.start()
        wait_for(rig, "web", "ready")
    prompt = b"[[text 1000000]] " + b"x" * 1_000_000
    done = rig.ctl("send", "web", "-", stdin=prompt)
    assert (done.returncode, len(done.stdout)) == (0, 1_000_001), done.stderr
    assert rig.ran() == [prompt.decode()]
    for fifo in FIFOS:
        assert capacity(links / fifo) == 8192


def test_a_second_reader_that_steals_bytes_delays_and_takes_nothing(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[delta 1000 400 5]] robbed")
    thieves = [os.open(link_dir(rig, "web") / fifo, os.O_RDONLY | os.O_NONBLOCK) for fifo in FIFOS]
    stolen = 0
    while stolen <= 3000 and client.poll() is None:
        for fd in thieves:
            try:
                stolen += len(os.read(fd, 3000))
            except BlockingIOError:
                pass
    for fd in thieves:
        os.close(fd)
    out, err = client.communicate(timeout=90)
    assert (client.returncode, len(out)) == (0, 400_001), err
    assert stolen > 3000
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["[[delta 1000 400 5]] robbed", "after"]


def test_a_second_agent_with_the_same_journal_is_sent_away(rig: Rig) -> None:
    rig.add("web")
    command = agent_of(rig, "web").cmdline()
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 75
    assert f"another agent holds {agent_dir(rig, 'web')}, pid {agent_of(rig, 'web').pid}" in done.stderr.decode()
    assert rig.said("send", "web", "undisturbed") == "echo: undisturbed\n"


def test_a_second_agent_with_a_journal_of_its_own_is_sent_away_too(rig: Rig) -> None:
    """As when the link directory is mounted in two containers."""
    rig.add("web")
    other = rig.directory / "other"
    other.mkdir()
    command = agent_of(rig, "web").cmdline()
    command[command.index("--journal") + 1] = str(other)
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 75
    assert f"another agent uses the FIFOs in {link_dir(rig, 'web')}" in done.stderr.decode()
    assert rig.said("send", "web", "undisturbed") == "echo: undisturbed\n"


def test_a_second_daemon_on_the_same_state_is_told_who_has_it(rig: Rig) -> None:
    rig.add("web")
    assert rig.daemon
    places = ["--runtime-dir", str(rig.directory / "run2"), "--state-dir", str(rig.state_dir)]
    command = [sys.executable, "-m", "ccbridged", "--foreground", "--config", str(rig.config), *places]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False, cwd=ROOT)
    assert (done.returncode, f"pid {rig.daemon.pid} already serves" in done.stderr.decode()) == (75, True)
    assert rig.said("send", "web", "undisturbed") == "echo: undisturbed\n"


def test_both_pipes_full_at_once_are_emptied(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[delta 30 2000 10]] full")
    rig.until(rig.ran, "its start")
    assert rig.daemon
    ends = (rig.daemon.pid, agent_of(rig, "web").pid)
    for pid in ends:
        os.kill(pid, signal.SIGSTOP)
    for fifo in FIFOS:
        fd = os.open(link_dir(rig, "web") / fifo, os.O_WRONLY | os.O_NONBLOCK)
        with open(fd, "wb", buffering=0) as pipe:
            while pipe.write(b"\n" + b"z" * 4095):
                pass
            while pipe.write(b"z"):
                pass
    time.sleep(0.5)
    for pid in ends:
        os.kill(pid, signal.SIGCONT)
    out, err = client.communicate(timeout=30)
    assert (client.returncode, len(out)) == (0, 60_001), err
    assert rig.ran() == ["[[delta 30 2000 10]] full"]


def test_an_agent_that_reads_a_byte_now_and_then_holds_nobody_up(rig: Rig) -> None:
    """It has the agent's lock and its pipe, and never says a word."""
    rig.add("web")
    rig.add("api")
    rig.said("stop", "web")
    lock = os.open(agent_dir(rig, "web") / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(lock, f"{os.getpid()}\n".encode().ljust(16), 0)
    slow = os.open(link_dir(rig, "web") / "in.fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert rig.daemon
    rig.said("start", "web", "--no-wait")
    client = rig.begin("send", "web", "patience")
    used = processor_time(rig.daemon.pid)
    until = time.monotonic() + 2
    taken = b""
    while time.monotonic() < until:
        try:
            taken += os.read(slow, 1)
        except BlockingIOError:
            pass
        time.sleep(0.3)
    assert 1 < len(taken) < 10
    assert rig.row("web")["state"] == "connecting"
    assert processor_time(rig.daemon.pid) - used < 0.5
    assert rig.said("send", "api", "quick") == "echo: quick\n"
    os.close(slow)
    os.close(lock)
    out, err = client.communicate(timeout=40)
    assert (out, client.returncode) == (b"echo: patience\n", 0), err
    assert rig.ran() == ["quick", "patience"]


RUBBISH = {
    "random bytes": random.Random(3).randbytes(300_000),
    "a flood without a newline": b"x" * 8_000_000,
    "a line of 64 MiB": b"{" * (64 * 1024 * 1024) + b"\n",
    "bad UTF-8": b"\xff\xfe\xc3\x28\n" * 1000,
    "control bytes": bytes(range(32)) * 1000,
    "deep JSON": b"[" * 100_000 + b"\n" + b'{"a":' * 20_000 + b"\n",
    "frames that are none": b'{"data":[1,2,3,4,5],"m":"x"}\n{"hello":{}}\n{"ack":[1,1,99,0,99]}\n' * 100,
}


@pytest.mark.parametrize("fifo", FIFOS)
def test_rubbish_from_a_hostile_process_while_the_agent_works(rig: Rig, fifo: str) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    assert rig.daemon
    victim = rig.daemon.pid if fifo == "out.fifo" else agent_of(rig, "web").pid
    peak = peak_memory(victim)
    client = rig.begin("send", "web", "[[delta 100 500 20]] meanwhile")
    rig.until(lambda: len(rig.ran()) == 2, "its start")
    fd = os.open(link_dir(rig, "web") / fifo, os.O_WRONLY | os.O_NONBLOCK)
    for rubbish in RUBBISH.values():
        write_all(fd, rubbish)
    os.close(fd)
    out, err = client.communicate(timeout=60)
    assert (client.returncode, len(out)) == (0, 50_001), err
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "[[delta 100 500 20]] meanwhile", "after"]
    assert peak_memory(victim) - peak < 16_000_000
    if fifo == "out.fifo":
        link = rig.row("web")["link"]
        assert link["malformed"] > 100
        assert link["overlong"] >= 2


POISON = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    id_ = asked.get("request_id")
    if asked.get("request", {}).get("subtype") == "initialize":
        told = {"claude_code_version": "\\ud800"}
        response = {"subtype": "success", "request_id": id_, "response": told}
        print(json.dumps({"type": "control_response", "response": response}), flush=True)
    elif asked["type"] == "user":
        odd = {"subtype": "can_use_tool", "tool_name": "\\ud800", "input": {"\\ud800": "\\ud800"}}
        print(json.dumps({"type": "control_request", "request_id": "\\ud800", "request": odd}))
        text = {"type": "text", "text": "\\ud800"}
        print(json.dumps({"type": "assistant", "session_id": "\\ud800", "message": {"content": [text]}}))
        ended = {"type": "result", "subtype": "success", "is_error": False, "terminal_reason": "completed"}
        ended |= {"result": "\\ud800", "session_id": "\\ud800", "user_message_uuids": [asked["uuid"]]}
        print(json.dumps(ended), flush=True)
"""


def test_what_a_hostile_program_says_is_no_end_of_the_daemon(rig: Rig) -> None:
    """Lone surrogates are legal in JSON, and not in UTF-8."""
    rig.add("web")
    poison = rig.directory / "poison.py"
    poison.write_text(POISON)
    rig.said("add", "odd", "--process", "--program", sys.executable, str(poison))
    rig.said("send", "odd", "a turn", "--id", "odd", "--no-wait")
    assert rig.json("wait", "odd")["state"] == "succeeded"
    assert rig.ctl("events", "odd").returncode == rig.ctl("status", "odd").returncode == 0
    rig.kill()
    rig.start()
    assert rig.said("send", "web", "still there?") == "echo: still there?\n"


def test_an_agent_that_can_make_no_process_for_a_while_starts_it_when_it_can(rig: Rig) -> None:
    rig.add("web")
    agent, program = agent_of(rig, "web"), rig.programs()[0]
    before = agent.rlimit(resource.RLIMIT_NOFILE)
    agent.rlimit(resource.RLIMIT_NOFILE, (agent.num_fds(), before[1]))
    program.kill()
    rig.until(lambda: "Too many open files" in reason(rig, "web"), "word of it")
    rig.said("send", "web", "waits", "--id", "waits", "--no-wait")
    assert rig.row("web")["state"] == "recovering"
    agent.rlimit(resource.RLIMIT_NOFILE, before)
    assert rig.json("wait", "waits")["state"] == "succeeded"


def test_an_agent_that_is_stopped_is_said_to_take_nothing_and_goes_on() -> None:
    with running(CONFIG + "[pipes]\nwarn_age = 1\n") as rig:
        rig.add("web")
        agent = agent_of(rig, "web")
        agent.suspend()
        client = rig.begin("send", "web", "patience")
        rig.until(lambda: "the agent takes nothing: for" in reason(rig, "web"), "word of it")
        health = rig.ctl("health", "--component", "agent").stdout.decode()
        agent.resume()
        assert "is it stopped, or is its disk full?" in health
        assert "is it stopped, or is its disk full?" in rig.log.read_text()
        out, err = client.communicate(timeout=30)
        assert (out, client.returncode) == (b"echo: patience\n", 0), err
        rig.until(lambda: "takes nothing" not in reason(rig, "web"), "the end of that word")
        assert rig.ran() == ["patience"]


def test_a_daemon_that_is_stopped_goes_on_where_it_was(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[delta 100 20000 10]] meanwhile")
    rig.until(rig.ran, "its start")
    assert rig.daemon
    os.kill(rig.daemon.pid, signal.SIGSTOP)
    late = rig.begin("send", "web", "late")
    time.sleep(2)
    os.kill(rig.daemon.pid, signal.SIGCONT)
    out, err = client.communicate(timeout=30)
    assert (client.returncode, len(out)) == (0, 2_000_001), err
    assert late.wait(30) == 0
    assert rig.ran() == ["[[delta 100 20000 10]] meanwhile", "late"]


def test_a_daemon_without_a_free_descriptor_says_so_and_goes_on(rig: Rig) -> None:
    rig.add("web")
    assert rig.daemon
    pid = rig.daemon.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    client = rig.begin("send", "web", "[[slow 1]] meanwhile")
    rig.until(rig.ran, "its start")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    out, err = client.communicate(timeout=30)
    assert (out, client.returncode) == (b"echo: [[slow 1]] meanwhile\n", 0), err
    kill_agent(rig, "web")
    rig.until(lambda: "Too many open files" in rig.log.read_text(), "word of it")
    assert "raise the limit on open files" in rig.log.read_text()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    wait_for(rig, "web", "ready")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["[[slow 1]] meanwhile", "after"]


def test_wait_and_followed_events_survive_restarts_without_gap_or_repeat(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[delta 200 10 20]] long", "--id", "long", "--no-wait")
    waiting = rig.begin("wait", "long")
    follower = rig.begin("events", "web", "-f", "--json")
    rig.until(rig.ran, "its start")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        time.sleep(0.3)
        rig.kill(number)
        rig.start()
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, len(out.strip())) == (0, 2000), err
    assert rig.said("send", "web", "the end") == "echo: the end\n"
    all_ = rig.said("events", "web", "--json").splitlines()
    assert follower.stdout
    followed = [follower.stdout.readline().decode().strip() for _ in all_]
    follower.kill()
    assert followed == all_
    assert [json.loads(line)["seq"] for line in all_] == list(range(1, len(all_) + 1))
