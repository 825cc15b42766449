"""One life of one channel: a program, its three pipes, and how it is brought to an end.

Its end is said when it is true: output read to the last byte, everything it left killed, its reaper waited for.
A ladder leads there, each step with a deadline: farewell and end of input, TERM, KILL, KILL of the reaper.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from agent.inlet import Inlet
from agent.launch import Program, why_not
from agent.lines import Splitter
from agent.reaper import END_INPUT, KILL, TERMINATE, Spawned
from agent.watch import READ, Watch
from ccbridged.protocol.messages import Errors, Exited, FromAgent, NotStarted, Output, Overlong, Start, Started, Unable

LINE_LIMIT = 64 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
_CHUNK = 256 * 1024
_TURN = 4
"""Chunks read of one pipe before the others have their turn."""
_KILL_GRACE = 2.0
_DRAIN_GRACE = 2.0
"""Seconds for the pipes to close once all is dead: only a process that is not ours can still hold them open."""

Say = Callable[[FromAgent], None]


class Step(Enum):
    """How far the end has come."""

    RUNNING = "running"
    ENDING = "end of input"
    TERMINATING = "TERM"
    KILLING = "KILL"
    KILLING_REAPER = "KILL of its reaper"


class _Pipes(NamedTuple):
    out: Splitter
    err: Splitter


class Child:
    """``gone`` once all is over and said. ``bereft``: its reaper was killed, so what is left must be killed by us."""

    def __init__(self, start: Start, program: Program, spawned: Spawned, watch: Watch, say: Say) -> None:
        self.start = start
        self.reaper = spawned.reaper
        self.bereft = False
        self._program = program
        self._watch = watch
        self._say = say
        self._inlet = Inlet(spawned.stdin, watch)
        self._stdout, self._stderr = spawned.stdout, spawned.stderr
        self._status, self._commands = spawned.status, spawned.commands
        self._pid = 0
        self._code: int | None = None
        self._failure = ""
        self._expected = False
        self._reaped = False
        self._listening = False
        self._step = Step.RUNNING
        self._grace = 0.0
        self.deadline: float | None = None
        self._lines = _Pipes(Splitter(LINE_LIMIT, 0), Splitter(ERROR_LIMIT, ERROR_LIMIT))
        self._told = b""
        watch.set(self._status, READ, self._heard_status)

    @property
    def gone(self) -> bool:
        return self._reaped and not self.bereft and max(self._stdout, self._stderr, self._status) < 0

    @property
    def backlog(self) -> int:
        """Bytes that it has not yet taken."""
        return self._inlet.backlog

    @property
    def ending(self) -> bool:
        return self._step is not Step.RUNNING

    def say_again(self) -> None:
        """That it runs; unless that is still to be said for the first time."""
        if self._pid:
            self._say(Started(self.start.channel, self.start.life, self._pid))

    def feed(self, line: str) -> None:
        """One line for its stdin; dropped once that has been closed."""
        self._inlet.put(line)

    def end(self, grace: float, now: float) -> None:
        """Farewell and end of input, and up the ladder every ``grace`` seconds."""
        self._expected = True
        if self.ending:
            return
        if self.start.farewell:
            self.feed(self.start.farewell)
        self._inlet.finish()
        self._command(END_INPUT)
        self._step, self._grace, self.deadline = Step.ENDING, max(grace, 0.0), now + max(grace, 0.0)

    def kill(self, now: float) -> None:
        """Everything, at once."""
        self._expected = True
        if self._step not in (Step.KILLING, Step.KILLING_REAPER):
            self._climb_to(Step.KILLING, now)

    def disown(self) -> None:
        """Whoever asked for it is gone for ever: say no more of it."""
        self._say = lambda _message: None

    def tick(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if self._reaped:
            self.deadline = now + _DRAIN_GRACE
            if self._listening and not self.bereft:
                self._give_up_draining()
            return
        match self._step:
            case Step.RUNNING:
                self.deadline = None
            case Step.ENDING:
                self._climb_to(Step.TERMINATING, now)
            case Step.TERMINATING:
                self._climb_to(Step.KILLING, now)
            case Step.KILLING | Step.KILLING_REAPER:
                self._climb_to(Step.KILLING_REAPER, now)

    def listen(self) -> None:
        """Read its output, though not before it has been said that it started."""
        self._listening = True
        self._want(READ if self._pid or self._reaped else 0)

    def pause(self) -> None:
        """Leave its output in the pipes."""
        self._listening = False
        self._want(0)

    def waited(self, pid: int, code: int, now: float) -> None:
        """The agent has waited for ``pid``: the reaper, or, when that was killed, the program itself."""
        if pid == self.reaper:
            self._reaped = True
            self._heard_status(READ)
            self.bereft = self._code is None
            self._inlet.close()
            self._close_commands()
            self.deadline = now + _DRAIN_GRACE
        elif self.bereft and pid == self._pid:
            self._code = code

    def nobody_left(self) -> None:
        """The agent has killed what a killed reaper left."""
        self.bereft = False

    def conclude(self) -> None:
        """Say how it ended; once, when ``gone``."""
        channel, life = self.start.channel, self.start.life
        if self._failure:
            self._say(NotStarted(channel, life, self._failure))
        elif not self._pid:
            self._say(Unable(channel, life, "it was ended before it had begun"))
        else:
            self._say(Exited(channel, life, -9 if self._code is None else self._code, self._expected))

    def close(self) -> None:
        """Every fd; the reaper then kills whatever is left."""
        self._close_commands()
        self._inlet.close()
        self._stdout = self._close(self._stdout)
        self._stderr = self._close(self._stderr)
        self._status = self._close(self._status)

    def _climb_to(self, step: Step, now: float) -> None:
        self._step = step
        self.deadline = now + (self._grace if step is Step.TERMINATING else _KILL_GRACE)
        if step is Step.KILLING_REAPER:
            os.kill(self.reaper, 9)
        else:
            self._command(TERMINATE if step is Step.TERMINATING else KILL)

    def _command(self, word: bytes) -> None:
        if self._commands >= 0:
            try:
                os.write(self._commands, word)
            except OSError:
                pass  # The reaper is about to say that all is over.

    def _want(self, events: int) -> None:
        if self._stdout >= 0:
            self._watch.set(self._stdout, events, self._heard_output)
        if self._stderr >= 0:
            self._watch.set(self._stderr, events, self._heard_errors)

    def _heard_output(self, _events: int) -> None:
        channel, life = self.start.channel, self.start.life
        for chunk in self._read(self._stdout):
            for text, size in self._lines.out.feed(chunk):
                if size > LINE_LIMIT:
                    self._say(Overlong(channel, life, size))
                else:
                    self._say(Output(channel, life, text.decode("utf-8", "surrogateescape")))
            if not chunk:
                # What has no newline was cut off by a kill, and means nothing.
                self._lines.out.rest()
                self._stdout = self._close(self._stdout)

    def _heard_errors(self, _events: int) -> None:
        for chunk in self._read(self._stderr):
            lines = self._lines.err.feed(chunk)
            if not chunk:
                self._stderr = self._close(self._stderr)
                lines = [self._lines.err.rest()]
            for text, size in lines:
                if size or chunk:
                    cut = f" … [{size - len(text)} bytes cut]" if size > len(text) else ""
                    line = text.decode("utf-8", "surrogateescape") + cut
                    self._say(Errors(self.start.channel, self.start.life, line))

    def _heard_status(self, _events: int) -> None:
        for chunk in self._read(self._status):
            self._told += chunk
            if not chunk:
                self._status = self._close(self._status)
        *told, self._told = self._told.split(b"\n")
        for line in told:
            word, *numbers = line.decode().split()
            if word == "pid":
                self._pid = int(numbers[0])
                self.say_again()
            elif word == "failed":
                self._failure = why_not(self._program, numbers[0], int(numbers[1]))
            else:
                self._code = int(numbers[0])

    def _read(self, fd: int) -> list[bytes]:
        """What is there now, in chunks, the last of them b"" at the end of file."""
        chunks: list[bytes] = []
        try:
            while fd >= 0 and len(chunks) < _TURN and (not chunks or chunks[-1]):
                chunks.append(os.read(fd, _CHUNK))
        except BlockingIOError:
            pass
        return chunks

    def _give_up_draining(self) -> None:
        """All is dead, and still a pipe is open: someone was handed it. Take what is there, and let go."""
        self._heard_output(READ)
        self._heard_errors(READ)
        self._stdout = self._close(self._stdout)
        self._stderr = self._close(self._stderr)

    def _close_commands(self) -> None:
        self._commands = self._close(self._commands)

    def _close(self, fd: int) -> int:
        if fd >= 0:
            self._watch.drop(fd)
            os.close(fd)
        return -1
