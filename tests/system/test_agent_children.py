"""Children: what goes in and comes out, why one does not start, and how one ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccbridged.protocol.messages import (
    Alive,
    End,
    Errors,
    Exited,
    Feed,
    NotStarted,
    Output,
    Overlong,
    Quit,
    Started,
    Tail,
    Tailed,
    Unable,
)
from tests.system.agent_host import (
    ROOT,
    Host,
    Rig,
    alive,
    connected,
    eventually,
    exited,
    offspring,
    rig,
    shell,
    start,
    started,
)

STUBBORN = "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done"


def refusal(host: Host, life: int = 1) -> str:
    said = host.until(lambda: [m for m in host.of(NotStarted) if m.life == life], "NotStarted")
    return said[0].reason


def errors(host: Host) -> list[str]:
    return [said.line for said in host.of(Errors) if said.channel == "main"]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def fds(rig: Rig) -> int:
    assert rig.agent
    return len(os.listdir(f"/proc/{rig.agent.pid}/fd"))


def test_the_first_message_says_who_is_alive(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        assert isinstance(host.messages[0], Alive)
        assert (host.messages[0].pid, host.messages[0].lives) == (rig.agent.pid, {})


def test_a_line_goes_in_and_comes_out(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("cat"))
        host.send(Feed("main", 1, "grüße 日本 \x01"))
        assert host.until(host.lines) == ["grüße 日本 \x01"]


def test_bytes_that_are_not_utf8_survive_both_ways(tmp_path: Path) -> None:
    line = bytes(range(1, 256)).replace(b"\n", b"").decode("utf-8", "surrogateescape")
    with connected(tmp_path) as (_, host):
        started(host, start("cat"))
        host.send(Feed("main", 1, line))
        assert host.until(host.lines) == [line]


def test_a_line_of_eight_megabytes_survives_both_ways(tmp_path: Path) -> None:
    line = "0123456789abcdef" * (8 << 16)
    with connected(tmp_path) as (_, host):
        started(host, start("cat"))
        host.send(Feed("main", 1, line))
        assert host.until(host.lines) == [line]


def test_a_line_beyond_the_limit_is_reported_with_its_size(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, shell("head -c 70000000 /dev/zero | tr '\\0' x; echo; echo after"))
        host.until(host.lines)
        assert [said.size for said in host.of(Overlong)] == [70_000_000]
        assert host.lines() == ["after"]


def test_a_long_line_of_errors_is_cut_and_says_so(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, shell("head -c 70000 /dev/zero | tr '\\0' x >&2; echo >&2; echo short >&2; printf last >&2"))
        exited(host)
        long, *rest = errors(host)
        assert long.startswith("x" * 65536 + " ")
        assert "4464 bytes cut" in long
        assert rest == ["short", "last"]


def test_an_unterminated_last_line_of_output_is_dropped(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        host.send(shell("echo whole; printf torn; exit 3"))
        assert exited(host) == Exited("main", 1, 3, False)
        assert host.lines() == ["whole"]


def test_all_output_is_said_before_the_exit(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        host.send(shell("seq 1 50000; kill -9 $$"))
        assert exited(host).code == -9
        assert isinstance(host.messages[-1], Exited)
        assert host.lines() == [str(number) for number in range(1, 50001)]


def test_the_environment_is_that_of_the_agent_the_start_and_the_private_file(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        for life, secret in ((1, "old"), (2, "new")):
            (rig.journal / "env").write_text(json.dumps({"SECRET": secret}))
            host.send(start("env", life=life, env={"OPEN": "yes"}, scrub=["HOME"]))
            exited(host, life)
            said = [m.line for m in host.of(Output) if m.life == life]
            assert {f"SECRET={secret}", "OPEN=yes", f"PATH={os.environ['PATH']}"} <= set(said)
            assert not [line for line in said if line.startswith("HOME=")]


def test_a_private_file_that_is_no_json_keeps_the_child_from_starting(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        (rig.journal / "env").write_text('["A=1"]')
        host.send(start("env"))
        assert "is not a JSON object of strings" in refusal(host)


def test_a_program_that_is_not_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        host.send(start("claude", env={"PATH": "/nowhere"}))
        assert "claude is not on PATH" in refusal(host)
        assert "npm install -g @anthropic-ai/claude-code" in refusal(host)


def test_each_reason_for_not_starting_is_told(tmp_path: Path) -> None:
    plain, loaderless, empty = tmp_path / "plain", tmp_path / "loaderless", tmp_path / "empty"
    plain.write_text("echo")
    loaderless.write_text("#!/no/such/interpreter\n")
    empty.write_text("")
    loaderless.chmod(0o755)
    empty.chmod(0o755)
    starts = [
        (start(str(plain), life=1), "is not executable"),
        (start("cat", life=2, cwd="/no/such/place"), "working directory /no/such/place does not exist"),
        (start(str(loaderless), life=3), "interpreter or loader is missing"),
        (start(str(empty), life=4), "no program for this machine"),
        (start("cat", "x" * 3_000_000, life=5), "too long"),
        (start("cat", "a\0b", life=6), "cannot be passed on"),
        (start(life=7), "no program was given"),
        (start("./nothing", life=8, cwd="/"), "there is no ./nothing"),
    ]
    with connected(tmp_path) as (rig, host):
        for asked, reason in starts:
            host.send(asked)
            assert reason in refusal(host, asked.life)
        assert rig.agent
        eventually(lambda: rig.agent and not offspring(rig.agent.pid), "no process left")


def test_an_agent_that_only_attaches_starts_nothing(tmp_path: Path) -> None:
    with connected(tmp_path, "--attach-only") as (_, host):
        assert host.of(Alive)[0].attach_only
        host.send(start("cat"))
        assert "--attach-only" in refusal(host)


def test_a_start_that_is_repeated_is_only_answered_again(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        pid = started(host, start("cat"))
        host.send(start("cat"))
        host.until(lambda: len(host.of(Started)) == 2, "a second Started")
        assert [said.pid for said in host.of(Started)] == [pid, pid]


def test_a_later_life_waits_until_the_earlier_is_gone_and_gets_what_was_fed_meanwhile(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        first = started(host, start("cat", farewell="goodbye"))
        host.send(start("cat", life=2))
        host.send(Feed("main", 1, "too late"))
        host.send(Feed("main", 2, "early"))
        host.until(lambda: "early" in host.lines())
        assert not alive(first)
        kinds = [type(said) for said in host.messages if not isinstance(said, Alive)]
        assert kinds == [Started, Output, Exited, Started, Output]
        assert host.lines() == ["goodbye", "early"]


def test_a_waiting_life_can_be_ended_before_it_begins(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, shell(STUBBORN))
        host.send(start("cat", life=2))
        host.send(End("main", 2, 1.0))
        assert host.until(lambda: host.of(Unable)) == [Unable("main", 2, "it was ended before it had begun")]


def test_what_is_fed_to_a_life_that_begins_anew_is_not_for_the_one_that_ends(tmp_path: Path) -> None:
    """A new host counts from the beginning, and its first life waits for the end of the old host's."""
    with connected(tmp_path) as (_, host):
        started(host, shell(STUBBORN))
        host.send(End("main", 1, 0.3))
        host.send(start("cat"))
        host.send(Feed("main", 1, "for the new one"))
        assert host.until(lambda: "for the new one" in host.lines())


