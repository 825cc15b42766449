"""One instance's agent, seen from here: sought, launched, awaited, there, lost; ordered to end.

One thing that happened goes in; steps come out, in order: effects, and news for the instance whose agent it is. An
agent is ``there`` only when it is certain which life of it this is, for another life knows nothing of the old program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ccbridged.model.effects import CloseStream, Effect, Halt, Json, Launch, OpenStream, Remove, Spec
from ccbridged.model.mail import Mail
from ccbridged.protocol import link as links
from ccbridged.protocol.errors import EXIT_STATUS, BridgeError
from ccbridged.protocol.messages import Alive

CONNECT_WITHIN = 20.0
"""Seconds from an agent's start to its first words."""
ALIVE_WITHIN = 1.0
"""Seconds in which a new agent has said that it is one."""
MAX_DELAY = 60.0
HOPELESS = ("refused", "usage", "not-permitted", "exists")
"""Codes of failures that no second try mends."""
ENDINGS = ("", "agent", "container", "everything")
"""What may be ordered to end, each with all that comes before it."""


class Pace(NamedTuple):
    """``delay``: seconds before the first try to get a lost agent back, doubled for each further one. ``patience``:
    deaths of the program in a row, each before it was ready, after which it is given up."""

    delay: float
    patience: int


@dataclass(frozen=True, slots=True)
class Met:
    """An agent is there, or has been started."""


