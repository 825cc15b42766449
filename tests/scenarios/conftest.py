"""A daemon of its own for each test that needs to break it, and one for all that only look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.rig import Rig, running


@pytest.fixture
def rig() -> Iterator[Rig]:
    with running() as rig:
        yield rig


@pytest.fixture(scope="module")
def web() -> Iterator[Rig]:
    """With an instance ``web`` that is ready."""
    with running() as rig:
        rig.add("web")
        yield rig
