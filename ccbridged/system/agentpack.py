"""``agent/`` and ``ccbridged/protocol/`` as one file that any Python of a container can run.

The same sources give the same bytes, so the file is named by its content: a running agent's file never changes under
it. ``agent.pyz`` beside it is the newest, replaced by rename. Mount the *directory*: a mounted file stays the old one.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from typing import NamedTuple

import ccbridged
from ccbridged.protocol.errors import BridgeError

STABLE = "agent.pyz"
_KEPT = 5
"""Packs that stay, newest first: programs of agents that still run may read theirs."""
_DATE = (1980, 1, 1, 0, 0, 0)


class Pack(NamedTuple):
    """``path``: ``agent-<16 of digest>.pyz``. ``digest``: sha256 in hex of its bytes, what the agent's hello says."""

    path: str
    digest: str


def pack(directory: str) -> Pack:
    """The packed agent in ``directory``, made if need be. Raises BridgeError ``unavailable``."""
    content = build()
    digest = hashlib.sha256(content).hexdigest()
    path = os.path.join(directory, f"agent-{digest[:16]}.pyz")
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
        os.chmod(directory, 0o755)
        for target in (path, os.path.join(directory, STABLE)):
            if _content(target) != content:
                _write(target, content)
        os.utime(path)
        _drop_old(directory)
    except OSError as error:
        hint = f"look at it: ls -la {directory}"
        raise BridgeError("unavailable", f"cannot write the packed agent: {error}", hint) from None
    return Pack(path, digest)


def build() -> bytes:
    """A zip of stored, sorted, equally dated files; no shebang, as it is always run by ``python3 -I``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(_sources().items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _sources() -> dict[str, bytes]:
    package = os.path.dirname(os.path.abspath(ccbridged.__file__))
    agent = _agent_directory(package)
    found = {"ccbridged/__init__.py": _read(os.path.join(package, "__init__.py"))}
    found |= _folder("ccbridged/protocol", os.path.join(package, "protocol"))
    found |= _folder("agent", agent)
    return found | {"__main__.py": found["agent/__main__.py"]}


def _agent_directory(package: str) -> str:
    """In a wheel ``ccbridged/agent``; in a checkout ``agent`` beside ``ccbridged``."""
    for path in (os.path.join(package, "agent"), os.path.join(os.path.dirname(package), "agent")):
        if os.path.isfile(os.path.join(path, "__main__.py")):
            return path
    raise BridgeError("unavailable", "this installation of ccbridged has no agent", "install ccbridged again")


def _folder(name: str, path: str) -> dict[str, bytes]:
    return {f"{name}/{file}": _read(os.path.join(path, file)) for file in os.listdir(path) if file.endswith(".py")}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _content(path: str) -> bytes | None:
    try:
        return _read(path)
    except FileNotFoundError:
        return None


def _write(path: str, content: bytes) -> None:
    new = f"{path}.new"
    with open(new, "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)


def _drop_old(directory: str) -> None:
    packs = [
        entry for entry in os.scandir(directory) if entry.name.startswith("agent-") and entry.name.endswith(".pyz")
    ]
    for entry in sorted(packs, key=lambda entry: entry.stat().st_mtime, reverse=True)[_KEPT:]:
        os.unlink(entry.path)
