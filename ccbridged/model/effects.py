"""The two closed unions: Input (what can happen) and Effect (what the model may ask for).

``daemon.take`` feeds the one, ``daemon.perform`` carries out the other: first every Save, in one transaction; only
after its commit whatever others can see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccbridged.model.config import Config
    from ccbridged.protocol.calls import Call
    from ccbridged.protocol.errors import BridgeError
    from ccbridged.protocol.link import LinkState

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Spec:
    """What an instance is: how it was added, never how it fares. No secret: ``env_names`` only, values are on disk."""

    name: str
    runtime: str
    container: str = ""
    image: str = ""
    transport: str = "auto"
    driver: str = "claude"
    program: tuple[str, ...] = ("claude",)
    args: tuple[str, ...] = ()
    workdir: str = ""
    env_names: tuple[str, ...] = ()
    docker: Json = field(default_factory=dict)
    durability: str = "power"

    def body(self) -> Json:
        return asdict(self)


def spec_from(body: Json) -> Spec:
    """The spec that ``Spec.body`` described, also after a journey through JSON."""
    known = {name: value for name, value in body.items() if name in Spec.__slots__}
    return Spec(**{name: tuple(v) if isinstance(v, list) else v for name, v in known.items()})  # type: ignore[arg-type]


# What can happen.


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's call, and whose it is: ``uid`` is that of the request FIFO's owner."""

    client: str
    uid: int
    call: Call


@dataclass(frozen=True, slots=True)
class ClientGone:
    client: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A byte stream to the instance's agent is open in both directions; ``window``: bytes that may be in flight."""

    name: str
    window: int


@dataclass(frozen=True, slots=True)
class Heard:
    name: str
    chunk: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """No byte stream: it ended, could not be made, or nobody was there when it was opened (``reason`` "").

    ``final``: it will not come to be without somebody who mends something."""

    name: str
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeDone:
    """A runtime action (``launch halt remove probe``) ended; ``error`` None when it did what was asked.

    ``facts``: what was learnt, such as ``{"container_id": …, "created": true}``.
    """

    name: str
    action: str
    error: BridgeError | None
    facts: Json


@dataclass(frozen=True, slots=True)
class AgentEnded:
    """An agent process that this daemon started as its own child is gone. Its stream says the same, before or after.

    ``words``: its last, where ``status`` is a failure.
    """

    name: str
    status: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """Something became of a container: ``container`` is its id, ``called`` its name by now.

    ``action``: start die oom kill pause unpause rename destroy. ``details``, where they apply: ``exit_code``,
    ``signal`` (as text), ``was`` (the old name).
    """

    container: str
    called: str
    action: str
    details: Json


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The engine's events cannot be heard; it is tried again until EngineFound."""

    reason: str


@dataclass(frozen=True, slots=True)
class EngineFound:
    """The engine's events are heard from now on; what happened before is unknown."""

    version: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    config: Config


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline has come; also the first input of a daemon's life."""


Input = (
    Asked
    | ClientGone
    | Opened
    | Heard
    | Closed
    | RuntimeDone
    | AgentEnded
    | EngineSaid
    | EngineLost
    | EngineFound
    | Reloaded
    | Tick
)


# What must be durable.


@dataclass(frozen=True, slots=True)
class SaveInstance:
    """Everything to know of an instance after a restart, as one JSON object."""

    name: str
    body: Json


@dataclass(frozen=True, slots=True)
class DropInstance:
    """The instance, its requests, events, link and outbox."""

    name: str


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """``body``: the request as JSON. ``open`` while it is not final. ``prompt`` is stored once, when given."""

    id: str
    instance: str
    open: bool
    body: Json
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class DropRequest:
    """A request that leaves the history, with its events. Its id and ``state`` stay known, so that the id is never
    taken for a new one's."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    """Of a request that left the history long ago, nothing is known any more."""

    id: str


@dataclass(frozen=True, slots=True)
class SaveEvent:
    """One entry of the event log; the store gives it its ``seq``. ``body``: JSON text of an object, ASCII, without
    ``v``, ``seq``, ``at``, ``instance``, ``request``, ``type``. ``request`` "" when it belongs to none."""

    instance: str
    request: str
    type: str
    body: str


@dataclass(frozen=True, slots=True)
class SaveLog:
    """Lines of the agent's or the program's stderr, for ``logs``; bounded per instance."""

    instance: str
    source: str
    line: str


@dataclass(frozen=True, slots=True)
class SaveLink:
    name: str
    state: LinkState


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a message until the agent has committed it."""

    name: str
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Release:
    """The agent has committed everything up to ``seq``."""

    name: str
    seq: int


