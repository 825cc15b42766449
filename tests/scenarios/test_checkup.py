"""``doctor`` and ``discover`` on this host, with a real daemon: what is wrong is provoked, found, mended as advised."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.real_kit import CLAUDE, need_claude
from tests.scenarios.rig import CONFIG, Rig, running
from tests.scenarios.test_upgrade import LATER, another_version

NO_ENGINE = CONFIG + '[docker]\nhost = "unix:///nonexistent/docker.sock"\n'


def told(rig: Rig) -> tuple[int, dict[str, Any]]:
    done = rig.ctl("doctor", "--json")
    return done.returncode, json.loads(done.stdout)


def bad(rig: Rig, name: str = "") -> dict[str, tuple[str, str, str]]:
    """check -> severity, detail, fix; of one instance or of what is there for all."""
    status, document = told(rig)
    assert status == (0 if document["ok"] else 1)
    return {
        check["check"]: (check["severity"], check["detail"], check["fix"])
        for check in document["checks"]
        if check["instance"] == name and not check["ok"]
    }


def test_a_healthy_daemon_is_only_advised_to_be_run_by_a_service_manager(rig: Rig) -> None:
    rig.add("web")
    status, document = told(rig)
    assert (status, document["ok"], bad(rig, "web")) == (0, True, {})
    assert set(bad(rig)) <= {"service", "engine"}
    assert {check["check"] for check in document["checks"]} >= {"daemon", "engine", "disk", "store", "service", "agent"}
    plain = rig.ctl("doctor")
    assert plain.returncode == 0
    assert f"ok     daemon        serves {rig.runtime_dir}" in plain.stdout.decode()


def test_without_an_engine_doctor_says_so_and_discover_ends_with_why() -> None:
    with running(NO_ENGINE) as rig:
        severity, detail, fix = bad(rig)["engine"]
        assert (severity, "is not running; no instance needs it" in detail) == ("advice", True)
        assert "systemctl start docker" in fix
        done = rig.ctl("discover")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (69, b"", 1)
        assert b"nonexistent/docker.sock is not running; start it" in done.stderr
        rig.kill()
        rig.config.write_text(NO_ENGINE + '[instances.box]\ncontainer = "box"\n')
        rig.start()
        assert bad(rig)["engine"][0] == "error"


def test_a_program_that_is_not_there_and_a_directory_that_is_gone_are_found_and_mended(rig: Rig) -> None:
    place = rig.directory / "place"
    place.mkdir()
    rig.add("web", "--workdir", str(place))
    place.rmdir()
    assert bad(rig, "web")["workdir"][1] == f"{place} cannot be used: there is no such directory"
    assert bad(rig, "web")["workdir"][2].startswith(f"make it: mkdir -p {place};")
    place.mkdir()
    assert bad(rig, "web") == {}
    rig.said("add", "no", "--process", "--no-wait", "--program", "no-such-program")
    assert bad(rig, "no")["claude"][1] == "no-such-program is not on the daemon's PATH"
    rig.until(lambda: rig.row("no")["state"] == "failed", "that it is given up")
    assert "no-such-program is not on PATH" in bad(rig, "no")["state"][1]


def test_claude_code_itself_says_whether_it_is_logged_in(rig: Rig, tmp_path: Path) -> None:
    need_claude()
    nobody = "ANTHROPIC_BASE_URL=http://127.0.0.1:9"
    home = [f"HOME={tmp_path}", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", nobody]
    home = [word for one in home for word in ("--env", one)]
    program = ["--program", str(CLAUDE)]
    rig.said("add", "out", "--process", *home, *program)
    rig.said("add", "in", "--process", *home, "--env", "ANTHROPIC_API_KEY=sk-test", *program)
    severity, detail, fix = bad(rig, "out")["login"]
    assert (severity, detail) == ("error", "Claude Code says that it is not logged in")
    assert fix == f"{CLAUDE} auth login; or remove out and add it with --env ANTHROPIC_API_KEY"
    rig.kill()
    rig.start()
    assert bad(rig, "in") == {}
    (login,) = [check for check in told(rig)[1]["checks"] if (check["instance"], check["check"]) == ("in", "login")]
    assert login["detail"] == "by ANTHROPIC_API_KEY", "it is known after a restart too"


def test_an_older_agent_is_found_and_a_restart_mends_it(rig: Rig) -> None:
    rig.add("web")
    rig.kill()
    rig.start(wrapper=another_version(rig, LATER))
    rig.until(lambda: rig.row("web")["state"] == "ready", "its being found again")
    severity, _, fix = bad(rig, "web")["agent"]
    assert (severity, fix) == ("advice", "ccbridgectl restart web")
    rig.said("restart", "web")
    assert bad(rig, "web") == {}


def test_a_fifo_that_is_gone_is_found(rig: Rig) -> None:
    rig.kill()
    rig.config.write_text(CONFIG.replace("[health]", "[health]\nenabled = false"))
    rig.start()
    rig.add("web")
    (rig.state_dir / "links" / "web" / "in.fifo").unlink()
    severity, _, fix = bad(rig, "web")["link"]
    assert (severity, fix) == ("error", "ccbridgectl restart web")
    rig.said("restart", "web")
    assert bad(rig, "web") == {}


def test_without_a_daemon_doctor_ends_with_69_and_with_one_again_with_0(rig: Rig) -> None:
    rig.kill()
    done = rig.ctl("doctor")
    assert done.returncode == 69
    assert done.stdout.decode().startswith("wrong  daemon")
    rig.start()
    assert rig.ctl("doctor").returncode == 0


@pytest.mark.parametrize("events", ["kept", "gone"])
def test_result_tells_the_same_as_wait_and_all_that_is_known_when_the_events_are_gone(rig: Rig, events: str) -> None:
    rig.add("web")
    rig.said("send", "web", "hello", "--id", "one")
    waited = rig.json("wait", "one")
    assert {"v", "seq", "at", "instance", "request", "type", "id", "state", "text"} <= set(waited)
    if events == "gone":
        rig.kill()
        with closing(sqlite3.connect(rig.state_dir / "ccbridged.db")) as store, store:
            store.execute("DELETE FROM events")
        rig.start()
        waited |= {"seq": 0, "at": 0.0}
        assert rig.json("wait", "one") == waited
    assert rig.json("result", "one") == waited


def test_discover_needs_nothing_but_an_engine(rig: Rig) -> None:
    if not shutil.which("docker") or rig.ctl("discover").returncode:
        pytest.skip("needs a Docker engine: run `sudo tests/provision`")
    assert isinstance(rig.json("discover"), list)
