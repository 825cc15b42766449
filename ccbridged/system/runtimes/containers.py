"""Instances in containers: which of the two kinds it is, and how the engine and the containers are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    def probe(self, specs: Iterable[Spec], ids: Mapping[str, str]) -> Json:
        """Facts: ``docker_daemon`` as [ok, detail], ``container`` as {instance: [ok, detail, excuse]}; see
        ``effects.Probe``. Raises nothing: a fault is what it is there to find."""
        specs = [spec for spec in specs if spec.runtime == "docker"]
        try:
            version = self._engine.version()
            found = {spec.name: condition(self._found(spec, ids.get(spec.name, ""))) for spec in specs}
        except BridgeError as fault:
            unknown = [False, "unknown: the engine does not answer", "unknown"]
            names = [spec.name for spec in specs]
            return {"docker_daemon": [False, str(fault)], "container": dict.fromkeys(names, unknown)}
        return {"docker_daemon": [True, f"version {version}"], "container": found}

    def _found(self, spec: Spec, id_: str) -> Json | None:
        """By its id, because it may have another name by now; or another may have its name."""
        found = self._engine.inspect(id_) if id_ else None
        return found or self._engine.inspect(spec.container or container_name(spec))


def condition(found: Mapping[str, Any] | None) -> list[object]:
    """[ok, detail, excuse] of a container that was inspected; None: there is no such container."""
    if found is None:
        return [False, "is missing", ""]
    state = found["State"]
    status = state.get("Status", "unknown")
    if state.get("Paused"):
        name = str(found.get("Name", "")).removeprefix("/")
        return [False, f"is paused; let it go on: docker unpause {name}", "paused"]
    if status == "running":
        return [True, f"running, pid {state.get('Pid', 0)}", ""]
    if status in ("exited", "restarting", "dead"):
        why = "out of memory" if state.get("OOMKilled") else str(state.get("Error") or "")
        again = "; docker starts it again" if status == "restarting" else ""
        return [False, f"exited with status {state.get('ExitCode', '?')}{why and ': '}{why}{again}", ""]
    if status == "created":
        error = state.get("Error")
        return [False, f"could not be started: {error}" if error else "was never started", ""]
    return [False, f"is {status}", ""]
