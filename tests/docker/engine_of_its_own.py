"""A second real engine, to be killed: its own data, its own socket, and a network namespace of its own.

Without the namespace it would take away the bridge of the machine's engine, which is all that it does to a network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docker.conftest import CLAUDE

IMAGE = "small:test"
PATIENCE = 30.0
_PARTS = ["bin", "lib", "lib64", "sbin", "etc", "usr"]
_WITHOUT = ["usr/local", "usr/share", "usr/lib/git-core", "usr/include", "usr/games"]


class OwnEngine:
    """``directory``: all of it is there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = f"unix://{directory}/s"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        at = self.directory
        # Where nobody buries the dead, its containerd is still there in name, and would be waited for.
        (at / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        places = ["--data-root", f"{at}/data", "--exec-root", f"{at}/exec", "--pidfile", f"{at}/pid", "-H", self.host]
        network = ["--bridge=none", "--iptables=false", "--ip-masq=false"]
        with open(at / "log", "ab") as log:
            command = ["unshare", "--net", "dockerd", *places, *network]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while self.docker("version", check=False).returncode:
            assert time.monotonic() < deadline, (at / "log").read_text()[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """And its containerd with it; containers go on."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """With all that runs in it."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        assert self._process
        for id_ in self.docker("ps", "-aq").stdout.split():
            self.docker("rm", "-f", id_.decode())
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(str(self.directory))]):
            subprocess.run(["umount", mount], check=True)

    def docker(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "-H", self.host, *words], capture_output=True, check=check)

    def load(self) -> None:
        """A small image with python3, made of the test image."""
        pack = ["tar", "-cf", "-", "-C", "/", *(f"--exclude={path}" for path in _WITHOUT), *_PARTS]
        source = ["docker", "run", "--rm", "--user", "0", "--network", "none", "--entrypoint", pack[0], CLAUDE]
        with subprocess.Popen([*source, *pack[1:]], stdout=subprocess.PIPE) as tar:
            sink = ["docker", "-H", self.host, "import", "--change", "ENV HOME=/root", "-", IMAGE]
            subprocess.run(sink, stdin=tar.stdout, check=True, capture_output=True)
        assert tar.returncode == 0


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        pytest.skip(
            "needs an engine of its own to kill: run `sudo .venv/bin/pytest tests/docker`, with dockerd installed"
        )
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="ccb-")))
    try:
        engine.start()
        engine.load()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(engine.directory)
