"""Where no service manager watches: a loop that stays in one turn for too long aborts, with all stacks in the log.

A thread looks every few seconds whether the loop still is where it was, and dozes while the loop sleeps: a turn costs
two additions and no system call. It counts looks, not time, so a process that was stopped itself is not called stuck.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

LIMIT = 30.0
"""Seconds in one turn; as in the systemd units."""
_LOOKS = 6
_LAST_WORDS = 5.0
"""Seconds that it may take to write the stacks; a log that takes none does not keep the process alive."""
_DEPTH = 100

_log = logging.getLogger(__name__)


def trace_fatal_signals() -> None:
    """Stacks of all threads to stderr when the process dies of SIGSEGV and the like, or by systemd's SIGABRT.

    Plain text, whatever the log's format: no Python runs any more.
    """
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)  # Whoever started this process may have had them ignored.
    if sys.stderr is not None:  # Else somebody else's file may be number 2.
        faulthandler.enable(file=sys.stderr, all_threads=True)
        faulthandler.register(signal.SIGPROF, file=sys.stderr, all_threads=True, chain=True)


class Watchdog:
    """For the loop's thread: ``wake`` after each sleep, ``rest`` before the next.

    Where these are more than ``limit`` seconds apart, the process ends by SIGABRT, after at most a quarter more. Where
    the loop does not even let go of the interpreter, it ends by SIGPROF after so many seconds of processor time, and
    the log has the stacks alone (see ``trace_fatal_signals``).
    """

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._steps = 0
        """Odd in a turn, even in a sleep."""
        self._dozing = False
        self._closed = False
        self._poke = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._loop = threading.get_ident()

    def start(self) -> None:
        """In the loop's thread, which is awake."""
        self._steps = 1
        self._thread.start()

    def wake(self) -> None:
        self._steps += 1
        if self._dozing:
            self._poke.set()

    def rest(self) -> None:
        self._steps += 1

    def close(self) -> None:
        """From here on nobody watches."""
        self._closed = True
        self._poke.set()
        if self._thread.is_alive():
            self._thread.join()
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _watch(self) -> None:
        looks, seen = 0, -1
        while not self._closed:
            signal.setitimer(signal.ITIMER_PROF, self._limit)
            ran = self._pause(self._limit / _LOOKS)
            steps = self._steps
            if steps != seen:
                looks, seen = 0, steps
            elif steps % 2 == 0:
                self._doze(steps)
            elif ran and not self._closed:
                looks += 1
                if looks == _LOOKS:
                    self._abort()

    def _pause(self, seconds: float) -> bool:
        """Whether it took about as long as it should: if not, this process was stopped, or got no processor."""
        began = time.monotonic()
        self._wait(seconds)
        return 0.9 * seconds < time.monotonic() - began < 2 * seconds

    def _doze(self, steps: int) -> None:
        """Until the loop wakes up. First it is told that it has to say so, then looked at once more."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._dozing = True
        if self._steps == steps:
            self._wait(None)
        self._dozing = False

    def _wait(self, seconds: float | None) -> None:
        """For a poke, which may be a late one."""
        if not self._closed:
            self._poke.wait(seconds)
            self._poke.clear()

    def _abort(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, _LAST_WORDS)  # SIGALRM ends the process where the log takes nothing.
        why = f"the loop has been in one turn for {self._limit:g} s: ccbridged aborts; nothing is lost, start it again"
        _log.critical(why, extra={"trace": _stacks(self._loop)})
        faulthandler.disable()  # It has been said.
        os.abort()


def _stacks(first: int) -> str:
    """Of all threads, that of ``first`` first. No source lines: their disk may be what hangs."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sorted(sys._current_frames().items(), key=lambda item: item[0] != first)
    return "\n".join(f"Thread {names.get(ident, ident)}:\n{_stack(frame)}" for ident, frame in frames)


def _stack(frame: FrameType | None) -> str:
    """The innermost call last, as in any trace."""
    calls: list[str] = []
    while frame is not None and len(calls) < _DEPTH:
        code = frame.f_code
        calls.append(f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}')
        frame = frame.f_back
    return "\n".join(reversed(calls))
