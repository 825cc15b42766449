"""The volume that keeps Claude Code's login and sessions when the container that was made for it is made anew.

It lies where the container's user has ~/.claude; the settings file beside that comes onto it too, by telling Claude
Code that the directory is all it has. Whoever mounts something there by himself is left to himself.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple

from ccbridged.model.effects import Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.places import Places
from ccbridged.system.runtimes import homes
from ccbridged.system.runtimes.creation import Creation, Volume
from ccbridged.system.runtimes.docker import Engine, Refused
from ccbridged.system.runtimes.inside import Entry


class Plan(NamedTuple):
    """What a new container gets."""

    volumes: list[Volume]
    environment: dict[str, str]


class Keep:
    """Volumes that the daemon makes, and takes away."""

    def __init__(self, engine: Engine, places: Places) -> None:
        self._engine = engine
        self._places = places

    def plan(self, spec: Spec, labels: Mapping[str, str]) -> Plan:
        """Raises NoImage, and ``exists`` where a volume of that name is somebody else's."""
        config = {**self._engine.image(spec.image)["Config"]}  # type: ignore[dict-item]
        if user := spec.docker.get("user"):
            config["User"] = user
        env: dict[str, str] = json.loads(self._places.env(spec.name))
        home = homes.home(config, lambda: self._passwd(spec, labels), env)
        taken = _mounted(spec)
        if not posixpath.isabs(home.directory) or homes.covered(home.directory, taken):
            return Plan([], {})
        self._demand_ours(spec, labels, home.directory)
        told = homes.VARIABLE in {**homes.environment(config), **env} or homes.covered(home.settings, taken)
        volume = Volume(volume_name(spec), home.directory, dict(labels))
        return Plan([volume], {} if told else {homes.VARIABLE: home.directory})

    def entries(self, spec: Spec, found: Mapping[str, Any], uid: int, gid: int) -> list[Entry]:
        """What to put into "/" before the container starts: a new volume belongs to root, and would begin without what
        the image has in the settings file."""
        target = self._target(spec, found)
        if not target:
            return []
        entries = [Entry(target[1:], None, 0o700, uid, gid)]
        settings = posixpath.join(target, homes.SETTINGS)
        if homes.environment(found["Config"]).get(homes.VARIABLE) == target and target.endswith("/.claude"):
            image = self._engine.read(str(found["Id"]), f"{target}.json")
            if image is not None and self._engine.read(str(found["Id"]), settings) is None:
                entries.append(Entry(settings[1:], image, 0o600, uid, gid))
        return entries

    def remove(self, spec: Spec, labels: Mapping[str, str]) -> list[str]:
        """What is left, because another container has it mounted."""
        name = volume_name(spec)
        if not _ours(self._engine.volume(name), labels):
            return []
        try:
            self._engine.remove_volume(name)
        except Refused:
            return [f"docker volume {name}"]
        return []

    def _target(self, spec: Spec, found: Mapping[str, Any]) -> str:
        mounts = [mount for mount in found.get("Mounts", ()) if mount.get("Name") == volume_name(spec)]
        return str(mounts[0]["Destination"]) if mounts else ""

    def _demand_ours(self, spec: Spec, labels: Mapping[str, str], target: str) -> None:
        name = volume_name(spec)
        volume = self._engine.volume(name)
        if volume is None or _ours(volume, labels):
            return
        hint = (
            f"if you do not need what is on it: docker volume rm {name}; to go on with it: ccbridgectl add {spec.name}"
            f" --volume {name}:{target} …"
        )
        raise BridgeError("exists", f"there is a volume {name} already, and not made by this ccbridged", hint)

    def _passwd(self, spec: Spec, labels: Mapping[str, str]) -> bytes:
        """An image's files can be seen in a container only: one that never runs, and is gone again."""
        # No instance's container has such a name, as theirs have no capitals.
        name = f"ccbridge-{spec.name}-LOOK"
        self._engine.remove(name)
        id_ = self._engine.create(Creation(name, spec.image, ["true"], dict(labels), options={}, environment={}))
        try:
            return self._engine.read(id_, "/etc/passwd") or b""
        finally:
            self._engine.remove(id_)


def volume_name(spec: Spec) -> str:
    return f"ccbridge-{spec.name}"


def _mounted(spec: Spec) -> list[str]:
    volumes = spec.docker.get("volumes")
    return homes.targets(str(volume) for volume in volumes) if isinstance(volumes, (list, tuple)) else []


def _ours(volume: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    return volume is not None and labels.items() <= (volume.get("Labels") or {}).items()
