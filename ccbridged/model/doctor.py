"""``doctor``: everything that commonly goes wrong, judged from what an examination saw, each with what mends it.

An ``error`` keeps something from working; ``advice`` is what will hurt some day. Nothing here touches anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ccbridged.model import patient
from ccbridged.model.effects import Json
from ccbridged.model.instance import Instance
from ccbridged.model.patient import FULL, MIB, Check, advice, error, well
from ccbridged.model.sighting import Disk, EngineSeen, Examination, Host

TIGHT = 1024 * MIB
"""Bytes free below which a disk is nearly full, if that is little of it."""
_TIGHT_PART = 0.05
_FEW_INODES = 1000


@dataclass(frozen=True, slots=True)
class Judge:
    """``links``: the directory of all link directories. ``digest``: of the packed agent."""

    links: str
    digest: str

    def document(self, seen: Examination, instances: Iterable[Instance]) -> Json:
        """What ``doctor`` answers."""
        chosen = [one for one in instances if one.name in seen.seen]
        contained = any(one.spec.runtime == "docker" for one in chosen)
        checks = [*_engine(seen.engine, contained=contained), *_host(seen.host)]
        for instance in chosen:
            checks += patient.checks(instance, seen, self.links, self.digest)
        ok = all(check.ok for check in checks if check.severity == "error")
        return {"v": 1, "ok": ok, "checks": [check.told() for check in checks]}


def _engine(engine: EngineSeen, *, contained: bool) -> list[Check]:
    """Without instances in containers, an engine is not needed."""
    if engine.fault is not None:
        wrong = error if contained else advice
        spared = "" if contained else "; no instance needs it"
        return [wrong("engine", "", engine.fault.message + spared, engine.fault.hint)]
    told = [well("engine", "", f"version {engine.version}")]
    if engine.ahead is not None:
        fix = "on the engine's machine: sudo timedatectl set-ntp true; on a virtual machine, restart that"
        told.append(patient.clock("", "the engine's clock", engine.ahead, fix))
    return told


def _host(host: Host) -> list[Check]:
    ok, detail = host.store
    store = well("store", "", detail) if ok else error("store", "", detail, "make room there, or mend its disk")
    return [*map(_disk, host.disks), store, _service(host)]


def _disk(disk: Disk) -> Check:
    detail = f"{disk.what} {disk.path}: {patient.size(disk.free)} of {patient.size(disk.size)} free"
    if disk.fault:
        return error("disk", "", f"{disk.what} {disk.path}: {disk.fault}", "restart ccbridged, which makes it again")
    fix = f"see what fills it: du -xh {disk.path} | sort -h | tail"
    if disk.inodes is not None and disk.inodes < _FEW_INODES:
        return error("disk", "", f"{disk.what} {disk.path}: {disk.inodes} inodes free", fix)
    if disk.free < FULL:
        return error("disk", "", detail, fix)
    if disk.free < TIGHT and disk.free < disk.size * _TIGHT_PART:
        return advice("disk", "", detail, fix)
    return well("disk", "", detail)


def _service(host: Host) -> Check:
    if host.service != "none":
        return well("service", "", f"run by {host.service}")
    systemctl = "sudo systemctl" if host.uid == 0 else "systemctl --user"
    return advice(
        "service",
        "",
        "started by hand: after a crash or a reboot nobody starts it again",
        f"kill {host.pid}; {systemctl} enable --now ccbridged (the units are in packaging/systemd)",
    )
