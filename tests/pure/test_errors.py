"""Codes that travel, and the exit statuses that scripts rely on."""

from __future__ import annotations

import pytest

from ccbridged.protocol.errors import BridgeError, exit_status


@pytest.mark.parametrize(
    ("state", "status"),
    [("succeeded", 0), ("failed", 1), ("cancelled", 6), ("uncertain", 7), ("timed_out", 124)],
)
def test_every_final_state_has_its_exit_status(state: str, status: int) -> None:
    assert exit_status(state) == status


def test_an_error_carries_its_code_its_words_and_what_to_do() -> None:
    fault = BridgeError("busy", "the queue is full", "wait")
    assert (fault.exit_status, str(fault)) == (75, "the queue is full")
    assert fault.as_json() == {"v": 1, "error": {"code": "busy", "message": "the queue is full", "hint": "wait"}}


def test_a_code_of_a_later_version_is_a_failure() -> None:
    assert BridgeError("unheard-of", "something").exit_status == 1
