"""Everything that daemon and agent say to each other, each as one JSON text on the link.

A channel is one child's stdio. A *life* numbers the children of a channel: what was meant for, or said by, an earlier
child is told apart from what the present one says, so a prompt can never reach a child it was not meant for.
"""

import json
from typing import NamedTuple

from ccbridged.protocol.errors import PeerError

MAIN = "main"
"""The channel of the instance's own program."""


class Start(NamedTuple):
    """Start ``argv`` in ``cwd`` ("": the agent's) as life ``life``. If that life already runs, only say so again.

    ``env``: variables that are no secret, added to the agent's environment and to its private env file;
    ``scrub``: names taken out. ``farewell``: a line written to stdin before it is closed, when the child must end.
    """

    channel: str
    life: int
    argv: list[str]
    cwd: str
    env: dict[str, str]
    scrub: list[str]
    farewell: str


class Feed(NamedTuple):
    """One line (no newline) for the stdin of life ``life``; dropped when that life is over."""

    channel: str
    life: int
    line: str


class End(NamedTuple):
    """End life ``life``: farewell and EOF, then TERM, then KILL of all that it left; ``grace`` seconds each."""

    channel: str
    life: int
    grace: float


class Quit(NamedTuple):
    """End every child, say so, and exit with status 0."""

    grace: float


class Tail(NamedTuple):
    """Read the last ``size`` bytes of a file; "~" is the agent's home. Answered by Tailed with the same ``query``."""

    query: int
    path: str
    size: int


class Alive(NamedTuple):
    """The first message of every life of an agent. ``lives``: channel -> life, of children that run (always none,
    since a child dies with its agent); ``attach_only``: it refuses to start children."""

    pid: int
    version: str
    python: str
    user: str
    attach_only: bool
    lives: dict[str, int]


class Started(NamedTuple):
    channel: str
    life: int
    pid: int


class NotStarted(NamedTuple):
    """The child could not be started; ``reason`` is a sentence that says why and what to do."""

    channel: str
    life: int
    reason: str


class Unable(NamedTuple):
    """The child could not be started now, or was ended before it was; nothing says that it cannot be later."""

    channel: str
    life: int
    reason: str


class Output(NamedTuple):
    """One complete line of the child's stdout, without newline; bytes that are not UTF-8 are surrogate-escaped."""

    channel: str
    life: int
    line: str


class Errors(NamedTuple):
    """One line of the child's stderr, or of the agent's own log (channel ""; life 0)."""

    channel: str
    life: int
    line: str


class Overlong(NamedTuple):
    """A line of stdout was ``size`` bytes, beyond the limit, and was discarded."""

    channel: str
    life: int
    size: int


class Exited(NamedTuple):
    """The child is gone, reaped, and so is every process it left; all its output was said before.

    ``code``: exit status, or minus the signal's number. ``expected``: an End or Quit asked for it.
    """

    channel: str
    life: int
    code: int
    expected: bool


class Tailed(NamedTuple):
    """``text`` of a Tail, cut at the first whole line unless it is the whole file; ``error`` "" or why not."""

    query: int
    text: str
    error: str


ToAgent = Start | Feed | End | Quit | Tail
FromAgent = Alive | Started | NotStarted | Unable | Output | Errors | Overlong | Exited | Tailed

_KINDS = {
    kind.__name__.lower(): (kind, tuple(kind.__annotations__.values()))
    for kind in (
        *(Start, Feed, End, Quit, Tail),
        *(Alive, Started, NotStarted, Unable, Output, Errors, Overlong, Exited, Tailed),
    )
}
_LARGEST = 1 << 63
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def encode(message: ToAgent | FromAgent) -> str:
    """One message as JSON text in ASCII."""
    return _ENCODER.encode([type(message).__name__.lower(), *message])


def decode(text: str) -> ToAgent | FromAgent | None:
    """The message of a text; None for a kind of a later version. Raises PeerError where kind and fields do not fit."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PeerError(f"not a message: {error}") from None
    if not isinstance(raw, list) or not raw or not isinstance(raw[0], str):
        raise PeerError("not a message")
    if raw[0] not in _KINDS:
        return None
    kind, types = _KINDS[raw[0]]
    fields = raw[1 : len(types) + 1]
    if len(fields) != len(types) or not all(map(_fits, fields, types)):
        raise PeerError(f"a message {raw[0]!r} whose fields do not fit")
    return kind(*fields)


def _fits(value: object, kind: object) -> bool:
    if kind is str or kind is bool:
        return type(value) is kind
    if kind is int:
        return type(value) is int and abs(value) < _LARGEST
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    of = str if kind == dict[str, str] else int
    return isinstance(value, dict) and all(_fits(item, of) for item in value.values())
