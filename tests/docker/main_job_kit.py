"""Instances with the real Claude Code in real containers: made by the daemon, or by somebody else before it came."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.docker.conftest import CLAUDE as IMAGE
from tests.docker.conftest import docker
from tests.fakes.messages_endpoint import Endpoint, serve
from tests.scenarios.real_kit import VERBOSE, Real, new_key, variables
from tests.scenarios.rig import Rig, running

KINDS = ("guest", "made")
WORKSPACE = "/workspace"


@dataclass(frozen=True, slots=True)
class Site:
    """A daemon and an endpoint. Names on the engine begin with ``prefix``, which no other test run uses."""

    rig: Rig
    endpoint: Endpoint
    prefix: str

    def run(self, name: str, *options: str) -> None:
        """A container of somebody else's, called as the instance; it sleeps."""
        docker("run", "-d", "--name", name, "--network", "host", *options, IMAGE, "sleep", "600")

    def mount(self, name: str) -> list[str]:
        return ["-v", f"{self.rig.state_dir}/links/{name}:/run/ccbridge/link:ro"]

    def add(self, kind: str) -> Real:
        """An instance that is ready, in a container of this kind."""
        name, key = f"{self.prefix}{kind}", new_key()
        where = ["--image", IMAGE, "--network", "host"]
        if kind == "guest":
            self.run(name, *self.mount(name))
            where = ["--container", name]
        assert self.rig.said("add", name, *where, *variables(self.endpoint.url, key)) == f"{name}\n"
        return Real(self.rig, self.endpoint, name, key, WORKSPACE)


@contextmanager
def site(config: str = VERBOSE) -> Iterator[Site]:
    """Afterwards nothing of it runs, and no container of it is left. The daemon must have lived well to the end."""
    prefix = f"t{os.urandom(4).hex()}-"
    with running(config) as rig, serve() as endpoint:
        try:
            yield Site(rig, endpoint, prefix)
            assert rig.daemon and rig.daemon.poll() is None, rig.log.read_text()[-3000:]
            assert "Traceback" not in rig.log.read_text()
        finally:
            rig.kill()
            if left := containers(prefix):
                docker("rm", "-fv", *left)
            if left := volumes(prefix):
                docker("volume", "rm", *left)


def container(web: Real) -> str:
    """The container's name on the engine."""
    return f"ccbridge-{web.name}" if web.name.endswith("made") else web.name


def containers(prefix: str) -> list[str]:
    """Names of those on the engine, running or not, that hold this word."""
    return docker("ps", "-a", "--filter", f"name={prefix}", "--format", "{{.Names}}").split()


def volumes(prefix: str) -> list[str]:
    """Names of those on the engine that hold this word."""
    return docker("volume", "ls", "--filter", f"name={prefix}", "--format", "{{.Name}}").split()


def started_at(web: Real) -> str:
    """Another value for another life of the container."""
    return docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", container(web))


def inside(web: Real, path: str) -> bool:
    """Whether there is such a file in the container."""
    return docker("exec", container(web), "sh", "-c", f"test -e '{path}' && echo yes || echo no") == "yes"


def processes(name: str) -> list[str]:
    """The command lines of all that runs in a container."""
    rows = docker("top", name, "-eo", "pid,args").splitlines()[1:]
    return [row.split(maxsplit=1)[1] for row in rows]
