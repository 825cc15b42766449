"""What ``health`` looks at on this host, besides the engine: the FIFO pairs, the store, the daemon's own process."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping

from ccbridged import __version__
from ccbridged.model.config import PipesConfig
from ccbridged.model.effects import Json, Spec
from ccbridged.system.places import Places
from ccbridged.system.store import Store, StoreFailed
from ccbridged.system.transports import IN, OUT

MIN_FREE = 16 * 1024 * 1024
"""Bytes free on the store's disk below which it is not well."""


def look(
    specs: Iterable[Spec], places: Places, pipes: PipesConfig, store: Store, replaced: Callable[[str], str]
) -> Json:
    """The part of a probe's facts (see ``effects.Probe``) for ``fifo_pipes`` and ``store``. ``replaced``: see
    ``Streams``."""
    found = {spec.name: fifo_fault(places.link_dir(spec.name), pipes) or replaced(spec.name) for spec in specs}
    facts: Json = {name: [not fault, fault or "there, ours, with the right mode"] for name, fault in found.items()}
    return {"fifo_pipes": facts, "store": _store(store)}


def fifo_fault(directory: str, pipes: PipesConfig) -> str:
    """What is wrong with a pair; "" if nothing is."""
    for name, mode in ((IN, pipes.in_mode), (OUT, pipes.out_mode)):
        try:
            facts = os.lstat(os.path.join(directory, name))
        except OSError as error:
            return f"{name}: {os.strerror(error.errno or 0)}"
        if not stat.S_ISFIFO(facts.st_mode):
            return f"{name} is no FIFO"
        if facts.st_uid != os.geteuid():
            return f"{name} belongs to user {facts.st_uid}"
        if stat.S_IMODE(facts.st_mode) != mode:
            return f"{name} has mode {stat.S_IMODE(facts.st_mode):04o}, not {mode:04o}"
    return ""


def process(started: float, environ: Mapping[str, str]) -> Json:
    """What ``status`` says of this process. ``started``: on the monotonic clock."""
    import psutil

    me = psutil.Process()
    return {
        "version": __version__,
        "pid": me.pid,
        "uptime_s": round(time.monotonic() - started, 3),
        "rss_bytes": me.memory_info().rss,
        "fds": me.num_fds(),
        "service": service(environ),
    }


def service(environ: Mapping[str, str]) -> str:
    """Who runs the daemon: systemd, launchd or none."""
    if environ.get("INVOCATION_ID"):
        return "systemd"
    return "launchd" if environ.get("XPC_SERVICE_NAME", "0") != "0" else "none"


def _store(store: Store) -> list[object]:
    try:
        found = store.health()
    except StoreFailed as error:
        return [False, str(error)]
    used = found.size - found.free
    detail = f"{used / 1e6:.1f} MB of {found.quota / 1e6:.0f} MB, {found.disk_free / 1e6:.0f} MB free on its disk"
    return [found.disk_free >= MIN_FREE and found.ballast and used < found.quota * 0.95, detail]
