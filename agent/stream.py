"""The byte stream to the host: there while a host is, and found again when another comes.

A host that was there first is greeted at the start, one that comes later speaks first. Nobody tells when a FIFO's path
has been given to another one, so while no host is there the path is looked at, ever more seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.ends import Ends
from agent.watch import READ, WRITE, Watch
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import Link

_READS = 16
"""Chunks read before others have their turn."""
_LOOK, _LOOK_SELDOM = 1.0, 30.0
"""Seconds between looks at the path."""


class Stream:
    """Connects ``link`` to the ends. ``take`` gets what was read, ``tell`` what goes wrong, in a sentence."""

    def __init__(
        self, ends: Ends, link: Link, watch: Watch, take: Callable[[bytes, float], None], tell: Callable[[str], None]
    ) -> None:
        self._ends = ends
        self._link = link
        self._watch = watch
        self._take = take
        self._tell = tell
        self._unsent = memoryview(b"")
        self._deaf = False
        self._complaint = ""
        self._look_at, self._look_again = 0.0, _LOOK

    @property
    def flushed(self) -> bool:
        return not self._unsent

    @property
    def deadline(self) -> float | None:
        """When to look at the path."""
        return self._look_at if self._ends.outgoing < 0 else None

    def listen(self) -> None:
        self._want(READ)

    def pause(self) -> None:
        """Leave what the host writes in the pipe."""
        self._want(0)

    def flush(self, now: float) -> None:
        """Write what the link has to say, as far as the pipe takes it."""
        if self._ends.outgoing < 0:
            return
        try:
            while self._unsent or (more := self._link.output(now)):
                self._unsent = self._unsent or memoryview(more)
                written = self._ends.write(self._unsent)
                self._unsent = self._unsent[written:]
                if not written:
                    break
        except OSError:
            self._hang_up()
        else:
            self._watch.set(self._ends.outgoing, READ | WRITE if self._unsent else READ, self._out_ready)

    def tick(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        self._look_again = min(self._look_again * 2, _LOOK_SELDOM)
        self._look_at = now + self._look_again
        if self._ends.incoming < 0 or not self._ends.in_is_current():
            self._reopen()
        self._connect(now)

    def go_deaf(self) -> None:
        """Answer nobody any more; what is written to us is read and forgotten."""
        self._deaf = True
        self._hang_up()

    def close(self) -> None:
        self._hang_up()
        self._want(0)
        self._ends.close()

    def _want(self, events: int) -> None:
        if self._ends.incoming >= 0:
            self._watch.set(self._ends.incoming, events, self._in_ready)

    def _in_ready(self, _events: int) -> None:
        for _ in range(_READS):
            chunk = self._ends.read()
            now = time.monotonic()
            if chunk:
                self._connect(now)
                self._take(chunk, now)
            elif chunk is not None:
                self._hang_up()
                self._look_soon(now)
                self._reopen()
            if not chunk:
                return

    def _out_ready(self, events: int) -> None:
        # Nothing can be read from it: this is the alarm that its last reader has gone.
        if events & READ:
            self._hang_up()

    def _connect(self, now: float) -> None:
        """Speak, if someone listens; a host that was there first waits for that."""
        if self._ends.outgoing >= 0 or self._deaf:
            return
        try:
            if not self._ends.open_out():
                return
        except BridgeError as fault:
            self._complain(fault)
            return
        self._complaint = ""
        self._link.connect(now, self._ends.window)
        self._watch.set(self._ends.outgoing, READ, self._out_ready)

    def _hang_up(self) -> None:
        if self._ends.outgoing >= 0:
            self._link.disconnect()
            self._unsent = memoryview(b"")
            self._watch.drop(self._ends.outgoing)
            self._ends.close_out()
            self._look_soon(time.monotonic())

    def _look_soon(self, now: float) -> None:
        self._look_again = _LOOK
        self._look_at = now + _LOOK

    def _reopen(self) -> None:
        if self._ends.incoming >= 0:
            self._watch.drop(self._ends.incoming)
        try:
            self._ends.open_in()
        except BridgeError as fault:
            self._complain(fault)

    def _complain(self, fault: BridgeError) -> None:
        if fault.message != self._complaint:
            self._complaint = fault.message
            self._tell(f"{fault.message}; {fault.hint}")
