"""What looks after instances, with one thing wrong: each such mutant is caught by the examples of care and recovery."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.pure import test_model_care, test_model_recovery
from tests.pure.mutants import Mutant

MUTANTS = (
    Mutant("one failed look is enough", "recovery", ">= self.limits.failures), ", ">= 1), "),
    Mutant("failures need not be in a row", "recovery", "self._strikes.pop(component, None)", "pass"),
    Mutant(
        "the greatest comes first",
        "recovery",
        "next((step for step in steps if",
        "next((step for step in steps[::-1] if",
    ),
    Mutant("the same is tried for ever", "recovery", "if step not in self._tried", "if True"),
    Mutant("the ladder is never left", "recovery", "self._tried.clear()", "pass"),
    Mutant(
        "any look begins the ladder anew",
        "recovery",
        'if not faults and {"agent", "program"} <= set(well):',
        "if True:",
    ),
    Mutant("each remedy is as soon as the first", "recovery", "* 2.0 ** min(len(self._tried), 16)", "* 1.0"),
    Mutant("the wait has no ceiling", "recovery", ", MAX_DELAY)", ", 1e9)"),
    Mutant("there is no budget", "recovery", "if len(self._spent) >= BUDGET:", "if False:"),
    Mutant("the budget is for ever", "recovery", "self._spent.popleft()", "break"),
    Mutant("a process has a container to restart", "recovery", "if self.contained or", "if True or"),
    Mutant("a mute agent is nothing", "recovery", 'self._strike("agent", seen)', "pass"),
    Mutant("what is excused is mended all the same", "recovery", "if not self._due():", "if False:"),
    Mutant("work that goes on is disturbed", "care", "or (heard and conversation.turn.busy)", "or False"),
    Mutant("who answers late is not spared", "care", "late.get(component, False)", "False"),
    Mutant("what is excused counts", "care", "not (one.ok or one.excuse)", "not one.ok"),
    Mutant("what proves nothing proves that all is well", "care", "if one.ok and not one.excuse]", "if one.ok]"),
    Mutant(
        "that it was stopped is forgotten",
        "care",
        'return {**others, "stopped": self.container.stopped}',
        "return others",
    ),
    Mutant("a dying engine has stopped its containers", "care", "at.now - self._died_at > AFTERMATH", "True"),
    Mutant("a dying engine excuses everything", "care", "at.now - self._died_at > AFTERMATH", "False"),
    Mutant("a look is newer than any event", "care", "return since > self._event_at", "return True"),
    Mutant("who starts it has stopped it", "care", "            if ours:\n", "            if False:\n"),
    Mutant("a program that cannot be ended is spared", "care", " and not conversation.restarting", ""),
    Mutant("what sleeps is mended", "care", 'if component == "program" and', "if False and"),
    Mutant("what did not help is not told", "care", "if failed else []", "if False else []"),
    Mutant("docker stop is a death", "container", 'event.details.get("signal") != "9"', "False"),
    Mutant("docker kill is a wish", "container", 'event.details.get("signal") != "9"', "True"),
    Mutant(
        "a new start does not forget",
        "container",
        '                self.stopped = ""\n                return',
        "                return",
    ),
    Mutant("a signal is an order for ever", "container", "<= OBEDIENCE", "<= 1e9"),
    Mutant("running out of memory is a wish", "container", " and not starved:", ":"),
    Mutant("memory that ran out counts for ever", "container", "<= STARVATION", "<= 1e9"),
    Mutant(
        "that it was removed is not told", "container", 'case "destroy" if self.stopped:', 'case "destroy" if False:'
    ),
    Mutant("a launch of its agent stops a container", "mending", " and instance.agency.container)", ")"),
    Mutant("what was found outlives its instance", "rounds", "if other != name}", "if True}"),
    Mutant("why it died is not told", "container", '": it ran out of memory" if starved', '"" if starved'),
    Mutant(
        "a dead container is not started",
        "agency",
        "        self.container = True\n        self.mail",
        "        self.mail",
    ),
    Mutant("an ordered end is mended", "mending", "Died(words, ordered=False)", "Died(words)"),
    Mutant("what is dead is waited for", "mending", "Died(words, ordered=False)", "Died(words, ordered=None)"),
    Mutant(
        "a pause goes unnoticed",
        "mending",
        "case Died(words) | Frozen(words):",
        "case Died(words):",
    ),
    Mutant(
        "a start goes unnoticed",
        "mending",
        "case Back():\n            effects += _found_running(instance, at)",
        "case Back():\n            pass",
    ),
    Mutant("an engine that is back is nothing", "mending", "else _seek_again(instance, at), at)", "else [], at)"),
    Mutant(
        "anybody's container is meant", "mending", "return said.container == known or name in", "return True or name in"
    ),
    Mutant("an agent is restarted for a container", "mending", 'remedy.kind == "restart-container"', "False"),
    Mutant("what is given up runs on", "mending", 'instance.follow(instance.agency.end("agent"), at)]', "[]]"),
    Mutant("what is not wanted is mended", "instance", "if not mending.mendable(self):", "if False:"),
    Mutant("a paused container is found stuck", "mending", 'if container.excuse == "paused" and', "if False and"),
    Mutant("a container found dead stays so", "mending", "instance.agency.container = True  # It", "pass  # It"),
    Mutant("an engine's end ends its containers", "mending", "if instance.care.engine_lost(at):", "if False:"),
    Mutant("who takes nothing is asked all the same", "mending", "if taken else []", "if True else []"),
    Mutant("who answers and takes nothing is mended", "health", '"alive" if alive else ""', '""'),
    Mutant("an end may take for ever", "health", "late = at.now >= conversation.end_by", "late = False"),
    Mutant("an end may take no time", "health", "late = at.now >= conversation.end_by", "late = True"),
    Mutant(
        "a probe that failed found nothing wrong", "rounds", "for name in SHARED} if error", "for name in ()} if error"
    ),
    Mutant(
        "what it ran when it was given up runs on", "instance", 'if self.state == "failed" else []', "if False else []"
    ),
)

Example = Callable[[], None]


def examples() -> Iterator[Example]:
    for module in (test_model_recovery, test_model_care):
        for name, test in vars(module).items():
            if name.startswith("test_"):
                yield from _calls(test)


def _calls(test: Callable[..., None]) -> Iterator[Example]:
    fixtures = {"world": test_model_care.plain, "boxed": test_model_care.boxed_plain}
    names = inspect.signature(test).parameters
    rows = [dict[str, object]()]
    if marks := getattr(test, "pytestmark", []):
        columns, values = marks[0].args
        rows = [dict(zip(columns, row, strict=True)) for row in values]
    for row in rows:
        yield partial(_called, test, {name: fixtures[name] for name in names if name in fixtures}, row)


def _called(test: Callable[..., None], fixtures: dict[str, Callable[[], object]], row: dict[str, object]) -> None:
    test(**{name: make() for name, make in fixtures.items()}, **row)


def transplant(mutant: Mutant, patch: pytest.MonkeyPatch) -> None:
    """Wherever something of the module is used, the mutant's is used instead."""
    name = f"ccbridged.model.{mutant.module}"
    original = import_module(name)
    assert original.__file__
    source = Path(original.__file__).read_text()
    assert source.count(mutant.before) == 1, mutant.before
    copy = ModuleType(name)
    patch.setitem(sys.modules, name, copy)  # Dataclasses look for their module there.
    exec(compile(source.replace(mutant.before, mutant.after), original.__file__, "exec"), vars(copy))
    patch.setitem(sys.modules, name, original)
    own = {id(thing): key for key, thing in vars(original).items() if getattr(thing, "__module__", "") == name}
    users = [
        module for key, module in sys.modules.items() if key.startswith(("ccbridged.model.", "tests.pure.test_model_"))
    ]
    for module in users:
        for key, thing in list(vars(module).items()):
            if id(thing) in own and module is not copy:
                patch.setattr(module, key, vars(copy)[own[id(thing)]])


def caught() -> bool:
    for example in examples():
        try:
            example()
        except (Exception, pytest.fail.Exception):
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught_by_an_example(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    transplant(mutant, monkeypatch)
    assert caught()


def test_the_model_as_it_is_is_not_caught() -> None:
    assert not caught()
