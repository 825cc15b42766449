"""Where the time of a durable round trip goes: cProfile of both ends, each while the other waits for it."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import signal
import subprocess
import sys
import tempfile

from ccbridged.model.effects import Json, Spec
from ccbridged.system.agentpack import Pack
from ccbridged.system.places import Places
from tests.bench.links import LINE
from tests.bench.trips import Host, Site

_TRIPS = 3000
_SHOWN = 25
_AGENT = """
import cProfile, runpy, sys
out, sys.argv = sys.argv[1], sys.argv[2:]
sys.path.insert(0, sys.argv[0])
cProfile.run("runpy.run_path(sys.argv[0], run_name='__main__')", out)
"""


class Profiled:
    """A runtime whose agent is profiled."""

    def __init__(self, places: Places, pack: Pack, out: str) -> None:
        self._places, self._pack, self._out = places, pack, out

    def launch(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        self._places.make(spec.name, shared=False)
        self._places.hand_env(spec.name)
        where = ["--link", self._places.link_dir(spec.name), "--journal", self._places.agent_dir(spec.name)]
        command = [sys.executable, "-I", "-c", _AGENT, self._out, self._pack.path, *where]
        self._agent = subprocess.Popen([*command, "--durability", spec.durability], stderr=subprocess.DEVNULL)
        return {"pid": self._agent.pid}

    def halt(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        self._agent.send_signal(signal.SIGTERM)
        self._agent.wait()
        return {}

    def remove(self, spec: Spec, facts: Json) -> Json:
        return self.halt(spec, facts, container=False)


def take(directory: str) -> str:
    """Writes host.prof and agent.prof; returns what costs most."""
    os.makedirs(directory, exist_ok=True)
    host_file, agent_file = (os.path.join(directory, f"{end}.prof") for end in ("host", "agent"))
    with tempfile.TemporaryDirectory(prefix="ccb-") as place:
        site = Site(place, "process")
        with Host(site, lambda places, pack: Profiled(places, pack, agent_file)) as host:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(_TRIPS):
                host.trip(LINE)
            profile.disable()
            profile.dump_stats(host_file)
    return f"{_top('host', host_file)}\n{_top('agent', agent_file)}"


def _top(end: str, path: str) -> str:
    text = io.StringIO()
    pstats.Stats(path, stream=text).strip_dirs().sort_stats("tottime").print_stats(_SHOWN)
    return f"{end}, {_TRIPS} trips\n{text.getvalue()}"