@dataclass(frozen=True, slots=True)
class Lost:
    """It is not there, and is tried again after ``delay`` seconds. ``mute``: somebody is there, and says nothing."""

    error: BridgeError
    delay: float
    mute: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not there, and trying again would not help."""

    error: BridgeError


@dataclass(frozen=True, slots=True)
class Over:
    """``what`` was ordered to end, is gone, or why it is not."""

    what: str
    error: BridgeError | None


Step = Effect | Met | Lost | Refused | Over


class Agency:
    """``phase``: away sought launching found awaited there lost held ending. ``told``: what the agent said of itself.

    ``failures``: in a row. ``ending``: what has been ordered to end and may not be gone yet. ``container``: to be
    started as well at the next launch. ``held``: nothing is done before somebody says so. ``next_spec``: for the next
    launch; until then the other says where the present agent is.
    """

    def __init__(self, spec: Spec, mail: Mail, pace: Pace) -> None:
        self.spec = spec
        self.mail = mail
        self.pace = pace
        self.phase = "away"
        self.facts: Json = {}
        self.told: Json = {}
        self.failures = 0
        self.ending = ""
        self.container = False
        self.deadline: float | None = None
        self.next_spec = spec
        self._orders = 0
        self._fault: BridgeError | None = None

    def seek(self) -> list[Step]:
        """Look for an agent; that somebody is there, or nobody, is said by ``opened`` or ``closed``."""
        if self.phase == "away":
            self.mail.renew()
        self._turn("sought")
        self.mail.disconnect()
        return [CloseStream(self.spec.name), OpenStream(self.spec)]

    def opened(self, window: int, now: float) -> list[Step]:
        if self.phase in ("away", "held"):
            return []
        self.mail.connect(window, now)
        if self.phase == "ending":
            return []
        if self.phase != "launching":
            old = self.phase == "sought" and not self.failures
            self._turn("found" if old else "awaited", now + CONNECT_WITHIN)
        return [Met()]

    def closed(self, reason: str, now: float, *, final: bool) -> list[Step]:
        """The stream ended, or could not be had; without a reason, nobody was there when it was opened."""
        self.mail.disconnect()
        if self.phase in ("away", "ending", "launching", "lost", "held"):
            return []
        if final:
            return self.refuse(BridgeError("refused", reason))
        if self.phase == "sought" and not reason:
            return self._launch()
        return self._lose(BridgeError("unavailable", reason), now)

    def done(self, action: str, error: BridgeError | None, facts: Json, now: float) -> list[Step]:
        """A runtime action has ended: ``launch``, ``halt`` or ``remove``."""
        self.facts = {**self.facts, **facts}
        return self._launched(error, now) if action == "launch" else self._over(action, error)

    def exited(self, status: int, words: str, now: float) -> list[Step]:
        """The agent's process is gone; that one which had connected is, its stream says. One that cannot work as things
        are says why."""
        if status == EXIT_STATUS["refused"] and self.phase in ("awaited", "lost") and not self.mail.link.up:
            return self.refuse(BridgeError("refused", f"the agent refuses to work: {words}"))
        if self.phase != "awaited" or self.mail.link.up:
            return []
        said = f"the agent ended with status {status} before it connected"
        return self._lose(BridgeError("unavailable", f"{said}: {words}" if words else said), now)

    def up(self, digest: str, now: float) -> None:
        """The link works. A known agent that was there all the time is the one that it was; others say who they are."""
        known = self.told.get("digest") == digest and bool(self.told.get("pid"))
        if not known:
            self.told = {"digest": digest}
        elif self.phase == "found":
            self._turn("there")
        elif self.phase in ("launching", "awaited"):
            self._turn("awaited", now + ALIVE_WITHIN)

    def alive(self, told: Alive) -> None:
        """The first words of an agent's life."""
        self.told = {"digest": self.told.get("digest", ""), "pid": told.pid, "version": told.version}
        self.told |= {"python": told.python, "user": told.user}
        self.failures = 0
        if self.phase != "ending":
            self._turn("there")

    def tick(self, now: float) -> list[Step]:
        if self.deadline is None or now < self.deadline:
            return []
        if self.phase == "lost":
            return self.seek()
        if self.mail.link.up and self.told.get("pid"):
            self.failures = 0
            self._turn("there")
            return []
        mute = BridgeError("unavailable", f"the agent said nothing for {CONNECT_WITHIN:g} s")
        return self._lose(mute, now, mute=True)

    def refuse(self, error: BridgeError) -> list[Step]:
        return [*self.abandon(), Refused(error)]

    def abandon(self) -> list[Effect]:
        """Nothing more is done about it, until it is sought again."""
        self._turn("away")
        self.mail.disconnect()
        return [CloseStream(self.spec.name)]

    def died(self, error: BridgeError, now: float) -> list[Step]:
        """Its container has ended by itself: it is started with the next try."""
        self.container = True
        self.mail.disconnect()
        return [] if self.phase == "lost" else self._lose(error, now)

    def hold(self) -> list[Effect]:
        """Its container does not run, and who that concerns is told of it: nothing is tried meanwhile."""
        self._turn("held")
        self.mail.disconnect()
        return [CloseStream(self.spec.name)]

    def rename(self, container: str) -> None:
        """What its container is called by now."""
        if self.next_spec.container == self.spec.container:
            self.next_spec = replace(self.next_spec, container=container)
        self.spec = replace(self.spec, container=container)

    def end(self, what: str) -> list[Step]:
        """``what``: of ENDINGS; the answer comes as ``done``. What is about to end already is not ordered again."""
        if ENDINGS.index(what) <= ENDINGS.index(self.ending):
            return []
        self._turn("ending")
        self.ending = what
        self._orders += 1
        if what == "everything":
            return [Remove(self.spec, self.facts)]
        return [Halt(self.spec, self.facts, what == "container")]

    def _launch(self) -> list[Step]:
        """Nobody is there: now another spec can take the place of the old one. What was learnt of that goes with it."""
        if self.next_spec != self.spec:
            self.spec, self.facts = self.next_spec, {}
        self._turn("launching")
        return [Launch(self.spec, self.facts, self.container)]

    def _launched(self, error: BridgeError | None, now: float) -> list[Step]:
        """Whether that was needed is known better meanwhile, if the agent has spoken."""
        if self.phase != "launching":
            return []
        if error is None:
            self._turn("awaited", now + CONNECT_WITHIN)
            return [Met()]
        return self.refuse(error) if error.code in HOPELESS else self._lose(error, now)

    def _over(self, action: str, error: BridgeError | None) -> list[Step]:
        """Of several orders, the one that takes away most decides."""
        self._orders -= 1
        if action == "remove" or self.ending != "everything":
            self._fault = error
        if self._orders:
            return []
        ended, fault = Over(self.ending, self._fault), self._fault
        self.ending, self._fault = "", None
        if fault is None:
            self.told = {}
            self.facts = {name: value for name, value in self.facts.items() if name != "pid"}
        return [*self.abandon(), ended]

    def _lose(self, error: BridgeError, now: float, *, mute: bool = False) -> list[Step]:
        delay = min(self.pace.delay * 2.0 ** min(self.failures, 16), MAX_DELAY)
        self.failures += 1
        self._turn("lost", now + delay)
        return [Lost(error, delay, mute)]

    def _turn(self, phase: str, deadline: float | None = None) -> None:
        self.phase, self.deadline = phase, deadline
        if phase == "there":
            self.container = False


def fault_of(event: links.RolledBack | links.Incompatible | links.Violation, name: str) -> BridgeError:
    """What ended the link for good, and what to do about it."""
    match event:
        case links.RolledBack(reason):
            hint = f"the database is an old copy: put the newest back, or: ccbridgectl remove {name}"
            return BridgeError("refused", f"the database was rolled back: {reason}", hint)
        case links.Incompatible(theirs, ours):
            older = "agent" if theirs < ours else "daemon"
            fault = f"the agent speaks version {theirs} of the link, this daemon {ours}: the {older} must be upgraded"
            other = "" if theirs < ours else "upgrade ccbridged, or take the agent that it brings: "
            return BridgeError("refused", fault, f"{other}ccbridgectl restart {name}")
        case _:
            fault = f"the agent broke the protocol: {event.reason}"
            return BridgeError("refused", fault, f"ccbridgectl restart {name}")
