"""Neighbouring versions meet: of the daemon, of the agent, of the database, of the journal. What was begun goes on, or
it is said which side must be upgraded; nothing is misread.

Another version is a copy of these sources in which a line or two are other ones.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.scenarios.breaking import agent_dir, agent_of, kill_agent, reason, wait_for
from tests.scenarios.rig import ROOT, STANDIN, Rig

GOLDEN = Path(__file__).parent / "golden"


LATER = {"ccbridged/__init__.py": ('__version__ = "', '__version__ = "9.')}


def another_version(rig: Rig, changes: Mapping[str, tuple[str, str]]) -> list[str]:
    """What goes before the command of a daemon of these sources with ``changes``: path to (old, new)."""
    tree = rig.directory / "another"
    for package in ("ccbridged", "ccbridgectl", "agent"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, (old, new) in changes.items():
        text = (tree / path).read_text()
        assert old in text
        (tree / path).write_text(text.replace(old, new, 1))
    return ["env", "-C", str(tree)]


def test_an_agent_goes_on_when_the_daemon_is_upgraded_and_is_said_not_to_be_current(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[slow 2]] begun before", "--id", "begun", "--no-wait")
    rig.until(rig.ran, "its start")
    agent, told = agent_of(rig, "web").pid, rig.row("web")["agent"]
    rig.kill()
    rig.start(wrapper=another_version(rig, LATER))
    assert rig.json("status")["daemon"]["version"].startswith("9.")
    assert rig.json("wait", "begun")["text"] == "echo: [[slow 2]] begun before"
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert agent_of(rig, "web").pid == agent
    assert (told["current"], rig.row("web")["agent"]["current"]) == (True, False)
    assert rig.row("web")["agent"]["digest"] == told["digest"]
    rig.said("restart", "web")
    now = rig.row("web")["agent"]
    assert (now["current"], now["version"].startswith("9.")) == (True, True)
    assert rig.said("send", "web", "with a new agent") == "echo: with a new agent\n"
    rig.kill()
    rig.start()
    assert rig.said("send", "web", "downgraded") == "echo: downgraded\n"
    assert rig.row("web")["agent"]["current"] is False
    assert rig.ran() == ["[[slow 2]] begun before", "after", "with a new agent", "downgraded"]


@pytest.mark.parametrize(("first", "then"), [("agent", "daemon"), ("daemon", "agent")])
def test_another_version_of_the_link_is_refused_and_the_older_side_named(rig: Rig, first: str, then: str) -> None:
    """``first``: whose version of the link is the older one."""
    rig.kill()
    later = another_version(rig, {"ccbridged/protocol/wire.py": ("\nVERSION = 1\n", "\nVERSION = 2\n")})
    rig.start(wrapper=later if then == "agent" else [])
    rig.add("web")
    program = rig.programs()[0]
    rig.kill()
    rig.start(wrapper=later if then == "daemon" else [])
    wait_for(rig, "web", "failed")
    theirs, ours = (1, 2) if first == "agent" else (2, 1)
    assert reason(rig, "web").startswith(f"the agent speaks version {theirs} of the link, this daemon {ours}")
    assert f"the {first} must be upgraded" in reason(rig, "web")
    assert "ccbridgectl restart web" in rig.log.read_text()
    assert program.is_running()
    rig.said("restart", "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["after"]


def test_what_a_later_agent_says_besides_is_passed_over(rig: Rig) -> None:
    rig.kill()
    more = "self._post._waiting.append('[\"later\",1,{}]')\n        self._post.say(Alive("
    rig.start(wrapper=another_version(rig, {"agent/agent.py": ("self._post.say(Alive(", more)}))
    rig.add("web")
    assert rig.said("send", "web", "hello") == "echo: hello\n"
    assert rig.row("web")["link"]["up"]
    log = rig.log.read_text()
    assert "WARNING" not in log
    assert "later" in (agent_dir(rig, "web") / "journal").read_text()


@pytest.mark.parametrize(("version", "words"), [(99, "was written by a newer ccbridged"), (0, "knows no way")])
def test_a_database_of_another_version_is_refused_and_left_alone(rig: Rig, version: int, words: str) -> None:
    rig.add("web")
    rig.kill()
    rig.daemon = None
    path = rig.state_dir / "ccbridged.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (ours,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    status, said = failed_start(rig)
    assert (status, words in said, "another state_dir" in said) == (75, True, True), said
    assert path.read_bytes() == before
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {ours}")
    rig.start()
    assert rig.said("send", "web", "after") == "echo: after\n"


def failed_start(rig: Rig) -> tuple[int, str]:
    """Exit status and words of a daemon that does not come up."""
    places = ["--runtime-dir", str(rig.runtime_dir), "--state-dir", str(rig.state_dir)]
    command = [sys.executable, "-m", "ccbridged", "--foreground", "--config", str(rig.config), *places]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False, cwd=ROOT)
    return done.returncode, done.stderr.decode()


def test_a_journal_of_a_later_agent_is_refused_and_left_alone(rig: Rig) -> None:
    rig.kill()
    later = another_version(rig, {"agent/records.py": ("\nFORMAT = 1\n", "\nFORMAT = 2\n")})
    rig.start(wrapper=later)
    rig.add("web")
    rig.said("send", "web", "before")
    rig.kill()
    kill_agent(rig, "web")
    journal = agent_dir(rig, "web") / "journal"
    before = journal.read_bytes()
    rig.start()
    wait_for(rig, "web", "failed")
    assert "was written by another version of the agent (format 2; this agent knows format 1)" in reason(rig, "web")
    assert "restart the instance with that version of ccbridged, or move the journal away" in reason(rig, "web")
    assert journal.read_bytes() == before
    rig.kill()
    rig.start(wrapper=later)
    rig.said("start", "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.ran() == ["before", "after"]


def golden_state(rig: Rig) -> None:
    """The state directory as version 1 left it: one request done, one whose outcome the agent has, one that waits."""
    places = {"{python}": sys.executable, "{standin}": str(STANDIN), "{directory}": str(rig.directory)}
    script = (GOLDEN / "database-1.sql").read_text()
    for name, value in places.items():
        script = script.replace(name, value)
    for path in rig.state_dir.glob("ccbridged.db*"):
        path.unlink()
    path = rig.state_dir / "ccbridged.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    path.chmod(0o600)
    agent_dir(rig, "web").mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN / "journal-1", agent_dir(rig, "web") / "journal")
    secrets = rig.state_dir / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "web.json").write_text(json.dumps({"CCBRIDGE_STANDIN_RECORD": str(rig.record)}))


def test_what_version_1_left_is_read_by_this_one(rig: Rig) -> None:
    rig.kill()
    golden_state(rig)
    rig.start()
    assert rig.json("wait", "waited")["text"] == "echo: waited"
    history = {row["id"]: row["state"] for row in rig.json("history", "web")}
    assert history == {"done": "succeeded", "held": "succeeded", "waited": "succeeded"}
    assert rig.json("result", "done")["text"] == "echo: done"
    assert rig.json("result", "held")["text"] == "echo: [[slow 1]] held"
    assert rig.ran() == ["waited"]
