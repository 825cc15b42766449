"""A container made for one instance, whose main process is the agent: it starts, ends and restarts with it.

It is found by its id, or by its name and our labels; one of that name that is not ours is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

from ccbridged.model.effects import Json, Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import STABLE
from ccbridged.system.places import Places
from ccbridged.system.runtimes import agentlock, homes, inside
from ccbridged.system.runtimes.creation import Bind, Creation
from ccbridged.system.runtimes.docker import Engine, NoImage, Refused
from ccbridged.system.runtimes.inside import Entry
from ccbridged.system.runtimes.keep import Keep
from ccbridged.system.transports import IN

INSTALL, INSTANCE, SHAPE = "ccbridged.install", "ccbridged.instance", "ccbridged.shape"
"""Labels: whose it is, for which instance, and a digest of what it was made from."""
LINK, AGENT, PACK = "/run/ccbridge/link", "/run/ccbridge/agent", "/run/ccbridge/pack"
_START = 5.0
"""Seconds in which a start is watched."""
_SETTLE = 0.1
"""Seconds that an agent must live on once it has its lock."""


class Made:
    """Containers that the daemon makes, and takes away."""

    def __init__(self, engine: Engine, places: Places, grace: float) -> None:
        self._engine = engine
        self._grace = grace
        self._places = places
        self._keep = Keep(engine, places)

    def launch(self, spec: Spec, facts: Json) -> Json:
        self._places.make(spec.name, shared=True)
        id_ = self._known(facts) or self._leftover(spec) or self._create(spec)
        found = self._inspected(id_)
        if found["State"].get("Paused"):
            self._engine.unpause(id_)
        if not found["State"].get("Running"):
            self._furnish(spec, found)
            self._start(spec, id_)
        found = self._watch(spec, id_)
        return {"container_id": id_, "created": True, "pid": found["State"]["Pid"]}

    def halt(self, spec: Spec, facts: Json) -> Json:
        """The agent is the container's main process: both stop, and docker does not start it again by itself."""
        if id_ := self._ours(spec, facts):
            self._engine.stop(id_, self._grace)
        return {}

    def remove(self, spec: Spec, facts: Json) -> Json:
        if id_ := self._ours(spec, facts):
            self._engine.stop(id_, self._grace)
            self._engine.remove(id_)
        left = self._keep.remove(spec, self._labels(spec))
        left += self._places.remove(spec.name, keep_mounted=False)
        return {"left": left} if left else {}

    def _ours(self, spec: Spec, facts: Json) -> str:
        found = self._engine.inspect(container_name(spec))
        named = str(found["Id"]) if found is not None and self._is_ours(spec, found) else ""
        return self._known(facts) or named

    def _known(self, facts: Json) -> str:
        """The id of the container that was made before, while it is there."""
        id_ = str(facts.get("container_id") or "")
        return id_ if id_ and self._engine.inspect(id_) is not None else ""

    def _leftover(self, spec: Spec) -> str:
        """One that was made and not remembered, because the daemon died in between; of another shape it goes."""
        name = container_name(spec)
        found: dict[str, Any] | None = self._engine.inspect(name)
        if found is None:
            return ""
        if not self._is_ours(spec, found):
            hint = f"if you do not need it: docker rm -f {name}; or give the instance another name"
            raise BridgeError("exists", f"there is a container {name} already, and not made by this ccbridged", hint)
        if found["Config"]["Labels"].get(SHAPE) == _shape(spec):
            return str(found["Id"])
        self._engine.remove(str(found["Id"]))
        return ""

    def _is_ours(self, spec: Spec, found: Any) -> bool:
        return self._labels(spec).items() <= (found["Config"].get("Labels") or {}).items()

    def _labels(self, spec: Spec) -> dict[str, str]:
        return {INSTALL: self._places.install_id, INSTANCE: spec.name}

    def _create(self, spec: Spec) -> str:
        try:
            return self._engine.create(self._creation(spec))
        except NoImage:
            build = f"docker build -t {spec.image} packaging/docker" if spec.image.startswith("ccbridge/") else ""
            hint = f"build it: {build}" if build else f"docker pull {spec.image}"
            raise BridgeError("refused", f"there is no image {spec.image} on this engine", hint) from None

    def _creation(self, spec: Spec) -> Creation:
        places, labels = self._places, self._labels(spec)
        plan = self._keep.plan(spec, labels)
        command = ["python3", "-I", f"{PACK}/{STABLE}", "--link", LINK, "--journal", AGENT]
        return Creation(
            name=container_name(spec),
            image=spec.image,
            command=[*command, "--durability", spec.durability],
            labels={**labels, SHAPE: _shape(spec)},
            binds=[
                Bind(places.link_dir(spec.name), LINK, read_only=True),
                Bind(places.agent_dir(spec.name), AGENT, read_only=False),
                Bind(places.pack_dir, PACK, read_only=True),
            ],
            groups=[str(self._fifo_group(spec))],
            workdir=spec.workdir,
            options=spec.docker,
            volumes=plan.volumes,
            environment=plan.environment,
        )

    def _fifo_group(self, spec: Spec) -> int:
        directory = self._places.link_dir(spec.name)
        path = os.path.join(directory, IN)
        return os.lstat(path if os.path.lexists(path) else directory).st_gid

    def _start(self, spec: Spec, id_: str) -> None:
        try:
            self._engine.start(id_)
        except Refused as refusal:
            if "executable file not found" not in refusal.message:
                raise
            self._engine.remove(id_)
            hint = "add to its Dockerfile: RUN apt-get update && apt-get install -y python3 (Alpine: apk add python3)"
            raise BridgeError("refused", f"image {spec.image} has no python3, which the agent needs", hint) from None

    def _watch(self, spec: Spec, id_: str) -> dict[str, Any]:
        """Until the agent has its lock and keeps it. Where the kernel is another one: until it has lived a while.

        Docker starts again what has ended, so it must be the same life all the time.
        """
        lock = os.path.join(self._places.agent_dir(spec.name), "lock")
        found = first = self._inspected(id_)
        until = time.monotonic() + _START
        while _lives(found) and time.monotonic() < until:
            if _life(found) == _life(first) and agentlock.held(lock):
                time.sleep(_SETTLE)
                found = self._inspected(id_)
                break
            time.sleep(0.02)
            found = self._inspected(id_)
        if _lives(found) and _life(found) == _life(first):
            return found
        raise self._failure(spec, id_)

    def _failure(self, spec: Spec, id_: str) -> BridgeError:
        until = time.monotonic() + _START
        while _lives(found := self._inspected(id_)) and time.monotonic() < until:
            time.sleep(0.02)
        words = self._engine.last_words(id_)
        self._engine.stop(id_, 1)
        status = found["State"].get("ExitCode")
        return BridgeError(
            "refused" if status in (2, 78) else "failed",
            f"the agent in container {container_name(spec)} ended with status {status}: {words}",
            f"see the rest: docker logs {container_name(spec)}",
        )

    def _inspected(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self._engine.inspect(id_)
        if found is None or found["State"].get("Status") in ("removing", "dead"):
            raise BridgeError("failed", f"container {id_[:12]} has been removed meanwhile", "try again")
        return found

    def _furnish(self, spec: Spec, found: dict[str, Any]) -> None:
        """The private variables, as a file that only the container's user can read, and that user's own volume."""
        env, id_ = self._places.env(spec.name), str(found["Id"])
        uid, gid = self._user(spec, found)
        entry = Entry("env", env, 0o444) if env == b"{}" else Entry("env", env, 0o400, uid, gid)
        self._engine.put(id_, AGENT, inside.archive([entry]))
        if entries := self._keep.entries(spec, found, uid, gid):
            self._engine.put(id_, "/", inside.archive(entries))

    def _user(self, spec: Spec, found: dict[str, Any]) -> tuple[int, int]:
        user, _, group = str(found["Config"].get("User") or "0").partition(":")
        row = homes.row(user, self._read(found, "/etc/passwd"))
        if row is None and not user.isdigit():
            self._inspected(str(found["Id"]))
            hint = "see its USER, or choose one: ccbridgectl add NAME --image IMAGE --user UID"
            raise BridgeError("refused", f"image {spec.image} runs as {user}, whom its /etc/passwd does not know", hint)
        uid, gid = (int(row[2]), int(row[3])) if row else (int(user), 0)
        if group:
            known = homes.row(group, self._read(found, "/etc/group"))
            number = known[2] if known else group
            gid = int(number) if number.isdigit() else gid
        return uid, gid

    def _read(self, found: dict[str, Any], path: str) -> bytes:
        return self._engine.read(str(found["Id"]), path) or b""


def container_name(spec: Spec) -> str:
    return f"ccbridge-{spec.name}"


def _lives(found: dict[str, Any]) -> bool:
    state = found["State"]
    return bool(state.get("Running")) and not state.get("Restarting")


def _life(found: dict[str, Any]) -> object:
    return found["State"].get("StartedAt")


def _shape(spec: Spec) -> str:
    shape = [2, spec.image, spec.workdir, spec.durability, spec.docker]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
