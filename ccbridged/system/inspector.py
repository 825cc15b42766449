"""What ``discover`` and ``doctor`` look at, gathered: containers, the engine, this host. Judged elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ccbridged.model.config import PipesConfig
from ccbridged.model.effects import Json, Spec
from ccbridged.model.sighting import EngineSeen, Examination, Host, Inside, Place, Sighting
from ccbridged.protocol.errors import BridgeError
from ccbridged.system import probes
from ccbridged.system.places import Places
from ccbridged.system.runtimes import here
from ccbridged.system.runtimes.examine import Examiner
from ccbridged.system.store import Store

_AT_ONCE = 4


class Inspector:
    """``engine``: its address, "" for docker's own way. ``environ``: what agents get of the daemon's own."""

    def __init__(self, places: Places, runtime_dir: str, engine: str, environ: Mapping[str, str]) -> None:
        self._places = places
        self._runtime_dir = runtime_dir
        self._environ = environ
        self._examiner = Examiner(places, host=engine)

    @property
    def _links(self) -> str:
        return os.path.dirname(self._places.link_dir("x"))

    def survey(self) -> Json:
        """See ``effects.Survey``; called aside. Raises BridgeError where the engine cannot be used."""
        return {"links": self._links, "containers": self._examiner.survey()}

    def host(self, specs: Iterable[Spec], pipes: PipesConfig, store: Store, replaced: Callable[[str], str]) -> Host:
        """What only the daemon's own thread can see. ``replaced``: see ``Streams``."""
        found = probes.look(specs, self._places, pipes, store, replaced)
        told, fifos = found["store"], found["fifo_pipes"]
        assert isinstance(told, list)
        assert isinstance(fifos, dict)
        disks = [
            here.disk("state directory", self._places.state_dir),
            here.disk("runtime directory", self._runtime_dir),
        ]
        return Host(
            uid=os.geteuid(),
            pid=os.getpid(),
            service=probes.service(os.environ),
            disks=tuple(disks),
            store=(bool(told[0]), str(told[1])),
            pipes={name: "" if well else str(fault) for name, (well, fault) in fifos.items()},
        )

    def examine(self, host: Host, specs: Iterable[Spec], logins: Collection[str]) -> Json:
        """See ``effects.Examine``; called aside. Raises nothing."""
        engine = self._examiner.engine()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            seen = pool.map(lambda spec: (spec.name, self._seen(spec, engine, login=spec.name in logins)), specs)
            return {"links": self._links, "seen": Examination(host, engine, dict(seen))}

    def _seen(self, spec: Spec, engine: EngineSeen, *, login: bool) -> Sighting | Place | None:
        try:
            if spec.runtime == "process":
                private = json.loads(self._places.env(spec.name))
                return here.place(spec, self._environ, private, login=login)
            return self._examiner.container(spec, login=login) if engine.fault is None else None
        except BridgeError as fault:
            unknown = Inside(fault=fault.message)
            if spec.runtime == "process":
                return Place(spec.workdir, "", unknown)
            return Sighting("", spec.container or spec.name, spec.image, "running", inside=unknown)
