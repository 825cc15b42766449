"""The one prompt in flight: delivered, held at the barrier, let start, stopped, ended; and its permission questions.

What must be durable and what Claude is told (a line, as ``str``) come back as one list, in order. A prompt is
``running`` in the store before Claude is allowed to start it: that is what makes at most once true.
"""

from __future__ import annotations

from dataclasses import replace

from ccbridged.model import claude
from ccbridged.model.activity import Activity
from ccbridged.model.approvals import Approval, Desk
from ccbridged.model.course import Course
from ccbridged.model.effects import Save, SaveEvent
from ccbridged.model.frames import Frame
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.requests import UNCERTAIN, Outcome, Queue, Request

INTERRUPT_GRACE = 10.0
"""Seconds that an interrupted turn has to end before its process is ended."""
SETTLE_GRACE = 60.0
"""Seconds from a turn's result to the word that it is truly over, before its process is ended."""
MAX_ATTEMPTS = 10
"""Times that a prompt is fed, if Claude Code dies of it each time: before its start, or for --retry-uncertain."""
MAX_APPROVALS = 32
MAX_APPROVAL = 1024 * 1024
"""Characters of one such question."""

Step = Save | str


class Turn:
    """``patience``: seconds without any sign of progress after which a request is given up; 0: never."""

    def __init__(self, instance: str, queue: Queue, desk: Desk, memory: Memory, patience: float) -> None:
        self.instance = instance
        self.queue = queue
        self.desk = desk
        self.patience = patience
        self.settling = memory.settling
        self.course = Course(memory)
        self.approvals = memory.approvals
        self.stop_at: float | None = None

    def remembered(self, memory: Memory) -> Memory:
        """With all that must be known of the turn after a restart."""
        return self.course.remembered(replace(memory, settling=self.settling, approvals=self.approvals))

    def resume(self, at: Moment) -> None:
        """The program can be reached (again): what it did meanwhile is still to be heard, so patience begins anew."""
        self.course.resume(at)
        if self.settling or (self.queue.current and self.queue.current.ending):
            self.stop_at = at.now + INTERRUPT_GRACE

    @property
    def busy(self) -> bool:
        return self.queue.current is not None

    @property
    def running(self) -> Request | None:
        """The one that may have begun."""
        current = self.queue.current
        return current if current and current.state == "running" else None

    @property
    def activity(self) -> Activity | None:
        """What the turn is at, also one that nobody asked for; None: there is none."""
        return self.course.activity(self.queue.current, self.approvals)

    @property
    def awake(self) -> bool:
        """Something would be lost if the program were put to sleep."""
        return self.busy or bool(self.approvals) or self.course.awake()

    @property
    def deadline(self) -> float | None:
        times = [self.stop_at, self._stuck_at(), *(request.expires for request in self.queue.waiting)]
        current = self.queue.current
        times += [current.expires] if current and not current.ending else []
        times += [approval.expires for approval in self.approvals]
        return min((at for at in times if at is not None), default=None)

    @property
    def limit(self) -> float | None:
        """When the first request has had all the time that it was given: for that nobody need be there."""
        open_ = [request for request in (self.queue.current, *self.queue.waiting) if request]
        return min((request.expires for request in open_ if request.expires is not None), default=None)

    def deliver(self, at: Moment, *, barrier: bool) -> list[Step]:
        """Feed the next prompt if none is in flight. Without a barrier it may start as soon as Claude reads it."""
        if self.busy or self.settling or not self.queue.waiting:
            return []
        attempt = at.uuid(self.instance, self.queue.waiting[0].id)
        request, steps = self.queue.deliver(attempt, at.wall)
        self.course.enter("starting", at)
        return [*steps, *([] if barrier else self.queue.run()), claude.prompt(attempt, request.prompt)]

    def may_start(self, request_id: str) -> list[Step]:
        """Claude asks at the barrier: yes for the prompt that was delivered, no for any other."""
        current = self.queue.current
        if current is None or current.state != "delivered" or current.ending:
            reason = "it was cancelled" if current and current.ending else "ccbridged did not ask for it"
            return [claude.block_start(request_id, reason)]
        return [*self.queue.run(), claude.let_start(request_id)]

    def progress(self, frame: Frame, at: Moment) -> None:
        """A sign of life, and what it says of the turn."""
        self.course.hear(frame, at)

    def stop(self, state: str, at: Moment) -> list[Step]:
        """Interrupt the request in flight, which then ends as ``state``."""
        if self.queue.current is None or self.queue.current.ending:
            return []
        self.stop_at = at.now + INTERRUPT_GRACE
        self.course.enter("stopping", at)
        interrupt = claude.interrupt(f"interrupt-{at.uuid(self.instance)}")
        return [*self.queue.ask_end(state), interrupt, *self.withdraw()]

    def tick(self, at: Moment) -> list[Step]:
        """Whatever has expired by now, but for ``stop_at``: then the process must be ended."""
        steps: list[Step] = [*self.expire(at)]
        current = self.queue.current
        if current and not current.ending and (_due(current.expires, at.now) or _due(self._stuck_at(), at.now)):
            steps += self.stop("timed_out", at)
        for approval in [a for a in self.approvals if _due(a.expires, at.now)]:
            denial = claude.deny(approval.request_id, "nobody answered in time")
            steps += self.answer(approval, denial, "expired", at)
        return steps

    def tick_apart(self, at: Moment, *, alive: bool) -> list[Step]:
        """The same while the program cannot be reached. ``alive``: it may go on with the turn; then it is stopped as
        soon as it can be, and nothing is fed to it before."""
        steps: list[Step] = [*self.expire(at)]
        current = self.queue.current
        if current is None or not _due(current.expires, at.now):
            return steps
        outcome = Outcome(current.ending or "timed_out", error=APART)
        steps += [*self.over(), *self.queue.end(current.id, outcome, at.wall)]
        if alive:
            self.settling = current.attempt
            self.course.enter("stopping", at)
            steps.append(claude.interrupt(f"interrupt-{at.uuid(self.instance)}"))
        return steps

    def expire(self, at: Moment) -> list[Save]:
        """Of those that wait, whichever has waited too long."""
        saves: list[Save] = []
        for request in [r for r in self.queue.waiting if _due(r.expires, at.now)]:
            error = f"not started within {request.timeout:g} s"
            saves += self.queue.end(request.id, Outcome("timed_out", error=error), at.wall)
        return saves

    def permission(self, asked: claude.PermissionAsked, line: str, at: Moment) -> list[Step]:
        """The policy answers, or a person must. ``line``: as Claude Code asked."""
        verdict = self.desk.policy(asked.tool, asked.input)
        if verdict != "ask":
            self.course.answered(asked.call, at)
        if verdict == "allow":
            return [claude.allow(asked.request_id, asked.input)]
        if verdict == "deny":
            return [claude.deny(asked.request_id, "denied by the policy of ccbridged")]
        if len(self.approvals) >= MAX_APPROVALS:
            return [claude.deny(asked.request_id, "too many questions wait for an answer already")]
        if len(line) > MAX_APPROVAL:
            return [claude.deny(asked.request_id, "the question is too long to be kept for a person")]
        request, id_ = self.running, at.uuid(self.instance, asked.request_id)[:8]
        approval = self.desk.ask(asked, id_, self.instance, request.id if request else "", at)
        self.approvals = (*self.approvals, approval)
        return [self.desk.opened(approval)]

    def answer(self, approval: Approval, line: str, verdict: str, at: Moment) -> list[Step]:
        """An open question got its answer; ``line`` is what Claude is told."""
        self.approvals = tuple(a for a in self.approvals if a.id != approval.id)
        self.course.answered(approval.call, at)
        return [self.desk.closed(approval, verdict), line]

    def withdraw(self, request_id: str = "") -> list[Save]:
        """Claude no longer waits for an answer to this question; "": to any."""
        gone = [a for a in self.approvals if request_id in ("", a.request_id)]
        self.approvals = tuple(a for a in self.approvals if a not in gone)
        return [self.desk.closed(approval, "withdrawn") for approval in gone]

    def lifecycle(self, said: claude.Lifecycle, at: Moment) -> list[Save]:
        """A turn is truly over; of one without a result, this is the only word."""
        current = self.queue.current
        if said.terminal and said.uuid == self.settling:
            self._settled()
        elif said.terminal and current is not None and said.uuid == current.attempt:
            return self._ended_without_result(current, said.state, at)
        return []

    def ended(self, said: claude.TurnEnded, at: Moment, *, lifecycle: bool) -> list[Save]:
        """The result of a turn. Of one that nobody asked for it is an event, and no more."""
        current = self.queue.current
        if current is None or current.attempt not in said.uuids:
            self.course.over()
            if self.settling in said.uuids and not lifecycle:
                self._settled()
            return []
        self.settling = current.attempt if lifecycle else ""
        state, error = said.state, said.error
        if current.ending and state != "succeeded":
            state, error = current.ending, _WORDS[current.ending]
        outcome = Outcome(state, said.text, error, said.session_id, said.cost_usd, said.usage)
        steps = [*self.over(), *self.queue.end(current.id, outcome, at.wall)]
        self.stop_at = at.now + SETTLE_GRACE if self.settling else None
        return steps

    def died(self, at: Moment) -> list[Save]:
        """The program is gone and all it said has been heard. One that was running stays so: the session's file may
        know more."""
        self.settling = ""
        self.course.died(at)
        steps = self.over()
        current = self.queue.current
        if current is None:
            return steps
        if current.ending:
            outcome = Outcome(current.ending, error=_WORDS[current.ending])
            return [*steps, *self.queue.end(current.id, outcome, at.wall)]
        if current.state == "delivered" and current.attempts >= MAX_ATTEMPTS:
            error = f"it did not run: Claude Code died {current.attempts} times before it could start"
            return [*steps, *self.queue.end(current.id, Outcome("failed", error=error), at.wall)]
        return [*steps, *(self.queue.requeue() if current.state == "delivered" else [])]

    def judge(self, finished: str | None, session_id: str, at: Moment) -> list[Save]:
        """Of one that ran when its program died: ``finished`` is its answer, where the session's file has one."""
        dead = self.running
        if dead is None:
            return []
        if finished is not None:
            return self.queue.end(dead.id, Outcome("succeeded", finished, session_id=session_id), at.wall)
        if dead.retry_uncertain and dead.attempts < MAX_ATTEMPTS:
            return self.queue.requeue()
        return self.queue.end(dead.id, Outcome("uncertain", error=UNCERTAIN), at.wall)

    def event(self, kind: str, body: str) -> SaveEvent:
        """Of the request that runs, or of none."""
        return SaveEvent(self.instance, self.running.id if self.running else "", kind, body)

    def _settled(self) -> None:
        self.settling = ""
        self.course.over()
        self.stop_at = None

    def over(self) -> list[Save]:
        self.course.over()
        self.stop_at = None
        return self.withdraw()

    def _ended_without_result(self, current: Request, how: str, at: Moment) -> list[Save]:
        steps = self.over()
        if current.ending:
            outcome = Outcome(current.ending, error=_WORDS[current.ending])
            return [*steps, *self.queue.end(current.id, outcome, at.wall)]
        if current.state == "delivered" and how == "discarded":
            return [*steps, *self.queue.requeue()]
        state = {"refused": "failed", "completed": "uncertain"}.get(how, "cancelled")
        error = f"Claude Code said {how!r} and gave no result"
        return [*steps, *self.queue.end(current.id, Outcome(state, error=error), at.wall)]

    def _stuck_at(self) -> float | None:
        """A person who thinks is no standstill."""
        current = self.queue.current
        if not self.patience or current is None or current.ending or self.approvals:
            return None
        return self.course.stuck_at(self.patience)


APART = "timed out; its agent cannot be reached: if its turn goes on, it is stopped as soon as it can be"
_WORDS = {"cancelled": "cancelled", "timed_out": "timed out; its turn was stopped"}


def _due(at: float | None, now: float) -> bool:
    return at is not None and now >= at
