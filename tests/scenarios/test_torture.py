"""The bounded form of ``torture`` and ``kills``; each is a program of its own, which runs for as long as one likes."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from tests.scenarios import kills, torture
from tests.scenarios.real_kit import need_claude


def seed() -> int:
    """Another one each time; a failure names it, and the program replays it."""
    return random.randrange(1 << 32)


def test_two_hundred_deaths_lose_nothing_and_repeat_nothing() -> None:
    books = torture.processes(seed(), seconds=0, kills=200)
    assert books.deaths.total() >= 200
    assert {"program", "agent", "daemon", "client"} <= set(+books.deaths)
    assert sum(sent.told == "succeeded" for sent in books.sent.values()) > 50


def test_nor_do_fifty_with_a_container() -> None:
    image = ["docker", "image", "inspect", torture.IMAGE]
    if not shutil.which("docker") or subprocess.run(image, capture_output=True, check=False).returncode:
        pytest.skip("needs a Docker engine and the image: run `sudo tests/provision`")
    books = torture.containers(seed(), seconds=0, kills=50)
    assert sum(sent.told == "succeeded" for sent in books.sent.values()) > 20


def test_nor_do_three_hundred_deaths_of_the_real_claude() -> None:
    need_claude()
    tally = kills.run(300, seed())
    # That some hit each moment: before a turn's start, in it, after it. How many is up to the machine.
    assert tally.repeats > 0
    assert tally.states["uncertain"] > 0
    assert tally.states["succeeded"] > 30
