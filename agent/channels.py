"""The agent's children, one at a time per channel: a new life waits until the old one is wholly gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from agent import orphans, reaper
from agent.child import Child, Say
from agent.launch import Refusal, prepare
from agent.watch import Watch
from ccbridged.protocol.messages import End, Feed, NotStarted, Start, Unable

GRACE = 3.0
"""Seconds for each step of an end that nobody gave a grace for: twice this is less than docker stop waits."""
_LOOK_AGAIN = 0.02
"""Seconds until what a killed reaper left is looked at again, if no death calls for it sooner."""
ATTACH_ONLY = "this agent was started with --attach-only and refuses to start programs: start it without"


class Settings(NamedTuple):
    """``env_file``: private variables of the children; ``mark``: see ``launch.MARK``; ``refusal``: why none may run."""

    env_file: str
    mark: str
    refusal: str


class _Waiting(NamedTuple):
    start: Start
    lines: list[str]


class Channels:
    """All that runs and all that waits to run."""

    def __init__(self, settings: Settings, watch: Watch, say: Say) -> None:
        self._settings = settings
        self._watch = watch
        self._say = say
        self._children: dict[str, Child] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._look_at: float | None = None

    @property
    def refusal(self) -> str:
        """Why no program may be started; "" when they may."""
        return self._settings.refusal

    @property
    def backlog(self) -> int:
        """Bytes that the children have not yet taken."""
        waiting = sum(len(line) for held in self._waiting.values() for line in held.lines)
        return waiting + sum(child.backlog for child in self._children.values())

    @property
    def empty(self) -> bool:
        return not self._children and not self._waiting

    @property
    def deadline(self) -> float | None:
        times = (self._look_at, *(child.deadline for child in self))
        return min((at for at in times if at is not None), default=None)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    def start(self, start: Start, now: float) -> None:
        if self.refusal:
            self._say(NotStarted(start.channel, start.life, self.refusal))
            return
        child = self._children.get(start.channel)
        if child is None:
            self._spawn(start)
        elif child.start.life == start.life and not child.ending:
            child.say_again()
        else:
            self._forget_waiting(start.channel, "a later start took its place")
            self._waiting[start.channel] = _Waiting(start, [])
            child.end(GRACE, now)

    def feed(self, feed: Feed) -> None:
        """What waits comes first: a new host begins with the life that is being ended for the old one."""
        child, waiting = self._children.get(feed.channel), self._waiting.get(feed.channel)
        if waiting is not None and waiting.start.life == feed.life:
            waiting.lines.append(feed.line)
        elif child is not None and child.start.life == feed.life:
            child.feed(feed.line)

    def end(self, end: End, now: float) -> None:
        child, waiting = self._children.get(end.channel), self._waiting.get(end.channel)
        if waiting is not None and waiting.start.life == end.life:
            self._forget_waiting(end.channel, "it was ended before it had begun")
        elif child is not None and child.start.life == end.life:
            child.end(end.grace, now)

    def end_all(self, grace: float, now: float) -> None:
        for channel in list(self._waiting):
            self._forget_waiting(channel, "the agent is ending")
        for child in self:
            child.end(grace, now)

    def kill_all(self, now: float) -> None:
        for channel in list(self._waiting):
            self._forget_waiting(channel, "the agent is ending")
        for child in self:
            child.kill(now)

    def disown_all(self, now: float) -> None:
        """Whoever asked for them is gone for ever: kill them all and say nothing of it."""
        self._waiting.clear()
        for child in self:
            child.disown()
            child.kill(now)

    def tick(self, now: float) -> None:
        for child in self:
            child.tick(now)
        if self._look_at is not None and now >= self._look_at:
            self._kill_strays(now)

    def listen(self) -> None:
        for child in self:
            child.listen()

    def pause(self) -> None:
        for child in self:
            child.pause()

    def reap(self, now: float) -> None:
        """Wait for everything that has died, whosever it was: as pid 1 nobody else will."""
        while found := _dead():
            for child in self:
                child.waited(*found, now)
        self._kill_strays(now)

    def conclude(self) -> None:
        """Say which have ended, and start what waited for that."""
        for channel, child in list(self._children.items()):
            if child.gone:
                child.conclude()
                child.close()
                del self._children[channel]
                if waiting := self._waiting.pop(channel, None):
                    self._spawn(waiting.start)
                    for line in waiting.lines:
                        self.feed(Feed(channel, waiting.start.life, line))

    def _kill_strays(self, now: float) -> None:
        """What killed reapers left, until there is no more of it."""
        self._look_at = None
        bereft = [child for child in self if child.bereft]
        if bereft and orphans.kill_strays({child.reaper for child in self}, self._settings.mark):
            self._look_at = now + _LOOK_AGAIN
            return
        for child in bereft:
            child.nobody_left()

    def _spawn(self, start: Start) -> None:
        try:
            program = prepare(start, self._settings.env_file, self._settings.mark)
            spawned = reaper.spawn(program)
        except Refusal as refusal:
            self._say(NotStarted(start.channel, start.life, str(refusal)))
        except OSError as error:
            reason = f"no process could be made for it: {error.strerror} (a pids or files limit?)"
            self._say(Unable(start.channel, start.life, reason))
        else:
            self._children[start.channel] = Child(start, program, spawned, self._watch, self._say)

    def _forget_waiting(self, channel: str, reason: str) -> None:
        if waiting := self._waiting.pop(channel, None):
            self._say(Unable(channel, waiting.start.life, reason))


def _dead() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None
