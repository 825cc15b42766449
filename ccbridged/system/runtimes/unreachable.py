"""Why the engine cannot be reached, in words to a person: it does not run, may not be used, or says nothing."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator

from ccbridged.protocol.errors import BridgeError


def unreachable(engine: str, error: Exception) -> BridgeError:
    """``engine``: it and its address. ``error``: whatever was raised, which may wrap what really happened."""
    causes = list(_causes(error))
    if _any(causes, PermissionError):
        user = _user()
        return BridgeError(
            "not-permitted",
            f"{user} may not use {engine}",
            f"let it: sudo usermod -aG docker {user}, then restart ccbridged",
        )
    why = f"does not answer: {error}"
    if _any(causes, FileNotFoundError, ConnectionRefusedError):
        why = "is not running"
    elif _any(causes, ConnectionResetError, BrokenPipeError):
        why = "ended the connection: it is being stopped or restarted"
    elif _any(causes, TimeoutError):
        why = "does not answer"
    hint = "start it: sudo systemctl start docker; or say where it is: [docker] host in the configuration"
    return BridgeError("unavailable", f"{engine} {why}", hint)


def _any(causes: list[BaseException], *kinds: type[OSError]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it wraps, in whichever way."""
    yield error
    wrapped = [error.__cause__, error.__context__, *error.args]
    for cause in wrapped:
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.geteuid()}"
