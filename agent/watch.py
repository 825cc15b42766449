"""Waiting: file descriptors and signals, in one selector. An idle watch makes no system call.

Each fd has one handler and the events it is wanted for; 0 keeps it open and unwatched, which is how reading is paused.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Handler = Callable[[int], None]
"""Called with the events that came."""


class Watch:
    """``caught``: the signals it takes over, for the life of the process."""

    def __init__(self, caught: Iterable[signal.Signals]) -> None:
        self._selector = selectors.DefaultSelector()
        self._wanted: dict[int, int] = {}
        self._signals: list[int] = []
        self._wakeup, self._wakeup_end = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._wakeup_end, False)
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        for number in caught:
            signal.signal(number, _noted)
        self.set(self._wakeup, READ, self._wake)

    def set(self, fd: int, events: int, handler: Handler) -> None:
        """Want exactly ``events`` of ``fd`` from now on."""
        before = self._wanted.get(fd, 0)
        if events == before:
            return
        if not events:
            self._selector.unregister(fd)
        elif before:
            self._selector.modify(fd, events, handler)
        else:
            self._selector.register(fd, events, handler)
        self._wanted[fd] = events

    def drop(self, fd: int) -> None:
        """Before the fd is closed."""
        if self._wanted.pop(fd, 0):
            self._selector.unregister(fd)

    def wait(self, timeout: float | None) -> list[int]:
        """Run the handlers of what is ready, at most ``timeout`` seconds from now; the signals that came."""
        for key, events in self._selector.select(timeout):
            # A handler may drop what another event of this very round is about.
            if self._wanted.get(key.fd, 0) & events:
                key.data(events)
        signals, self._signals = self._signals, []
        return signals

    def _wake(self, _events: int) -> None:
        self._signals.extend(os.read(self._wakeup, 4096))


def _noted(_number: int, _frame: object) -> None:
    """The wakeup fd has what is needed; a handler must exist for it to be written."""
