"""Permission questions: what the policy decides, and what a person is told."""

from __future__ import annotations

import json

import pytest

from ccbridged.model.approvals import Approval, Desk
from ccbridged.model.claude import PermissionAsked
from ccbridged.model.config import ApprovalsConfig, Rule
from tests.pure.model_kit import EPOCH, Json, at

ASKED = PermissionAsked("q1", "Bash", {"command": "ls"}, ({"type": "addRules"},))


def desk(*rules: Rule, default: str = "ask", timeout: float = 0.0) -> Desk:
    return Desk(ApprovalsConfig(default=default, timeout=timeout, rules=rules))


def test_the_first_rule_that_matches_decides() -> None:
    policy = desk(Rule("Bash", "git push*", "deny"), Rule("Bash", "git *", "allow"), Rule("*", "*", "ask")).policy
    assert policy("Bash", {"command": "git push -f"}) == "deny"
    assert policy("Bash", {"command": "git log"}) == "allow"
    assert policy("Read", {"file_path": "git log"}) == "ask"


@pytest.mark.parametrize("default", ["ask", "allow", "deny"])
def test_what_no_rule_decides_is_decided_by_the_default(default: str) -> None:
    rule = Rule("Bash", "git *", "allow")
    assert desk(rule, default=default).policy("Bash", {"command": "rm"}) == default
    assert desk(rule, default=default).policy("bash", {"command": "git log"}) == default
    assert desk(rule, default=default).policy("Bash", {}) == default


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ({"command": "a", "file_path": "b"}, "a"),
        ({"file_path": "/etc/x", "content": "a"}, "/etc/x"),
        ({"notebook_path": "n"}, "n"),
        ({"path": "p", "pattern": "x"}, "p"),
        ({"url": "http://x"}, "http://x"),
        ({"command": ["no", "string"], "pattern": "x"}, "x"),
        ({"b": 1, "a": "ü"}, '{"a": "\\u00fc", "b": 1}'),
    ],
)
def test_a_rule_is_held_against_what_the_tool_is_to_touch(given: Json, subject: str) -> None:
    literal = "".join(f"[{letter}]" if letter in "[*?" else letter for letter in subject)
    assert desk(Rule("T", literal, "allow")).policy("T", given) == "allow"
    assert desk(Rule("T", literal + "?", "allow")).policy("T", given) == "ask"


def test_a_question_waits_for_ever_unless_it_may_expire() -> None:
    assert desk().ask(ASKED, "a1", "web", "r1", at(5)).expires is None
    asked = desk(timeout=60.0).ask(ASKED, "a1", "web", "r1", at(5))
    assert asked == Approval(
        "a1", "q1", "web", "r1", "Bash", {"command": "ls"}, ({"type": "addRules"},), EPOCH + 5, 65.0
    )


def test_a_person_is_told_what_is_asked_and_how_to_answer() -> None:
    asked = desk().ask(ASKED, "a1", "web", "r1", at(5))
    told = {
        "id": "a1",
        "instance": "web",
        "request": "r1",
        "tool": "Bash",
        "input": {"command": "ls"},
        "asked_at": EPOCH + 5,
        "tool_use_id": "",
        "approve": "ccbridgectl approve a1",
    }
    opened, closed = desk().opened(asked), desk().closed(asked, "denied")
    assert asked.told() == told
    assert (opened.instance, opened.request, opened.type, json.loads(opened.body)) == ("web", "r1", "approval", told)
    assert (closed.instance, closed.request, closed.type) == ("web", "r1", "approval_closed")
    assert json.loads(closed.body) == {"id": "a1", "tool": "Bash", "verdict": "denied"}
