"""Arguments and configuration in, a running daemon, an exit status out.

In the foreground nothing is forked. ``--detach`` forks once more than python-daemon does, so that the caller can wait
for the daemon's word that it is ready; and nothing that a fork would spoil is opened before it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
from collections.abc import Callable, Sequence

from ccbridged import commandline
from ccbridged.commandline import Options, Places
from ccbridged.model.config import Config
from ccbridged.model.sample import sample
from ccbridged.protocol.errors import BridgeError
from ccbridged.system import lock, logs, watchdog

READY_WITHIN = 90.0
"""Seconds that ``--detach`` waits for the daemon's word."""
_STDERR = 2


def main(argv: Sequence[str] | None = None) -> int:
    options = commandline.parse(sys.argv[1:] if argv is None else argv)
    if options.action == "print-config":
        print(sample(), end="")
        return 0
    file = commandline.config_file(options, os.environ, os.getuid())
    try:
        config = commandline.load(file)
        if options.action == "check-config":
            print(f"{file}: no faults" if file else "no configuration file: everything has its default")
            return 0
        return run(options, file, config)
    except BridgeError as fault:
        return complain(fault)


def complain(fault: BridgeError) -> int:
    print(fault.message if fault.code == "bad-config" else f"ccbridged: {fault.message}; {fault.hint}", file=sys.stderr)
    return fault.exit_status


def run(options: Options, file: str, config: Config) -> int:
    places = commandline.places(options, config, os.environ, os.getuid())
    os.umask(0o077)
    if options.action == "detach":
        return detach(config, places, lambda: commandline.load(file))
    return serve(config, places, lambda: commandline.load(file), _nobody_waits)


def _nobody_waits() -> None:
    """In the foreground, readiness is told to the service manager alone."""


def serve(
    config: Config, places: Places, reload: Callable[[], Config], ready: Callable[[], None], log_file: str = ""
) -> int:
    """One life of the daemon, which logs only once it is the only one. Raises BridgeError where it cannot start."""
    watchdog.trace_fatal_signals()
    with lock.held(places.state_dir, places.runtime_dir):
        logs.set_up(config.daemon.log_level, config.daemon.log_format, log_file, also=_STDERR)
        from ccbridged.daemon import Daemon

        bridge = Daemon(config, runtime_dir=places.runtime_dir, state_dir=places.state_dir, reload=reload)
        return bridge.run(ready)


class Word:
    """The daemon's one word to whoever waits for it: ready, or why not. Said once; afterwards the pipe is closed."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def say(self, status: int, text: str) -> None:
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        with contextlib.suppress(BrokenPipeError):
            os.write(fd, json.dumps([status, text]).encode() + b"\n")
        os.close(fd)

    def ready(self) -> None:
        self.say(0, "")


def detach(config: Config, places: Places, reload: Callable[[], Config]) -> int:
    """Become two: here the caller's process, which waits; there the daemon, which never returns from here."""
    _fill_standard_streams()
    sys.stdout.flush()
    sys.stderr.flush()
    listen, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os.wait()
        return _await_word(listen, places.log_file)
    os.close(listen)
    status = _background(config, places, reload, Word(tell))
    logging.shutdown()
    os._exit(status)


def _fill_standard_streams() -> None:
    """Where the caller closed some of 0, 1, 2, a pipe or a database would get that number, and python-daemon fails."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _background(config: Config, places: Places, reload: Callable[[], Config], word: Word) -> int:
    try:
        _leave_caller(word)
        return serve(config, places, reload, word.ready, places.log_file)
    except BridgeError as fault:
        logging.critical("%s; %s", fault.message, fault.hint)
        word.say(fault.exit_status, f"{fault.message}; {fault.hint}")
        return fault.exit_status
    except Exception as error:
        logging.exception("the daemon cannot go on")
        word.say(1, f"{type(error).__name__}: {error}; see {places.log_file}")
        return 1


def _leave_caller(word: Word) -> None:
    """Detach for good; of all descriptors only the word's stays. No pid file: the lock is an flock."""
    from daemon import DaemonContext

    context = DaemonContext(
        detach_process=True, umask=0o077, prevent_core=True, signal_map={}, files_preserve=[word.fd]
    )
    context.open()


def _await_word(listen: int, log_file: str) -> int:
    with open(listen, "rb") as pipe:
        if not select.select([pipe], [], [], READY_WITHIN)[0]:
            line = b""
            text = f"the daemon is still starting after {READY_WITHIN:.0f} s"
        else:
            line = pipe.readline()
            text = "the daemon ended while it was starting"
    status, text = json.loads(line) if line else (1, f"{text}; see {log_file}")
    if text:
        print(f"ccbridged: {text}", file=sys.stderr)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
