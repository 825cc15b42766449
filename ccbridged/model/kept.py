"""What of an instance survives the daemon, besides its requests and its link."""

from __future__ import annotations

from typing import NamedTuple

from ccbridged.model.effects import Json, Spec, spec_from
from ccbridged.model.memory import Memory, remember


class Kept(NamedTuple):
    """``ending``: what was ordered to end and may not be gone yet. ``facts``: the runtime's; ``agent``: its own."""

    spec: Spec
    wanted: bool
    ending: str
    facts: Json
    agent: Json
    memory: Memory

    def body(self) -> Json:
        return {**self._asdict(), "spec": self.spec.body(), "memory": self.memory.body()}


def kept_from(body: Json) -> Kept:
    """What ``Kept.body`` described, also after a journey through JSON."""
    spec, facts, agent, memory = (body[name] for name in ("spec", "facts", "agent", "memory"))
    assert isinstance(spec, dict)
    assert isinstance(facts, dict)
    assert isinstance(agent, dict)
    assert isinstance(memory, dict)
    return Kept(spec_from(spec), body["wanted"] is True, str(body["ending"]), facts, agent, remember(memory))
