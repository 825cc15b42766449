"""The health loop on the real thing: each part killed, each part wedged, and the instance is ready again; what works is
left alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.rig import Rig, running

QUICK = """
[health]
check_interval = 0.2
max_consecutive_failures = 2
recovery_delay = 0.05
"""


@pytest.fixture
def quick() -> Iterator[Rig]:
    """A rig that looks often, with an instance that has answered once."""
    with running(QUICK) as rig:
        rig.add("web")
        assert rig.said("send", "web", "before") == "echo: before\n"
        yield rig


def recoveries(rig: Rig) -> list[Any]:
    events = map(json.loads, rig.said("events", "web", "--json").splitlines())
    return [event for event in events if event["type"] == "recovery"]


def done(rig: Rig) -> list[str]:
    return [event["done"] for event in recoveries(rig) if "came" not in event]


def until_mended(rig: Rig, *remedies: str) -> None:
    """These were tried, and it is ready again."""
    rig.until(lambda: set(remedies) <= set(done(rig)) and rig.row("web")["state"] == "ready", f"{remedies}", 90)


def health(rig: Rig, component: str) -> tuple[int, Any]:
    asked = rig.ctl("health", "--component", component, "--json")
    (found,) = json.loads(asked.stdout)["components"]
    return asked.returncode, found


def test_a_program_that_is_stopped_is_restarted_and_goes_on_in_its_session(quick: Rig) -> None:
    session, program = quick.row("web")["session_id"], quick.programs()[0]
    program.send_signal(signal.SIGSTOP)
    until_mended(quick, "restart-program")
    assert quick.said("send", "web", "after") == "echo: after\n"
    assert quick.row("web")["session_id"] == session
    assert not program.is_running()
    first = recoveries(quick)[0]
    assert (first["component"], first["done"]) == ("program", "restart-program")
    assert first["seen"].startswith("its program has not answered for")
    assert recoveries(quick)[-1]["came"] == "ready again"
    assert quick.ran() == ["before", "after"]


def test_an_agent_that_is_stopped_is_restarted_with_its_program(quick: Rig) -> None:
    agent = quick.agents()[0]
    agent.send_signal(signal.SIGSTOP)
    until_mended(quick, "reconnect", "restart-agent")
    assert quick.said("send", "web", "after") == "echo: after\n"
    assert agent.pid not in [process.pid for process in quick.agents()]


def test_an_agent_that_was_stopped_while_no_daemon_was_there_is_restarted_too(quick: Rig) -> None:
    quick.kill()
    agent = quick.agents()[0]
    agent.send_signal(signal.SIGSTOP)
    quick.start()
    quick.until(lambda: "restart-agent" in done(quick), "the remedy", 90)
    quick.until(lambda: quick.row("web")["state"] == "ready", "its agent")
    assert quick.said("send", "web", "after") == "echo: after\n"


@pytest.mark.parametrize("name", ["in.fifo", "out.fifo"])
def test_a_pipe_that_is_gone_is_made_anew(quick: Rig, name: str) -> None:
    path = quick.state_dir / "links" / "web" / name
    path.unlink()
    quick.until(lambda: path.exists() and quick.row("web")["state"] == "ready", "the pipe")
    assert quick.said("send", "web", "after") == "echo: after\n"


def test_a_pipe_with_another_mode_is_said_to_have_it(quick: Rig) -> None:
    path = quick.state_dir / "links" / "web" / "in.fifo"
    os.chmod(path, 0o666)
    status, found = health(quick, "fifo_pipes")
    assert (status, found["ok"], found["detail"]) == (1, False, "web: in.fifo has mode 0666, not 0640")
    until_mended(quick, "reconnect")
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_killed_program_and_a_killed_agent_are_told_as_remedies_too(quick: Rig) -> None:
    quick.programs()[0].kill()
    until_mended(quick, "start-program")
    quick.agents()[0].kill()
    until_mended(quick, "start-agent")
    assert quick.said("send", "web", "after") == "echo: after\n"


def test_long_work_is_left_alone_whatever_it_is(quick: Rig) -> None:
    program = quick.programs()[0].pid
    quick.said("send", "web", "[[slow 4]] thinking", "--id", "thinking", "--no-wait")
    assert quick.json("wait", "thinking")["state"] == "succeeded"
    quick.said("send", "web", "[[delta 20 5 200]] talking", "--id", "talking", "--no-wait")
    assert quick.json("wait", "talking")["state"] == "succeeded"
    assert (done(quick), [process.pid for process in quick.programs()]) == ([], [program])


def test_what_was_found_is_shown_with_its_age(quick: Rig) -> None:
    well = [True] * 6
    quick.until(lambda: [one["ok"] for one in quick.json("status")["health"]] == well, "a look since it is ready")
    told = {one["name"]: one for one in quick.json("status")["health"]}
    assert set(told) == {"docker_daemon", "fifo_pipes", "container", "agent", "program", "store"}
    assert all(one["age_s"] < 20 for one in told.values())
    assert [one["name"] for one in quick.row("web")["health"]] == ["fifo_pipes", "agent", "program"]
    assert "answered in" in told["agent"]["instances"]["web"]["detail"]


DEAF = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("request", {}).get("subtype") == "initialize":
        told = {"claude_code_version": "0", "hooks_applied": True, "hook_on_failure_supported": True}
        response = {"subtype": "success", "request_id": asked["request_id"], "response": told}
        print(json.dumps({"type": "control_response", "response": response}), flush=True)
        break
time.sleep(1e6)
"""


def test_a_program_that_never_answers_is_given_up_when_all_has_been_tried_and_can_be_started_again(quick: Rig) -> None:
    deaf = quick.directory / "deaf.py"
    deaf.write_text(DEAF)
    quick.said("add", "deaf", "--process", "--program", sys.executable, str(deaf))
    quick.until(lambda: quick.row("deaf")["state"] == "failed", "the end of the ladder", 150)
    told = [json.loads(line) for line in quick.said("events", "deaf", "--json").splitlines()]
    remedies = [event["done"] for event in told if event["type"] == "recovery" and "came" not in event]
    assert remedies == ["restart-program", "restart-agent", "give-up"]
    assert quick.row("deaf")["reason"].endswith("nothing that was tried has helped")
    quick.until(lambda: len(quick.agents()) == 1, "the end of its agent")
    quick.said("start", "deaf")
    assert (quick.row("deaf")["state"], quick.row("web")["state"]) == ("ready", "ready")
