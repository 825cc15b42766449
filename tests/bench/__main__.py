"""Arguments in, the table out. What each number bounds is said below it, and what it leaves out."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile

from tests.bench import figures, links, profiles, starts

IMAGE = os.environ.get("CCBRIDGE_TEST_IMAGE", "ccbridge/claude:test")

MEANING = """
durable round trip    A line of 100 bytes: committed in the host's SQLite, sent over the FIFO pair, journalled by the
                      agent, fed to its child (cat), read back, journalled, sent, committed on the host as message and
                      event. Host and agent are the daemon's own parts in the daemon's own order; what is left out is
                      what Claude's messages mean. It bounds what ccbridged adds to each message of an instance, from
                      prompt to token. process: survives any kill -9; power: a power failure too, so it waits for the
                      disk several times. Three processes and a database against two that do nothing; host and agent
                      on a CPU each, as are the ends of the bare pair.
into a container      The same with the agent in a container, against what a bridge without an agent pays per prompt.
ccbridgectl           From spawn to exit, as a script sees it, against the least that any Python program costs. It
                      bounds how many calls a script can make. The answer of send is that of a daemon that answers at
                      once: what Claude takes is not ours."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Ratios of this machine, in one table.")
    parser.add_argument("--profile", metavar="DIR", help="instead: cProfile of host and agent, into DIR")
    arguments = parser.parse_args()
    if arguments.profile:
        print(profiles.take(arguments.profile))
        return 0
    _say("round trips")
    rows = links.rows()
    if _has_image():
        _say("round trips into a container")
        rows += links.container_rows(IMAGE)
    else:
        _say(f"no image {IMAGE}: no rows about containers; sudo tests/provision")
    _say("whole processes")
    with tempfile.TemporaryDirectory(prefix="ccb-") as directory:
        rows += starts.rows(directory)
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    print(figures.table(rows))
    print(MEANING)
    return 0


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


def _has_image() -> bool:
    try:
        return not subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
