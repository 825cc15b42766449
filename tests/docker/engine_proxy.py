"""A Unix socket in front of the real engine's, which a test can take away and bring back without hurting anybody."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

ENGINE = "/var/run/docker.sock"


class Proxy:
    """``path``: where it listens while it is open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._begin(self._accept, self._listener)

    def close(self) -> None:
        """As when the engine dies: no socket any more, and every connection ends at once."""
        if self._listener is None:
            return
        os.unlink(self.path)
        with self._lock:
            ends, self._open = [self._listener, *self._open], set()
            self._listener = None
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for end in ends:
            end.close()

    def _begin(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                with self._lock:
                    self._open |= {near, far}
                far.connect(ENGINE)
                self._begin(_pump, near, far)
                self._begin(_pump, far, near)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
