"""The agent's end of the link over real FIFOs: the host comes and goes, and nothing is lost or said twice."""

import fcntl
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from ccbridged.protocol import wire
from ccbridged.protocol.link import Link, PeerReset, Up
from ccbridged.protocol.messages import Alive, Errors, Exited, Feed, Output, Started
from tests.system.agent_host import Disk, Host, Rig, alive, connected, eventually, exited, offspring, rig, shell, start
from tests.system.agent_host import started as begun

NUMBERS = [str(number) for number in range(1, 20001)]


def cpu(rig: Rig) -> float:
    """Seconds that the agent has used."""
    assert rig.agent
    fields = Path(f"/proc/{rig.agent.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_lines(host: Host, count: int) -> None:
    host.until(lambda: len(host.lines()) >= count, f"{count} lines")


def await_alive(host: Host, count: int) -> None:
    host.until(lambda: len(host.of(Alive)) == count, f"{count} lives")


def test_fifty_megabytes_said_to_nobody_are_heard_once_in_order(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = begun(host, shell("read go; seq -f '%049999.0f' 1 1000"))
        host.send(Feed("main", 1, "go"))
        host.until(host.lines)
        host.close()
        eventually(lambda: not alive(pid), "the child's end")
        eventually(lambda: (rig.journal / "journal").stat().st_size > 45e6, "the journal's growth")
        again = rig.connect(host.disk)
        exited(again)
        assert again.lines() == [f"{number:049999}" for number in range(1, 1001)]


def test_a_host_killed_again_and_again_hears_everything_once(tmp_path: Path) -> None:
    chance = random.Random(1)
    with connected(tmp_path) as (rig, host):
        begun(host, start("cat"))
        fed = 0
        while fed < 200:
            for _ in range(chance.randrange(20)):
                fed += 1
                host.send(Feed("main", 1, f"{fed} {'x' * chance.randrange(3000)}"))
            for _ in range(chance.randrange(8)):
                host.serve(0.005)
            host = rig.reconnect()
        host.until(lambda: len(host.lines()) >= fed, "every line")
        assert [int(line.split()[0]) for line in host.lines()] == list(range(1, fed + 1))


def test_an_agent_killed_in_the_midst_repeats_nothing_that_was_taken(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        for life in range(1, 6):
            begun(host, shell("while :; do i=$((i+1)); echo $i; done", life))
            await_lines(host, 50 * life)
            rig.kill()
            rig.start()
            host = rig.reconnect()
            await_alive(host, life + 1)
        for life in range(1, 6):
            said = [int(output.line) for output in host.of(Output) if output.life == life]
            assert said == list(range(1, len(said) + 1))


def test_what_the_host_fed_while_no_agent_was_there_is_not_fed_to_a_later_life(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        begun(host, start("cat"))
        rig.kill()
        host.send(Feed("main", 1, "for the dead"))
        rig.start()
        host = rig.reconnect()
        begun(host, start("cat", life=2))
        host.send(Feed("main", 2, "for the living"))
        assert host.until(host.lines) == ["for the living"]


def test_the_child_goes_on_while_no_host_is_there(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = begun(host, start("cat"))
        host = rig.reconnect()
        host.send(Feed("main", 1, "you again"))
        assert host.until(host.lines) == ["you again"]
        assert alive(pid)
        assert len(host.of(Started)) == 1


def test_a_pipe_of_eight_kilobytes_is_enough(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        ends = [os.open(made.link / name, os.O_RDWR | os.O_NONBLOCK) for name in ("in.fifo", "out.fifo")]
        for fd in ends:
            assert fcntl.fcntl(fd, 1031, 8192) == 8192
        made.start()
        host = made.connect()
        host.until(lambda: host.of(Alive))
        assert [fcntl.fcntl(fd, 1032) for fd in (host.out, host.into)] == [8192, 8192]
        begun(host, start("cat"))
        host.send(Feed("main", 1, "x" * 300_000))
        for number in NUMBERS[:300]:
            host.send(Feed("main", 1, number))
        host.until(lambda: len(host.lines()) == 301, "all lines")
        assert [len(host.lines()[0]), *host.lines()[1:]] == [300_000, *NUMBERS[:300]]
        for fd in ends:
            os.close(fd)


def test_a_host_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        pid = begun(host, shell("seq 1 20000"))
        eventually(lambda: not alive(pid), "the child's end, though nobody read")
        exited(host)
        assert host.lines() == NUMBERS


def test_a_message_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    with connected(tmp_path) as (_, host):
        host.send_text('["dance","main",1]')
        host.send_text('["feed"]')
        host.send_text('["alive",1,"","","",false,{}]')
        host.send_text("no json")
        begun(host, start("cat"))
        assert len([said for said in host.of(Errors) if "makes no sense" in said.line]) == 3


def test_garbage_between_frames_does_no_harm(tmp_path: Path) -> None:
    garbage = [b"\0" * 5000, b"\xff\xfe\n", b"{" * 60000 + b"\n", b"[" * 3000, b'\n{"data":[1,2,3,4,5],"m":"x"}\n']
    garbage += [b'{"hello":{}}\n', b'{"ack":[1,1,99,0,99]}\n', b"\n\n\n", random.Random(2).randbytes(60000), b"\n"]
    with connected(tmp_path) as (rig, host):
        begun(host, start("cat"))
        for line, rubbish in enumerate(garbage):
            os.set_blocking(host.into, True)
            os.write(host.into, rubbish + b"\n")
            os.set_blocking(host.into, False)
            host.send(Feed("main", 1, str(line)))
            await_lines(host, line + 1)
        assert host.lines() == [str(line) for line in range(len(garbage))]
        assert rig.agent
        assert rig.agent.poll() is None


def test_a_flood_without_a_newline_takes_no_memory(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        os.set_blocking(host.into, True)
        for _ in range(500):
            os.write(host.into, b"x" * 65536)
        os.write(host.into, b"\n")
        os.set_blocking(host.into, False)
        begun(host, start("cat"))
        status = Path(f"/proc/{rig.agent.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        assert peak < 60_000


def test_a_host_that_lost_its_state_finds_no_child_of_the_old_one(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = begun(host, start("cat"))
        host.close()
        other = rig.connect(Disk(journal="another"))
        other.until(lambda: other.of(Alive), "a new Alive")
        eventually(lambda: not alive(pid), "the old child's death")
        begun(other, start("cat"))
        other.send(Feed("main", 1, "anew"))
        assert other.until(other.lines) == ["anew"]
        assert not other.of(Exited)


def test_an_agent_that_lost_its_journal_is_heard_as_a_new_one(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        begun(host, start("cat"))
        rig.kill()
        shutil.rmtree(rig.journal)
        rig.journal.mkdir()
        rig.start()
        host = rig.reconnect()
        host.until(lambda: len(host.of(Alive)) == 2, "the new Alive")
        assert [type(event) for event in host.events if isinstance(event, PeerReset)] == [PeerReset]
        begun(host, start("cat", life=2))


def test_an_agent_whose_journal_was_rolled_back_says_so_and_leaves_with_status_78(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        rig.kill()
        old = (rig.journal / "journal").read_bytes()
        rig.start()
        host = rig.reconnect()
        begun(host, start("cat"))
        host.until(lambda: not host.link.held)
        rig.kill()
        (rig.journal / "journal").write_bytes(old)
        rig.start()
        host = rig.reconnect()
        host.until(lambda: rig.agent and rig.agent.poll() is not None, "its end")
        assert rig.agent
        assert rig.agent.returncode == 78
        assert "this journal was rolled back" in rig.log()
        assert "move it away to begin a new one" in rig.log()


def test_an_agent_that_was_overtaken_leaves_with_status_75(tmp_path: Path) -> None:
    """Someone copied the journal: the host has heard a later generation of it."""
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        up = next(event for event in host.events if isinstance(event, Up))
        pid = begun(host, start("cat"))
        later = Link(journal=up.journal, epoch=1000)
        later.connect(0.0, 60000)
        host.take(later.output(0.0))
        host.until(lambda: rig.agent and rig.agent.poll() is not None, "its end")
        assert rig.agent.returncode == 75
        assert "another agent works with this journal" in rig.log()
        assert not alive(pid)


def test_a_host_of_another_version_is_named_and_the_children_stay(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = begun(host, start("cat"))
        host.close()
        other = rig.connect(host.disk)
        hello = wire.decode(other.link.output(0.0).strip())
        assert isinstance(hello, wire.Hello)
        os.write(other.into, wire.encode(hello._replace(version=9)))
        eventually(lambda: "version 9" in rig.log(), "word of it")
        assert "this agent must be upgraded" in rig.log()
        assert alive(pid)


def test_new_fifos_at_the_old_place_are_found(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        pid = begun(host, start("cat"))
        host.close()
        for name in ("in.fifo", "out.fifo"):
            (rig.link / name).unlink()
        rig.make_fifos()
        again = rig.connect(host.disk)
        again.send(Feed("main", 1, "found"))
        assert again.until(again.lines) == ["found"]
        assert alive(pid)


def test_fifos_that_are_gone_are_awaited_without_haste(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        begun(host, start("cat"))
        for name in ("in.fifo", "out.fifo"):
            (rig.link / name).unlink()
        host.close()
        eventually(lambda: "there is no FIFO" in rig.log(), "word of it")
        used = cpu(rig)
        rig.make_fifos()
        again = rig.connect(host.disk)
        again.send(Feed("main", 1, "found"))
        assert again.until(again.lines) == ["found"]
        assert cpu(rig) - used < 0.2


def test_at_the_quota_the_child_waits_until_the_host_comes(tmp_path: Path) -> None:
    with connected(tmp_path, "--quota", "3000000") as (rig, host):
        pid = begun(host, shell("seq -f '%0999.0f' 1 20000"))
        host.close()
        eventually(lambda: "reached its quota" in rig.log(), "word of it")
        size = (rig.journal / "journal").stat().st_size
        assert size < 6_000_000
        assert alive(pid)
        again = rig.connect(host.disk)
        exited(again)
        assert list(map(int, again.lines())) == list(range(1, 20001))
        assert rig.log().count("reached its quota") < 40


def test_what_the_host_has_taken_leaves_the_journal(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        begun(host, shell("seq -f '%0999.0f' 1 10000; exec cat"))
        host.until(lambda: len(host.lines()) == 10000, "all lines")
        host.until(lambda: (rig.journal / "journal").stat().st_size < 3_000_000, "compaction")
        rig.kill()
        rig.start()
        again = rig.reconnect()
        again.until(lambda: len(again.of(Alive)) == 2, "the next Alive")
        assert len(again.lines()) == 10000


def test_an_idle_agent_makes_no_system_call(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("no strace here: apt-get install strace")
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        begun(host, start("cat"))
        (reaper,) = offspring(rig.agent.pid)
        host.until(lambda: not host.link.held)
        for _ in range(40):
            host.serve(0.01)
        for pid in (rig.agent.pid, reaper):
            traced = ["timeout", "-s", "INT", "2", "strace", "-qq", "-e", "signal=none", "-p", str(pid)]
            done = subprocess.run(traced, stderr=subprocess.PIPE, check=False)
            if b"ptrace" in done.stderr:
                pytest.skip("this process may not trace: sysctl kernel.yama.ptrace_scope=0, or run as root")
            calls = [line for line in done.stderr.decode().splitlines() if line.strip()]
            # The one it waits in is shown when strace lets go of it.
            assert len(calls) <= 2, calls


def test_power_durability_syncs_what_it_says_and_process_durability_does_not(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("no strace here: apt-get install strace")
    calls = {durability: journal_calls(tmp_path / durability, durability) for durability in ("power", "process")}
    assert "fdatasync" not in calls["process"]
    # The last write that need not be synced is that of the reserve, when the journal is opened.
    said = calls["power"][calls["power"].index("fdatasync") + 2 :]
    assert len(said) >= 8
    assert said == ["pwrite64", "fdatasync"] * (len(said) // 2)


def journal_calls(place: Path, durability: str) -> list[str]:
    """The system calls by which two lines were written down."""
    place.mkdir()
    trace = place / "trace"
    with rig(place) as made:
        strace = ["strace", "-D", "-qq", "-e", "trace=fdatasync,pwrite64", "-o", str(trace)]
        made.start("--durability", durability, before=strace)
        host = made.connect()
        begun(host, start("cat"))
        for count in (1, 2):
            host.send(Feed("main", 1, "line"))
            await_lines(host, count)
        return [call.partition("(")[0] for call in trace.read_text().splitlines()]
