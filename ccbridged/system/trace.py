"""Inputs and effects for the log: each on one line, without contents, which may be secret and are often long."""

from __future__ import annotations

from ccbridged.model.effects import (
    Asked,
    Effect,
    EngineSaid,
    Heard,
    Input,
    KeepEnv,
    Reply,
    ReplyStatus,
    RuntimeDone,
)


def shown(thing: Input | Effect) -> str:
    match thing:
        case Heard(name, chunk):
            return f"Heard({name!r}, {len(chunk)} bytes)"
        case Asked(client, uid, call):
            subject = call.fields.get("name") or call.fields.get("id", "")
            return f"Asked({client[:8]}, uid {uid}, {call.verb} {subject!r})"
        case Reply(client) | ReplyStatus(client):
            return f"{type(thing).__name__}({client[:8]})"
        case EngineSaid(container, called, action, details):
            about = "".join(f", {name} {value}" for name, value in details.items())
            return f"EngineSaid({called!r} {container[:12]}: {action}{about})"
        case RuntimeDone(name, "survey" | "examine", error):
            return f"RuntimeDone({name[:8]!r}, {error or 'all has been seen'})"
        case KeepEnv(name):
            return f"KeepEnv({name!r})"
    return repr(thing)
