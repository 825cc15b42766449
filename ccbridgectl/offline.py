"""What ``doctor`` can see without a daemon: this Python, the runtime directory, the engine's socket."""

from __future__ import annotations

import os
import stat
import sys

from ccbridgectl import places
from ccbridgectl.document import Json
from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST = (3, 10)
_SOCKET = "/var/run/docker.sock"
_WITHIN = 5.0


def checks(fault: BridgeError, runtime_dir: str, environ: Mapping[str, str]) -> list[Json]:
    """``fault``: why the daemon cannot be asked. ``runtime_dir``: the one that was asked for, or ""."""
    asked = runtime_dir or environ.get("CCBRIDGED_RUNTIME_DIR", "")
    directories = [os.path.abspath(asked)] if asked else places.candidates(environ, os.getuid())
    return [
        _wrong("daemon", fault.message, fault.hint),
        _python(),
        *filter(None, map(_directory, directories)),
        _engine(environ.get("DOCKER_HOST", "")),
    ]


def _python() -> Json:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _LEAST:
        least = ".".join(map(str, _LEAST))
        return _wrong(
            "python", f"version {version}; ccbridged needs {least}", "install a newer Python, and ccbridged in it"
        )
    return _well("python", f"version {version}")


def _directory(path: str) -> Json | None:
    """None for one that is not there and may be made."""
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _wrong("runtime directory", f"{path}: {error.strerror}", f"look at it: ls -ld {path}")
    if not stat.S_ISDIR(facts.st_mode):
        return _wrong("runtime directory", f"{path} is no directory", f"see what it is: file {path}")
    if facts.st_mode & stat.S_IWOTH:
        return _wrong("runtime directory", f"{path} can be written by everybody", f"chmod o-w {path}")
    if not os.access(path, os.X_OK):
        return _wrong("runtime directory", f"you may not enter {path}", f"see who may: ls -ld {path}")
    return _well("runtime directory", path)


def _engine(host: str) -> Json:
    if host and not host.startswith("unix://"):
        return _well("engine", f"at {host}, which only the daemon asks")
    path = host[len("unix://") :] or _SOCKET
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as knocker:
            knocker.settimeout(_WITHIN)
            knocker.connect(path)
    except PermissionError:
        fix = "let yourself: sudo usermod -aG docker $USER, and log in again"
        return _wrong("engine", f"you may not use the Docker engine at {path}", fix, "advice")
    except OSError as error:
        why = error.strerror or str(error)
        return _wrong("engine", f"no Docker engine at {path}: {why}", "start it: sudo systemctl start docker", "advice")
    return _well("engine", f"there, at {path}")


def _well(check: str, detail: str) -> Json:
    return {"check": check, "instance": "", "ok": True, "severity": "error", "detail": detail, "fix": ""}


def _wrong(check: str, detail: str, fix: str, severity: str = "error") -> Json:
    return {"check": check, "instance": "", "ok": False, "severity": severity, "detail": detail, "fix": fix}
