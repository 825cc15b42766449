"""Every fault of disks, files, journals and databases, against the real daemon and real agents.

Nothing is lost, nothing runs twice, what is wrong is said with what to do, and once it is mended all goes on, by itself
where that can be."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.breaking import (
    agent_dir,
    agent_of,
    fault_injected,
    fill,
    kill_agent,
    reason,
    small_disk,
    wait_for,
)
from tests.scenarios.rig import CONFIG, Rig, running


def test_a_full_disk_under_the_agents_journal_delays_and_loses_nothing() -> None:
    with running(CONFIG + "[pipes]\nwarn_age = 1\n") as rig:
        rig.add("web")
        rig.said("stop", "web")
        with small_disk(agent_dir(rig, "web"), "size=2m", "mode=700") as disk:
            try:
                rig.said("start", "web")
                rig.said("send", "web", "before")
                client = rig.begin("send", "web", "[[delta 30 10000 20]] meanwhile")
                rig.until(lambda: len(rig.ran()) == 2, "its start")
                fill(disk / "hog")
                second = rig.begin("send", "web", "second")
                rig.until(lambda: "cannot be written: No space left on device" in rig.log.read_text(), "word of it")
                (disk / "hog").unlink()
                out, err = client.communicate(timeout=30)
                assert (client.returncode, len(out)) == (0, 300_001), err
                assert second.wait(30) == 0
                assert rig.ran() == ["before", "[[delta 30 10000 20]] meanwhile", "second"]
                assert "journal cannot be written: No space left on device" in rig.said("logs", "web")
            finally:
                rig.close()


def test_a_disk_without_inodes_is_named_and_used_again_when_it_has_some(rig: Rig) -> None:
    rig.add("web")
    with small_disk(rig.state_dir / "links", "size=1m", "nr_inodes=1"):
        kill_agent(rig, "web")
        rig.until(lambda: "free some inodes: df -i" in rig.log.read_text(), "word of it")
        refused = rig.ctl("add", "api", "--process")
        assert (refused.returncode, b"free some inodes" in refused.stderr) == (69, True)
        assert [row["name"] for row in rig.json("list")] == ["web"]
        client = rig.begin("send", "web", "waits")
        subprocess.run(["mount", "-o", "remount,nr_inodes=100", rig.state_dir / "links"], check=True)
        assert client.wait(30) == 0
        assert rig.said("send", "web", "after") == "echo: after\n"
        rig.close()
    assert rig.ran() == ["waits", "after"]


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_input_output_error_of_the_agents_journal_delays_and_loses_nothing(rig: Rig, call: str) -> None:
    rig.add("web")
    with fault_injected(agent_of(rig, "web").pid, f"{call}:error=EIO"):
        client = rig.begin("send", "web", "through")
        log = agent_dir(rig, "web") / "log"
        rig.until(lambda: "cannot be written: Input/output error" in log.read_text(), "word of it")
    out, err = client.communicate(timeout=30)
    assert (client.returncode, out) == (0, b"echo: through\n"), err
    assert rig.ran() == ["through"]


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_input_output_error_of_the_database_refuses_new_work_and_loses_nothing(rig: Rig, call: str) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[slow 1]] meanwhile")
    rig.until(rig.ran, "its start")
    assert rig.daemon
    with fault_injected(rig.daemon.pid, f"{call}:error=EIO"):
        rig.until(lambda: "nothing new is taken until it can be written" in rig.log.read_text(), "word of it")
        refused = rig.ctl("send", "web", "not now")
        assert (refused.returncode, b"nothing is lost" in refused.stderr) == (75, True)
        assert rig.row("web")["name"] == "web"
        assert shown(rig, "status", "health")["store"].endswith("I/O error")
        assert shown(rig, "health", "components")["store"].endswith("I/O error")
        assert rig.ctl("health", "--component", "store").returncode == 1
        assert b"I/O error" in rig.ctl("doctor", "--json").stdout
        assert rig.ctl("discover").returncode in (0, 69)
    rig.until(lambda: "the store can be written again" in rig.log.read_text(), "word of its end")
    assert "store" not in {**shown(rig, "status", "health"), **shown(rig, "health", "components")}
    out, err = client.communicate(timeout=30)
    assert (client.returncode, out) == (0, b"echo: [[slow 1]] meanwhile\n"), err
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["[[slow 1]] meanwhile", "after"]


def shown(rig: Rig, verb: str, key: str) -> dict[str, str]:
    """What is not well, and why."""
    told = json.loads(rig.ctl(verb, "--json").stdout)[key]
    return {one["name"]: one["detail"] for one in told if not one["ok"]}


def both_dead(rig: Rig) -> Path:
    """The journal of ``web``, which nobody has open."""
    rig.kill()
    rig.daemon = None
    kill_agent(rig, "web")
    return agent_dir(rig, "web") / "journal"


def test_a_torn_journal_is_cut_and_nothing_is_lost(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    journal = both_dead(rig)
    with journal.open("ab") as file:
        file.write(b'1234abcd {"state":[7,"torn')
    rig.start()
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "after"]


def test_a_wiped_journal_makes_what_ran_uncertain_and_all_goes_on(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[hang]] ran", "--id", "ran", "--no-wait")
    rig.said("send", "web", "waited", "--id", "waited", "--no-wait")
    rig.until(rig.ran, "its start")
    both_dead(rig).unlink()
    rig.start()
    assert rig.json("wait", "waited")["state"] == "succeeded"
    assert rig.ctl("wait", "ran").returncode == 7
    assert "the agent has lost its journal" in rig.log.read_text()
    assert rig.ran() == ["[[hang]] ran", "waited"]


def test_a_journal_wiped_under_a_living_agent_is_no_loss(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    (agent_dir(rig, "web") / "journal").unlink()
    assert rig.said("send", "web", "held open") == "echo: held open\n"
    kill_agent(rig, "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "held open", "after"]


def test_a_journal_that_was_rolled_back_is_refused_until_somebody_decides(rig: Rig) -> None:
    rig.add("web")
    journal = both_dead(rig)
    old = journal.read_bytes()
    rig.start()
    rig.said("send", "web", "before")
    both_dead(rig)
    journal.write_bytes(old)
    rig.start()
    wait_for(rig, "web", "failed")
    assert "this journal was rolled back" in reason(rig, "web")
    assert "move it away to begin a new one" in reason(rig, "web")
    assert rig.ctl("send", "web", "not now").returncode == 3
    journal.unlink()
    rig.said("start", "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "after"]


def test_a_damaged_journal_is_refused_with_its_place_until_it_is_moved_away(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    journal = both_dead(rig)
    content = bytearray(journal.read_bytes())
    content[40] ^= 1
    journal.write_bytes(content)
    rig.start()
    wait_for(rig, "web", "failed")
    assert f"the journal {journal} is damaged at byte 0" in reason(rig, "web")
    assert "move it away" in reason(rig, "web")
    journal.rename(journal.with_suffix(".old"))
    rig.said("start", "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "after"]


def copied(rig: Rig, where: Path) -> list[Path]:
    """The database's files, as a careful administrator copies them: while the daemon is down."""
    where.mkdir(exist_ok=True)
    return [
        Path(shutil.copy2(path, where)) for path in rig.state_dir.glob("ccbridged.db*") if "ballast" not in path.name
    ]


