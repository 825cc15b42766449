"""How a turn goes: what it is at, by what Claude Code has said last, and whether that is progress.

A tool that runs, a person who is asked and a try that Claude Code has announced are no standstill; silence alone says
nothing of what the turn is at, only how long nothing was heard.
"""

from __future__ import annotations

from dataclasses import replace

from ccbridged.model.activity import RETRIES, Activity
from ccbridged.model.approvals import Approval
from ccbridged.model.frames import MAX_DELAY, NAME_LIMIT, Background, Doing, Frame, Limit, Session
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.requests import Request

MAX_TOOLS = 256
"""Calls that are known to run; of more, the newest."""


class Course:
    """``tools``: calls that run, id -> (name, wall time of its begin). ``background``: tasks that go on besides.

    ``limit``: that of the subscription, once it was reached.
    """

    def __init__(self, memory: Memory) -> None:
        self.tools: dict[str, tuple[str, float]] = {id_: (name, began) for id_, name, began in memory.tools}
        self.stage = memory.stage
        self.limit = memory.limit
        self.background = memory.background
        self._session = ""
        self._session_since = 0.0
        self._progress_at = 0.0
        self._next_try = 0.0
        self._heard: float | None = None

    def remembered(self, memory: Memory) -> Memory:
        tools = tuple((id_, name, began) for id_, (name, began) in self.tools.items())
        return replace(memory, tools=tools, stage=self.stage, limit=self.limit, background=self.background)

    def resume(self, at: Moment) -> None:
        """The program can be reached (again): what it did meanwhile is still to be heard, so patience begins anew."""
        self.progress(at)
        until = self.stage.until if self.stage and self.stage.until else at.wall
        self._next_try = at.now + min(max(until - at.wall, 0.0), MAX_DELAY)

    def progress(self, at: Moment) -> None:
        """Something has gone on that no frame tells."""
        self._progress_at = at.now

    def enter(self, kind: str, at: Moment) -> None:
        """It is at this now, whatever it was at before."""
        self.stage = Activity(kind, since=at.wall)
        self.progress(at)

    def over(self) -> None:
        """The turn has ended."""
        self.tools.clear()
        self.stage = None

    def died(self, at: Moment) -> None:
        """And the program with it."""
        self._session, self.background = "", 0
        self.progress(at)

    def answered(self, call: str, at: Moment) -> None:
        """Somebody has given the answer that this tool's call waited for; it runs only now."""
        self._session = ""
        if call[:NAME_LIMIT] in self.tools:
            self.tools[call[:NAME_LIMIT]] = (self.tools[call[:NAME_LIMIT]][0], at.wall)
        self.progress(at)

    def hear(self, frame: Frame, at: Moment) -> None:
        if not frame.alive:
            return
        self.progress(at)
        self._heard = at.wall
        self.tools |= {id_[:NAME_LIMIT]: (name[:NAME_LIMIT], at.wall) for id_, name in frame.began}
        for id_ in frame.ended:
            self.tools.pop(id_[:NAME_LIMIT], None)
        while len(self.tools) > MAX_TOOLS:
            del self.tools[next(iter(self.tools))]
        match frame.news:
            case Doing():
                self._turn_to(frame.news, at)
            case Limit(name, resets_at):
                self.limit = Activity("usage_limit", name, at.wall, resets_at or None) if name else None
            case Session(state):
                self._session, self._session_since = state, at.wall
                if state == "idle" and self.stage and self.stage.kind not in ("starting", "stopping"):
                    self.stage = None
            case Background(tasks):
                self.background = tasks

    def activity(self, current: Request | None, approvals: tuple[Approval, ...]) -> Activity | None:
        """None: there is no turn."""
        found = self._present(current, approvals)
        return replace(found, heard=self._heard) if found else None

    def awake(self) -> bool:
        """Something goes on, asked for or not."""
        return bool(self.tools) or bool(self.background) or self._session in ("running", "requires_action")

    def stuck_at(self, patience: float) -> float | None:
        """When it has gone on for too long without progress; a try that was announced gets its time."""
        if self.tools or self._session == "requires_action":
            return None
        return max(self._progress_at, self._next_try) + patience

    def _turn_to(self, doing: Doing, at: Moment) -> None:
        stage = self.stage
        self._next_try = at.now + (doing.delay or 0.0)
        if stage and stage.kind == "stopping":
            return
        since = stage.since if stage and stage.kind == doing.kind else at.wall
        self.stage = Activity(doing.kind, doing.detail, since, None if doing.delay is None else at.wall + doing.delay)

    def _present(self, current: Request | None, approvals: tuple[Approval, ...]) -> Activity | None:
        stage = self.stage
        if stage and (stage.kind == "stopping" or stage.kind in RETRIES):
            return stage
        if approvals:
            return Activity("waiting_for_approval", approvals[0].tool, approvals[0].asked_at)
        if self._session == "requires_action":
            return Activity("waiting_for_person", "", self._session_since)
        if self.tools:
            newest = next(reversed(self.tools))
            return Activity("running_tool", *self.tools[newest])
        if stage is None and current is not None:
            return Activity("starting", "", current.delivered_at)
        return stage
