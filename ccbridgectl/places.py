"""Where the daemon is: the directory that was asked for, else the first usual one that has a ``control`` FIFO."""

from __future__ import annotations

import os

from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = "/run/ccbridged"


def candidates(environ: Mapping[str, str], uid: int) -> list[str]:
    """The user service's directory, then the system service's. ``su``, cron and macOS set no XDG_RUNTIME_DIR."""
    session = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session):
        return [f"{session}/ccbridged", SYSTEM]
    if os.path.isdir(f"/run/user/{uid}"):
        return [f"/run/user/{uid}/ccbridged", SYSTEM]
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(os.path.expanduser("~"), ".local/state")
    return [f"{state}/ccbridged/run", SYSTEM]


def runtime_dir(asked: str, environ: Mapping[str, str], uid: int) -> str:
    """``asked`` (""  for none), else $CCBRIDGED_RUNTIME_DIR, else the first candidate. Raises BridgeError no-daemon."""
    given = asked or environ.get("CCBRIDGED_RUNTIME_DIR", "")
    if given:
        return os.path.abspath(given)
    usual = candidates(environ, uid)
    for directory in usual:
        if _has_control(directory):
            return directory
    raise nobody(" or ".join(usual))


def nobody(where: str) -> BridgeError:
    """The one way of saying that there is no daemon."""
    return BridgeError(
        "no-daemon",
        f"no ccbridged is running in {where}",
        "start it with: systemctl --user start ccbridged (a service), or: ccbridged --detach",
    )


def _has_control(directory: str) -> bool:
    """A directory that may not be searched counts: the port then says what is not permitted."""
    try:
        os.stat(f"{directory}/control")
    except PermissionError:
        return True
    except OSError:
        return False
    return True
