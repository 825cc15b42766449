"""Standard output that never makes the program wait: what nobody reads piles up, as it does in the real one."""

import contextlib
import os
import select
import time


class Output:
    """Owns a descriptor that it makes non-blocking; a reader that went away is not noticed, as with the real one."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.backlog = bytearray()
        os.set_blocking(fd, False)

    def write(self, data: bytes) -> None:
        self.backlog += data
        self.pump()

    def pump(self) -> None:
        """Write what fits."""
        with contextlib.suppress(BlockingIOError):
            while self.backlog:
                try:
                    del self.backlog[: os.write(self.fd, self.backlog[:65536])]
                except BrokenPipeError:
                    self.backlog.clear()

    def drain(self, seconds: float) -> None:
        """Wait until everything is read, for so long at most."""
        until = time.monotonic() + seconds
        while self.backlog and (left := until - time.monotonic()) > 0:
            select.select([], [self.fd], [], min(left, 3600))
            self.pump()
        os.set_blocking(self.fd, True)
