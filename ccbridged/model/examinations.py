"""The two verbs that look at what is outside: ``discover`` and ``doctor``. Who asked waits until all has been seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccbridged.model import doctor as doctors
from ccbridged.model import survey
from ccbridged.model.effects import Effect, Examine, Fail, Reply, RuntimeDone, Survey
from ccbridged.model.memory import Moment
from ccbridged.model.sighting import Examination
from ccbridged.protocol.calls import Call

if TYPE_CHECKING:
    from ccbridged.model.bridge import Bridge


def discover(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    token = _token(bridge, client, "survey", at)
    return [Survey(token)]


def doctor(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    """A login is asked for where no program has said one: the question leaves traces in Claude Code's files."""
    token = _token(bridge, client, "examine", at)
    instances = bridge.instances.values()
    unknown = tuple(one.name for one in instances if one.conversation.memory.login in ("", "none"))
    return [Examine(token, tuple(one.spec for one in instances), unknown)]


def answer(bridge: Bridge, done: RuntimeDone) -> list[Effect]:
    """All has been seen: to whoever asked, if still there."""
    client = bridge.examinations.pop(done.name, "")
    if not client:
        return []
    if done.error is not None:
        return [Fail(client, done.error)]
    links, instances = str(done.facts["links"]), bridge.instances
    if done.action == "survey":
        found = done.facts["containers"]
        assert isinstance(found, list)
        return [Reply(client, survey.rows(found, links, [one.spec for one in instances.values()]))]
    seen = done.facts["seen"]
    assert isinstance(seen, Examination)
    return [Reply(client, doctors.Judge(links, bridge.digest).document(seen, instances.values()))]


def forget(bridge: Bridge, client: str) -> None:
    """It does not wait any more."""
    bridge.examinations = {token: one for token, one in bridge.examinations.items() if one != client}


def _token(bridge: Bridge, client: str, what: str, at: Moment) -> str:
    token = at.uuid(client, what)
    bridge.examinations[token] = client
    return token
