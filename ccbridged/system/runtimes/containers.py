"""Instances in containers: which of the two kinds it is, and how the engine and the containers are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ccbridged.model.effects import Json, Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import Pack
from ccbridged.system.places import Places
from ccbridged.system.runtimes.docker import Engine
from ccbridged.system.runtimes.guest import Guest
from ccbridged.system.runtimes.made import Made, container_name

GRACE = 15.0
"""Seconds from TERM to KILL: an agent gives its programs most of that."""


class DockerRuntime:
    """``host``: the engine's address, "" for docker's own way. ``fifo_gid``: see Guest. ``grace``: seconds from TERM
    to KILL."""

    def __init__(self, places: Places, pack: Pack, *, host: str = "", fifo_gid: int = -1, grace: float = GRACE) -> None:
        self._engine = Engine(host)
        self._places = places
        self._guest = Guest(self._engine, places, pack, fifo_gid=fifo_gid, grace=grace)
        self._made = Made(self._engine, places, grace)

    def close(self) -> None:
        self._engine.close()

    def launch(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        """Facts: ``container_id``, ``created``, ``pid`` of the container's main process on the engine's machine."""
        if spec.container:
            return self._guest.launch(spec, container=container)
        return self._made.launch(spec, facts)

    def halt(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        if spec.container:
            return self._guest.halt(spec, container=container)
        return self._made.halt(spec, facts)

    def remove(self, spec: Spec, facts: Json) -> Json:
        """Facts: ``left``, what could not be taken away, if anything. Of what was never in a container everything is
        here, so no engine is needed."""
        try:
            return self._guest.remove(spec) if spec.container else self._made.remove(spec, facts)
        except BridgeError as fault:
            if fault.code != "unavailable" or facts.get("container_id"):
                raise
        left = self._places.remove(spec.name, keep_mounted=True)
        return {"left": left} if left else {}

    def probe(self, specs: Iterable[Spec]) -> Json:
        """Facts: ``docker_daemon`` and ``container`` as [ok, detail]; ``containers``: instance name -> running, pid,
        status. Raises nothing: a fault is what it is there to find."""
        specs = [spec for spec in specs if spec.runtime == "docker"]
        try:
            version = self._engine.version()
            states = {spec.name: self._state(spec) for spec in specs}
        except BridgeError as fault:
            unknown = [False, "unknown: the engine does not answer"] if specs else [True, "none is needed"]
            return {"docker_daemon": [False, str(fault)], "container": unknown, "containers": {}}
        return {"docker_daemon": [True, f"version {version}"], "container": _summary(states), "containers": states}

    def _state(self, spec: Spec) -> dict[str, Any]:
        found: dict[str, Any] | None = self._engine.inspect(spec.container or container_name(spec))
        state = found["State"] if found is not None else {"Status": "missing"}
        running = bool(state.get("Running")) and not state.get("Paused") and not state.get("Restarting")
        return {"running": running, "pid": state.get("Pid", 0), "status": state.get("Status", "unknown")}


def _summary(states: dict[str, dict[str, Any]]) -> list[object]:
    down = [f"{name}: {state['status']}" for name, state in states.items() if not state["running"]]
    if not states:
        return [True, "none is needed"]
    return [not down, "; ".join(down) or f"{len(states)} running"]
