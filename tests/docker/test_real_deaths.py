"""The real Claude Code in a real container: whatever is killed at whatever moment, nothing is lost and life goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import pytest

from tests.docker.conftest import docker
from tests.docker.main_job_kit import Site, container, site
from tests.scenarios.real_kit import Real, tool
from tests.scenarios.rig import CONFIG

FAST = CONFIG + '[approvals]\ndefault = "allow"\n'
FINAL = {"succeeded", "failed", "cancelled", "timed_out", "uncertain"}


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site(FAST) as place:
        yield place


@pytest.fixture(scope="module")
def web(place: Site) -> Real:
    return place.add("made")


def kill_claude(web: Real) -> None:
    for process in web.programs():
        process.kill()


def kill_agent(web: Real) -> None:
    """It is pid 1 there: the container dies with it."""
    psutil.Process(int(docker("inspect", "-f", "{{.State.Pid}}", container(web)))).kill()


def kill_container(web: Real) -> None:
    docker("kill", container(web))


def kill_daemon(web: Real) -> None:
    web.rig.kill(signal.SIGKILL)
    web.rig.start()


VICTIMS = [kill_claude, kill_agent, kill_container, kill_daemon]
victims = pytest.mark.parametrize("kill", VICTIMS, ids=lambda kill: kill.__name__)


def lines(web: Real, file: str) -> list[str]:
    """Of a file in its container, there or not."""
    return docker("exec", container(web), "sh", "-c", f"cat {file} 2>/dev/null || true").split()


def settled(web: Real, ids: list[str]) -> list[str]:
    """The final states of these, once they are."""
    states = [json.loads(web.rig.ctl("wait", id_, "--json").stdout)["state"] for id_ in ids]
    assert set(states) <= FINAL
    return states


def goes_on(web: Real, session: str) -> None:
    answer = web.ask("and now?")
    assert (answer["state"], answer["text"], answer["session_id"]) == ("succeeded", "echo: and now?", session)


@victims
def test_in_the_middle_of_a_turn(web: Real, kill: Callable[[Real], None]) -> None:
    session = web.ask("begin")["session_id"]
    prompt, id_ = f"[[slow 2]] in the middle: {kill.__name__}", f"middle-{kill.__name__}"
    web.begin(prompt, "--id", id_)
    kill(web)
    (state,) = settled(web, [id_])
    assert state == ("succeeded" if kill is kill_daemon else "uncertain")
    assert web.times(prompt) == 1
    goes_on(web, session)


@victims
def test_while_a_tool_runs(web: Real, kill: Callable[[Real], None]) -> None:
    session = web.ask("begin")["session_id"]
    file, id_ = f"/tmp/{kill.__name__}", f"tool-{kill.__name__}"
    web.begin(tool(f"echo ran >> {file}; sleep 2"), "--id", id_)
    web.rig.until(partial(lines, web, file), "the tool's run")
    kill(web)
    (state,) = settled(web, [id_])
    assert state == ("succeeded" if kill is kill_daemon else "uncertain")
    goes_on(web, session)
    assert lines(web, file) == ["ran"]


@victims
def test_while_idle(web: Real, kill: Callable[[Real], None]) -> None:
    session = web.ask("begin")["session_id"]
    kill(web)
    goes_on(web, session)


@victims
def test_while_three_requests_wait(web: Real, kill: Callable[[Real], None]) -> None:
    session = web.ask("begin")["session_id"]
    running = f"[[slow 2]] runs: {kill.__name__}"
    web.begin(running, "--id", f"runs-{kill.__name__}")
    prompts = [f"waits {n}: {kill.__name__}" for n in range(3)]
    ids = [web.rig.said("send", web.name, prompt, "--no-wait").strip() for prompt in prompts]
    kill(web)
    assert settled(web, ids) == ["succeeded"] * 3
    assert [web.times(prompt) for prompt in (running, *prompts)] == [1, 1, 1, 1]
    goes_on(web, session)
