"""Fixtures of the tests that touch the system: directories that others can reach, a reactor, and no fd left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccbridged.system.reactor import Reactor


def _open_fds() -> dict[int, str]:
    fds: dict[int, str] = {}
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(directory):
        try:
            fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # The listing's own fd.
    return fds


@pytest.fixture(autouse=True)
def no_fd_is_left_open() -> Iterator[None]:
    before = _open_fds()
    yield
    left = {fd: what for fd, what in _open_fds().items() if before.get(fd) != what}
    assert not left, f"left open: {left}"


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory of ours on the way to which nobody is stopped, as tmp_path's parents stop other users."""
    path = tempfile.mkdtemp(prefix="ccb-")
    os.chmod(path, 0o755)
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor() as reactor:
        yield reactor
