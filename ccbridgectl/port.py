"""The client's half of the control FIFO: one call, and the lines of its answer.

The daemon's death is seen, never waited for: the control FIFO loses its reader, or the answer ends without its last
line. Few imports, because every ``ccbridgectl`` pays for them.
"""

from __future__ import annotations

import errno
import os
import select
import stat

from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL, CLIENTS = "control", "clients"
_LAST = (b'{"end":', b'{"error":')
_READ = 65536
_PATIENCE = 15.0
"""Seconds that the daemon may take to notice a knock before it is said to be stuck."""
_LARGE = 1024 * 1024
"""Bytes from which on a call's size is checked, for which ``json`` must be imported."""


class DaemonGone(BridgeError):
    """The daemon died, or was stopped, before the answer was complete. Whether the call took effect is unknown."""

    def __init__(self) -> None:
        super().__init__("no-daemon", "the daemon went away before it had answered", "try again when it is back")


class _Ends:
    """The three fds of a call, and the name that the daemon removes once it has opened both of the client's FIFOs."""

    __slots__ = ("answer", "control", "path", "request")

    def __init__(self, control: int, request: int, answer: int, path: str) -> None:
        self.control = control
        self.request = request
        self.answer = answer
        self.path = path


class Port:
    """The daemon of ``runtime_dir``. Holds nothing open between calls."""

    def __init__(self, runtime_dir: str, patience: float = _PATIENCE) -> None:
        self.runtime_dir = runtime_dir
        self._patience = patience

    def call(self, line: bytes) -> Iterator[bytes]:
        """Send one line (without its newline) and yield those of the answer, the last of which is ``end`` or ``error``.

        Closing the generator withdraws the call. Raises DaemonGone, and BridgeError ``no-daemon``, ``not-permitted``,
        ``too-large``, ``unavailable``.
        """
        if len(line) > _LARGE:
            _check_size(line)
        control = self._open_control()
        try:
            yield from self._ask(control, line)
        finally:
            os.close(control)

    def _ask(self, control: int, line: bytes) -> Iterator[bytes]:
        name = os.urandom(16).hex()
        request, answer = (os.path.join(self.runtime_dir, CLIENTS, name + suffix) for suffix in (".req", ".rep"))
        fds: list[int] = []
        try:
            try:
                # O_RDWR: what is written before the daemon opens it stays, and our leaving is still seen there.
                fds.append(_make(request, 0o644, os.O_RDWR))
                fds.append(_make(answer, 0o622, os.O_RDONLY))
            except PermissionError:
                raise self._not_permitted() from None
            except OSError as error:
                raise BridgeError("unavailable", f"cannot make {request}: {error.strerror}") from error
            unsent = _send(fds[0], memoryview(line + b"\n"))
            _knock(control, name)
            yield from _converse(_Ends(control, fds[0], fds[1], answer), unsent, self._patience)
        finally:
            for fd in fds:
                os.close(fd)
            for path in (request, answer):
                _unlink(path)

    def _open_control(self) -> int:
        path = os.path.join(self.runtime_dir, CONTROL)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError:
            raise self._not_permitted() from None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENOTDIR):
                hint = "start it: systemctl start ccbridged, or: ccbridged --detach"
                raise BridgeError("no-daemon", f"no daemon at {self.runtime_dir}", hint) from None
            raise BridgeError("unavailable", f"cannot open {path}: {error.strerror}") from error
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            from shlex import quote

            hint = f"remove it and restart the daemon: rm {quote(path)}"
            raise BridgeError("refused", f"{path} is no FIFO", hint)
        return fd

    def _not_permitted(self) -> BridgeError:
        return BridgeError("not-permitted", f"you may not use the daemon at {self.runtime_dir}", self._way_in())

    def _way_in(self) -> str:
        import grp
        import pwd

        try:
            facts = os.stat(self.runtime_dir)
            if facts.st_mode & stat.S_IXGRP:
                return f"join its group: sudo usermod -aG {grp.getgrgid(facts.st_gid).gr_name} $USER, and log in again"
            return f"it serves only the user {pwd.getpwuid(facts.st_uid).pw_name}"
        except (OSError, KeyError):
            return "ask whoever runs it for its group"


def _converse(ends: _Ends, unsent: memoryview, seconds: float) -> Iterator[bytes]:
    """Write the rest of the call and read the answer, as the pipes allow."""
    poll = select.poll()
    poll.register(ends.answer, select.POLLIN)
    poll.register(ends.control, 0)
    if unsent:
        poll.register(ends.request, select.POLLOUT)
    lines = _Lines()
    patience: float | None = seconds * 1000
    while True:
        events = dict(poll.poll(patience))
        if patience and not os.path.exists(ends.path):
            patience = None  # The daemon has opened it and taken its name away.
        if not events and patience:
            raise _deaf()
        if ends.request in events and not (unsent := _send(ends.request, unsent)):
            poll.unregister(ends.request)
        if ends.answer in events or ends.control in events:
            chunk = _receive(ends.answer)
            for said in lines.feed(chunk or b""):
                yield said
                if said.startswith(_LAST):
                    return
            if chunk == b"":
                raise DaemonGone
            if chunk is None and ends.control in events:
                poll.unregister(ends.control)  # Somebody still writes the answer: its end will tell.


def _knock(control: int, name: str) -> None:
    """One atomic write. The newline before it ends whatever another client left half written."""
    try:
        os.write(control, f"\n{name}\n".encode("ascii"))
    except BrokenPipeError:
        raise DaemonGone from None
    except BlockingIOError:
        raise _deaf() from None


def _deaf() -> BridgeError:
    return BridgeError("unavailable", "the daemon does not take calls", "see its log; is it stopped, or overloaded?")


def _send(fd: int, data: memoryview) -> memoryview:
    """What did not fit."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            break
    return data


def _receive(fd: int) -> bytes | None:
    """None: nothing now."""
    try:
        return os.read(fd, _READ)
    except BlockingIOError:
        return None


def _make(path: str, mode: int, flags: int) -> int:
    os.mkfifo(path, 0o600)
    os.chmod(path, mode)
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


class _Lines:
    """Chunks to lines, without limit: the daemon is trusted. ``wire.LineBuffer`` would import ``json`` and all."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        head, newline, rest = chunk.partition(b"\n")
        self._parts.append(head)
        if not newline:
            return []
        *whole, tail = rest.split(b"\n")
        lines = [b"".join(self._parts), *whole]
        self._parts = [tail]
        return lines


def _check_size(line: bytes) -> None:
    from ccbridged.protocol.calls import CALL_LIMIT

    if len(line) > CALL_LIMIT:
        raise BridgeError("too-large", f"the call has {len(line)} bytes; the limit is {CALL_LIMIT}")
