"""What the service manager is told: ready, status, watchdog, reloading, stopping. Silent where nobody listens.

Plain ``Type=notify``: systemd before 253 takes ``notify-reload`` for ``simple``, so reloads are announced by hand.
"""

from __future__ import annotations

import os
import time

import sdnotify

_PATIENCE = 0.1
"""Seconds that a message may wait for a manager whose queue is full; then it is dropped."""


class Notifier:
    """Speaks to the socket in NOTIFY_SOCKET; without one every method does nothing. A context manager."""

    def __init__(self) -> None:
        # Without the variable sdnotify opens a socket, fails and leaks it.
        self._sdnotify = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._sdnotify and self._sdnotify.socket:
            self._sdnotify.socket.settimeout(_PATIENCE)

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def listening(self) -> bool:
        """Whether anybody hears it."""
        return self._sdnotify is not None

    def ready(self, status: str) -> None:
        """Started, or reloaded: requests are served."""
        self._say("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._say(_status(text))

    def watchdog(self) -> None:
        """Still alive. Due every ``watchdog_interval`` seconds."""
        self._say("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` ends it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        self._say("STOPPING=1", _status(status))

    def close(self) -> None:
        if self._sdnotify and self._sdnotify.socket:
            self._sdnotify.socket.close()
        self._sdnotify = None

    def _say(self, *assignments: str) -> None:
        if self._sdnotify:
            # sdnotify encodes as Latin-1 and swallows what does not fit; the manager expects UTF-8.
            self._sdnotify.notify("\n".join(assignments).encode("utf-8", "replace").decode("latin-1"))


def watchdog_interval() -> float | None:
    """Seconds between two ``watchdog`` calls, half of what the manager allows; None: nobody watches this process."""
    allowed, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdigit() or int(allowed) == 0 or whose not in ("", str(os.getpid())):
        return None
    return int(allowed) / 2e6


def _status(text: str) -> str:
    """An instance's name or reason must not become an assignment of its own."""
    return "STATUS=" + " ".join(text.split())
