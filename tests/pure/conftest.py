"""Property tests find the same things on every machine and every day; the ``deep`` profile looks further.

HYPOTHESIS_PROFILE=deep pytest tests/pure/test_link_machine.py
"""

from __future__ import annotations

import os
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

import ccbridged.model.conversation
import ccbridged.protocol.link

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", settings.get_profile("repeatable"), derandomize=False, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def link() -> ModuleType:
    """The link is a parameter of its tests, so that mutants of it can be tried by the same tests."""
    return ccbridged.protocol.link


@pytest.fixture
def model() -> ModuleType:
    """The model's package is a parameter, too."""
    return ccbridged.model
