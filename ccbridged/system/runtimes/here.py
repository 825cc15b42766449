"""This host as an examination sees it: its disks, the daemon itself, and the directories where its programs start."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping

from ccbridged.model.effects import Spec
from ccbridged.model.sighting import Disk, Inside, Place
from ccbridged.system.runtimes import glance

WITHIN = 10.0
"""Seconds for all that the shell is asked."""


def disk(what: str, path: str) -> Disk:
    """``what``: what is there, in words. Raises nothing."""
    try:
        facts = os.statvfs(path)
    except OSError as error:
        return Disk(what, path, 0, 0, fault=error.strerror or str(error))
    inodes = facts.f_favail if facts.f_files else None
    return Disk(what, path, facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize, inodes)


def place(spec: Spec, environ: Mapping[str, str], private: Mapping[str, str], *, login: bool) -> Place:
    """Of a process instance. ``environ``: what agents get of the daemon's own; ``private``: the instance's variables.

    ``login``: ask Claude Code whether it is logged in.
    """
    workdir = spec.workdir or environ.get("HOME", "/")
    if fault := _unusable(workdir):
        return Place(workdir, fault, Inside())
    asked = time.monotonic()
    command = glance.command(spec.program[0], login=login)
    try:
        said = glance.read(_said(command, workdir, {**environ, **private}))
    except OSError as error:
        return Place(workdir, "", Inside(fault=f"no shell could be started: {error.strerror}"))
    return Place(workdir, "", glance.inside(said, time.monotonic() - asked))


def _unusable(directory: str) -> str:
    if not os.path.isdir(directory):
        return "there is no such directory"
    return "" if os.access(directory, os.X_OK) else f"uid {os.geteuid()} may not enter it"


def _said(command: list[str], directory: str, environ: Mapping[str, str]) -> str:
    """What it prints in time. Raises OSError."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=directory,
        env=environ,
        start_new_session=True,
    ) as child:
        try:
            output, _ = child.communicate(timeout=WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output = b""
    return output[: glance.LIMIT].decode("utf-8", "replace")
