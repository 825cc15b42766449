"""What each verb of a client does: one function per verb of ``calls.VERBS``, each returning effects.

A call that cannot be done raises BridgeError. Whoever may write to the control FIFO may do everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ccbridged.model import examinations, prompts, status
from ccbridged.model.config import INSTANCE_NAME
from ccbridged.model.effects import (
    Effect,
    Follow,
    FollowLogs,
    KeepEnv,
    RecallHistory,
    Reply,
    ReplyStatus,
    Spec,
)
from ccbridged.model.findings import COMPONENTS
from ccbridged.model.instance import Instance
from ccbridged.model.kinds import ENV_NAME
from ccbridged.model.memory import Moment
from ccbridged.protocol.calls import Call
from ccbridged.protocol.errors import BridgeError

if TYPE_CHECKING:
    from ccbridged.model.bridge import Bridge


def ping(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    return [Reply(client, {"v": 1})]


def show_status(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    if call.text("name"):
        instance = bridge.find(call.text("name"))
        found = bridge.rounds.found.of(instance.name, at)
        return [Reply(client, {"v": 1, **status.details(instance, bridge.digest, at), "health": found})]
    instances = bridge.instances.values()
    found = bridge.rounds.told(at)
    return [ReplyStatus(client, {"instances": status.counts(instances), "health": found})]


def list_(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    wanted = call.text("state")
    return [Reply(client, [row for row in bridge.rows(at) if wanted in ("", row["state"])])]


def add(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    spec = _spec(call, bridge)
    if spec.name in bridge.instances:
        hint = f"see it: ccbridgectl status {spec.name}; or remove it first: ccbridgectl remove {spec.name}"
        raise BridgeError("exists", f"there is an instance {spec.name} already", hint)
    if fault := unavailable(spec):
        raise BridgeError("refused", fault, "leave the flag out")
    env = {name: str(value) for name, value in call.table("env").items()}
    instance = bridge.create(spec)
    return [KeepEnv(spec.name, env), *instance.add(at), *_until(instance, "up", client, call, at)]


def remove(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    return [*instance.wait(client, "gone", at), *instance.remove(at)]


def start(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    return [*instance.start(at, container=call.flag("container")), *_until(instance, "up", client, call, at)]


def stop(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    return [*instance.stop(at, container=call.flag("container")), *_until(instance, "down", client, call, at)]


def restart(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    stopped = instance.stop(at, container=call.flag("container"), again=True)
    return [*stopped, *_until(instance, "up", client, call, at)]


def history(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    instance = bridge.find(call.text("name"))
    return [RecallHistory(client, instance.name, call.count("count") or instance.queue.max_history)]


def events(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    name = bridge.find(call.text("name")).spec.name if call.text("name") else ""
    until = "" if call.flag("follow") else "end"
    return [Follow(client, instance=name, since=call.count("since"), until=until)]


def logs(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    name = bridge.find(call.text("name")).spec.name
    return [FollowLogs(client, name, call.count("since"), call.count("count") or None, call.flag("follow"))]


def health(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    component = call.text("component")
    if component and component not in COMPONENTS:
        raise BridgeError("usage", f"there is no component {component!r}", f"choose one of: {', '.join(COMPONENTS)}")
    if bridge.rounds.choked:
        return [bridge.rounds.known(client, component, at)]
    return bridge.rounds.look(client, component, bridge.instances.values(), at)


def names(bridge: Bridge, client: str, call: Call, at: Moment) -> list[Effect]:
    """For the completion of command lines."""
    instances = bridge.instances.values()
    found = {
        "requests": [id_ for one in instances for id_ in one.queue.ids()],
        "approvals": [approval.id for one in instances for approval in one.conversation.turn.approvals],
    }
    return [Reply(client, found.get(call.text("kind"), sorted(bridge.instances)))]


ANSWERS: dict[str, Callable[[Bridge, str, Call, Moment], list[Effect]]] = {
    "status": show_status,
    "list": list_,
    **{
        one.__name__: one
        for one in (
            *(ping, add, remove, start, stop, restart, history, events, logs, health, names),
            *(prompts.send, prompts.wait, prompts.result, prompts.cancel, prompts.interrupt, prompts.queue),
            *(prompts.approvals, prompts.approve, prompts.deny),
            *(examinations.discover, examinations.doctor),
        )
    },
}


def unavailable(spec: Spec) -> str:
    """What this version cannot do of a spec; "" when it can be."""
    if spec.driver != "claude":
        return f"the driver {spec.driver} is not available yet"
    if spec.transport not in ("auto", "fifo"):
        return f"the transport {spec.transport} is not available yet"
    return ""


def _spec(call: Call, bridge: Bridge) -> Spec:
    name, runtime = call.text("name"), call.text("runtime")
    if not INSTANCE_NAME.fullmatch(name):
        hint = "use at most 63 of a-z 0-9 _ . - and begin with a letter or digit"
        raise BridgeError("usage", f"{name[:80]!r} is not an instance's name", hint)
    for variable in call.table("env"):
        if not ENV_NAME.fullmatch(variable):
            raise BridgeError("usage", f"{variable[:80]!r} is not a variable's name", "use letters, digits and _")
    container, image = call.text("container"), call.text("image")
    places = {"process": 0, "docker": 1}.get(runtime)
    if places is None or bool(container) + bool(image) != places:
        hint = "give exactly one of --container, --image and --process"
        raise BridgeError("usage", f"it is not clear where {name} should run", hint)
    return Spec(
        name=name,
        runtime=runtime,
        container=container,
        image=image,
        transport=call.text("transport") or bridge.config.docker.communication_mode,
        driver=call.text("driver") or "claude",
        program=tuple(call.strings("program")) or ("claude",),
        args=tuple(call.strings("args")),
        workdir=call.text("workdir"),
        env_names=tuple(sorted(call.table("env"))),
        docker=call.table("docker"),
        durability=bridge.config.daemon.durability,
    )


def _until(instance: Instance, goal: str, client: str, call: Call, at: Moment) -> list[Effect]:
    if call.flag("wait"):
        return instance.wait(client, goal, at)
    return [Reply(client, {"v": 1, **instance.standing.told()})]
