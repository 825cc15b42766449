"""The one place that sleeps: readable and writable fds, signals, and an inbox for other threads.

It returns what happened instead of calling back, so that who is told, and in which order, is read in the daemon's loop.
Signals and posts share one wakeup pipe; a post writes to it only into an empty inbox, so a signal always finds room.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NamedTuple

_POSTED = 0
"""The wakeup byte of a post; a signal's is its number, never 0."""
_WAKEUP = object()

Handler = Callable[[int, FrameType | None], object] | int | None


class Ready(NamedTuple):
    """Something can be done with an fd of ``owner``'s. A hang-up or an error counts as what was being waited for."""

    owner: object
    readable: bool
    writable: bool


class Reactor:
    """For one thread; only ``post`` may be called from others. A context manager."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, _WAKEUP)
        self._lock = threading.Lock()
        self._inbox: list[object] = []
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Reactor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch(self, fd: int, owner: object, *, read: bool, write: bool) -> None:
        """From now on tell of ``fd`` what is asked, and nothing else; with neither, forget it."""
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        if not events:
            self.forget(fd)
            return
        known = self._selector.get_map().get(fd)
        if known is None:
            self._selector.register(fd, events, owner)
        elif known.events != events or known.data is not owner:
            self._selector.modify(fd, events, owner)

    def forget(self, fd: int) -> None:
        """Call it before the fd is closed. Of an fd that is not watched there is nothing to forget."""
        if fd >= 0 and fd in self._selector.get_map():
            self._selector.unregister(fd)

    def post(self, thing: object) -> None:
        """Hand ``thing`` to the next ``wait``, from any thread. After ``close`` nobody waits: it is dropped."""
        with self._lock:
            if self._wake_in < 0:
                return
            self._inbox.append(thing)
            if len(self._inbox) == 1:
                self._wake()

    def catch(self, signals: Iterable[int]) -> None:
        """From now on these signals come out of ``wait`` and do nothing else. Main thread only."""
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        for number in signals:
            previous = signal.signal(number, _ignore)
            self._handlers.setdefault(number, previous)

    def wait(self, timeout: float | None) -> tuple[list[Ready], list[int], list[object]]:
        """Sleep until something happens or ``timeout`` seconds (None: for ever) have passed.

        Returns what is ready, the signals that came (each once, in order), and what was posted, in order.
        """
        ready: list[Ready] = []
        signals: list[int] = []
        posted: list[object] = []
        for key, events in self._selector.select(None if timeout is None else max(timeout, 0.0)):
            if key.data is _WAKEUP:
                signals = [number for number in dict.fromkeys(self._woken()) if number != _POSTED]
                posted = self._collect()
            else:
                ready.append(Ready(key.data, bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE)))
        return ready, signals, posted

    def close(self) -> None:
        """Give the signals back to whoever had them and close what this reactor opened, not what it watches."""
        if self._handlers:
            signal.set_wakeup_fd(-1)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers.clear()
        self._selector.close()
        with self._lock:
            ends = {self._wake_out, self._wake_in} - {-1}
            self._wake_out = self._wake_in = -1
        for fd in ends:
            os.close(fd)

    def _wake(self) -> None:
        try:
            os.write(self._wake_in, bytes([_POSTED]))
        except BlockingIOError:
            pass  # Full: the other side will wake up anyway.

    def _woken(self) -> bytes:
        try:
            return os.read(self._wake_out, 65536)
        except BlockingIOError:
            return b""

    def _collect(self) -> list[object]:
        """After ``_woken``, never before: a post between the two must not lose its byte."""
        with self._lock:
            posted, self._inbox = self._inbox, []
        return posted


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A signal needs a Python handler for its number to be written to the wakeup fd."""
