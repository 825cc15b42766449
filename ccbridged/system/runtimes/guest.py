"""An agent beside the main process of a container that is there and stays: started and ended through ``docker exec``.

The container needs one mount, the link directory. What else the agent needs is used where it is mounted too, and
copied in where it is not.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import stat
import sys
import time
from typing import Any, NamedTuple

from ccbridged.model.effects import Json, Spec
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.agentpack import STABLE, Pack
from ccbridged.system.pins import pin
from ccbridged.system.places import Places
from ccbridged.system.runtimes import inside
from ccbridged.system.runtimes.docker import Engine, Ran, Refused
from ccbridged.system.runtimes.inside import Entry, Sight
from ccbridged.system.transports import IN, OUT

_START = 5.0
"""Seconds in which a start is watched."""
_ANOTHER = 75
"""An agent's exit status when there is one already."""
_CANNOT = (2, 78)
_PYTHON = ["python3", "-I", "-c"]


class Rooms(NamedTuple):
    """Where things are in the container. ``journal`` and ``pack`` "": not mounted; ``pack`` is the file."""

    link: str
    journal: str
    pack: str


class Guest:
    """``fifo_gid``: the group that the FIFOs must have by configuration; -1: any, so they may be fitted to a user."""

    def __init__(self, engine: Engine, places: Places, pack: Pack, *, fifo_gid: int, grace: float) -> None:
        self._engine = engine
        self._grace = grace
        self._places = places
        self._pack = pack
        self._fifo_gid = fifo_gid

    def launch(self, spec: Spec, *, container: bool) -> Json:
        self._places.make(spec.name, shared=True)
        found = self._running(spec.container, container=container)
        id_ = str(found["Id"])
        rooms = self._rooms(spec, found)
        sight = self._look(spec, id_, rooms)
        sight = self._fit(spec, id_, rooms, sight)
        rooms = self._furnish(spec, id_, rooms, sight)
        self._begin(spec, id_, rooms)
        return {"container_id": id_, "created": False, "pid": found["State"]["Pid"]}

    def halt(self, spec: Spec, *, container: bool) -> Json:
        found = self._engine.inspect(spec.container)
        if found is None or not _runs(found):
            return {}
        ran = self._engine.run(spec.container, [*_PYTHON, inside.END, self._journal(spec, found), str(self._grace)])
        if ran.status == 1 and not container:
            hint = f"stop it with its container: ccbridgectl stop {spec.name} --container"
            raise BridgeError("failed", f"the agent in container {spec.container} does not end", hint)
        if container:
            self._engine.stop(spec.container, self._grace)
        return {}

    def remove(self, spec: Spec) -> Json:
        """The container stays, with nothing of ours in it; and so do its mounts' directories on this host, empty."""
        self.halt(spec, container=False)
        found = self._engine.inspect(spec.container)
        left: list[str] = []
        if found is not None and not _mounted(found, self._places.agent_dir(spec.name)):
            own = inside.own(spec.name)
            if not _runs(found) or self._engine.run(spec.container, [*_PYTHON, inside.CLEAR, own], user="0").status:
                left.append(f"{spec.container}:{own}")
        left += self._places.remove(spec.name, keep_mounted=found is not None)
        return {"left": left} if left else {}

    def _running(self, reference: str, *, container: bool) -> dict[str, Any]:
        found: dict[str, Any] | None = self._engine.inspect(reference)
        if found is None:
            hint = "see: docker ps -a; or have one made: ccbridgectl add NAME --image IMAGE"
            raise BridgeError("not-running", f"there is no container {reference}", hint)
        if _runs(found):
            return found
        paused = found["State"].get("Paused")
        if not container:
            state = found["State"].get("Status", "stopped")
            verb = "unpause" if paused else "start"
            raise BridgeError("not-running", f"container {reference} is {state}", f"docker {verb} {reference}")
        if paused:
            self._engine.unpause(reference)
        else:
            self._engine.start(reference)
        return self._running(reference, container=False)

    def _rooms(self, spec: Spec, found: dict[str, Any]) -> Rooms:
        places = self._places
        link = _mounted(found, places.link_dir(spec.name))
        if not link:
            flag = f"-v {shlex.quote(places.link_dir(spec.name))}:/run/ccbridge/link:ro"
            raise BridgeError(
                "refused",
                f"container {spec.container} does not have the link directory of {spec.name} mounted",
                f"create it again with docker's flag: {flag}",
            )
        folder = _mounted(found, places.pack_dir)
        pack = posixpath.join(folder, os.path.basename(self._pack.path)) if folder else ""
        pack = pack or _mounted(found, os.path.join(places.pack_dir, STABLE))
        return Rooms(link, _mounted(found, places.agent_dir(spec.name), writable=True), pack)

    def _journal(self, spec: Spec, found: dict[str, Any]) -> str:
        return _mounted(found, self._places.agent_dir(spec.name), writable=True) or inside.own(spec.name)

    def _look(self, spec: Spec, id_: str, rooms: Rooms) -> Sight:
        ran = self._engine.run(id_, [*_PYTHON, inside.LOOK, rooms.link, rooms.journal or "/", rooms.pack or "/"])
        sight = inside.sight(ran.output)
        if ran.status or sight is None:
            raise _no_python(spec.container, ran)
        host = os.stat(self._places.link_dir(spec.name)).st_ino
        if sight.inode != host and sys.platform == "linux":
            raise BridgeError(
                "refused",
                f"container {spec.container} still sees an earlier link directory of {spec.name}",
                f"docker restart {spec.container} && ccbridgectl start {spec.name}",
            )
        return sight

    def _fit(self, spec: Spec, id_: str, rooms: Rooms, sight: Sight) -> Sight:
        """Let the container's user use the FIFOs, if there are any yet: by their group, where we may choose that."""
        directory = self._places.link_dir(spec.name)
        if sight.reach or not all(os.path.lexists(os.path.join(directory, name)) for name in (IN, OUT)):
            return sight
        gid = os.stat(os.path.join(directory, IN), follow_symlinks=False).st_gid
        if self._fifo_gid == -1:
            try:
                _regroup(directory, sight.gid)
                sight = self._look(spec, id_, rooms)
            except PermissionError:
                pass
        if not sight.reach:
            raise BridgeError(
                "refused",
                f"uid {sight.uid} of container {spec.container} may not use the FIFOs of {spec.name}",
                f"create it again with docker's flag: --group-add {gid}",
            )
        return sight

    def _furnish(self, spec: Spec, id_: str, rooms: Rooms, sight: Sight) -> Rooms:
        """Copy in what is not mounted: agent directory, private variables, the packed agent."""
        own = inside.own(spec.name)
        uid, gid = sight.uid, sight.gid
        entries = [Entry("env", self._places.env(spec.name), 0o400, uid, gid)]
        try:
            if rooms.journal:
                self._engine.put(id_, rooms.journal, inside.archive(entries))
                entries = []
            pack = rooms.pack if sight.digest == self._pack.digest else ""
            if not pack:
                pack = posixpath.join(own, os.path.basename(self._pack.path))
                with open(self._pack.path, "rb") as file:
                    entries.append(Entry(os.path.basename(pack), file.read(), 0o444, uid, gid))
            if entries:
                folders = [Entry(inside.OWN[1:], None, 0o755), Entry(own[1:], None, 0o700, uid, gid)]
                moved = [entry._replace(path=posixpath.join(own[1:], entry.path)) for entry in entries]
                self._engine.put(id_, "/", inside.archive(folders + moved))
        except Refused as refusal:
            raise self._unfurnished(spec, refusal) from None
        return Rooms(rooms.link, rooms.journal or own, pack)

    def _unfurnished(self, spec: Spec, refusal: Refused) -> BridgeError:
        if "read-only" not in refusal.message:
            return refusal
        agent, pack = shlex.quote(self._places.agent_dir(spec.name)), shlex.quote(self._places.pack_dir)
        flags = f"-v {agent}:/run/ccbridge/agent -v {pack}:/run/ccbridge/pack:ro"
        said = f"nothing can be copied into container {spec.container}: its file system is read-only"
        return BridgeError("refused", said, f"create it again with two more of docker's flags: {flags}")

    def _begin(self, spec: Spec, id_: str, rooms: Rooms) -> None:
        log = posixpath.join(rooms.journal, inside.LOG)
        command = [*_PYTHON, inside.BEGIN, log, rooms.pack, "--link", rooms.link, "--journal", rooms.journal]
        agent = self._engine.detach(id_, [*command, "--durability", spec.durability])
        until = time.monotonic() + _START
        while (status := self._engine.status(agent)) is None and time.monotonic() < until:
            ready = self._engine.run(id_, [*_PYTHON, inside.READY, rooms.journal, "1"])
            if ready.status == 0 and self._engine.status(agent) is None:
                return
        if status in (None, _ANOTHER):
            return
        words = self._engine.run(id_, [*_PYTHON, inside.READY, rooms.journal, "0"]).output.splitlines()
        said = words[-1] if words else "it said nothing"
        code = "refused" if status in _CANNOT else "failed"
        hint = f"see the rest: docker exec {spec.container} cat {log}"
        raise BridgeError(code, f"the agent in container {spec.container} ended with status {status}: {said}", hint)


