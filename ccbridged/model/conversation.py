"""One instance's Claude Code, life after life: started, fed, put to sleep, ended, buried.

What is said to the agent and what must be durable come back as one list, in order; ``memory`` is what must survive the
daemon. What one prompt goes through is in ``turn``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from ccbridged.model import claude
from ccbridged.model.approvals import Approval, Desk
from ccbridged.model.config import SessionConfig
from ccbridged.model.effects import Save, SaveEvent, SaveLog, Spec
from ccbridged.model.memory import Memory, Moment
from ccbridged.model.requests import UNCERTAIN, Outcome, Queue, Request
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
)

END_GRACE = 5.0
READY_WITHIN = 60.0
"""Seconds from a start to the answer to ``initialize``."""
FIRST_DELAY, MAX_DELAY = 0.5, 60.0
"""Seconds before a second start in a row, doubled for each further one."""

Step = Save | ToAgent
FromProgram = Started | NotStarted | Output | Errors | Overlong | Exited | Tailed


class Conversation:
    """``failures``: deaths in a row without a prompt that came as far as its start; ``unborn``: those of them before
    it was ready. ``complaint``: why it is down. ``hopeless``: no further start would help. ``reachable``: there is an
    agent to say things to; without one nothing new is begun.
    """

    def __init__(self, spec: Spec, memory: Memory, queue: Queue, desk: Desk, session: SessionConfig) -> None:
        self.spec = spec
        self.turn = Turn(spec.name, queue, desk, memory, session.request_timeout)
        self.queue = queue
        self.session = session
        self.failures = self.unborn = 0
        self.complaint = ""
        self.hopeless = False
        self.reachable = True
        self.retry_at: float | None = None
        self._memory = memory
        self._stderr: deque[str] = deque(maxlen=5)
        self._started_at = 0.0
        self._idle_since = 0.0
        self._ending = ""
        self._answers: set[str] = set()

    @property
    def memory(self) -> Memory:
        turn = self.turn
        tools = tuple(turn.tools.items())
        return replace(self._memory, settling=turn.settling, tools=tools, approvals=turn.approvals)

    @property
    def phase(self) -> str:
        return self._memory.phase

    @property
    def deadline(self) -> float | None:
        if not self.reachable:
            return self.turn.waiting_deadline
        times = [self.retry_at, self.turn.deadline, self._sleep_at()]
        if self.phase == "starting":
            times.append(self._started_at + READY_WITHIN)
        return min((at for at in times if at is not None), default=None)

    def resume(self, at: Moment) -> None:
        """The daemon is back, and finds the agent where it left it."""
        self.turn.resume(at)
        self._started_at = self._idle_since = at.now

    def agent_is_new(self, at: Moment) -> list[Step]:
        """A new life of the agent: whatever ran behind the old one is dead, and all it said has been heard."""
        return self._died(at) if self.phase not in ("none", "asleep") else []

    def reached(self, at: Moment) -> list[Step]:
        """The agent is there, the same as before or one that has said who it is."""
        self.reachable = True
        if self._ending == "none":
            self._ending = ""  # It was to end, and could not be ended.
        return self._wake(at)

    def begin(self, at: Moment) -> list[Step]:
        """Start the program, after a look at what the last session's file proves."""
        self.retry_at = None
        self.hopeless = False
        if self._memory.transcript:
            self._memory = replace(self._memory, phase="looking")
            return [Tail(self._memory.life, self._memory.transcript, claude.TRANSCRIPT_TAIL)]
        return [*self._judge(None, at), *self._start(at, resume=False)]

    def bury(self, at: Moment) -> list[Save]:
        """It will not be started again soon: what it was doing when it died can not be known."""
        return self._judge(None, at) if self.phase == "none" else []

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
        return self._tell(self.turn.stop(state, at))

    def answer(self, approval: Approval, line: str, verdict: str, at: Moment) -> list[Step]:
        return self._tell(self.turn.answer(approval, line, verdict, at))

    def ask(self, line: str) -> list[Step]:
        """A control request of the host's own; its answer comes back as ``claude.Answered``."""
        return [self._feed(line)]

    def take_answers(self) -> set[str]:
        """Ids of the control requests that have been answered since the last time."""
        answers, self._answers = self._answers, set()
        return answers

    def tick(self, at: Moment) -> list[Step]:
        """Whatever is due by now."""
        if not self.reachable:
            return list(self.turn.expire(at))
        steps = self._tell(self.turn.tick(at))
        if _due(self.retry_at, at.now):
            steps += self.begin(at)
        if self.phase == "starting" and at.now >= self._started_at + READY_WITHIN:
            self._started_at = at.now
            self._stderr.append(f"it was not ready within {READY_WITHIN:g} s")
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
                    self._stderr.append(line)
                return [SaveLog(self.spec.name, "program" if channel else "agent", line)]
            case Tailed(query):
                return self._tailed(message, at) if (query, self.phase) == (self._memory.life, "looking") else []
            case _ if message.life != self._memory.life:
                return []
            case NotStarted(_, _, reason):
                self._memory = replace(self._memory, phase="none")
                self.complaint, self.hopeless = reason, True
                return []
            case Overlong(_, _, size):
                return [SaveLog(self.spec.name, "program", f"a line of {size} bytes on stdout was too long: discarded")]
            case Exited(_, _, code, _):
                return self._exited(code, at)
            case Output(_, _, line):
                return self._said(claude.read_line(line), line, at)
            case _:
                return []

    def _said(self, said: claude.Said, line: str, at: Moment) -> list[Step]:
        turn = self.turn
        match said:
            case claude.Ready(version, barrier):
                self._memory = replace(self._memory, phase="ready", version=version, barrier=barrier)
                self._idle_since = at.now
                self.unborn, self.complaint = 0, ""
                return self.pump(at)
            case claude.StartAsked(request_id, transcript):
                self.failures = 0
                self._memory = replace(self._memory, transcript=transcript or self._memory.transcript)
                return self._tell(turn.may_start(request_id))
            case claude.PermissionAsked():
                return self._tell(turn.permission(said, at))
            case claude.PermissionWithdrawn(request_id):
                return list(turn.withdraw(request_id))
            case claude.Lifecycle():
                self._memory = replace(self._memory, lifecycle=True)
                return [*turn.lifecycle(said, at), *self._next(at)]
            case claude.TurnEnded():
                if self.phase == "starting":
                    self._stderr.append(said.error)
                steps = [self._output(line), *turn.ended(self._priced(said), at, lifecycle=self._memory.lifecycle)]
                return [*steps, *self._next(at)]
            case claude.Frame():
                turn.progress(said, at)
                self._idle_since = at.now
                self._memory = replace(self._memory, session_id=said.session_id or self._memory.session_id)
                return [self._output(line)]
            case claude.Noise():
                return [SaveLog(self.spec.name, "program", line[:4096])]
            case _:
                self._answers.add(said.request_id)
                return []

    def _priced(self, said: claude.TurnEnded) -> claude.TurnEnded:
        """Claude Code tells what its session has cost so far, and after a death counts from nothing again."""
        before = self._memory.spent if said.session_id == self._memory.session_id else 0.0
        self._memory = replace(self._memory, spent=said.cost_usd)
        return replace(said, cost_usd=round(said.cost_usd - (before if said.cost_usd >= before else 0.0), 12))

    def _next(self, at: Moment) -> list[Step]:
        self._idle_since = at.now
        return self.pump(at)

    def _tailed(self, tailed: Tailed, at: Moment) -> list[Step]:
        running = self._running()
        transcript = claude.read_transcript(tailed.text, running.attempt if running else "", tailed.error)
        return [*self._judge(transcript.finished, at), *self._start(at, resume=transcript.resumable)]

    def _exited(self, code: int, at: Moment) -> list[Step]:
        how = f"signal {-code}" if code < 0 else f"status {code}"
        said = "; ".join(line.strip() for line in self._stderr if line.strip())
        early = self.phase == "starting"
        if early and claude.session_unusable(said):
            self._memory = replace(self._memory, session_id="", transcript="")
        steps = self._died(at)
        if self._ending:
            self._memory = replace(self._memory, phase=self._ending)
        else:
            self.complaint = f"Claude Code ended with {how}" + (f": {said}" if said else "")
            self.unborn += early
            delay = min(FIRST_DELAY * 2.0 ** min(self.failures - 1, 16), MAX_DELAY) if self.failures or early else 0.0
            self.failures += 1
            self.retry_at = at.now + delay
        asleep, self._ending = self._ending == "asleep", ""
        told = '{"program":"exited","code":' + str(code) + "}"
        steps = [SaveEvent(self.spec.name, "", "program", told), *steps]
        return [*steps, *(self.begin(at) if asleep and self.queue.waiting else [])]

    def _died(self, at: Moment) -> list[Step]:
        self._memory = replace(self._memory, phase="none")
        return list(self.turn.died(at))

    def _judge(self, finished: str | None, at: Moment) -> list[Save]:
        """The one that was running when its program died: recovered, repeated on request, or uncertain."""
        dead = self._running()
        if dead is None:
            return []
        if finished is not None:
            outcome = Outcome("succeeded", finished, session_id=self._memory.session_id)
            return self.queue.end(dead.id, outcome, at.wall)
        if dead.retry_uncertain:
            return self.queue.requeue()
        return self.queue.end(dead.id, Outcome("uncertain", error=UNCERTAIN), at.wall)

    def _running(self) -> Request | None:
        current = self.queue.current
        return current if current and current.state == "running" else None

    def _start(self, at: Moment, *, resume: bool) -> list[Step]:
        memory = self._memory
        session = memory.session_id if resume else at.uuid(self.spec.name, "session")
        life = memory.life + 1
        transcript = memory.transcript if resume else ""
        self._memory = replace(memory, phase="starting", life=life, session_id=session, transcript=transcript)
        self._started_at = at.now
        self._ending = ""
        self._stderr.clear()
        line = claude.argv(self.spec.program, self.spec.args, session, resume=resume)
        start = Start(MAIN, life, line, self.spec.workdir, {}, claude.SCRUB, claude.end_session())
        return [start, self._feed(claude.initialize())]

    def _sleep_at(self) -> float | None:
        idle = self.session.idle_timeout
        if not idle or self.phase != "ready" or self.turn.busy or self.queue.waiting or self._ending:
            return None
        return self._idle_since + idle

    def _tell(self, steps: Iterable[Save | str]) -> list[Step]:
        return [self._feed(step) if isinstance(step, str) else step for step in steps]

    def _feed(self, line: str) -> Feed:
        return Feed(MAIN, self._memory.life, line)

    def _end(self) -> End:
        return End(MAIN, self._memory.life, END_GRACE)

    def _output(self, line: str) -> SaveEvent:
        return self.turn.event("output", '{"message":' + claude.as_ascii(line) + "}")


def _due(at: float | None, now: float) -> bool:
    return at is not None and now >= at
