"""One instance: its agent, its program and its requests as one thing, which is in one state.

Every method takes one thing that happened and returns what is to be done about it. What is durable of an instance is
``Kept``; it is saved whenever it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from ccbridged.model import agency as agencies
from ccbridged.model import mending
from ccbridged.model.agency import ALIVE_WITHIN, Agency, Lost, Met, Over, Pace, Refused
from ccbridged.model.care import Care
from ccbridged.model.conversation import Conversation, Step
from ccbridged.model.effects import DropInstance, Effect, Exit, SaveInstance, Say, Spec, WatchEngine
from ccbridged.model.kept import Kept
from ccbridged.model.mail import Event, Mail
from ccbridged.model.memory import Moment
from ccbridged.model.recovery import Limits, Remedy
from ccbridged.model.requests import Outcome, Request
from ccbridged.model.standing import Standing
from ccbridged.protocol import link as links
from ccbridged.protocol.errors import BridgeError, PeerError
from ccbridged.protocol.messages import Alive, End, Errors, Feed, Quit, Start, Tail, decode


class Instance:
    """``gone``: it has been removed, or its first start was refused."""

    def __init__(self, spec: Spec, mail: Mail, conversation: Conversation, pace: Pace, limits: Limits | None) -> None:
        self.name = spec.name
        self.mail = mail
        self.agency = Agency(spec, mail, pace)
        self.conversation = conversation
        self.care = Care(spec, limits)
        self.queue = conversation.queue
        self.standing = Standing(spec.name)
        self.wanted = False
        self.gone = False
        self._saved: Kept | None = None
        self._new = False
        self._refusal: BridgeError | None = None
        conversation.reachable = False

    @property
    def spec(self) -> Spec:
        return self.agency.spec

    @property
    def state(self) -> str:
        return self.standing.state

    @property
    def deadline(self) -> float | None:
        times = [self.agency.deadline, self.mail.deadline, self.conversation.deadline, self.care.deadline]
        return min((at for at in times if at is not None), default=None)

    # What somebody asks for.

    def load(self, kept: Kept, at: Moment) -> list[Effect]:
        """As it was when the last daemon ended; what that had begun is finished, and a living agent is looked for."""
        self._saved = kept
        self.agency.facts, self.agency.told = kept.facts, kept.agent
        if kept.ending == "everything":
            return self.remove(at)
        if kept.ending:
            return self.stop(at, container=kept.ending == "container", again=kept.wanted)
        if kept.wanted and (stopped := self.care.load(kept.facts)):
            self.wanted = True
            self.standing.become("start", at)
            return self.settled([WatchEngine(), *mending.hold(self, stopped, at)], at)
        return self.start(at) if kept.wanted else self.settled([], at)

    def add(self, at: Moment) -> list[Effect]:
        """The first start: where that is refused, nothing is left of it."""
        self._new = True
        return self.start(at)

    def start(self, at: Moment, *, container: bool = False) -> list[Effect]:
        """Raises BridgeError ``busy`` while it is being removed, as do ``stop`` and ``submit``."""
        self._demand_that_it_stays()
        self.wanted = True
        self.care.forgive()
        self.agency.container = container
        self.agency.failures = 0
        self.conversation.lives.forgive()
        return self.settled([] if self.agency.phase == "ending" else self._begin(at), at)

    def stop(self, at: Moment, *, container: bool, again: bool = False) -> list[Effect]:
        """End program and agent; ``again``: and start them after that. What is queued stays so."""
        self._demand_that_it_stays()
        self.wanted = again
        return self.settled(self._end("container" if container else "agent", "restarting" if again else "", at), at)

    def remove(self, at: Moment) -> list[Effect]:
        """Everything, and all that waits is cancelled."""
        self.wanted = False
        return self.settled([*self._cancel_all(at), *self._end("everything", "being removed", at)], at)

    def wait(self, client: str, goal: str, at: Moment) -> list[Effect]:
        """Answer the client when the instance is ``up``, ``down`` or ``gone``, or cannot be."""
        self.standing.wait(client, goal)
        return self.settled([], at)

    def submit(self, request: Request, at: Moment) -> list[Effect]:
        """Raises BridgeError ``busy`` where the queue is full, too."""
        self._demand_that_it_stays()
        return self.steps(self.conversation.submit(request, at), at)

    def cancel(self, id_: str, at: Moment) -> list[Effect]:
        """Take it out of the queue; or stop its turn, which ends when Claude says so."""
        current = self.queue.current
        if current is not None and current.id == id_:
            return self.interrupt(at)
        outcome = Outcome("cancelled", error="cancelled before it started")
        return self.settled(list(self.queue.end(id_, outcome, at.wall)), at)

    def interrupt(self, at: Moment) -> list[Effect]:
        """Stop the turn that runs."""
        return self.steps(self.conversation.stop_turn("cancelled", at), at)

    def steps(self, steps: Iterable[Step], at: Moment) -> list[Effect]:
        """What was asked of the conversation directly."""
        return self.settled(self.mail.post(steps), at)

    # What happens.

    def news(self, steps: Iterable[agencies.Step], at: Moment) -> list[Effect]:
        """Something has become of its agent."""
        return self.settled(self.follow(steps, at), at)

    def heard(self, chunk: bytes, at: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for event in self.mail.hear(chunk, at.now):
            effects += self._event(event, at)
        return self.settled(effects, at)

    def tick(self, at: Moment) -> list[Effect]:
        """Whatever is due by now."""
        self.mail.tick(at.now)
        effects = self.follow(self.agency.tick(at.now), at)
        effects += self.mail.post(self.conversation.tick(at))
        if not mending.mendable(self):
            self.care.recovery.rest()
        remedy = self.care.remedy(at, self.conversation, self.mail.link)
        return self.settled([*effects, *(mending.mend(self, remedy, at) if remedy else [])], at)

    # The rest is how.

    def _demand_that_it_stays(self) -> None:
        if self.agency.ending == "everything":
            hint = f"when it is gone, add it again: ccbridgectl add {self.name}"
            raise BridgeError("busy", f"{self.name} is being removed", hint)

    def _begin(self, at: Moment) -> list[Effect]:
        """To have an agent and a program, from whatever there is of them."""
        self.standing.become("start", at)
        watch: list[Effect] = [WatchEngine()] if self.spec.runtime == "docker" else []
        if self.agency.phase in ("away", "lost", "held"):
            return [*watch, *self.follow(self.agency.seek(), at)]
        idle = self.agency.phase == "there" and self.conversation.phase == "none"
        return [*watch, *(self.mail.post(self.conversation.begin(at)) if idle else [])]

    def _end(self, what: str, reason: str, at: Moment) -> list[Effect]:
        self.conversation.retire()
        if self.wanted:
            self.standing.become("stop", at, reason)
            return self.follow(self.agency.end(what), at)
        return [*self.standing.stop(at, reason), *self.follow(self.agency.end(what), at)]

    def _cancel_all(self, at: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for id_ in [request.id for request in (self.queue.current, *self.queue.waiting) if request]:
            effects += self.queue.end(id_, Outcome("cancelled", error=f"{self.name} was removed"), at.wall)
        return effects

    def _event(self, event: Event, at: Moment) -> list[Effect]:
        match event:
            case links.Message(_, text):
                return self._message(text, at)
            case links.Up(_, digest):
                self.agency.up(digest, at.now)
                return []
            case links.PeerReset():
                return [Say("warning", f"{self.name}: the agent has lost its journal; what it had is counted out")]
            case links.Fenced(reason):
                told = "another ccbridged works with this state directory, or its database is an old copy"
                return [Exit(75, f"{told}: {reason}; end the other one, or put the newest database back")]
            case _:
                return self.follow(self.agency.refuse(agencies.fault_of(event, self.name)), at)

    def _message(self, text: str, at: Moment) -> list[Effect]:
        try:
            message = decode(text)
        except PeerError as error:
            return [Say("warning", f"{self.name}: the agent makes no sense: {error}")]
        match message:
            case Alive():
                self.agency.alive(message)
                return self.mail.post(self._awake(at))
            case Errors("", _, line):
                told = Say("warning", f"{self.name}: {line}")
                return [told, *self.mail.post(self.conversation.hear(message, at))]
            case None | Start() | Feed() | End() | Quit() | Tail():
                return []
            case _:
                return self.mail.post(self.conversation.hear(message, at))

    def _awake(self, at: Moment) -> list[Step]:
        """A new life of the agent, behind which nothing runs yet."""
        conversation = self.conversation
        dead = conversation.agent_is_new(at)
        sleeps = conversation.phase == "asleep" and not self.queue.waiting
        idle = sleeps or self.state == "failed" or self.agency.phase == "ending"
        return [*dead, *([] if idle else conversation.begin(at))]

    def follow(self, steps: Iterable[agencies.Step], at: Moment) -> list[Effect]:
        """What has become of the agent makes what becomes of the instance."""
        effects: list[Effect] = []
        for step in steps:
            match step:
                case Met():
                    self._new = False
                    self.standing.become("connect", at)
                case Lost(error, delay, mute):
                    effects += self._lose(error, delay, at)
                    if mute:
                        self.care.recovery.mute(error.message, at.now)
                case Refused(error):
                    effects += self._undo(error, at) if self._new else self.give_up(error, at)
                case Over(what, error):
                    effects += self._over(what, error, at)
                case _:
                    effects.append(step)
        self.conversation.spec = self.agency.spec
        return effects

    def _lose(self, error: BridgeError, delay: float, at: Moment) -> list[Effect]:
        """The agent is tried again; but not for a program that is given up, nor where there has never been one."""
        if self.state == "failed":
            return self.agency.abandon()
        if self._new:
            return self._undo(error, at)
        told = Say("warning", f"{self.name}: {error.message}; trying again in {delay:g} s")
        noted = self.care.note(Remedy("start-agent", "agent", error.message), at)
        return [told, *noted, *self.standing.lose(error, at)]

    def give_up(self, error: BridgeError, at: Moment) -> list[Effect]:
        self.conversation.lives.retry_at = None
        return self.standing.give_up(error, at)

    def _undo(self, error: BridgeError, at: Moment) -> list[Effect]:
        """Its first start was refused; whoever waits for that is told when all that was made for it is gone."""
        self._new = False
        self._refusal = error
        told = Say("error", f"{self.name} is not added: {error.message}; {error.hint}")
        self.conversation.retire()
        self.wanted = False
        self.standing.become("stop", at, error.message)
        return [told, *self._cancel_all(at), *self.follow(self.agency.end("everything"), at)]

    def _over(self, what: str, error: BridgeError | None, at: Moment) -> list[Effect]:
        """Agent, container or everything is gone, or cannot be ended."""
        if what == "everything" and (error is None or self._refusal):
            self.gone = True
            left = self.agency.facts.get("left")
            told = self.standing.vanish(f"left behind: {left}" if left else "", self._refusal)
            return [DropInstance(self.name), *told]
        told = self.standing.down(error)
        if self.wanted and self.state == "recovering":
            return [*told, *self.follow(self.agency.seek(), at)]
        if self.wanted and self.state != "failed":
            return [*told, *self._begin(at)]
        # Of one that is given up nobody will ever say more; what a stopped one had to say is heard at its next start.
        dead = self.mail.post(self.conversation.agent_is_new(at)) if self.state == "failed" else []
        return [*told, *dead, *(self.conversation.bury(at) if error is None else [])]

    def settled(self, effects: list[Effect], at: Moment) -> list[Effect]:
        """The end of every input: what state that makes, who is told, what is saved."""
        effects = [*effects, *self._judge(at)]
        if self.gone:
            return effects
        agency, memory = self.agency, self.conversation.memory
        agency.facts = self.care.facts(agency.facts)
        kept = Kept(agency.spec, self.wanted, agency.ending, agency.facts, agency.told, memory)
        if kept != self._saved:
            self._saved = kept
            effects.append(SaveInstance(self.name, kept.body()))
        return [*effects, *self.standing.tell(), *self.mail.collect()]

    def _judge(self, at: Moment) -> list[Effect]:
        """What agent and program as they are now make of the instance."""
        agency, conversation, standing = self.agency, self.conversation, self.standing
        lives = conversation.lives
        effects: list[Effect] = []
        if self.mail.flooded and agency.phase not in ("away", "ending"):
            refusal = BridgeError("refused", self.mail.flooded, f"ccbridgectl restart {self.name}")
            effects += self.follow(agency.refuse(refusal), at)
        if agency.phase != "there":
            conversation.reachable = False
            return effects
        if not conversation.reachable:
            effects += self.mail.post(conversation.reached(at))
            if conversation.phase == "none" and lives.retry_at is None:
                # An agent that is new says so at once, and then its program is started without this.
                lives.retry_at = at.now + ALIVE_WITHIN
        if conversation.phase in ("ready", "asleep") and not conversation.restarting:
            standing.become("ready", at)
            standing.become("feed" if conversation.turn.busy else "rest", at)
            effects += self.care.well(at)
        elif lives.hopeless or lives.unborn >= agency.pace.patience:
            gone = BridgeError("failed", lives.complaint)
            effects += self.give_up(gone, at) if standing.state != "failed" else []
        elif lives.retry_at is not None and lives.complaint and not standing.says("recovering", lives.complaint):
            effects += standing.lose(BridgeError("failed", lives.complaint), at)
            effects += self.care.note(Remedy("start-program", "program", lives.complaint), at)
        return effects
