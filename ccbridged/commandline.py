"""What the daemon was asked to do, and where its things are: arguments first, then the environment, then the file.

Everything is made absolute here, because the detached daemon lives in ``/``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccbridged import __version__
from ccbridged.model.config import Config
from ccbridged.system import configfile

_SYSTEM = {
    "config": "/etc/ccbridged/ccbridged.toml",
    "runtime": "/run/ccbridged",
    "state": "/var/lib/ccbridged",
}


@dataclass(frozen=True, slots=True)
class Options:
    """``action``: foreground, detach, check-config or print-config; directories "" where not given."""

    action: str
    config: str
    runtime_dir: str
    state_dir: str


@dataclass(frozen=True, slots=True)
class Places:
    runtime_dir: str
    state_dir: str
    log_file: str


def parse(argv: Sequence[str]) -> Options:
    """Raises SystemExit: 2 for wrong usage, 0 after --help and --version."""
    found = parser().parse_args(argv)
    return Options(found.action, found.config or "", found.runtime_dir or "", found.state_dir or "")


def parser() -> argparse.ArgumentParser:
    """All that can be said; the manual page is made from it too."""
    parser = argparse.ArgumentParser(
        prog="ccbridged",
        description="Keeps every containerised Claude Code reachable: no prompt lost, none run twice.",
        epilog="Signals: TERM and INT stop cleanly, HUP reloads the configuration. Talk to it with ccbridgectl.",
        allow_abbrev=False,
    )
    actions = parser.add_mutually_exclusive_group(required=True)
    for action, help_ in (
        ("foreground", "run here and log on stderr; for systemd, launchd and containers"),
        ("detach", "run in the background; returns when it is ready"),
        ("check-config", "name every fault of the configuration; exit 0 or 78"),
        ("print-config", "print a commented sample with all defaults"),
    ):
        actions.add_argument(f"--{action}", dest="action", action="store_const", const=action, help=help_)
    actions.add_argument("--version", action="version", version=f"ccbridged {__version__}")
    parser.add_argument("--config", metavar="FILE", type=_absolute, help="the configuration (TOML)")
    parser.add_argument("--runtime-dir", metavar="DIR", type=_absolute, help="where clients find it")
    parser.add_argument("--state-dir", metavar="DIR", type=_absolute, help="where it keeps its state")
    return parser


def _absolute(path: str) -> str:
    if not path:
        raise argparse.ArgumentTypeError("a path is needed")
    return os.path.abspath(os.path.expanduser(path))


def config_file(options: Options, environ: Mapping[str, str], uid: int) -> str:
    """The file to read: the one asked for, or the default one, "" where that does not exist."""
    if options.config:
        return options.config
    default = _SYSTEM["config"] if uid == 0 else f"{_xdg(environ, 'CONFIG_HOME', '.config')}/ccbridged/ccbridged.toml"
    return default if os.path.lexists(default) else ""


def load(path: str) -> Config:
    """The configuration of a file, all defaults for "". Raises BridgeError ``bad-config``."""
    return configfile.load(path) if path else Config()


def places(options: Options, config: Config, environ: Mapping[str, str], uid: int) -> Places:
    """Arguments win over ``$CCBRIDGED_RUNTIME_DIR`` (which the client obeys too), that over the file."""
    state = options.state_dir or os.path.expanduser(config.daemon.state_dir)
    if not state:
        state = _SYSTEM["state"] if uid == 0 else f"{_xdg(environ, 'STATE_HOME', '.local/state')}/ccbridged"
    runtime = options.runtime_dir or os.path.expanduser(config.daemon.runtime_dir)
    if not options.runtime_dir and environ.get("CCBRIDGED_RUNTIME_DIR"):
        runtime = os.path.abspath(environ["CCBRIDGED_RUNTIME_DIR"])
    if not runtime:
        runtime = _SYSTEM["runtime"] if uid == 0 else _user_runtime_dir(environ, uid, state)
    log = f"{state}/ccbridged.log"
    if sys.platform == "darwin" and not options.state_dir:
        log = os.path.expanduser("~/Library/Logs/ccbridged/daemon.log")
    return Places(runtime, state, log)


def _user_runtime_dir(environ: Mapping[str, str], uid: int, state: str) -> str:
    """The session's directory where there is one: su and cron forget to say so, macOS has none."""
    session = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session):
        return f"{session}/ccbridged"
    session = f"/run/user/{uid}"
    return f"{session}/ccbridged" if os.path.isdir(session) else f"{state}/run"


def _xdg(environ: Mapping[str, str], name: str, fallback: str) -> str:
    """A base directory; the specification says to ignore one that is not absolute."""
    given = environ.get(f"XDG_{name}", "")
    return given if os.path.isabs(given) else os.path.expanduser(f"~/{fallback}")