def _runs(found: dict[str, Any]) -> bool:
    state = found["State"]
    return bool(state.get("Running")) and not state.get("Paused") and not state.get("Restarting")


def _mounted(found: dict[str, Any], source: str, *, writable: bool = False) -> str:
    """Where the container has this very file or directory of the host's; "" where it has not."""
    wanted = os.path.realpath(source)
    for mount in found.get("Mounts", ()):
        here = mount.get("Type") == "bind" and os.path.realpath(mount.get("Source", "")) == wanted
        if here and (mount.get("RW") or not writable):
            return str(mount["Destination"])
    return ""


def _regroup(directory: str, gid: int) -> None:
    for name in (IN, OUT):
        with pin(directory, name) as fifo:
            if stat.S_ISFIFO(fifo.stat.st_mode) and fifo.stat.st_uid == os.geteuid():
                fifo.chown(gid)


def _no_python(container: str, ran: Ran) -> BridgeError:
    if ran.status in (126, 127) and "executable file" in ran.output:
        hint = (
            f"install it: docker exec -u 0 {container} sh -c 'apt-get update && apt-get install -y python3'"
            " (Alpine: apk add python3); or use an image that has it"
        )
        return BridgeError("refused", f"container {container} has no python3, which the agent needs", hint)
    said = ran.output.splitlines()[-1] if ran.output else f"it ended with status {ran.status}"
    hint = f"try it: docker exec {container} python3 -I -c 'import os'"
    if ran.status in (-1, 126, 127, 137):
        # Docker could not run it, or killed it: a container that is just being stopped or removed says so.
        return BridgeError("failed", f"nothing can be run in container {container}: {said}", hint)
    return BridgeError("refused", f"the python3 of container {container} does not work: {said}", hint)
