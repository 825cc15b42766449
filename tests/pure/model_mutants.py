"""The model with one thing wrong, as ``mutants`` has it for the link."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import ccbridged.model
from tests.pure.mutants import Mutant

MODULES = ("approvals", "memory", "lives", "requests", "course", "turn", "conversation")
"""Those that are copied; the others are used as they are."""

MUTANTS = (
    # At most once
    Mutant(
        "a prompt starts before running is saved",
        "turn",
        "[*self.queue.run(), claude.let_start(request_id)]",
        "[claude.let_start(request_id)]",
    ),
    Mutant(
        "running is saved after the prompt was let start",
        "turn",
        "[*self.queue.run(), claude.let_start(request_id)]",
        "[claude.let_start(request_id), *self.queue.run()]",
    ),
    Mutant(
        "any prompt may start",
        "turn",
        'if current is None or current.state != "delivered" or current.ending:',
        "if current is None:",
    ),
    Mutant("a running prompt may start again", "turn", ' or current.state != "delivered" or', " or"),
    Mutant(
        "a stopped prompt may start",
        "turn",
        ' or current.state != "delivered" or current.ending:',
        ' or current.state != "delivered":',
    ),
    Mutant("without a barrier nothing is saved as running", "turn", "*([] if barrier else self.queue.run())", "*[]"),
    Mutant(
        "every prompt is running when it is fed", "turn", "*([] if barrier else self.queue.run())", "*self.queue.run()"
    ),
    Mutant(
        "a prompt is fed before it is saved",
        "turn",
        "[*steps, *([] if barrier else self.queue.run()), claude.prompt(attempt, request.prompt)]",
        "[claude.prompt(attempt, request.prompt), *steps, *([] if barrier else self.queue.run())]",
    ),
    Mutant(
        "an id whose answer is gone is taken for a new one's",
        "requests",
        "id_ in self.ended or id_ in self.spent or",
        "id_ in self.ended or",
    ),
    Mutant(
        "ids are forgotten with their answers",
        "requests",
        "            del self.spent[oldest]\n            saves.append(ForgetRequest(oldest))",
        "            self.spent.clear()",
    ),
    Mutant("ids are never forgotten", "requests", "while len(self.spent) > MAX_SPENT:", "while False:"),
    Mutant("two are in flight", "turn", "if self.busy or self.settling or not", "if self.settling or not"),
    Mutant(
        "the next does not wait for the last word",
        "turn",
        "if self.busy or self.settling or not",
        "if self.busy or not",
    ),
    Mutant(
        "any last word is the one that is waited for",
        "turn",
        "if said.terminal and said.uuid == self.settling:",
        "if said.terminal and self.settling:",
    ),
    Mutant("any word is the last", "turn", "elif said.terminal and current is not None", "elif current is not None"),
    Mutant(
        "every attempt has the same uuid",
        "turn",
        "attempt = at.uuid(self.instance, self.queue.waiting[0].id)",
        'attempt = "u" + self.queue.waiting[0].id',
    ),
    Mutant(
        "what ran is repeated when its program dies",
        "turn",
        'self.queue.requeue() if current.state == "delivered" else []',
        "self.queue.requeue()",
    ),
    Mutant(
        "what did not start stays in flight when its program dies",
        "turn",
        'self.queue.requeue() if current.state == "delivered" else []',
        "[]",
    ),
    Mutant(
        "what did not start is fed for ever",
        "turn",
        "current.attempts >= MAX_ATTEMPTS:",
        "current.attempts >= 1 << 40:",
    ),
    Mutant(
        "what may be repeated is for ever",
        "turn",
        "dead.retry_uncertain and dead.attempts < MAX_ATTEMPTS",
        "dead.retry_uncertain",
    ),
    Mutant("what may have run is repeated unasked", "turn", "if dead.retry_uncertain and", "if"),
    Mutant("what may be repeated is not", "turn", "if dead.retry_uncertain and", "if False and"),
    Mutant(
        "an answer that is proven is not believed",
        "turn",
        "if finished is not None:",
        "if finished:\n            return []\n        if False:",
    ),
    Mutant("an answer that is not proven is believed", "turn", "if finished is not None:", "if True:"),
    # Whose turn it was
    Mutant(
        "any result is that of the request",
        "turn",
        "if current is None or current.attempt not in said.uuids:",
        "if current is None:",
    ),
    Mutant(
        "a turn that nobody asked for has a request",
        "turn",
        'return current if current and current.state == "running" else None',
        "return current",
    ),
    Mutant(
        "tools outlive a turn that nobody asked for",
        "turn",
        "            self.course.over()\n            if self.settling",
        "            if self.settling",
    ),
    Mutant(
        "a last word without a result is a success", "turn", '"completed": "uncertain"}', '"completed": "succeeded"}'
    ),
    Mutant(
        "what was discarded has ended", "turn", 'if current.state == "delivered" and how == "discarded":', "if False:"
    ),
    Mutant(
        "what ran and was discarded is repeated",
        "turn",
        'if current.state == "delivered" and how == "discarded":',
        'if how == "discarded":',
    ),
    # Stopping
    Mutant(
        "a stopped turn that was done has not succeeded",
        "turn",
        'if current.ending and state != "succeeded":',
        "if current.ending:",
    ),
    Mutant(
        "a stopped turn ends as Claude Code says", "turn", 'if current.ending and state != "succeeded":', "if False:"
    ),
    Mutant(
        "a turn is stopped twice",
        "turn",
        "if self.queue.current is None or self.queue.current.ending:",
        "if self.queue.current is None:",
    ),
    Mutant(
        "a turn that does not stop lives on",
        "turn",
        "        self.stop_at = at.now + INTERRUPT_GRACE\n        self.course",
        "        self.course",
    ),
    Mutant(
        "a stopping turn is forgotten at a restart",
        "turn",
        "(self.queue.current and self.queue.current.ending)",
        "False",
    ),
    Mutant(
        "a stopped turn whose program died is judged",
        "turn",
        "        if current is None:\n            return steps\n        if current.ending:",
        "        if current is None:\n            return steps\n        if False:",
    ),
    Mutant(
        "a stopped prompt that was discarded is fed again",
        "turn",
        "        steps = self.over()\n        if current.ending:",
        "        steps = self.over()\n        if False:",
    ),
    Mutant(
        "questions outlive their turn",
        "turn",
        "        self.stop_at = None\n        return self.withdraw()",
        "        self.stop_at = None\n        return []",
    ),
    Mutant("a stopped turn leaves its questions open", "turn", "interrupt, *self.withdraw()]", "interrupt]"),
    Mutant("a question taken back takes all with it", "turn", 'if request_id in ("", a.request_id)]', "if True]"),
    Mutant(
        "the end of a stopped turn counts for the next",
        "turn",
        "        self.stop_at = None\n        return self.withdraw()",
        "        return self.withdraw()",
    ),
    # Time
    Mutant(
        "a running tool is a standstill", "course", 'if self.tools or self._session == "req', 'if self._session == "req'
    ),
    Mutant("a person who thinks is a standstill", "turn", "or current.ending or self.approvals:", "or current.ending:"),
    Mutant(
        "a person whom somebody else asks is a standstill",
        "course",
        'if self.tools or self._session == "requires_action":',
        "if self.tools:",
    ),
    Mutant(
        "an announced try is not waited for", "course", "max(self._progress_at, self._next_try)", "self._progress_at"
    ),
    Mutant(
        "an announced try is waited for even when it is over",
        "course",
        "self._next_try = at.now + (doing.delay or 0.0)",
        "self._next_try = max(self._next_try, at.now + (doing.delay or 0.0))",
    ),
    Mutant(
        "an announced try is forgotten at a restart",
        "course",
        "self._next_try = at.now + min(max(until - at.wall, 0.0), MAX_DELAY)",
        "self._next_try = at.now",
    ),
    Mutant(
        "a clock that was put back makes patience endless",
        "course",
        "min(max(until - at.wall, 0.0), MAX_DELAY)",
        "max(until - at.wall, 0.0)",
    ),
    Mutant("mere existence is progress", "course", "        if not frame.alive:\n            return\n", ""),
    Mutant(
        "each try is a new wait",
        "course",
        "stage.since if stage and stage.kind == doing.kind else at.wall",
        "at.wall",
    ),
    Mutant("a stopping turn is at something else", "course", 'if stage and stage.kind == "stopping":', "if False:"),
    Mutant("what goes on in the background does not keep awake", "course", "bool(self.background) or", ""),
    Mutant("what went on in the background outlives its program", "course", '"", 0\n', '"", self.background\n'),
    Mutant(
        "what went on in the background is forgotten at a restart",
        "course",
        ", background=self.background)",
        ")",
    ),
    Mutant("a limit is not kept out of reach", "conversation", "return self.turn.limit", "return None"),
    Mutant(
        "a turn out of reach is not stopped",
        "turn",
        '            steps.append(claude.interrupt(f"interrupt-{at.uuid(self.instance)}"))\n        return steps',
        "        return steps",
    ),
    Mutant(
        "the next does not wait for a turn out of reach", "turn", "            self.settling = current.attempt\n", ""
    ),
    Mutant(
        "a turn out of reach that does not stop lives on",
        "turn",
        "if self.settling or (self.queue",
        "if (self.queue",
    ),
    Mutant(
        "a dead program out of reach is waited for",
        "conversation",
        "alive=not self._dead",
        "alive=True",
    ),
    Mutant(
        "without lifecycles a turn out of reach is never over",
        "turn",
        "if self.settling in said.uuids and not lifecycle:",
        "if False:",
    ),
    Mutant(
        "a stopping turn is stopped for want of progress",
        "turn",
        "current is None or current.ending or self.approvals",
        "current is None or self.approvals",
    ),
    Mutant(
        "no sign of life is progress",
        "course",
        "        self.progress(at)\n        self._heard = at.wall\n",
        "        self._heard = at.wall\n",
    ),
    Mutant(
        "patience is left over from the turn before",
        "course",
        "        self.stage = Activity(kind, since=at.wall)\n        self.progress(at)\n",
        "        self.stage = Activity(kind, since=at.wall)\n",
    ),
    Mutant(
        "an answer is no progress",
        "turn",
        "        self.course.answered(approval.call, at)\n        return [self.desk.closed",
        "        return [self.desk.closed",
    ),
    Mutant(
        "a time without an agent is one without progress",
        "course",
        "        self.progress(at)\n        until =",
        "        until =",
    ),
    Mutant(
        "the limit of a turn is not kept",
        "turn",
        "(_due(current.expires, at.now) or _due(self._stuck_at(), at.now))",
        "_due(self._stuck_at(), at.now)",
    ),
    Mutant(
        "the limit of one that waits is not kept",
        "turn",
        "steps: list[Step] = [*self.expire(at)]\n        current = self.queue.current\n        if current and",
        "steps: list[Step] = []\n        current = self.queue.current\n        if current and",
    ),
    Mutant(
        "the limit of one that waits is not kept out of reach",
        "turn",
        "steps: list[Step] = [*self.expire(at)]\n        current = self.queue.current\n        if current is None",
        "steps: list[Step] = []\n        current = self.queue.current\n        if current is None",
    ),
    Mutant("questions do not expire", "turn", "[a for a in self.approvals if _due(a.expires, at.now)]", "[]"),
    Mutant(
        "nobody wakes for a limit",
        "turn",
        "times += [current.expires] if current and not current.ending else []",
        "pass",
    ),
    Mutant("questions are without number", "turn", "if len(self.approvals) >= MAX_APPROVALS:", "if False:"),
    # The queue
    Mutant(
        "what is put back is the last", "requests", "self.waiting.insert(0, request)", "self.waiting.append(request)"
    ),
    Mutant(
        "what is put back keeps its uuid",
        "requests",
        'state="queued", attempt="", ending=""',
        'state="queued", ending=""',
    ),
    Mutant(
        "what is put back is still to end",
        "requests",
        'state="queued", attempt="", ending=""',
        'state="queued", attempt=""',
    ),
    Mutant("attempts are not counted", "requests", "attempts=request.attempts + 1", "attempts=request.attempts"),
    Mutant(
        "an ended request stays in flight",
        "requests",
        "        if request is self.current:\n            self.current = None\n        else:\n",
        "        if request is not self.current:\n",
    ),
    Mutant(
        "an ended request is open",
        "requests",
        "SaveRequest(id_, request.instance, False,",
        "SaveRequest(id_, request.instance, True,",
    ),
    Mutant("a queue is endless", "requests", "if len(self.waiting) >= self.max_queue:", "if False:"),
    Mutant(
        "the order is lost at a restart",
        "requests",
        "        self.waiting.sort(key=lambda request: request.place)\n",
        "",
    ),
    Mutant("another order does not last", "requests", "[replace(r, place=place) for", "[r for"),
    Mutant("a new one comes before those that wait", "requests", "place=last.place + 1 if last else 0", "place=0"),
    Mutant(
        "the one in flight is forgotten at a restart",
        "requests",
        "            else:\n                self.current = request\n",
        "",
    ),
    Mutant(
        "limits begin anew at a restart",
        "requests",
        "min(request.created + request.timeout - at.wall, request.timeout)",
        "request.timeout",
    ),
    Mutant("history is endless", "requests", "while len(self.ended) > self.max_history:", "while False:"),
    # Lives
    Mutant(
        "lines of another life are heard",
        "conversation",
        "case _ if message.life != self._memory.life:",
        "case _ if False:",
    ),
    Mutant(
        "the file of another life is looked at",
        "conversation",
        'if (query, self.phase) == (self._memory.life, "looking") else []',
        'if self.phase == "looking" else []',
    ),
    Mutant(
        "a file is looked at whenever it comes",
        "conversation",
        'if (query, self.phase) == (self._memory.life, "looking") else []',
        "if query == self._memory.life else []",
    ),
    Mutant("no file is looked at", "conversation", "        if self._memory.transcript:\n", "        if False:\n"),
    Mutant("a life has the number of the last", "conversation", "memory.life + 1", "max(memory.life, 1)"),
    Mutant(
        "a session that cannot be used is used again",
        "conversation",
        "if early and claude.session_unusable(self.lives.words):",
        "if False:",
    ),
    Mutant("every session is gone on with", "conversation", "        if not resume:\n", "        if False:\n"),
    Mutant(
        "a new session has the price of the old",
        "conversation",
        ", begun=False, spent=0.0, banked=0.0)",
        ", begun=False)",
    ),
    Mutant("last words are waited for that nobody says", "conversation", "life=life, lifecycle=False)", "life=life)"),
    Mutant(
        "a prompt is fed to whatever there is",
        "conversation",
        'if self.phase != "ready" or self._ending or not self.reachable:',
        "if self._ending or not self.reachable:",
    ),
    Mutant(
        "a prompt is fed to one that is about to end",
        "conversation",
        'if self.phase != "ready" or self._ending or',
        'if self.phase != "ready" or',
    ),
    Mutant(
        "a prompt is fed where no agent is",
        "conversation",
        "or self._ending or not self.reachable:",
        "or self._ending:",
    ),
    Mutant(
        "a new agent goes unnoticed",
        "conversation",
        'if self.phase not in ("none", "asleep") else []',
        'if self.phase == "never" else []',
    ),
    Mutant(
        "a new agent wakes what sleeps",
        "conversation",
        'if self.phase not in ("none", "asleep") else []',
        'if self.phase != "none" else []',
    ),
    Mutant(
        "a turn of a dead program is to be stopped for ever",
        "conversation",
        "return self.turn.died(at) if self._dead else []",
        "return []",
    ),
    Mutant(
        "a living program is mourned",
        "conversation",
        "return self.turn.died(at) if self._dead else []",
        "return self.turn.died(at)",
    ),
    Mutant(
        "what a file is looked for is not buried",
        "conversation",
        'return self.phase in ("none", "looking")',
        'return self.phase == "none"',
    ),
    Mutant(
        "something is started while all is to end",
        "conversation",
        'if self._ending:\n            self._memory = replace(self._memory, phase="none")',
        'if False:\n            self._memory = replace(self._memory, phase="none")',
    ),
    Mutant(
        "an end that nobody wanted is a sleep",
        "conversation",
        'if ending in ("none", "asleep"):\n            self._memory = replace(self._memory, phase=ending)',
        'if True:\n            self._memory = replace(self._memory, phase="asleep")',
    ),
    Mutant(
        "a sleeper is not woken by what came meanwhile",
        "conversation",
        '(ending == "asleep" and self.queue.waiting)',
        "False",
    ),
    Mutant("what is to begin anew is left as it is", "conversation", 'again = ending == "anew" or', "again ="),
    Mutant(
        "what ended because it had to has failed",
        "conversation",
        "        if not self._ending:\n            self.lives.died",
        "        if True:\n            self.lives.died",
    ),
    Mutant(
        "a passing trouble is for ever",
        "conversation",
        "self.lives.unable(reason, at.now)",
        "self.lives.refused(reason)",
    ),
    Mutant(
        "trouble that passes is tried at once",
        "lives",
        "self.retry_at = now + _delay(self.failures)",
        "self.retry_at = now",
    ),
    Mutant(
        "without the hook each life is a new session", "conversation", "resume=self._memory.begun)", "resume=False)"
    ),
    Mutant("a session that never was is resumed", "conversation", "resume=self._memory.begun)", "resume=True)"),
    Mutant("a session that is gone is resumed", "conversation", 'transcript="", begun=False)\n', 'transcript="")\n'),
    Mutant("the last word is waited for for ever", "turn", "at.now + SETTLE_GRACE if self.settling else None", "None"),
    Mutant("calls are without number", "course", "while len(self.tools) > MAX_TOOLS:", "while False:"),
    Mutant("questions are without length", "turn", "if len(line) > MAX_APPROVAL:", "if False:"),
    Mutant(
        "a sleeper is not woken",
        "conversation",
        "return self.begin(at) if wanted else self.pump(at)",
        "return self.pump(at)",
    ),
    Mutant(
        "a tool does not keep awake",
        "conversation",
        "or self.turn.awake or self.queue.waiting",
        "or self.turn.busy or self.queue.waiting",
    ),
    Mutant("sleep comes twice", "conversation", "or self.queue.waiting or self._ending:", "or self.queue.waiting:"),
    Mutant(
        "signs of life do not keep awake",
        "conversation",
        "                turn.progress(said, at)\n                self._idle_since = at.now\n",
        "                turn.progress(said, at)\n",
    ),
    Mutant(
        "one that is never ready is waited for",
        "conversation",
        'if self.phase == "starting" and at.now >= self.lives.late_at:',
        "if False:",
    ),
    Mutant(
        "a result is an event of nobody",
        "conversation",
        "steps = [self._output(line), *self.turn.ended(priced, at, lifecycle=self._memory.lifecycle)]",
        "steps = [*self.turn.ended(priced, at, lifecycle=self._memory.lifecycle), self._output(line)]",
    ),
    Mutant("an early death is one like others", "lives", "row = self.failures + early", "row = self.failures"),
    Mutant(
        "starts never come closer again",
        "conversation",
        "            case claude.StartAsked(request_id, transcript):\n                self.lives.started()\n",
        "            case claude.StartAsked(request_id, transcript):\n",
    ),
    Mutant("starts in a row are equally far apart", "lives", "2.0 ** min(row - 1, 16)", "1.0"),
    Mutant("a killed program remembers its price", "memory", "self.banked if code < 0 else self.spent", "self.spent"),
    Mutant("each turn costs as much as all before it", "memory", "round(total - before, 12)", "round(total, 12)"),
)


@contextmanager
def mutated(mutant: Mutant | None, directory: Path) -> Iterator[ModuleType]:
    """The package of a mutant (None: of a faithful copy), importable while the context lasts."""
    package = f"mutant_{directory.name}"
    source = Path(next(iter(ccbridged.model.__path__)))
    (directory / "__init__.py").touch()
    for name in MODULES:
        text = (source / f"{name}.py").read_text()
        if mutant is not None and name == mutant.module:
            assert text.count(mutant.before) == 1, f"{mutant.before!r} does not stand once in {name}.py"
            text = text.replace(mutant.before, mutant.after)
        text = re.sub(rf"\bccbridged\.model\.({'|'.join(MODULES)})\b", rf"{package}.\1", text)
        (directory / f"{name}.py").write_text(text)
    spec = importlib.util.spec_from_file_location(
        package, directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    assert spec is not None
    module = sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        importlib.import_module(f"{package}.conversation")
        yield module
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]
