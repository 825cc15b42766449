"""Prints ccbridged(8): ``.venv/bin/python packaging/man/page.py > packaging/man/ccbridged.8``.

Flags come from the parser and settings from the sample, so the page says what the program does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

from ccbridged.commandline import parser
from ccbridged.model.config import SECTIONS, InstanceConfig
from ccbridged.model.kinds import Choice, Count, Seconds
from ccbridged.model.sample import sample

Rows = tuple[tuple[str, str], ...]


class Setting(NamedTuple):
    """``default`` as TOML has it."""

    name: str
    default: str
    help: str


class Section(NamedTuple):
    title: str
    about: str
    settings: list[Setting]


DESCRIPTION = (
    "ccbridged keeps instances of Claude Code, in containers or as processes of this host, reachable for "
    "ccbridgectl(1): through a pair of FIFOs and a small agent each. A prompt is never lost and never run twice, "
    "whatever dies; where that cannot be known, it says so.",
    "Agents and their programs outlive the daemon, which finds them again when it is back: it can be stopped, killed, "
    "upgraded and started at any time, also in the middle of an answer. One daemon serves a state directory.",
    "Run it with --foreground below a service manager or in a container, and with --detach by hand.",
)
PLACES = (
    "What is not given by a flag is taken from the environment, then from the configuration, then as under FILES: the "
    "system's places for root, the user's own for everybody else."
)
CONFIGURATION = (
    "A TOML file. All is optional. Durations are in seconds, modes are octal numbers such as 0o640. An unknown key is "
    "a fault, and the nearest right one is named. --check-config names all faults at once, --print-config prints the "
    "file with all defaults, and SIGHUP makes the daemon read it again; if it has faults then, the old one stays."
)
SYSTEM: Rows = (
    ("/etc/ccbridged/ccbridged.toml", "The configuration."),
    (
        "/run/ccbridged",
        "The runtime directory: control, the FIFO at which clients knock, clients, for theirs, and lock, held by the "
        "daemon that serves it.",
    ),
    ("/var/lib/ccbridged", "The state directory."),
)
USER: Rows = (
    ("$XDG_CONFIG_HOME/ccbridged/ccbridged.toml", "The configuration; below ~/.config where that is not set."),
    (
        "$XDG_RUNTIME_DIR/ccbridged",
        "The runtime directory; below /run/user/UID where that is not set, or else run in the state directory.",
    ),
    ("$XDG_STATE_HOME/ccbridged", "The state directory; below ~/.local/state where that is not set."),
)
STATE: Rows = (
    ("ccbridged.db", "Instances, requests, events and what is owed to agents: SQLite. Its -wal belongs to it."),
    ("ccbridged.db-ballast", "Room that is given up on a full disk, so that work under way can be ended properly."),
    ("lock", "Held by the daemon that serves this directory; names its pid."),
    ("links/NAME", "in.fifo and out.fifo of an instance. A container has this directory mounted, read-only."),
    ("agents/NAME", "The journal of an agent, its lock and, of a process, its log."),
    ("secrets/NAME.json", "The private variables of an instance."),
    ("agent", "The packed agent, which containers have mounted: agent.pyz and agent-DIGEST.pyz."),
    (
        "ccbridged.log",
        "The log after --detach, 10 MiB at most and three older ones; on macOS instead, unless --state-dir"
        " is given: ~/Library/Logs/ccbridged/daemon.log.",
    ),
)
SIGNALS: Rows = (
    ("SIGTERM, SIGINT", "Stop. Agents, their programs and what these are doing go on; nothing is lost."),
    ("SIGHUP", "Read the configuration again. Settings that only a restart takes over are named in the log."),
    (
        "SIGABRT",
        "Abort, with the stacks of all threads in the log. A service manager's watchdog sends it; where there is none, "
        "the daemon itself does when its loop has been in one turn for 30 s.",
    ),
)
EXIT: Rows = (
    ("0", "Stopped by a signal; or what was asked for was done."),
    ("1", "A fault of ccbridged itself; the log has its trace."),
    ("2", "Wrong usage."),
    ("69", "A place cannot be used; the message says which, and why."),
    ("75", "Another daemon serves this state directory, or its store cannot be used."),
    ("78", "The configuration has faults, or a directory is somebody else's."),
)
ENVIRONMENT: Rows = (
    ("CCBRIDGED_RUNTIME_DIR", "The runtime directory; ccbridgectl obeys it too."),
    ("XDG_CONFIG_HOME, XDG_RUNTIME_DIR, XDG_STATE_HOME", "See FILES."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Readiness, status, reloads and liveness are told to systemd where it asks."),
    ("DOCKER_HOST, DOCKER_CONTEXT", "The engine, as docker(1) understands them, unless docker.host says it."),
)
EXAMPLES = (
    "ccbridged --print-config > ccbridged.toml",
    "ccbridged --check-config --config ccbridged.toml",
    "ccbridged --detach --config ccbridged.toml",
    "ccbridgectl add web --container my-web",
)


def page() -> str:
    """ccbridged(8) in roff."""
    lines = ['.TH CCBRIDGED 8 "" ccbridged "System Administration"', ".SH NAME"]
    lines += [r"ccbridged \- keep every containerised Claude Code reachable", ".SH SYNOPSIS", *_synopsis()]
    lines += [".SH DESCRIPTION", "\n.PP\n".join(map(_roff, DESCRIPTION))]
    lines += [".SH OPTIONS", *_list(_options()), ".PP", _roff(PLACES)]
    lines += [".SH CONFIGURATION", _roff(CONFIGURATION), *_configuration()]
    lines += [".SH FILES", ".SS Of the system service", *_list(SYSTEM), ".SS Of a user's own", *_list(USER)]
    lines += [".SS In the state directory", *_list(STATE)]
    lines += [".SH SIGNALS", *_list(SIGNALS), ".SH EXIT STATUS", *_list(EXIT), ".SH ENVIRONMENT", *_list(ENVIRONMENT)]
    lines += [".SH EXAMPLES", ".EX", *map(_roff, EXAMPLES), ".EE"]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR ccbridgectl (1),", ".BR docker (1),", ".BR systemd.service (5)", ""])


def _synopsis() -> list[str]:
    actions = [action.option_strings[0] for action in parser()._actions if action.dest == "action"]
    others = [f"[{_spelling(action)}]" for action in parser()._actions if action.metavar]
    return [".B ccbridged", _roff(f"{{{' | '.join(actions)}}} {' '.join(others)}")]


def _options() -> Rows:
    return tuple((_spelling(action), _sentence(action.help or "")) for action in parser()._actions)


def _spelling(action: argparse.Action) -> str:
    return ", ".join(action.option_strings) + (f" {action.metavar}" if action.metavar else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _configuration() -> list[str]:
    lines = []
    for section in sections():
        lines += [f".SS [{_roff(section.title)}]", _roff(section.about)]
        for setting in section.settings:
            lines += [
                ".TP",
                rf"\fB{_roff(setting.name)}\fR = {_roff(setting.default)}",
                _roff(setting.help + _bounds(section.title, setting.name)),
            ]
    return lines


def _bounds(title: str, name: str) -> str:
    """What a value may be, where the kind of the setting says it in full."""
    shape = SECTIONS.get(title, InstanceConfig)
    match next(item for item in fields(shape) if item.name == name).metadata["kind"]:
        case Choice(values):
            return f" One of: {', '.join(values)}."
        case Count(low, high):
            return f" From {low} to {high}."
        case Seconds(low, high):
            return f" From {low:g} to {high:.0f}."
        case _:
            return ""


def sections() -> Iterator[Section]:
    """Of the commented sample: paragraphs of a comment, a table's header, and pairs of a comment and a setting."""
    for paragraph in sample().split("\n\n")[1:]:
        about, header, *rest = paragraph.strip().splitlines()
        prefix = "# " if header.startswith("# ") else ""
        rest = [line.removeprefix(prefix) for line in rest]
        settings = []
        for comment, line in zip(rest[::2], rest[1::2], strict=True):
            name, _, default = line.partition(" = ")
            settings.append(Setting(name, default, comment.removeprefix("# ")))
        title = header.removeprefix(prefix).strip("[]").replace(".web", ".NAME")
        yield Section(title, about.removeprefix("# "), settings)


def _list(rows: Rows) -> list[str]:
    return [line for name, text in rows for line in (".TP", rf"\fB{_roff(name)}\fR", _roff(text))]


def _roff(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("~", r"\(ti")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    sys.stdout.write(page())
