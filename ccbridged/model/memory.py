"""When something happens, and what a conversation must find again after the daemon's death."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from ccbridged.model.activity import Activity
from ccbridged.model.approvals import Approval
from ccbridged.model.effects import Json


class Moment(NamedTuple):
    """``now``: seconds of a clock that never jumps, for deadlines; ``wall``: seconds since 1970, for people and for
    what is kept; ``entropy``: 128 fresh random bits, for the ids that an input needs."""

    now: float
    wall: float
    entropy: int

    def uuid(self, *parts: str) -> str:
        """The same for the same moment and parts."""
        digest = hashlib.sha256("\0".join((str(self.entropy), *parts)).encode("utf-8", "surrogatepass")).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, slots=True)
class Memory:
    """``phase`` of the program: none, looking (at the last session's file), starting, ready, asleep.

    ``begun``: its session has had a turn, so there is something to go on with. ``login``: see ``claude.Ready``.
    ``barrier``: it starts no prompt before it was told to. ``lifecycle``: it tells when a turn is truly over; then
    ``settling`` is the uuid of an ended turn of which that is still to come. ``tools``: (id, name, wall time of the
    begin) of calls that run. ``stage``, ``limit``, ``background``: what ``course`` knows of the turn. ``approvals``:
    permission questions that wait. ``spent``: US dollars, the last word on what this session has cost; ``banked``:
    what Claude Code will remember of that when it is killed.
    """

    phase: str = "none"
    life: int = 0
    session_id: str = ""
    transcript: str = ""
    begun: bool = False
    version: str = ""
    login: str = ""
    barrier: bool = False
    lifecycle: bool = False
    settling: str = ""
    tools: tuple[tuple[str, str, float], ...] = ()
    stage: Activity | None = None
    limit: Activity | None = None
    background: int = 0
    approvals: tuple[Approval, ...] = ()
    spent: float = 0.0
    banked: float = 0.0

    def body(self) -> Json:
        return asdict(self)

    def paid(self, total: float) -> tuple[Memory, float]:
        """A turn has ended: the same with the session's new total, and what that turn has cost."""
        before = self.spent if total >= self.spent else 0.0
        return replace(self, spent=total), round(total - before, 12)

    def ended(self, code: int) -> Memory:
        """The program is gone. Its session goes on counting from what it wrote down at its end; killed, it did not."""
        left = self.banked if code < 0 else self.spent
        return replace(self, phase="none", spent=left, banked=left)


def remember(body: Json) -> Memory:
    """The memory that ``Memory.body`` described, also after a journey through JSON; {} is a new one."""
    plain = {name: value for name, value in body.items() if name in Memory.__slots__}
    tools, approvals = plain.pop("tools", ()), plain.pop("approvals", ())
    stage, limit = (_activity(plain.pop(name, None)) for name in ("stage", "limit"))
    assert isinstance(tools, (list, tuple))
    assert isinstance(approvals, (list, tuple))
    return Memory(
        tools=tuple((id_, name, *(began or [0.0])) for id_, name, *began in tools),
        stage=stage,
        limit=limit,
        approvals=tuple(Approval(**{**a, "suggestions": tuple(a["suggestions"])}) for a in approvals),
        **plain,  # type: ignore[arg-type]
    )


def _activity(body: object) -> Activity | None:
    return Activity(**body) if isinstance(body, dict) else None
