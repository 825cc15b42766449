"""Fixtures of the tests on a real engine: containers that go away again, and a state directory with FIFOs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccbridged.model.effects import Spec
from ccbridged.system.agentpack import Pack, pack
from ccbridged.system.fifo import make_fifo
from ccbridged.system.places import Places
from ccbridged.system.runtimes.containers import DockerRuntime

CLAUDE = "ccbridge/claude:test"
"""Debian with python3; its user is ``claude``, uid 1000."""
BARE = "debian:bookworm-slim"
"""Without python3."""


def docker(*words: str, check: bool = True) -> str:
    """The command-line client: what the code under test says is checked by another program."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    if not shutil.which("docker") or not docker("version", "-f", "{{.Server.Version}}", check=False):
        pytest.skip("needs a Docker engine: run `sudo tests/provision`")
    for image in (CLAUDE, BARE):
        if not docker("image", "inspect", "-f", "{{.Id}}", image, check=False):
            pytest.skip(f"needs the image {image}: run `sudo tests/provision`")


@dataclass(frozen=True, slots=True)
class Bench:
    """One instance ``name``, that no other test run uses on this engine, and everything it needs."""

    name: str
    places: Places
    packed: Pack
    runtime: DockerRuntime

    @property
    def link_dir(self) -> Path:
        return Path(self.places.link_dir(self.name))

    @property
    def agent_dir(self) -> Path:
        return Path(self.places.agent_dir(self.name))

    @property
    def link_mount(self) -> list[str]:
        return ["-v", f"{self.link_dir}:/run/ccbridge/link:ro"]

    @property
    def guest(self) -> Spec:
        """In a container that is there, see ``run``."""
        return Spec(self.name, "docker", container=self.name, durability="process")

    def made(self, **options: object) -> Spec:
        """In a container that is made for it, with these of docker's options."""
        return Spec(self.name, "docker", image=CLAUDE, durability="process", docker=options)

    def make_fifos(self) -> None:
        """As the daemon makes them, before anything is launched."""
        make_fifo(str(self.link_dir), "in.fifo", 0o640)
        make_fifo(str(self.link_dir), "out.fifo", 0o620)

    def run(self, *options: str, image: str = CLAUDE) -> None:
        """A container of somebody else's, called as the instance; it sleeps."""
        docker("run", "-d", "--name", self.name, *options, image, "sleep", "600")


@pytest.fixture
def here() -> Iterator[Bench]:
    """A state directory with FIFOs, as the daemon makes them, and afterwards no container left."""
    path = tempfile.mkdtemp(prefix="ccb-")
    name = f"t{os.urandom(4).hex()}"
    places = Places(os.path.join(path, "state"), f"tests-{name}")
    places.make(name, shared=True)
    packed = pack(places.pack_dir)
    runtime = DockerRuntime(places, packed, grace=4.0)
    bench = Bench(name, places, packed, runtime)
    bench.make_fifos()
    yield bench
    runtime.close()
    docker("rm", "-fv", name, f"ccbridge-{name}", check=False)
    docker("volume", "rm", f"ccbridge-{name}", check=False)
    shutil.rmtree(path)
