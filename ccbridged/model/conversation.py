"""One instance's Claude Code, life after life: started, fed, put to sleep, ended, buried.

What is said to the agent and what must be durable come back as one list, in order; ``memory`` is what must survive the
daemon. What one prompt goes through is in ``turn``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ccbridged.model import claude
from ccbridged.model.approvals import Approval, Desk
from ccbridged.model.config import SessionConfig
from ccbridged.model.effects import Save, SaveEvent, SaveLog, Spec
from ccbridged.model.frames import Frame
from ccbridged.model.jsonline import as_ascii
from ccbridged.model.lives import READY_WITHIN, Lives
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.requests import Queue, Request
from ccbridged.model.transcript import TAIL, read_transcript
from ccbridged.model.turn import INTERRUPT_GRACE, Turn
from ccbridged.protocol.messages import (
    MAIN,
    End,
    Errors,
    Exited,
    Feed,
    NotStarted,
    Output,
    Overlong,
    Start,
    Started,
    Tail,
    Tailed,
    ToAgent,
    Unable,
)

END_GRACE = 5.0
ENDED_WITHIN = 4 * END_GRACE
"""Seconds in which a program has ended that was told to, then sent TERM, then KILL."""

Step = Save | ToAgent
FromProgram = Started | NotStarted | Unable | Output | Errors | Overlong | Exited | Tailed


class Conversation:
    """``reachable``: there is an agent to say things to; without one nothing new is begun. ``heard_at``: when the
    program last said anything. ``end_by``: when one that is ``restarting`` should have ended."""

    def __init__(self, spec: Spec, memory: Memory, queue: Queue, desk: Desk, session: SessionConfig) -> None:
        self.spec = spec
        self.turn = Turn(spec.name, queue, desk, memory, session.request_timeout)
        self.queue = queue
        self.session = session
        self.lives = Lives()
        self.reachable = True
        self.heard_at = self.end_by = 0.0
        self._memory = memory
        self._idle_since = 0.0
        self._ending = ""

    @property
    def memory(self) -> Memory:
        return self.turn.remembered(self._memory)

    @property
    def phase(self) -> str:
        return self._memory.phase

    @property
    def restarting(self) -> bool:
        """It has been told to end, so that it can begin anew."""
        return self._ending == "anew"

    @property
    def deadline(self) -> float | None:
        if not self.reachable:
            return self.turn.limit
        late_at = self.lives.late_at if self.phase == "starting" else None
        times = [self.lives.retry_at, self.turn.deadline, self._sleep_at(), late_at]
        return min((at for at in times if at is not None), default=None)

    def agent_is_new(self, at: Moment) -> list[Step]:
        """A new life of the agent: whatever ran behind the old one is dead, and all it said has been heard."""
        return self._died(-9, at) if self.phase not in ("none", "asleep") else []

    def reached(self, at: Moment) -> list[Step]:
        """The agent is there, the same as before or one that has said who it is."""
        self.reachable = True
        self.turn.resume(at)
        self.lives.wait(at.now)
        self._idle_since = at.now
        if self._ending in ("none", "anew"):
            self._ending = ""  # It was to end, and could not be ended.
        return self._wake(at)

    def begin(self, at: Moment) -> list[Step]:
        """Start the program, after a look at what the last session's file proves."""
        self.lives.begin()
        self._ending = ""
        if self._memory.transcript:
            self._memory = replace(self._memory, phase="looking")
            return [Tail(self._memory.life, self._memory.transcript, TAIL)]
        return [*self.turn.judge(None, "", at), *self._start(at, resume=self._memory.begun)]

    def bury(self, at: Moment) -> list[Save]:
        """It will not be started again soon: what it was doing when it died can not be known."""
        return self.turn.judge(None, "", at) if self._dead else []

    def retire(self) -> None:
        """The agent is about to end, and the program with it; that is no failure."""
        self._ending = "none"

    def submit(self, request: Request, at: Moment) -> list[Step]:
        steps: list[Step] = list(self.queue.add(request))
        return [*steps, *self._wake(at)]

    def _wake(self, at: Moment) -> list[Step]:
        wanted = self.phase == "asleep" and self.reachable and self.queue.waiting
        return self.begin(at) if wanted else self.pump(at)

    def pump(self, at: Moment) -> list[Step]:
        """Feed the next prompt if Claude is ready for it."""
        if self.phase != "ready" or self._ending or not self.reachable:
            return []
        return self._tell(self.turn.deliver(at, barrier=self._memory.barrier))

    def stop_turn(self, state: str, at: Moment) -> list[Step]:
        return [*self._tell(self.turn.stop(state, at)), *self._mourn(at)]

    def answer(self, approval: Approval, line: str, verdict: str, at: Moment) -> list[Step]:
        return self._tell(self.turn.answer(approval, line, verdict, at))

    def ask(self, line: str) -> list[Step]:
        """A control request of the host's own, if there is a program to ask; its answer is a sign of life."""
        return [self._feed(line)] if self.phase == "ready" and self.reachable else []

    def restart(self, at: Moment) -> list[Step]:
        """End the program, by force if need be, and begin anew with what it was doing judged by its session's file."""
        self._ending = "anew"
        self.end_by = at.now + ENDED_WITHIN
        return [self._end()]

    def tick(self, at: Moment) -> list[Step]:
        """Whatever is due by now."""
        if not self.reachable:
            return self._tell(self.turn.tick_apart(at, alive=not self._dead))
        steps = [*self._tell(self.turn.tick(at)), *self._mourn(at)]
        if _due(self.lives.retry_at, at.now):
            steps += self.begin(at)
        if self.phase == "starting" and at.now >= self.lives.late_at:
            self.lives.wait(at.now)
            self.lives.complain(f"it was not ready within {READY_WITHIN:g} s")
            steps.append(self._end())
        if _due(self.turn.stop_at, at.now):
            self.turn.stop_at = at.now + INTERRUPT_GRACE
            steps.append(self._end())
        if _due(self._sleep_at(), at.now):
            self._ending = "asleep"
            steps.append(self._end())
        return steps

    def hear(self, message: FromProgram, at: Moment) -> list[Step]:
        """What the agent says of channel ``main``; of another life than the present one only stderr is kept."""
        match message:
            case Errors(channel, _, line):
                if channel:
                    self.lives.complain(line)
                return [SaveLog(self.spec.name, "program" if channel else "agent", line)]
            case Tailed(query):
                return self._tailed(message, at) if (query, self.phase) == (self._memory.life, "looking") else []
            case _ if message.life != self._memory.life:
                return []
            case NotStarted(_, _, reason):
                self._memory = replace(self._memory, phase="none")
                self.lives.refused(reason)
                return []
            case Unable(_, _, reason):
                self._memory = replace(self._memory, phase="none")
                if not self._ending:
                    self.lives.unable(reason, at.now)
                return self._go_on(at)
            case Overlong(_, _, size):
                return [SaveLog(self.spec.name, "program", f"a line of {size} bytes on stdout was too long: discarded")]
            case Exited(_, _, code, _):
                return self._exited(code, at)
            case Output(_, _, line):
                self.heard_at = at.now
                return self._said(claude.read_line(line), line, at)
            case _:
                return []

    def _said(self, said: claude.Said, line: str, at: Moment) -> list[Step]:
        turn = self.turn
        match said:
            case claude.Ready(version, barrier, login):
                self._memory = replace(self._memory, phase="ready", version=version, barrier=barrier, login=login)
                self.lives.ready()
                return self._next(at)
            case claude.StartAsked(request_id, transcript):
                self.lives.started()
                self._memory = replace(self._memory, transcript=transcript or self._memory.transcript)
                return self._tell(turn.may_start(request_id))
            case claude.PermissionAsked():
                return self._tell(turn.permission(said, line, at))
            case claude.PermissionWithdrawn(request_id):
                return list(turn.withdraw(request_id))
            case claude.Answered():
                return []
            case claude.Lifecycle():
                self._memory = replace(self._memory, lifecycle=True)
                return [*turn.lifecycle(said, at), *self._next(at)]
            case claude.TurnEnded():
                return self._turn_ended(said, line, at)
            case Frame():
                turn.progress(said, at)
                self._idle_since = at.now
                self._memory = replace(self._memory, session_id=said.session_id or self._memory.session_id)
                return [self._output(line)]
            case _:
                return [SaveLog(self.spec.name, "program", said.line[:4096])]

    def _turn_ended(self, said: claude.TurnEnded, line: str, at: Moment) -> list[Step]:
        if self.phase == "starting":
            self.lives.complain(said.error)
        else:
            self.lives.started()
            self._memory = replace(self._memory, begun=True)
        self._memory, cost = self._memory.paid(said.cost_usd)
        priced = replace(said, cost_usd=cost)
        steps = [self._output(line), *self.turn.ended(priced, at, lifecycle=self._memory.lifecycle)]
        return [*steps, *self._next(at)]

    def _next(self, at: Moment) -> list[Step]:
        self._idle_since = at.now
        return self.pump(at)

    def _tailed(self, tailed: Tailed, at: Moment) -> list[Step]:
        running = self.turn.running
        transcript = read_transcript(tailed.text, running.attempt if running else "", tailed.error)
        steps = self.turn.judge(transcript.finished, self._memory.session_id, at)
        if self._ending:
            self._memory = replace(self._memory, phase="none")
            return list(steps)
        return [*steps, *self._start(at, resume=transcript.resumable)]

    def _exited(self, code: int, at: Moment) -> list[Step]:
        early = self.phase == "starting"
        if early and claude.session_unusable(self.lives.words):
            self._memory = replace(self._memory, session_id="", transcript="", begun=False)
        steps = self._died(code, at)
        told = '{"program":"exited","code":' + str(code) + "}"
        steps = [SaveEvent(self.spec.name, "", "program", told), *steps]
        if not self._ending:
            self.lives.died(code, at.now, early=early)
        return [*steps, *self._go_on(at)]

    def _go_on(self, at: Moment) -> list[Step]:
        """It is gone; if that was wanted, to whatever it was wanted for."""
        ending, self._ending = self._ending, ""
        if ending in ("none", "asleep"):
            self._memory = replace(self._memory, phase=ending)
        again = ending == "anew" or (ending == "asleep" and self.queue.waiting)
        return self.begin(at) if again else []

    def _died(self, code: int, at: Moment) -> list[Step]:
        self._memory = self._memory.ended(code)
        return list(self.turn.died(at))

    @property
    def _dead(self) -> bool:
        return self.phase in ("none", "looking")

    def _mourn(self, at: Moment) -> list[Save]:
        """A turn that should stop has, if its program is dead: nobody will say so any more."""
        return self.turn.died(at) if self._dead else []

    def _start(self, at: Moment, *, resume: bool) -> list[Step]:
        memory = self._memory
        if not resume:
            session_id = at.uuid(self.spec.name, "session")
            memory = replace(memory, session_id=session_id, transcript="", begun=False, spent=0.0, banked=0.0)
        session, life = memory.session_id, memory.life + 1
        self._memory = replace(memory, phase="starting", life=life, lifecycle=False)
        self.lives.wait(at.now)
        line = claude.argv(self.spec.program, self.spec.args, session, resume=resume)
        start = Start(MAIN, life, line, self.spec.workdir, claude.VARIABLES, claude.SCRUB, claude.end_session())
        return [start, self._feed(claude.initialize())]

    def _sleep_at(self) -> float | None:
        idle = self.session.idle_timeout
        if not idle or self.phase != "ready" or self.turn.awake or self.queue.waiting or self._ending:
            return None
        return self._idle_since + idle

    def _tell(self, steps: Iterable[Save | str]) -> list[Step]:
        """A dead program is told nothing."""
        kept = (step for step in steps if not (isinstance(step, str) and self._dead))
        return [self._feed(step) if isinstance(step, str) else step for step in kept]

    def _feed(self, line: str) -> Feed:
        return Feed(MAIN, self._memory.life, line)

    def _end(self) -> End:
        return End(MAIN, self._memory.life, END_GRACE)

    def _output(self, line: str) -> SaveEvent:
        return self.turn.event("output", '{"message":' + as_ascii(line) + "}")


def _due(at: float | None, now: float) -> bool:
    return at is not None and now >= at
