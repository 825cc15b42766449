"""Where words go: data to stdout, everything else to stderr; colour and the quiet line on a terminal only."""

from __future__ import annotations

import os
import sys
import time

from ccbridgectl.text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from ccbridgectl.progress import Progress

_COLORS = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}
_STATES = {
    "ready": "green",
    "ok": "green",
    "succeeded": "green",
    "busy": "yellow",
    "running": "yellow",
    "starting": "yellow",
    "connecting": "yellow",
    "recovering": "yellow",
    "uncertain": "red",
    "failed": "red",
    "timed_out": "red",
    "stopped": "dim",
    "cancelled": "dim",
}


class Screen:
    """``color``: auto, always or never. ``json``: whether stdout is read by a program."""

    def __init__(self, color: str, *, json: bool) -> None:
        self.json = json
        self.out = _stream(sys.stdout)
        self.err = _stream(sys.stderr)
        self.out_is_terminal = self.out.isatty()
        self.quiet_line = self.err.isatty() and os.environ.get("TERM") != "dumb"
        self.colored = False
        self.recolor(color)
        self._quiet = ""
        self._writing = False

    def recolor(self, color: str) -> None:
        """Raises nothing: the grammar has checked ``color``."""
        self.colored = color == "always" or (color == "auto" and self.out_is_terminal and _wants_color())

    def put(self, text: str) -> None:
        """Data, as it is, seen at once."""
        if text:
            self._write(self.out, text)

    def block_ends(self) -> None:
        """A block of an answer is complete: as plain text it is out already."""

    def lines(self, lines: list[str]) -> None:
        self.put("".join([line + "\n" for line in lines]))

    def note(self, text: str) -> None:
        """One line about the work, not of it; text from elsewhere in it is made harmless."""
        self._write(self.err, shown(text) + "\n")

    def quiet(self, line: str) -> None:
        """Replace the quiet line; may be called from a signal handler. The cursor must be at the start of a line."""
        if self.quiet_line and line != self._quiet and not self._writing:
            os.write(self.err.fileno(), f"\r\x1b[K{line}".encode("utf-8", "replace"))
            self._quiet = line

    def erase(self) -> None:
        self.quiet("")

    def _write(self, stream: TextIO, text: str) -> None:
        self.erase()
        self._writing = True
        try:
            stream.write(text)
            stream.flush()
        finally:
            self._writing = False

    def columns(self) -> int:
        """Of the terminal, less one; 79 where it does not know its size."""
        try:
            columns = os.get_terminal_size(self.err.fileno()).columns
        except OSError:
            columns = 0
        return (columns or 80) - 1

    def paint(self, text: str, color: str) -> str:
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if self.colored and color else text

    def state(self, line: str, state: str) -> str:
        """``line`` with its first ``state`` in that state's colour."""
        return line.replace(state, self.paint(state, _STATES.get(state, "")), 1) if state else line


def _wants_color() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _stream(stream: TextIO | None) -> TextIO:
    """Text that the terminal's encoding has no character for, such as half a surrogate pair, is shown escaped."""
    if stream is None:
        return open(os.devnull, "w")
    stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    return stream


class Ticker:
    """Keeps the quiet line true while the process waits: a timer signal, because the wait is one blocking read."""

    def __init__(self, screen: Screen, progress: Progress | None, at_line_start: Callable[[], bool]) -> None:
        self._screen = screen
        self._progress = progress
        self._at_line_start = at_line_start

    def __enter__(self) -> None:
        if self._progress:
            import signal

            signal.signal(signal.SIGALRM, lambda *_: self._draw())
            signal.setitimer(signal.ITIMER_REAL, 0.5, 1.0)

    def __exit__(self, *_: object) -> None:
        if self._progress:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            self._screen.erase()

    def _draw(self) -> None:
        if self._progress and (self._at_line_start() or not self._screen.out_is_terminal):
            self._screen.quiet(self._progress.line(time.time(), self._screen.columns()))
