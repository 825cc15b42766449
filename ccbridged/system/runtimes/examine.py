"""Containers as an examination sees them: what the engine knows of each, and what its own shell says of its inside.

Nothing here is trusted, and nothing waits for long: one that does not answer in time costs that time and no more.
Nothing is ever run in a container that does not run.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from ccbridged.model.effects import Spec
from ccbridged.model.sighting import EngineSeen, Inside, LinkSeen, Sighting
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.places import Places
from ccbridged.system.runtimes import glance, homes
from ccbridged.system.runtimes.docker import Engine
from ccbridged.system.runtimes.made import INSTALL, INSTANCE, container_name

WITHIN = 10.0
"""Seconds for what one container is asked."""
ALL_WITHIN = 60.0
"""Seconds for all containers together."""
_AT_ONCE = 4
_NO_ENV: dict[str, str] = {}


class Examiner:
    """``host``: the engine's address, "" for docker's own way. ``within``, ``all_within``: seconds, see above."""

    def __init__(
        self, places: Places, *, host: str = "", within: float = WITHIN, all_within: float = ALL_WITHIN
    ) -> None:
        self._places = places
        self._host = host
        self._within = within
        self._all_within = all_within

    def survey(self) -> list[Sighting]:
        """All containers. Raises BridgeError where the engine cannot be used."""
        with self._engine() as engine:
            found: list[Any] = engine.containers()
        idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        engines = [Engine(self._host, timeout=self._within) for _ in range(_AT_ONCE)]
        until = time.monotonic() + self._all_within
        for engine in engines:
            idle.put(engine)

        def see(row: dict[str, Any]) -> Sighting:
            engine = idle.get()
            try:
                return self._surveyed(engine, row, until)
            finally:
                idle.put(engine)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return list(pool.map(see, found))
        finally:
            for engine in engines:
                engine.close()

    def engine(self) -> EngineSeen:
        """How the engine is. Raises nothing."""
        try:
            with self._engine() as engine:
                version = engine.version()
                asked = time.time()
                clock = engine.clock()
                return EngineSeen(None, version, _ahead(clock, asked, time.time()))
        except BridgeError as fault:
            return EngineSeen(fault)

    def container(self, spec: Spec, *, login: bool) -> Sighting | None:
        """That of an instance; None where there is none. ``login``: ask whether Claude Code is logged in. Raises
        BridgeError."""
        with self._engine() as engine:
            found: dict[str, Any] | None = engine.inspect(spec.container or container_name(spec))
            if found is None:
                return None
            config = found["Config"]
            facts = {"Image": config.get("Image", ""), "Labels": config.get("Labels"), "Mounts": found.get("Mounts")}
            seen = self._sighting(
                {"Id": found["Id"], "Names": [found["Name"]], "State": found["State"].get("Status"), **facts}
            )
            env = json.loads(self._places.env(spec.name))
            seen = self._looked_into(engine, seen, spec.program[0], env, login=login)
            return replace(seen, host_uid=_uid(int(found["State"].get("Pid") or 0)))

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = Engine(self._host, timeout=self._within)
        try:
            yield engine
        finally:
            engine.close()

    def _surveyed(self, engine: Engine, row: dict[str, Any], until: float) -> Sighting:
        seen = self._sighting(row)
        if seen.state == "running" and time.monotonic() >= until:
            return replace(seen, inside=Inside(fault=f"the others took all of {self._all_within:g} s"))
        return self._looked_into(engine, seen, "claude", _NO_ENV, login=False)

    def _sighting(self, row: dict[str, Any]) -> Sighting:
        """What the engine's list says of a container."""
        names = [str(name).lstrip("/") for name in row.get("Names") or []]
        labels, mounts = row.get("Labels") or {}, row.get("Mounts") or []
        install = labels.get(INSTALL, "")
        ours = install == self._places.install_id
        return Sighting(
            id=str(row["Id"]),
            name=min(names, key=lambda one: one.count("/"), default=str(row["Id"])[:12]),
            image=str(row.get("Image", "")),
            state=str(row.get("State") or "unknown"),
            instance=str(labels.get(INSTANCE, "")) if ours else "",
            foreign=bool(install) and not ours,
            link=self._link(mounts),
            volumes=tuple(homes.lasting(mounts)),
        )

    def _link(self, mounts: list[dict[str, Any]]) -> LinkSeen | None:
        """A mount whose source is one of our link directories, whether that is there or not."""
        links = os.path.realpath(os.path.dirname(self._places.link_dir("x")))
        for mount in mounts:
            source = os.path.realpath(str(mount.get("Source") or "/"))
            if mount.get("Type") == "bind" and os.path.dirname(source) == links:
                return LinkSeen(os.path.basename(source), str(mount.get("Destination", "")), bool(mount.get("RW")))
        return None

    def _looked_into(
        self, engine: Engine, seen: Sighting, program: str, env: dict[str, str], *, login: bool
    ) -> Sighting:
        """With what it says of itself, if it runs, and whether the link directory that it sees is the present one."""
        if seen.state != "running":
            return seen
        target = seen.link.target if seen.link is not None else ""
        asked = time.monotonic()
        try:
            ran = engine.peek(seen.id, glance.command(program, link=target, login=login), env, glance.LIMIT)
        except BridgeError as fault:
            return replace(seen, inside=Inside(fault=fault.message))
        if ran.status in (126, 127):
            return replace(seen, inside=Inside(fault=_no_shell(ran.output)))
        said = glance.read(ran.output)
        link = None if seen.link is None else replace(seen.link, fresh=self._fresh(seen.link.name, glance.inode(said)))
        return replace(seen, inside=glance.inside(said, time.monotonic() - asked), link=link)

    def _fresh(self, name: str, inode: int) -> bool | None:
        """Where the kernel is the same, so are inodes."""
        try:
            here = os.stat(self._places.link_dir(name)).st_ino
        except OSError:
            here = 0
        return here == inode if inode and sys.platform == "linux" else None


def _no_shell(output: str) -> str:
    if "executable file not found" in output or "no such file" in output:
        return "it has no sh"
    return output.strip()[:200] or "nothing can be run in it"


def _uid(pid: int) -> int:
    """Of a process of this kernel's, as this host counts; -1 where it cannot be told."""
    if pid <= 0 or sys.platform != "linux":
        return -1
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            row = next(line for line in file if line.startswith(b"Uid:"))
        return int(row.split()[2])
    except (OSError, StopIteration, ValueError, IndexError):
        return -1


def _ahead(clock: str, asked: float, now: float) -> float | None:
    """How far RFC 3339 time is from what was possible between question and answer."""
    try:
        said = datetime.fromisoformat(clock[:19] + "+00:00").timestamp()
    except ValueError:
        return None
    return said - now if said > now else min(said + 1 - asked, 0.0)
