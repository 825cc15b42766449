"""Instances while their engine and their containers come and go: moved at once, each time with a clear word.

No look of the health loop helps: it looks once in an hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docker.conftest import docker
from tests.docker.engine_of_its_own import IMAGE, own_engine
from tests.docker.engine_proxy import Proxy
from tests.docker.main_job_kit import Site, container, site, started_at
from tests.scenarios.real_kit import Real
from tests.scenarios.rig import STANDIN, Rig, running

SELDOM = "[health]\nrecovery_delay = 0.05\ncheck_interval = 3600\n"
SOON = 15.0


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(str(tmp_path / "s"))
    proxy.open()
    yield proxy
    proxy.close()


@pytest.fixture
def place(proxy: Proxy) -> Iterator[Site]:
    with site(f'{SELDOM}[docker]\nhost = "{proxy.host}"\n[daemon]\nlog_level = "debug"\n') as place:
        yield place


@pytest.fixture
def web(place: Site) -> Real:
    web = place.add("made")
    place.rig.until(lambda: "< EngineFound" in place.rig.log.read_text(), "the engine's first word")
    return web


def engine(rig: Rig) -> dict[str, Any]:
    done = rig.ctl("health", "--component", "docker_daemon", "--json")
    (component,) = json.loads(done.stdout)["components"]
    found: dict[str, Any] = component
    return found


def session_of(rig: Rig, prompt: str) -> str:
    """In which it is answered."""
    result = json.loads(rig.said("send", "web", prompt, "--json").splitlines()[-1])
    assert result["state"] == "succeeded"
    return str(result["session_id"])


def ready(rig: Rig, name: str) -> None:
    rig.until(lambda: rig.row(name)["state"] == "ready", "ready", SOON)


def test_a_container_that_dies_is_brought_back_at_once_and_the_log_has_it_all(web: Real) -> None:
    before = started_at(web)
    docker("kill", container(web))
    web.rig.until(lambda: started_at(web) != before, "another life", SOON)
    ready(web.rig, web.name)
    events = [json.loads(line) for line in web.rig.said("events", web.name, "--json").splitlines()]
    did = [(event["did"], event.get("exit_code")) for event in events if event["type"] == "container"]
    assert did[-2:] == [("die", 137), ("start", None)]
    assert web.text("and on") == "echo: and on\n"


def test_without_an_engine_an_instance_goes_on_and_health_has_the_word_for_it(web: Real, proxy: Proxy) -> None:
    proxy.close()
    web.rig.until(lambda: "< EngineLost" in web.rig.log.read_text(), "the loss")
    assert web.text("without an engine") == "echo: without an engine\n"
    found = engine(web.rig)
    assert (found["ok"], found["detail"]) == (False, f"the Docker engine at {proxy.host} is not running")
    assert web.rig.row(web.name)["state"] == "ready"
    proxy.open()
    web.rig.until(lambda: engine(web.rig)["ok"], "the engine's return", SOON)


def test_what_died_while_there_was_no_engine_comes_back_with_it(web: Real, proxy: Proxy) -> None:
    session = web.ask("before")["session_id"]
    proxy.close()
    docker("kill", container(web))
    told = f"the Docker engine at {proxy.host} is not running"
    web.rig.until(lambda: told in web.rig.row(web.name)["reason"], "the reason")
    assert web.rig.row(web.name)["state"] == "recovering"
    waiting = web.rig.said("send", web.name, "as soon as you can", "--no-wait").strip()
    proxy.open()
    ready(web.rig, web.name)
    assert web.rig.said("wait", waiting) == "echo: as soon as you can\n"
    assert web.rig.row(web.name)["session_id"] == session


def test_an_engine_that_is_killed_and_started_again_gets_its_instances_back() -> None:
    """It brings its containers back by itself; all else is for the daemon to do."""
    with own_engine() as own, running(f'{SELDOM}[docker]\nhost = "{own.host}"\n') as rig:
        where = ["--image", IMAGE, "--network", "none", "--volume", f"{STANDIN.parent}:/standin:ro"]
        rig.said("add", "web", *where, "--program", "python3", "/standin/claude.py")
        session = session_of(rig, "one")
        life = own.docker("inspect", "-f", "{{.State.StartedAt}}", "ccbridge-web").stdout
        own.kill()
        rig.until(lambda: not engine(rig)["ok"], "the loss")
        assert "is not running" in engine(rig)["detail"]
        assert rig.ctl("send", "web", "two").returncode == 0, "the container lives on without its engine"
        own.start()
        rig.until(
            lambda: own.docker("inspect", "-f", "{{.State.StartedAt}}", "ccbridge-web").stdout != life, "a new life"
        )
        ready(rig, "web")
        assert session_of(rig, "three") == session
        assert "Traceback" not in rig.log.read_text()
        rig.said("remove", "-y", "web")
