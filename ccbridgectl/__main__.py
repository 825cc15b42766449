"""Arguments in, an exit status out. Only what the verb needs is imported: a call should cost little."""

from __future__ import annotations

import os
import sys

from ccbridgectl.grammar import Given, Reader
from ccbridgectl.screen import Screen
from ccbridgectl.table import GLOBALS, VERBS
from ccbridged.protocol.errors import BridgeError

INTERRUPTED = 130
NOBODY_READS = 141
"""What a shell shows of a program that SIGPIPE ended; Python itself ignores that signal."""


def main() -> int:
    argv = sys.argv[1:]
    _occupy_standard_fds()
    before_dashes = argv[: argv.index("--")] if "--" in argv else argv
    screen = Screen("auto", json="--json" in before_dashes)
    try:
        given = _given(argv)
        screen.recolor(given.text("color", "auto"))
        status = run(given, screen)
        screen.out.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return NOBODY_READS
    except KeyboardInterrupt:
        screen.erase()
        return INTERRUPTED
    except BridgeError as fault:
        return complain(fault, screen)
    except OSError as error:
        _abandon_stdout()
        screen.note(f"ccbridgectl: {error.strerror}: {error.filename or 'stdout'}")
        return 1
    return status


def run(given: Given, screen: Screen) -> int:
    """Raises BridgeError, KeyboardInterrupt, OSError (stdout cannot be written)."""
    if given.has("version"):
        from ccbridged import __version__

        screen.put(f"ccbridgectl {__version__}\n")
        return 0
    if given.has("help") or given.verb in ("", "help"):
        from ccbridgectl.manual import page

        screen.put(page(given.verb if given.verb != "help" else given.word()))
        return 0
    if given.verb == "completion":
        from ccbridgectl.completion import script

        screen.put(script(given.word()))
        return 0
    if given.verb == "doctor":
        from ccbridgectl.verbs.checkup import doctor

        return doctor(given, screen)
    from ccbridgectl.client import Client

    client = Client(given.text("runtime-dir"), notice=lambda text: screen.note(f"ccbridgectl: {text}"))
    module, _, function = VERBS[given.verb].runs.partition(":")
    return int(getattr(__import__(f"ccbridgectl.verbs.{module}", fromlist=[function]), function)(given, client, screen))


def complain(fault: BridgeError, screen: Screen) -> int:
    """One line on stderr, or with --json the error object on stdout: that is where a program reads."""
    try:
        if screen.json:
            from ccbridgectl.document import dumps

            screen.put(dumps(fault.as_json()) + "\n")
        else:
            from ccbridgectl.text import one_line

            hint = f"; {fault.hint}" if fault.hint else ""
            screen.note(f"ccbridgectl: {one_line(fault.message + hint)}")
    except OSError:
        pass
    return fault.exit_status


def _given(argv: list[str]) -> Given:
    return Reader(VERBS, GLOBALS).read(argv)


def _occupy_standard_fds() -> None:
    """A standard stream that the caller closed must not become some FIFO's descriptor."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _abandon_stdout() -> None:
    """What could not be written must not be tried again when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