def put_back(rig: Rig, files: list[Path]) -> None:
    for path in rig.state_dir.glob("ccbridged.db*"):
        path.unlink()
    for path in files:
        shutil.copy2(path, rig.state_dir)


def test_a_database_that_was_rolled_back_is_refused_until_somebody_decides(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "first")
    rig.kill(signal.SIGTERM)
    old = copied(rig, rig.directory / "old")
    rig.start()
    rig.said("send", "web", "second", "--id", "second")
    rig.kill(signal.SIGTERM)
    new = copied(rig, rig.directory / "new")
    put_back(rig, old)
    rig.start()
    wait_for(rig, "web", "failed")
    assert "the database was rolled back" in reason(rig, "web")
    assert "put the newest back, or: ccbridgectl remove web" in rig.log.read_text()
    refused = rig.ctl("send", "web", "not now")
    assert (refused.returncode, b"the database was rolled back" in refused.stderr) == (3, True)
    rig.kill(signal.SIGTERM)
    put_back(rig, new)
    rig.start()
    assert rig.json("result", "second")["state"] == "succeeded"
    assert rig.said("send", "web", "third") == "echo: third\n"
    assert rig.ran() == ["first", "second", "third"]


def test_an_old_copy_in_which_only_restarts_are_missing_ends_the_daemon_with_word_of_it(rig: Rig) -> None:
    """Nothing shows that it is old but the number of its life."""
    rig.add("web")
    rig.kill(signal.SIGTERM)
    old = copied(rig, rig.directory / "old")
    for _ in range(3):
        rig.start()
        wait_for(rig, "web", "ready")
        rig.kill(signal.SIGTERM)
    new = copied(rig, rig.directory / "new")
    put_back(rig, old)
    rig.start()
    assert rig.daemon
    assert rig.daemon.wait(20) == 75
    assert "or its database is an old copy" in rig.log.read_text()
    assert "put the newest database back" in rig.log.read_text()
    put_back(rig, new)
    rig.start()
    assert rig.said("send", "web", "hello") == "echo: hello\n"


def test_of_a_database_that_was_wiped_the_agents_are_named_and_taken_over(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[hang]] before", "--no-wait")
    rig.until(rig.ran, "its start")
    programs = rig.programs()
    rig.kill(signal.SIGTERM)
    put_back(rig, [])
    rig.start()
    assert rig.json("list") == []
    assert "an agent of web runs" in rig.log.read_text().rpartition("-- start")[2]
    rig.add("web")
    assert not any(program.is_running() for program in programs)
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["[[hang]] before", "after"]
