"""What clients do with prompts: send them, wait for them, stop them, put them in order; and answer what comes of them.

One function per verb, as in ``service``, whose table names them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ccbridged.model import claude
from ccbridged.model.approvals import Approval
from ccbridged.model.effects import Effect, Follow, Json, Recall, Reply
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment
from ccbridged.model.naming import pick
from ccbridged.model.requests import FINAL, Request
from ccbridged.protocol.calls import Call
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.messages import MAIN, Feed

if TYPE_CHECKING:
    from ccbridged.model.bridge import Bridge

MAX_ID = 128
"""Characters of a request's id."""


def send(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    """Idempotent: a known id is followed, never run again, also when its answer is gone."""
    instance, id_ = bridge.find(call.text("name")), call.text("id")
    owner = bridge.owner(id_)
    if owner is not None and owner is not instance:
        raise BridgeError("exists", f"request {id_} is one of {owner.name}", "choose another id")
    if fault := instance.queue.spent_fault(id_):
        raise fault
    submitted: list[Effect] = []
    if owner is None:
        submitted = instance.submit(_request(instance, call, at), at)
    if not call.flag("follow"):
        return [*submitted, Follow(client, request=id_, only="request", until="end")]
    return [*submitted, Follow(client, request=id_, since=call.count("since"), until="result")]


def wait(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    _, id_ = bridge.find_request(call.text("id"))
    return [Follow(client, request=id_, since=call.count("since"), only="result", until="result")]


def result(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance, id_ = bridge.find_request(call.text("id"))
    state = instance.queue.state(id_)
    if state not in FINAL:
        raise BridgeError("busy", f"request {id_} is still {state}", f"wait for it: ccbridgectl wait {id_}")
    return [Recall(client, id_)]


def cancel(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance, id_ = bridge.find_request(call.text("id"))
    state = instance.queue.state(id_)
    if state in FINAL:
        hint = f"see how: ccbridgectl result {id_}"
        raise BridgeError("no-such-request", f"request {id_} has ended already: {state}", hint)
    effects = instance.cancel(id_, at)
    state = "stopping" if instance.queue.find(id_) else instance.queue.state(id_)
    return [*effects, Reply(client, {"v": 1, "id": id_, "state": state})]


def interrupt(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    current = instance.queue.current
    waiting = [request.id for request in instance.queue.waiting]
    told = {"v": 1, "stopped": current.id if current else None, "queued": waiting}
    return [*instance.interrupt(at), Reply(client, told)]


def queue(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    chosen = {field: _waiting(bridge, instance, call.text(field)) for field in ("move", "drop") if call.text(field)}
    effects: list[Effect] = []
    if "move" in chosen:
        effects += instance.queue.move(chosen["move"], call.count("to"))
    if "drop" in chosen:
        effects += instance.cancel(chosen["drop"], at)
    return [*effects, Reply(client, instance.queue.told())]


def approvals(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    chosen = [bridge.find(call.text("name"))] if call.text("name") else list(bridge.instances.values())
    return [Reply(client, [approval.told() for one in chosen for approval in one.conversation.turn.approvals])]


def approve(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    scope = call.text("scope")
    if scope not in ("", "session"):
        hint = 'put a rule into the configuration: [approvals] rules = [{tool="…", action="allow"}]'
        raise BridgeError("usage", f"an approval cannot be given for {scope!r}", hint)
    instance, approval = _approval(bridge, call.text("id"))
    line = claude.allow(approval.request_id, approval.input, approval.suggestions if scope else ())
    return _settle(instance, approval, line, "allowed", client, at)


def deny(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance, approval = _approval(bridge, call.text("id"))
    line = claude.deny(approval.request_id, call.text("reason") or "a person said no")
    return _settle(instance, approval, line, "denied", client, at)


def _request(instance: Instance, call: Call, at: Moment) -> Request:
    id_, prompt, timeout = call.text("id"), call.text("prompt"), call.number("timeout")
    if not id_.isprintable() or not 0 < len(id_) <= MAX_ID or " " in id_:
        raise BridgeError("usage", "an id is at most 128 printable characters without spaces", "choose another --id")
    if not prompt.strip() or timeout < 0:
        fault = "a timeout cannot be negative" if prompt.strip() else "the prompt is empty"
        raise BridgeError("usage", fault, "see: ccbridgectl send --help")
    if not instance.wanted or instance.state == "failed":
        name, reason = instance.name, instance.standing.reason
        why = f": {reason}" if reason else ""
        hint = f"start it: ccbridgectl start {name}"
        raise BridgeError("not-running", f"{name} is {instance.state}{why}", hint)
    if not instance.mail.fits(Feed(MAIN, 0, claude.prompt("0" * 36, prompt))):
        limit = instance.mail.link.message_limit // (1024 * 1024)
        hint = "put it into a file that Claude can read, and name the file in the prompt"
        raise BridgeError("too-large", f"the prompt does not fit into a message of {limit} MiB", hint)
    expires = at.now + timeout if timeout else None
    retry = call.flag("retry_uncertain")
    return replace(Request(id_, instance.name, prompt, at.wall, timeout, retry), expires=expires)


def _waiting(bridge: Bridge, instance: Instance, word: str) -> str:
    """The id of one that waits in this instance."""
    owner, id_ = bridge.find_request(word)
    if owner is not instance or not any(request.id == id_ for request in instance.queue.waiting):
        hint = f"see what does: ccbridgectl queue {instance.name}"
        raise BridgeError("no-such-request", f"request {id_} does not wait in {instance.name}", hint)
    return id_


def _approval(bridge: Bridge, id_: str) -> tuple[Instance, Approval]:
    found = {a.id: (one, a) for one in bridge.instances.values() for a in one.conversation.turn.approvals}
    hint = "it may have been answered, or withdrawn; what waits: ccbridgectl approvals"
    return found[pick(id_, found, "no-such-approval", "approval", hint)]


def _settle(instance: Instance, approval: Approval, line: str, verdict: str, client: str, at: Moment) -> list[Effect]:
    steps = instance.conversation.answer(approval, line, verdict, at)
    told: Json = {"v": 1, "id": approval.id, "instance": approval.instance, "tool": approval.tool, "verdict": verdict}
    return [*instance.steps(steps, at), Reply(client, told)]
