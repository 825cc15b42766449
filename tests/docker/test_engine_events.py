"""What the engine tells is heard at once; that it is gone, or there again, as well."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccbridged.model.effects import EngineFound, EngineLost, EngineSaid
from ccbridged.system.runtimes.watch import EngineWatch, told
from tests.docker.conftest import BARE, docker
from tests.docker.engine_proxy import Proxy

PATIENCE = 15.0
ID = "c0ffee"


class Ear:
    """``heard``: all that was posted, of this test's own container only."""

    def __init__(self) -> None:
        self.name = f"t{os.urandom(4).hex()}"
        self.heard: list[EngineSaid | EngineLost | EngineFound] = []

    def post(self, thing: EngineSaid | EngineLost | EngineFound) -> None:
        if not isinstance(thing, EngineSaid) or self.name in thing.called:
            self.heard.append(thing)

    def actions(self) -> list[tuple[str, dict[str, object]]]:
        return [(said.action, said.details) for said in self.heard if isinstance(said, EngineSaid)]

    def kinds(self) -> list[str]:
        return [type(thing).__name__ for thing in self.heard]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"only this was heard: {self.heard}"
            time.sleep(0.01)


@contextmanager
def listening(host: str = "", *, timeout: float = 30.0) -> Iterator[Ear]:
    ear = Ear()
    watch = EngineWatch(host, ear.post, timeout=timeout, first=0.05)
    watch.start()
    try:
        yield ear
    finally:
        watch.close()
        docker("rm", "-f", ear.name, f"{ear.name}-new", check=False)


@pytest.fixture
def ear() -> Iterator[Ear]:
    with listening() as ear:
        ear.until(lambda: ear.kinds() == ["EngineFound"])
        yield ear


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(str(tmp_path / "s"))
    yield proxy
    proxy.close()


# What becomes of containers.


def test_a_container_that_ends_is_told_with_its_status_and_its_id(ear: Ear) -> None:
    docker("run", "--name", ear.name, BARE, "sh", "-c", "exit 7", check=False)
    id_ = docker("inspect", "-f", "{{.Id}}", ear.name)
    docker("rm", ear.name)
    ear.until(lambda: len(ear.actions()) == 3)
    assert ear.actions() == [("start", {}), ("die", {"exit_code": 7}), ("destroy", {})]
    assert {said.container for said in ear.heard if isinstance(said, EngineSaid)} == {id_}


def test_who_kills_and_how_is_told_before_the_end(ear: Ear) -> None:
    docker("run", "-d", "--name", ear.name, BARE, "sleep", "600")
    docker("stop", "-t", "0", ear.name)
    docker("start", ear.name)
    docker("kill", ear.name)
    ear.until(lambda: [action for action, _ in ear.actions()].count("die") == 2)
    first = [("start", {}), ("kill", {"signal": "15"}), ("kill", {"signal": "9"}), ("die", {"exit_code": 137})]
    assert ear.actions() == [*first, ("start", {}), ("kill", {"signal": "9"}), ("die", {"exit_code": 137})]


def test_one_that_runs_out_of_memory_is_told_to_have_done_so(ear: Ear) -> None:
    docker("run", "-m", "32m", "--name", ear.name, BARE, "sh", "-c", "tail /dev/zero", check=False)
    ear.until(lambda: len(ear.actions()) >= 3)
    assert ear.actions()[-1] == ("die", {"exit_code": 137})
    assert ("oom", {}) in ear.actions()


def test_pauses_and_new_names_are_told_and_nothing_that_is_run_in_it(ear: Ear) -> None:
    docker("run", "-d", "--name", ear.name, BARE, "sleep", "600")
    docker("exec", ear.name, "true")
    docker("pause", ear.name)
    docker("unpause", ear.name)
    docker("rename", ear.name, f"{ear.name}-new")
    ear.until(lambda: len(ear.actions()) >= 4)
    assert ear.actions() == [("start", {}), ("pause", {}), ("unpause", {}), ("rename", {"was": ear.name})]
    assert ear.heard[-1] == EngineSaid(ear.heard[-1].container, f"{ear.name}-new", "rename", {"was": ear.name})  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Action": "die"},
        {"Action": "pull", "Actor": {"ID": ID}},
        {"Action": "x", "Actor": {"ID": ID, "Attributes": {}}},
    ],
)
def test_what_is_no_event_of_a_container_is_none(event: dict[str, object]) -> None:
    assert told(event) is None


def test_labels_of_a_container_are_no_details() -> None:
    attributes = {"name": "web", "exitCode": "?", "image": "x", "signal": "15", "was": "a label"}
    event = {"Action": "kill", "Actor": {"ID": ID, "Attributes": attributes}}
    assert told(event) == EngineSaid(ID, "web", "kill", {"signal": "15"})


# The engine itself.


def test_silence_is_no_loss_however_long() -> None:
    """Silence of twice the time that an answer may take."""
    with listening(timeout=0.5) as ear:
        ear.until(lambda: ear.kinds() == ["EngineFound"])
        time.sleep(1.0)
        docker("run", "-d", "--name", ear.name, BARE, "true")
        ear.until(ear.actions)
        assert "EngineLost" not in ear.kinds()


def test_an_engine_that_goes_is_told_once_and_found_again_by_itself(proxy: Proxy) -> None:
    proxy.open()
    with listening(proxy.host) as ear:
        ear.until(lambda: ear.kinds() == ["EngineFound"])
        for _ in range(2):
            proxy.close()
            ear.until(lambda: ear.kinds()[-1] == "EngineLost")
            time.sleep(0.3)
            assert ear.kinds()[-2:] == ["EngineFound", "EngineLost"], "several tries, one word"
            assert ear.heard[-1] == EngineLost(f"the Docker engine at {proxy.host} is not running")
            proxy.open()
            ear.until(lambda: ear.kinds()[-1] == "EngineFound")
        docker("run", "-d", "--name", ear.name, BARE, "true")
        ear.until(ear.actions)
        version = docker("version", "-f", "{{.Server.Version}}")
        assert ear.heard.count(EngineFound(version)) == 3


def test_an_engine_that_was_never_there_is_told_once_and_found_when_it_comes(proxy: Proxy) -> None:
    with listening(proxy.host) as ear:
        ear.until(lambda: ear.kinds() == ["EngineLost"])
        proxy.open()
        ear.until(lambda: ear.kinds() == ["EngineLost", "EngineFound"])


def test_it_ends_at_once_while_it_hears_nothing_and_says_nothing_more(proxy: Proxy) -> None:
    proxy.open()
    ear = Ear()
    watch = EngineWatch(proxy.host, ear.post)
    watch.start()
    watch.start()
    ear.until(ear.kinds)
    began = time.monotonic()
    watch.close()
    watch.close()
    assert time.monotonic() - began < 0.5
    watch.start()
    proxy.close()
    assert ear.kinds() == ["EngineFound"]


def test_it_ends_at_once_while_it_waits_for_the_engine(proxy: Proxy) -> None:
    ear = Ear()
    watch = EngineWatch(proxy.host, ear.post, first=60.0)
    watch.start()
    ear.until(ear.kinds)
    began = time.monotonic()
    watch.close()
    assert time.monotonic() - began < 0.5
    EngineWatch(proxy.host, ear.post).close()
    assert ear.kinds() == ["EngineLost"]
