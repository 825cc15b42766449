"""The agent: joins children to the link, and knows nothing of what they say.

One turn: read everything there is, append it to the journal once, then let it be seen.
"""

from __future__ import annotations

import os
import platform
import pwd
import signal
import time
from collections import deque
from typing import NamedTuple, NoReturn

from agent.channels import GRACE, Channels
from agent.ends import Ends
from agent.log import Log
from agent.post import Post
from agent.stream import Stream
from agent.tail import read_tail
from agent.watch import Watch
from ccbridged import __version__
from ccbridged.protocol import link as links
from ccbridged.protocol.errors import PeerError
from ccbridged.protocol.messages import Alive, End, Errors, Feed, Quit, Start, Tail, Unable, decode

CAUGHT = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_INPUT_LIMIT = 128 * 1024 * 1024
"""Bytes for the children that are kept before the link is left unread."""
_FAREWELL = 2.0
"""Seconds for the host to take the last words."""


class Leaving(NamedTuple):
    """With which status, and until when the host may still take the last words."""

    status: int
    by: float


class Agent:
    """``run`` until told to leave. ``attach_only`` is only said; that nothing is started is the channels' matter."""

    def __init__(self, ends: Ends, post: Post, watch: Watch, channels: Channels, log: Log) -> None:
        self._stream = Stream(ends, post.link, watch, self._hear, self.warn)
        self._post = post
        self._watch = watch
        self._channels = channels
        self._log = log
        self._parked: deque[links.Message] = deque()
        self._parked_size = 0
        self._trouble = ""
        self._leaving: Leaving | None = None

    def run(self) -> int:
        """The exit status: 0 after a Quit or a signal, 75 when another agent has taken over this journal, 78 when the
        journal was rolled back."""
        self._introduce()
        while True:
            now = time.monotonic()
            self._turn(now)
            if self._leaving and self._may_leave(now):
                return self._leave(self._leaving)
            for number in self._watch.wait(self._timeout(now)):
                if number == signal.SIGCHLD:
                    self._channels.reap(time.monotonic())
                else:
                    self._stop(signal.Signals(number))

    def warn(self, text: str) -> None:
        """Into the log here, and into the instance's log on the host."""
        self._log.warning(text)
        self._post.say(Errors("", 0, f"agent: {text}"))

    def _turn(self, now: float) -> None:
        self._channels.tick(now)
        self._channels.conclude()
        self._post.link.tick(now)
        self._post.settle(now)
        while self._parked and not self._post.fault:
            self._unpark(now)
        self._tell_trouble()
        self._stream.tick(now)
        self._stream.flush(now)
        self._listen()

    def _timeout(self, now: float) -> float | None:
        leaving = self._leaving.by if self._leaving and self._channels.empty else None
        times = (self._post.link.deadline, self._channels.deadline, self._post.deadline, self._stream.deadline, leaving)
        soonest = min((at for at in times if at is not None), default=None)
        return None if soonest is None else max(soonest - now, 0.0)

    def _hear(self, chunk: bytes, now: float) -> None:
        for event in self._post.hear(chunk, now):
            self._take(event, now)

    def _take(self, event: links.Event, now: float) -> None:
        match event:
            case links.Message():
                self._parked.append(event)
                self._parked_size += len(event.text)
                while self._parked and not self._post.fault:
                    self._unpark(now)
            case links.Acked():
                pass
            case links.Up(journal, digest):
                self._log.info(f"connected to host {journal[:8]} {digest[:12]}".rstrip())
            case links.PeerReset(old, new):
                self._begin_anew(f"the host is another than before: {new[:8]}, not {old[:8]}", now)
            case links.Fenced(reason):
                self._log.error(f"another agent works with this journal: {reason}")
                self._channels.disown_all(now)
                self._leaving = Leaving(75, now)
            case links.RolledBack(reason):
                self._refuse(f"this journal was rolled back: {reason}", now)
            case links.Incompatible(theirs, ours):
                older = "ccbridged" if theirs < ours else "this agent"
                told = f"the host speaks version {theirs} of the link, this agent {ours}"
                self._go_deaf(f"{told}: {older} must be upgraded; restart the instance")
            case links.Violation(reason):
                self._go_deaf(f"the host broke the protocol: {reason}")
            case _:
                _never(event)

    def _unpark(self, now: float) -> None:
        """Act on a message of the host's; not while the journal cannot be written."""
        seq, text = self._parked.popleft()
        self._parked_size -= len(text)
        try:
            self._obey(text, now)
        except PeerError as error:
            self.warn(f"a message of the host's makes no sense: {error}")
        self._post.done(seq)

    def _obey(self, text: str, now: float) -> None:
        match decode(text):
            case Start() as start if self._leaving:
                self._post.say(Unable(start.channel, start.life, "the agent is ending"))
            case Start() as start:
                self._channels.start(start, now)
            case Feed() as feed:
                self._channels.feed(feed)
            case End() as end:
                self._channels.end(end, now)
            case Quit(grace):
                self._leaving = Leaving(0, now + _FAREWELL)
                self._channels.end_all(grace, now)
            case Tail() as tail:
                self._post.say(read_tail(tail))
            case None:
                self._log.info(f"a message of a later version was passed over: {text[:40]}")
            case _:
                raise PeerError("it is for a host, not for an agent")

    def _listen(self) -> None:
        """Read what there is room for."""
        if self._post.choked or (not self._leaving and (self._post.fault or self._post.full)):
            self._channels.pause()
        else:
            self._channels.listen()
        if self._parked_size + self._channels.backlog < _INPUT_LIMIT:
            self._stream.listen()
        else:
            self._stream.pause()

    def _tell_trouble(self) -> None:
        full = "the journal has reached its quota: the children wait until the host has taken what they said"
        trouble = self._post.fault or (full if self._post.full else "")
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._log.warning(trouble)
                self._post.alarm(Errors("", 0, f"agent: {trouble}"))

    def _introduce(self) -> None:
        user = _user()
        refuses = bool(self._channels.refusal)
        self._post.say(Alive(os.getpid(), __version__, platform.python_version(), user, refuses, {}))
        self._log.info(f"agent {__version__} of journal {self._post.link.journal[:8]}, pid {os.getpid()}, user {user}")

    def _begin_anew(self, reason: str, now: float) -> None:
        """A host that lost its state knows nothing of these children, and nobody else authorises what they do."""
        self._parked.clear()
        self._parked_size = 0
        self._channels.disown_all(now)
        self._introduce()
        self.warn(reason)

    def _refuse(self, reason: str, now: float) -> None:
        """Only an operator can decide what becomes of it; until then no agent can work with it."""
        hint = "put the newest back, or move it away to begin a new one: requests under way then end as uncertain"
        self._log.error(f"{reason}; {hint}")
        self._channels.disown_all(now)
        self._leaving = Leaving(78, now)

    def _go_deaf(self, reason: str) -> None:
        self._log.error(reason)
        self._stream.go_deaf()

    def _stop(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._leaving:
            self._channels.kill_all(now)
            return
        self._log.info(f"{number.name}: ending")
        self._leaving = Leaving(0, now + _FAREWELL)
        self._channels.end_all(GRACE, now)

    def _may_leave(self, now: float) -> bool:
        """Everything is over and said, and the host, if it is there, has it."""
        assert self._leaving
        if not self._channels.empty:
            self._leaving = Leaving(self._leaving.status, now + _FAREWELL)
            return False
        said = not self._post.lost and self._stream.flushed
        heard = not self._post.link.up or not self._post.link.held
        return (said and heard) or now >= self._leaving.by

    def _leave(self, leaving: Leaving) -> int:
        if self._post.lost and not leaving.status:
            self._log.error(f"{self._post.lost} messages are lost: {self._post.fault}")
        self._stream.close()
        if not leaving.status:
            self._log.info("the end")  # Otherwise the reason is the last that is said.
        return leaving.status


def _never(event: NoReturn) -> NoReturn:
    raise AssertionError(event)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
