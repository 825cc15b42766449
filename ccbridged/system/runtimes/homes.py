"""Where Claude Code keeps its login and its sessions in a container, and whether a mount keeps them when that goes.

Docker's own rules: HOME is the environment's, else that of the user's row in the container's /etc/passwd, else "/".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

VARIABLE = "CLAUDE_CONFIG_DIR"
"""Set, it is where Claude Code has everything, its settings file too; otherwise that lies beside the directory."""
SETTINGS = ".claude.json"
_ANONYMOUS = re.compile("[0-9a-f]{64}")
"""The name of a volume that nobody named: the next container gets a new one."""


class Home(NamedTuple):
    """``directory``: sessions and credentials. ``settings``: the file with all else that must not be lost."""

    directory: str
    settings: str


def home(config: Mapping[str, Any], passwd: Callable[[], bytes], env: Mapping[str, str]) -> Home:
    """``config``: the ``Config`` of an image or a container that was inspected. ``passwd``: reads its /etc/passwd, and
    is called only if need be. ``env``: what the instance's programs get besides the container's environment."""
    variables = {**environment(config), **env}
    if given := variables.get(VARIABLE):
        return Home(posixpath.normpath(given), posixpath.join(posixpath.normpath(given), SETTINGS))
    at = variables.get("HOME") or _home(str(config.get("User") or "0"), passwd())
    return Home(posixpath.join(posixpath.normpath(at), ".claude"), posixpath.join(posixpath.normpath(at), SETTINGS))


def lasting(mounts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where there are, of the ``Mounts`` of a container, those on which it can write and that outlive it."""
    return [str(mount["Destination"]) for mount in mounts if mount.get("RW") and _outlives(mount)]


def covered(path: str, targets: Iterable[str]) -> bool:
    """Whether it, or a directory above it, is one of these."""
    return any(f"{path}/".startswith(f"{posixpath.normpath(target).rstrip('/')}/") for target in targets)


def targets(volumes: Iterable[str]) -> list[str]:
    """Where docker's ``--volume`` options, SRC:DST[:OPTIONS] or DST, mount."""
    words = [volume.split(":") for volume in volumes]
    found = [parts[1] if len(parts) > 1 else parts[0] for parts in words]
    return [target for target in found if target.startswith("/")]


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(variable.partition("=")[::2] for variable in config.get("Env") or ())


def row(name: str, table: bytes) -> list[str] | None:
    """The fields of a user or a group, given by name or number, in the text of an /etc/passwd or an /etc/group."""
    rows = [line.split(":") for line in table.decode("utf-8", "replace").splitlines()]
    return next((row for row in rows if len(row) >= 4 and row[2].isdigit() and name in (row[0], row[2])), None)


def _home(user: str, passwd: bytes) -> str:
    found = row(user.partition(":")[0], passwd)
    return (found[5] if found is not None and len(found) > 5 else "") or "/"


def _outlives(mount: Mapping[str, Any]) -> bool:
    named = not _ANONYMOUS.fullmatch(str(mount.get("Name", "")))
    return mount.get("Type") == "bind" or (mount.get("Type") == "volume" and named)
