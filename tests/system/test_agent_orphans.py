"""Whatever is killed, nothing that a child left goes on running."""

import os
import signal
from functools import partial
from pathlib import Path

from ccbridged.protocol.messages import Exited, Started
from tests.system.agent_host import Host, Rig, alive, connected, eventually, exited, offspring, shell, started

BREED = """
setsid sh -c 'echo $$; sleep 1000 & setsid sleep 1000 & wait' &
(setsid sleep 1000 & echo $!)
exec sleep 1000
"""
"""A program with a session of its own below it, one in that, and one whose parent has gone."""


def family(rig: Rig, host: Host) -> tuple[int, list[int]]:
    """The reaper, and every process of the child's."""
    assert rig.agent
    started(host, shell(BREED))
    host.until(lambda: len(host.lines()) == 2, "two pids")
    (reaper,) = offspring(rig.agent.pid)
    eventually(lambda: len(descendants(reaper)) == 5, "the whole family")
    return reaper, descendants(reaper)


def descendants(pid: int) -> list[int]:
    found = offspring(pid)
    return found + [below for child in found for below in descendants(child)]


def none_alive(pids: list[int]) -> bool:
    return not any(map(alive, pids))


def test_what_a_child_leaves_dies_before_its_exit_is_said(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        _, pids = family(rig, host)
        os.kill(host.of(Started)[0].pid, signal.SIGTERM)
        assert exited(host) == Exited("main", 1, -signal.SIGTERM, False)
        assert none_alive(pids)


def test_all_die_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        reaper, pids = family(rig, host)
        rig.kill()
        eventually(lambda: none_alive([reaper, *pids]), "the death of all", 3)


def test_all_die_with_a_reaper_that_is_killed(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        reaper, pids = family(rig, host)
        os.kill(reaper, signal.SIGKILL)
        assert exited(host) == Exited("main", 1, -signal.SIGKILL, False)
        assert none_alive(pids)
        assert offspring(rig.agent.pid) == []


def test_the_next_agent_kills_what_outlived_both_agent_and_reaper(tmp_path: Path) -> None:
    with connected(tmp_path) as (rig, host):
        assert rig.agent
        reaper, pids = family(rig, host)
        # Stopped first: neither may see the other die.
        for pid in (rig.agent.pid, reaper):
            os.kill(pid, signal.SIGSTOP)
        for pid in (rig.agent.pid, reaper):
            os.kill(pid, signal.SIGKILL)
        rig.agent.wait()
        eventually(lambda: not alive(pids[0]) or not alive(reaper), "the reaper's death", 3)
        assert not none_alive(pids)
        rig.start()
        eventually(lambda: none_alive(pids), "the death of all", 3)
        eventually(lambda: "that an earlier agent had left" in rig.log(), "word of it")


def test_an_agent_spares_the_processes_of_others(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with connected(tmp_path / "one") as (rig, host), connected(tmp_path / "two") as (other, _):
        _, pids = family(rig, host)
        other.kill()
        other.start()
        eventually(lambda: other.log().count("agent 0") == 2, "the second agent")
        assert all(map(alive, pids))


ACTS_AT_THE_END = "while read -r line; do :; done; : > acted"


def test_an_agents_death_is_no_end_of_input(tmp_path: Path) -> None:
    for attempt in range(10):
        place = tmp_path / str(attempt)
        place.mkdir()
        with connected(place) as (rig, host):
            pid = started(host, shell(f"cd {place}; {ACTS_AT_THE_END}"))
            rig.kill()
            eventually(partial(none_alive, [pid]), "its death", 3)
        assert not (place / "acted").exists()
