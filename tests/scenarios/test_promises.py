"""What can only be seen from below: system calls, syncs to disk, a full disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.rig import CONFIG, Rig, running

STRACE = shutil.which("strace")


@pytest.fixture
def small_disk(rig: Rig) -> Iterator[Path]:
    """The rig's state on a disk of 32 MB, with a daemon that serves from it."""
    if os.geteuid() != 0:
        pytest.skip("needs to mount: run `sudo tests/run`")
    rig.kill(signal.SIGTERM)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", rig.state_dir], check=True)
    try:
        rig.start()
        yield rig.state_dir
    finally:
        rig.close()
        subprocess.run(["umount", "-l", rig.state_dir], check=True)


def test_an_idle_daemon_with_ten_instances_makes_no_system_calls() -> None:
    """Nothing polls: a thread that made one would have run. The watchdog's looks end soon after the loop fell asleep,
    and the health loop's are an hour apart."""
    with running("[health]\ncheck_interval = 3600.0\n") as rig:
        for number in range(10):
            rig.add(f"web{number}")
        assert rig.json("status")["instances"] == {"ready": 10}
        rig.rest(15.0, 60.0)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_what_is_acknowledged_to_the_agent_was_synced_before_or_not_as_asked(durability: str) -> None:
    if STRACE is None:
        pytest.skip("needs strace: run `sudo tests/provision`")
    with running(CONFIG + f'[daemon]\ndurability = "{durability}"\n') as rig:
        rig.add("web")
        rig.kill(signal.SIGTERM)
        trace = rig.directory / "syncs"
        calls = "trace=fdatasync,fsync,write,pwrite64,openat"
        rig.start(wrapper=[STRACE, "-f", "-y", "-o", str(trace), "-e", calls])
        rig.said("send", "web", "hello")
        assert rig.daemon
        subprocess.run(["pkill", "-KILL", "-P", str(rig.daemon.pid)], check=True)
        rig.daemon.wait()
        rig.daemon = None
        synced = _syncs_between_wal_and_link(trace.read_text().splitlines())
    assert len(synced) > 5
    if durability == "power":
        assert all(synced)
    else:
        assert synced.count(False) > 5


def test_on_a_full_disk_new_work_is_refused_and_nothing_is_lost(rig: Rig, small_disk: Path) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    rig.said("send", "web", "[[slow 2]] meanwhile", "--id", "meanwhile", "--no-wait")
    rig.until(lambda: "[[slow 2]] meanwhile" in rig.ran(), "its start")
    hog = small_disk / "hog"
    _fill(hog)
    done = rig.ctl("send", "web", "not now")
    assert done.returncode == 75
    assert b"is full" in done.stderr
    assert b"make room" in done.stderr
    rig.until(lambda: "nothing new is taken" in rig.log.read_text(), "word of the full disk")
    assert rig.row("web")["name"] == "web"
    hog.unlink()
    rig.until(lambda: "can be written again" in rig.log.read_text(), "word of the room")
    assert rig.json("wait", "meanwhile")["state"] == "succeeded"
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "[[slow 2]] meanwhile", "after"]


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass


def _syncs_between_wal_and_link(lines: list[str]) -> list[bool]:
    """For every write into ``in.fifo`` after something was written ahead: whether that had been synced by then."""
    synced: list[bool] = []
    dirty = unsynced = False
    for line in lines:
        if "pwrite64" in line and "ccbridged.db-wal" in line:
            dirty = unsynced = True
        elif re.search(r"f(data)?sync\(", line) and "ccbridged.db-wal" in line:
            unsynced = False
        elif "write(" in line and "in.fifo" in line and dirty:
            synced.append(not unsynced)
            dirty = False
    return synced
