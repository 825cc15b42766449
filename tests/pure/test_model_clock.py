"""Wall time steps both ways: people are shown other numbers, and nothing else happens or fails to happen."""

from __future__ import annotations

import pytest

from ccbridged.model.config import Config, HealthConfig, SessionConfig
from ccbridged.model.memory import Moment
from tests.pure.bridge_kit import World

DAY = 86400.0
STEPS = [-400 * DAY, -60.0, 60.0, 400 * DAY]


@pytest.fixture(params=STEPS, ids=lambda step: f"{step:+g} s")
def step(request: pytest.FixtureRequest) -> float:
    return float(request.param)


class Clocked(World):
    """A world whose wall clock is wrong by ``skew`` seconds."""

    skew = 0.0

    def moment(self) -> Moment:
        moment = super().moment()
        return moment._replace(wall=moment.wall + self.skew)


def world(*, request_timeout: float = 0.0) -> Clocked:
    session = SessionConfig(idle_timeout=0.0, request_timeout=request_timeout)
    world = Clocked(Config(session=session, health=HealthConfig(recovery_delay=5.0)))
    world.add()
    return world


def test_a_step_of_the_clock_lets_nothing_expire_and_nobody_wait_longer(step: float) -> None:
    here = world(request_timeout=300.0)
    here.send("[[hang]] first", id="first", timeout=100.0)
    here.send("[[hang]] second", id="second", timeout=200.0)
    here.skew += step
    here.advance(99)
    assert [here.end_of("first"), here.end_of("second")] == ["", ""]
    here.advance(20)
    assert here.end_of("first") == "timed_out"
    here.advance(90)
    assert here.end_of("second") == "timed_out"


def test_a_step_while_no_daemon_was_there_gives_nobody_more_time_than_was_asked_for(step: float) -> None:
    here = world()
    here.send("[[hang]] first", id="first", timeout=100.0)
    here.kill()
    here.skew += step
    here.load()
    here.advance(120)
    assert here.end_of("first") == "timed_out"


def test_no_duration_is_negative_and_no_age_either(step: float) -> None:
    here = world()
    id_ = here.send("[[hang]]")
    here.skew += step
    here.advance(1)
    (row,) = here.say("list")
    assert "-" not in row["reason"]
    here.finish()
    assert here.end_of(id_) == "succeeded"
    assert here.disk.request(id_)["result"]["duration_ms"] >= 0