def test_what_is_fed_to_another_life_is_dropped(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("cat", life=5))
        for life in (4, 6, 5):
            host.send(Feed("main", life, str(life)))
        assert host.until(host.lines) == ["5"]


def test_an_end_says_farewell_and_closes_stdin(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("cat", farewell="the end"))
        host.send(End("main", 1, 10.0))
        assert exited(host) == Exited("main", 1, 0, True)
        assert host.lines() == ["the end"]


def test_a_child_that_ignores_the_end_of_input_gets_a_term(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("sleep", "1000"))
        host.send(End("main", 1, 0.1))
        assert exited(host) == Exited("main", 1, -signal.SIGTERM, True)


def test_a_child_that_ignores_the_end_of_input_and_term_is_killed(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, shell(STUBBORN))
        host.until(host.lines)
        host.send(End("main", 1, 0.1))
        assert exited(host) == Exited("main", 1, -signal.SIGKILL, True)


def test_a_reaper_that_does_not_answer_is_killed_too(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        pid = started(host, shell(STUBBORN))
        (reaper,) = offspring(rig.agent.pid)
        os.kill(reaper, signal.SIGSTOP)
        host.send(End("main", 1, 0.1))
        assert exited(host).code == -signal.SIGKILL
        assert not alive(pid)


def test_a_child_of_several_channels_does_not_disturb_the_others(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("cat", channel="main"))
        started(host, start("cat", channel="other"))
        host.send(End("other", 1, 5.0))
        host.until(lambda: host.of(Exited))
        host.send(Feed("main", 1, "still here"))
        assert host.until(host.lines) == ["still here"]


def test_a_quit_ends_everything_and_the_agent_with_status_0(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = started(host, start("sleep", "1000"))
        host.send(Quit(0.1))
        assert rig.agent
        assert host.until(lambda: rig.agent and rig.agent.poll() is not None, "the agent's end")
        assert (rig.agent.returncode, exited(host).expected, alive(pid)) == (0, True, False)


def test_a_term_ends_everything_said_and_done_even_where_no_host_is(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        started(host, start("cat", farewell="last words"))
        host.close()
        rig.agent.terminate()
        assert rig.agent.wait(10) == 0
        rig.start()
        again = rig.connect(host.disk)
        assert exited(again).expected
        assert again.lines() == ["last words"]


def test_a_second_term_does_not_wait_for_the_child(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        started(host, shell(STUBBORN))
        host.until(host.lines)
        begun = time.monotonic()
        rig.agent.terminate()
        eventually(lambda: "ending" in rig.log(), "the first signal")
        rig.agent.terminate()
        host.until(lambda: rig.agent and rig.agent.poll() is not None, "the agent's end")
        assert rig.agent.returncode == 0
        assert time.monotonic() - begun < 2.5


def test_a_child_that_does_not_read_stops_neither_others_nor_the_link(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        started(host, start("sleep", "1000"))
        for _ in range(20):
            host.send(Feed("main", 1, "x" * 100_000))
        started(host, start("cat", channel="other"))
        host.send(Feed("other", 1, "through"))
        assert host.until(host.lines) == ["through"]


def test_the_tail_of_a_file_begins_with_a_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("first\nsecond\nthird\n")
    with connected(tmp_path) as (_, host):
        for query, size in ((1, 100), (2, 9), (3, 0)):
            host.send(Tail(query, str(file), size))
        host.send(Tail(4, str(tmp_path / "absent"), 10))
        host.send(Tail(5, str(tmp_path / "link/in.fifo"), 10))
        host.until(lambda: len(host.of(Tailed)) == 5, "five answers")
        assert [(said.text, said.error) for said in host.of(Tailed)] == [
            ("first\nsecond\nthird\n", ""),
            ("third\n", ""),
            ("", ""),
            ("", "No such file or directory"),
            ("", "it is not a regular file"),
        ]


def test_two_hundred_starts_leave_no_fd_and_no_zombie(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        before = fds(rig)
        for life in range(1, 201):
            host.send(start("true", life=life))
            exited(host, life)
        assert fds(rig) == before
        assert offspring(rig.agent.pid) == []


def test_the_agents_fds_do_not_reach_the_child(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        host.send(start("ls", "/proc/self/fd"))
        exited(host)
        assert host.lines() == ["0", "1", "2", "3"]  # 3 is how ls reads the directory.


@pytest.fixture
def apart() -> list[str]:
    """The command before a command that makes it pid 1."""
    before = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*before, "true"], stderr=subprocess.DEVNULL, check=False).returncode
    ):
        pytest.skip(f"may not make a pid namespace: run as root with CAP_SYS_ADMIN: {' '.join(before)} true")
    return before


def test_as_pid_1_it_reaps_what_others_leave_but_kills_only_its_own(tmp_path: Path, apart: list[str]) -> None:
    with rig(tmp_path) as made:
        made.start(before=apart)
        host = made.connect()
        host.until(lambda: host.of(Alive))
        assert host.of(Alive)[0].pid == 1
        agent = made.agent
        assert agent
        (init,) = offspring(agent.pid)
        enter = ["nsenter", "-t", str(init), "-p", "-m", "--"]
        subprocess.run([*enter, "sh", "-c", "setsid sleep 1000 & setsid true &"], check=True)
        others = eventually(lambda: [pid for pid in offspring(init) if command(pid) == "sleep"], "an orphan of others")
        eventually(lambda: offspring(init) == others, "their dead reaped")
        # What the shell left is met at another point of its beginning, and of the shell's end, each time.
        for life in range(1, 21):
            started(host, shell("setsid sleep 1000 & exec sleep 1000", life))
            (reaper,) = [pid for pid in offspring(init) if pid not in others]
            os.kill(reaper, signal.SIGKILL)
            assert exited(host, life).code == -signal.SIGKILL
            eventually(lambda: offspring(init) == others, "all but others' gone and reaped")
        os.kill(init, signal.SIGTERM)
        assert agent.wait(10) == 0


PID_1 = """
import os
from subprocess import PIPE, Popen
from agent.launch import MARK
from agent.orphans import kill_strays

def child(script, env):
    made = Popen(["/bin/sh", "-c", "echo; " + script], env=env, stdin=PIPE, stdout=PIPE)
    made.stdout.readline()
    return made

bare, another = child("read line", {}), child("read line", {MARK: "another"})
mine, dead = child("read line", {MARK: "mine"}), child("exit", {MARK: "mine"})
os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
assert kill_strays(set(), "mine") == [mine.pid, dead.pid]
assert mine.wait() == -9
assert kill_strays(set(), "mine") == [dead.pid]
dead.wait()
assert kill_strays(set(), "mine") == []
assert bare.poll() is another.poll() is None
"""


def test_as_pid_1_the_dead_are_awaited_for_nobody_sees_any_more_whose_they_were(apart: list[str]) -> None:
    subprocess.run([*apart, sys.executable, "-c", PID_1], cwd=ROOT, check=True)
