"""``[notify] command`` of a real daemon: told what the event log shows, changed by SIGHUP, in nobody's way."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil

from tests.scenarios.rig import CONFIG, Rig


def told_to(rig: Rig, script: str) -> None:
    """The configuration says so, and the daemon has read it."""
    command = json.dumps(["sh", "-c", script]) if script else "[]"
    rig.config.write_text(f"{CONFIG}\n[notify]\ncommand = {command}\n")
    before = rig.log.read_text().count("has been read again")
    assert rig.daemon
    rig.daemon.send_signal(signal.SIGHUP)
    rig.until(lambda: rig.log.read_text().count("has been read again") > before, "the new configuration")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def shown(rig: Rig, since: int = 0) -> list[str]:
    """What ``ccbridgectl events --json`` prints, without Claude's stream."""
    printed = rig.said("events", "--since", str(since), "--json").splitlines()
    return [line for line in printed if json.loads(line)["type"] != "output"]


def test_it_is_told_the_very_lines_that_events_shows_in_order(rig: Rig) -> None:
    told = rig.directory / "told"
    told_to(rig, f"cat >> {told}")
    rig.add("web")
    rig.add("api")
    clients = [rig.begin("send", name, f"{name} {number}") for number in range(3) for name in ("web", "api")]
    assert [client.wait(30) for client in clients] == [0] * 6
    rig.until(lambda: len(lines(told)) == len(shown(rig)), "the last event")
    assert lines(told) == shown(rig)
    types = {json.loads(line)["type"] for line in lines(told)}
    assert types >= {"instance", "request", "state", "result"}


def test_a_permission_question_is_told_with_how_to_answer_it(rig: Rig) -> None:
    told = rig.directory / "told"
    told_to(rig, f"cat >> {told}")
    rig.add("web")
    client = rig.begin("send", "web", '[[tool Bash {"command": "true"}]]')
    rig.until(lambda: any('"type":"approval",' in line for line in lines(told)), "the question")
    asked = next(json.loads(line) for line in lines(told) if '"type":"approval",' in line)
    rig.said("deny", asked["id"])
    client.wait(30)
    rig.until(lambda: any('"type":"approval_closed",' in line for line in lines(told)), "its end")


def test_hup_takes_over_another_command_or_none(rig: Rig) -> None:
    assert rig.daemon
    process = psutil.Process(rig.daemon.pid)
    rig.add("web")
    without, last = process.num_threads(), json.loads(shown(rig)[-1])["seq"]
    first, second = rig.directory / "first", rig.directory / "second"
    told_to(rig, f"cat >> {first}")
    rig.until(lambda: process.num_threads() == without + 1, "a thread for it")
    rig.said("send", "web", "one")
    rig.until(lambda: any('"result"' in line for line in lines(first)), "one's result")
    told_to(rig, f"cat >> {second}")
    rig.said("send", "web", "two")
    rig.until(lambda: any('"result"' in line for line in lines(second)), "two's result")
    told_to(rig, "")
    rig.until(lambda: process.num_threads() == without, "the end of the thread")
    rig.said("send", "web", "three")
    told = lines(first) + lines(second)
    assert told == shown(rig, last)[: len(told)]
    assert "two" not in "".join(lines(first))
    assert "three" not in "".join(lines(second))


def test_one_that_hangs_delays_no_prompt_and_not_the_end(rig: Rig) -> None:
    pids = rig.directory / "pids"
    told_to(rig, f"echo $$ >> {pids}; trap '' TERM; while :; do sleep 1; done")
    rig.add("web")
    rig.until(lambda: lines(pids), "the first run")
    began = time.monotonic()
    for number in range(5):
        assert rig.said("send", "web", str(number)) == f"echo: {number}\n"
    assert time.monotonic() - began < 8, "it waited for a run to end"
    began = time.monotonic()
    assert rig.kill(signal.SIGTERM) == 0
    assert time.monotonic() - began < 8
    assert not any(psutil.pid_exists(int(pid)) for pid in lines(pids))


def test_a_daemon_that_starts_again_begins_with_what_is_new(rig: Rig) -> None:
    told = rig.directory / "told"
    rig.add("web")
    rig.said("send", "web", "one")
    rig.until(lambda: rig.row("web")["state"] == "ready", "the end of it")
    told_to(rig, f"cat >> {told}")
    last = json.loads(shown(rig)[-1])["seq"]
    rig.kill()
    rig.start()
    rig.said("send", "web", "two")
    rig.until(lambda: any("echo: two" in line for line in lines(told)), "two's result")
    assert json.loads(lines(told)[0])["seq"] > last


def test_one_that_is_broken_costs_a_line_in_the_log_and_tells_no_secret(rig: Rig) -> None:
    rig.config.write_text(f'{CONFIG}\n[notify]\ncommand = ["/nowhere/notify", "token=hunter2"]\n')
    rig.kill(signal.SIGTERM)
    rig.start()
    rig.add("web")
    for number in range(3):
        rig.said("send", "web", str(number))
    rig.until(lambda: "notify" in rig.log.read_text(), "a warning")
    log = rig.log.read_text()
    assert log.count("the [notify] command /nowhere/notify cannot be started: No such file or directory") == 1
    assert "hunter2" not in log
