"""A spec is what it was, also after a journey through JSON; secrets take no part in it."""

from __future__ import annotations

import json

from ccbridged.model.effects import KeepEnv, Spec, spec_from


def test_a_spec_survives_a_journey_through_json() -> None:
    spec = Spec("web", "docker", "c1", "image", "fifo", "claude", ("claude", "x"), ("--a",), "/w", ("KEY",), {"m": [1]})
    assert spec_from(json.loads(json.dumps(spec.body()))) == spec
    assert spec_from(json.loads(json.dumps(Spec("web", "process").body()))) == Spec("web", "process")


def test_what_a_newer_version_knows_of_a_spec_is_passed_over() -> None:
    assert spec_from({"name": "web", "runtime": "process", "colour": "red"}) == Spec("web", "process")


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(KeepEnv("web", {"KEY": "hunter2"}))
