"""What an examination sees of a container, of a place on this host, of the engine and of the host itself: facts only.

What follows from them is judged in ``lacks`` and ``doctor``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ccbridged.protocol.errors import BridgeError

LINK = "/run/ccbridge/link"
"""Where a container should have its link directory."""
PYTHON = (3, 10)
"""The oldest Python that can run the agent."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What the shell of the place says that Claude Code would run in, as the user that it would run as.

    ``fault``: why nothing could be learnt. ``program``: the program's path, "" where PATH has none; ``claude``: its
    version, where it is Claude Code. ``python``: the version of python3; ``missing``: modules it lacks that the agent
    needs. ``login``: whether Claude Code says that it is logged in: yes, no, or "" where it was not asked or did not
    say. ``ahead``: seconds that its clock is ahead. ``free``: bytes, where Claude Code keeps its sessions.
    ``installer``: the package manager.
    """

    fault: str = ""
    uid: int = -1
    home: str = ""
    config_dir: str = ""
    program: str = ""
    claude: str = ""
    python: str = ""
    missing: tuple[str, ...] = ()
    login: str = ""
    ahead: float | None = None
    free: int | None = None
    installer: str = ""


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """``name``: of the instance whose link directory is mounted; ``target``: where. ``fresh``: whether it is the one
    that is there now; None where that cannot be told."""

    name: str
    target: str = LINK
    writable: bool = False
    fresh: bool | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A container. ``instance``: for which of ours it was made; ``foreign``: by another ccbridged.

    ``volumes``: targets of all mounts that outlive it. ``inside`` None: it does not run, so nobody looked.
    ``host_uid``: of its main process, as this host counts; -1 where that cannot be told.
    """

    id: str
    name: str
    image: str
    state: str
    instance: str = ""
    foreign: bool = False
    link: LinkSeen | None = None
    volumes: tuple[str, ...] = ()
    inside: Inside | None = None
    host_uid: int = -1


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of this host's where programs of a process instance start; ``fault``: why they cannot."""

    workdir: str
    fault: str
    inside: Inside


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """``fault``: why it cannot be used. ``ahead``: seconds that its clock is ahead of this host's."""

    fault: BridgeError | None
    version: str = ""
    ahead: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """``free``, ``size`` in bytes. ``inodes``: how many are free; None where there is no such limit. ``fault``: why
    nothing can be said of it."""

    what: str
    path: str
    free: int
    size: int
    inodes: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """``service``: who runs the daemon: systemd, launchd or none. ``store``: whether it is well, and its words."""

    uid: int
    pid: int
    service: str
    disks: tuple[Disk, ...]
    store: tuple[bool, str]
    pipes: dict[str, str]
    """Instance -> what is wrong with its FIFOs, "" for nothing."""


@dataclass(frozen=True, slots=True)
class Examination:
    """``seen``: by instance; None where its container is not there or the engine is not."""

    host: Host
    engine: EngineSeen
    seen: dict[str, Sighting | Place | None]
