"""Permission questions of Claude's: what the policy decides by itself, and what waits for a person.

Rules are read in order, the first that matches decides; nothing is ever allowed because nobody answered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ccbridged.model.claude import PermissionAsked
from ccbridged.model.config import ApprovalsConfig
from ccbridged.model.effects import Json, SaveEvent

if TYPE_CHECKING:
    from ccbridged.model.memory import Moment


@dataclass(frozen=True, slots=True)
class Approval:
    """An open question. ``request_id`` and ``call`` (of the tool) are Claude's, ``request`` is ours ("" for a turn
    nobody asked for).

    ``asked_at``: wall time. ``expires``: on the clock of this daemon's life, when it is denied; None: never.
    """

    id: str
    request_id: str
    instance: str
    request: str
    tool: str
    input: Json
    suggestions: Sequence[Json] = field(default_factory=tuple)
    asked_at: float = 0.0
    expires: float | None = None
    call: str = ""

    def told(self) -> Json:
        """The JSON object of the client contract."""
        return {
            "id": self.id,
            "instance": self.instance,
            "request": self.request,
            "tool": self.tool,
            "input": self.input,
            "asked_at": self.asked_at,
            "tool_use_id": self.call,
            "approve": f"ccbridgectl approve {self.id}",
        }


class Desk:
    """The policy of ``[approvals]``, and the events that tell of each question."""

    def __init__(self, config: ApprovalsConfig) -> None:
        self.config = config

    def policy(self, tool: str, given: Json) -> str:
        """allow, deny or ask."""
        subject = _subject(given)
        for rule in self.config.rules:
            if fnmatchcase(tool, rule.tool) and fnmatchcase(subject, rule.match):
                return rule.action
        return self.config.default

    def ask(self, asked: PermissionAsked, id_: str, instance: str, request: str, at: Moment) -> Approval:
        """The question that a person must answer."""
        expires = at.now + self.config.timeout if self.config.timeout else None
        rest = (asked.tool, asked.input, asked.suggestions, at.wall, expires, asked.call)
        return Approval(id_, asked.request_id, instance, request, *rest)

    def opened(self, approval: Approval) -> SaveEvent:
        return SaveEvent(approval.instance, approval.request, "approval", json.dumps(approval.told()))

    def closed(self, approval: Approval, verdict: str) -> SaveEvent:
        told = {"id": approval.id, "tool": approval.tool, "verdict": verdict}
        return SaveEvent(approval.instance, approval.request, "approval_closed", json.dumps(told))


def _subject(given: Json) -> str:
    """What a rule's ``match`` is held against: a tool's command, path or URL, else its whole input as JSON."""
    for key in ("command", "file_path", "notebook_path", "path", "url", "pattern"):
        value = given.get(key)
        if isinstance(value, str):
            return value
    return json.dumps(given, sort_keys=True)