Save = (
    SaveInstance
    | DropInstance
    | SaveRequest
    | DropRequest
    | ForgetRequest
    | SaveEvent
    | SaveLog
    | SaveLink
    | Hold
    | Release
)


# What others can see, after the commit.


@dataclass(frozen=True, slots=True)
class Commit:
    """What was heard up to ``seq`` is durable: the link may acknowledge it."""

    name: str
    seq: int


@dataclass(frozen=True, slots=True)
class Flush:
    """The link has something to say."""

    name: str


@dataclass(frozen=True, slots=True)
class Reply:
    """``result`` as the one document of the answer, then its end."""

    client: str
    result: object


@dataclass(frozen=True, slots=True)
class Fail:
    client: str
    fault: BridgeError


@dataclass(frozen=True, slots=True)
class Follow:
    """Answer with events after ``since``, from the log, as fast as the client reads; a slow one costs nothing.

    ``instance``, ``request``: only those of it ("": any). ``only``: only of this type. ``until``: "result" (of that
    request; its state is then the exit status), "end" (of the log as it is now), "" (for ever).
    """

    client: str
    instance: str = ""
    request: str = ""
    since: int = 0
    only: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class FollowLogs:
    """Answer with the ``last`` lines of stderr after ``since`` (None: all that are kept); ``forever``: and what comes
    later."""

    client: str
    instance: str
    since: int
    last: int | None
    forever: bool


@dataclass(frozen=True, slots=True)
class Recall:
    """Answer with the result of an ended request, which only the store remembers."""

    client: str
    id: str


@dataclass(frozen=True, slots=True)
class RecallHistory:
    """Answer with the newest ``count`` requests, oldest first: those that ended and, after them, the open ones."""

    client: str
    instance: str
    count: int


@dataclass(frozen=True, slots=True)
class ReplyStatus:
    """``result``, and in it as ``daemon`` what the process knows of itself."""

    client: str
    result: Json


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Make the instance's FIFOs if need be, verify them, and listen."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class CloseStream:
    name: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start the agent (and, for ``container``, its container first). Answered by RuntimeDone ``launch``."""

    spec: Spec
    facts: Json
    container: bool


@dataclass(frozen=True, slots=True)
class Halt:
    """Make sure that the agent is gone (and, for ``container``, its container stopped). RuntimeDone ``halt``."""

    spec: Spec
    facts: Json
    container: bool


@dataclass(frozen=True, slots=True)
class Remove:
    """Take away all that the daemon made for it: agent, FIFOs, agent directory, a created container. RuntimeDone
    ``remove``."""

    spec: Spec
    facts: Json


@dataclass(frozen=True, slots=True)
class KeepEnv:
    """Write the instance's secret environment where only the daemon's user (and the agent) can read it. Before any
    Launch; ``env`` is never logged."""

    name: str
    env: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Probe:
    """Look at the engine, the containers, the FIFOs and the store. RuntimeDone ``probe`` with ``name`` = ``token`` and
    ``facts``: ``docker_daemon`` and ``store`` as [ok, detail], ``fifo_pipes`` and ``container`` as {instance: [ok,
    detail, excuse]}, see ``findings.Finding``. ``ids``: instance -> its container's id, "" where that is not known."""

    token: str
    specs: tuple[Spec, ...]
    ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WatchEngine:
    """There are instances in containers: listen to the engine's events, if that is not done yet."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Look at all containers of the engine. RuntimeDone ``survey`` with ``name`` = ``token`` and ``facts``: ``links``,
    the directory of all link directories, and ``containers``, a list of ``sighting.Sighting``."""

    token: str


@dataclass(frozen=True, slots=True)
class Examine:
    """Look for what commonly goes wrong. RuntimeDone ``examine`` with ``name`` = ``token`` and ``facts``: ``links``, as
    above, and ``seen``, a ``sighting.Examination``. ``logins``: instances whose login is not known."""

    token: str
    specs: tuple[Spec, ...]
    logins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the daemon's log: ``level`` info, warning or error."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """The daemon must not go on."""

    status: int
    reason: str


Act = (
    Commit
    | Flush
    | Reply
    | Fail
    | Follow
    | FollowLogs
    | Recall
    | RecallHistory
    | ReplyStatus
    | OpenStream
    | CloseStream
    | Launch
    | Halt
    | Remove
    | KeepEnv
    | Probe
    | WatchEngine
    | Survey
    | Examine
    | Say
    | Exit
)

Effect = Save | Act
