"""argv -> Agent -> exit status: 0 as asked, 2 usage, 75 another agent is at work or no space, 78 it cannot work so."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import time

from agent import journal as journals
from agent import orphans
from agent.agent import CAUGHT, Agent
from agent.channels import ATTACH_ONLY, Channels, Settings
from agent.ends import Ends
from agent.log import Log
from agent.post import Post
from agent.watch import Watch
from ccbridged import __version__
from ccbridged.protocol.errors import BridgeError

_SWEEP = 5.0
"""Seconds for what an earlier agent left to die of its KILL."""


def main(argv: list[str]) -> int:
    """Serve until told to leave."""
    arguments = _parse(argv)
    _keep_low_fds_taken()
    log = Log(2, arguments.log_format)
    try:
        return _serve(arguments, log)
    except BridgeError as fault:
        log.error(f"{fault.message}; {fault.hint}" if fault.hint else fault.message)  # noqa: TRY400
        return fault.exit_status


def _serve(arguments: argparse.Namespace, log: Log) -> int:
    lock = journals.lock(arguments.journal)
    journal = journals.Journal(arguments.journal, sync=arguments.durability == "power")
    _clean_up(journal.journal, log)
    ends = Ends(arguments.link)
    watch = Watch(CAUGHT)
    post = Post(journal, _digest(sys.argv[0]), arguments.quota)
    settings = Settings(
        env_file=os.path.join(arguments.journal, "env"),
        mark=journal.journal,
        refusal=ATTACH_ONLY if arguments.attach_only else "",
    )
    try:
        return Agent(ends, post, watch, Channels(settings, watch, post.say), log).run()
    finally:
        journal.close()
        os.close(lock)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="agent.pyz", description="Joins programs here to ccbridged on the host, over a pair of FIFOs."
    )
    parser.add_argument("--link", required=True, metavar="DIR", help="the directory of in.fifo and out.fifo")
    parser.add_argument("--journal", required=True, metavar="DIR", help="where this agent keeps its journal")
    parser.add_argument(
        "--durability", choices=("power", "process"), default="power", help="what the journal survives (%(default)s)"
    )
    parser.add_argument("--attach-only", action="store_true", help="refuse to start programs")
    parser.add_argument(
        "--quota", type=int, default=journals.QUOTA, metavar="BYTES", help="of journal for an absent host (%(default)s)"
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(argv)


def _clean_up(mark: str, log: Log) -> None:
    """See to the dead of earlier lives, and get ready to see to those of this one."""
    if not orphans.become_subreaper():
        log.warning(
            "this system lets no process adopt orphans: what a child leaves is killed by its process group only"
        )
    until = time.monotonic() + _SWEEP
    while (killed := orphans.sweep(mark)) and time.monotonic() < until:
        log.warning(f"killed {len(killed)} processes that an earlier agent had left")
        time.sleep(0.02)


def _digest(path: str) -> str:
    """Of the packed agent; "" when it runs from source."""
    try:
        with open(path, "rb") as file:
            head = file.read()
    except OSError:
        return ""
    return hashlib.sha256(head).hexdigest() if head[:2] == b"PK" else ""


def _keep_low_fds_taken() -> None:
    """Otherwise the journal could become somebody's stdout."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(fd)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
