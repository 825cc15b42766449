"""Every setting, stated once: its name, type, default, bounds and help are the fields of these classes.

``read`` checks a parsed TOML document against them and finds every fault at once. Durations are seconds. Nothing here
knows where a file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from ccbridged.model.kinds import (
    Choice,
    Count,
    Fault,
    Flag,
    Kind,
    Mode,
    Seconds,
    Text,
    Variables,
    Words,
    quoted,
    read_table,
    type_name,
    unknown,
)

T = TypeVar("T")

DAY = 86400.0
YEAR = 365 * DAY
INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
TRANSPORTS = ("auto", "fifo", "stream", "socket", "files", "exec")
ACTIONS = ("ask", "allow", "deny")
NEEDS_CONTAINER = ("stream", "exec")

_PLACE = Text(r"(/|~/)[^\x00-\x1f\x7f]*", 'give an absolute path, or one that begins with "~/"')


class ConfigFaults(Exception):
    """The document cannot be used; ``faults`` are all that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def setting(default: T, kind: Kind, help: str) -> T:
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule whose ``tool`` and ``match`` (wildcards: * ? []) fit decides a permission question."""

    tool: str = setting("*", Text(), "Name of the tool, such as Bash; wildcards.")
    match: str = setting("*", Text(), "What the tool is to do: the command, path or address; wildcards.")
    action: str = setting("ask", Choice(ACTIONS), "ask, allow or deny.")


@dataclass(frozen=True, slots=True)
class Rules:
    """The kind of ``approvals.rules``. A rule must say what it matches: an empty one would match everything."""

    def read(self, value: object, path: str, faults: list[Fault]) -> tuple[Rule, ...] | None:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            right = 'give a list such as [{tool="Bash", match="git *", action="allow"}]'
            faults.append(Fault(path, f"{type_name(value)} is not a list of tables", right))
            return None
        for number, item in enumerate(value):
            for key in ("tool", "action"):
                if key not in item:
                    faults.append(Fault(f"{path}[{number}]", f"{key} is missing", f"say which {key} the rule is for"))
        return tuple(read_table(Rule, item, f"{path}[{number}]", faults) for number, item in enumerate(value))


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """The daemon itself."""

    runtime_dir: str = setting("", _PLACE, "Where clients find the daemon. Empty: /run/ccbridged, or the user's own.")
    state_dir: str = setting("", _PLACE, "What must survive a reboot. Empty: /var/lib/ccbridged, or the user's own.")
    log_level: str = setting("info", Choice(("debug", "info", "warning", "error")), "debug, info, warning or error.")
    log_format: str = setting("text", Choice(("text", "json")), "text, or json: one object per line.")
    durability: str = setting(
        "power", Choice(("power", "process")), "What an acknowledged message survives: power loss, or any kill -9."
    )


@dataclass(frozen=True, slots=True)
class PipesConfig:
    """The pair of FIFOs of each instance."""

    in_mode: int = setting(
        0o640, Mode(), "Mode of in.fifo. Who may read it can steal prompts, who may write invent them."
    )
    out_mode: int = setting(0o620, Mode(), "Mode of out.fifo. Who may read it can steal answers.")
    group: str = setting("", Text(), "Group of the FIFOs, and who may use the daemon. Empty: the daemon's own.")
    warn_age: float = setting(5.0, Seconds(0, DAY), "Warn when a message waits for its receipt longer; 0: never.")


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Prompts and Claude's sessions."""

    idle_timeout: float = setting(300.0, Seconds(0, YEAR), "Stop an idle program, keep its session; 0: never.")
    request_timeout: float = setting(
        120.0, Seconds(0, YEAR), "Give a request up after so long without any sign of progress; 0: never."
    )
    max_history: int = setting(100, Count(0, 1_000_000), "Finished requests kept per instance.")
    max_queue: int = setting(100, Count(1, 100_000), "Prompts that may wait per instance; more are refused as busy.")


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Looking after the instances."""

    enabled: bool = setting(True, Flag(), "Look regularly, and recover what does not answer.")
    check_interval: float = setting(30.0, Seconds(0.05, DAY), "Time between two looks.")
    max_consecutive_failures: int = setting(3, Count(1, 1000), "Failed looks in a row before recovery begins.")
    recovery_delay: float = setting(
        5.0, Seconds(0, DAY), "Time before the first recovery; doubled for each further one."
    )


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """Containers."""

    host: str = setting(
        "",
        Text(r"[a-z]+://\S+", 'give an address such as "unix:///run/docker.sock"'),
        "Engine. Empty: docker's own way.",
    )
    communication_mode: str = setting("auto", Choice(TRANSPORTS), "Transport of instances that name none themselves.")
    image: str = setting("ccbridge/claude", Text(r"\S+", "give an image's name"), "Image where none is named.")


@dataclass(frozen=True, slots=True)
class ApprovalsConfig:
    """Permission questions of Claude's."""

    default: str = setting("ask", Choice(ACTIONS), "What happens to a question that no rule decides.")
    timeout: float = setting(0.0, Seconds(0, YEAR), "Deny a question that nobody answers in time; 0: wait for ever.")
    rules: tuple[Rule, ...] = setting(
        (), Rules(), 'Such as [{tool="Bash", match="git *", action="allow"}]; first wins.'
    )


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """Telling others."""

    command: tuple[str, ...] = setting(
        (),
        Words(0),
        "Run for each event but Claude's stream, one at a time, at most 10 s, with the line of `events --json` on its"
        " stdin. A notification: nothing is told twice, what cannot be told is dropped. Empty: none.",
    )


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """One instance: a container that is there, one made from an image, or a process of this host."""

    container: str = setting(
        "", Text(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "give a container's name or id"), "An existing one."
    )
    image: str = setting("", Text(r"\S+", "give an image's name"), "Make a container from this image.")
    runtime: str = setting(
        "", Text("docker|process", 'give "process" or "docker"'), "process: a child of this host; else docker."
    )
    transport: str = setting("auto", Choice(TRANSPORTS), "How daemon and agent talk.")
    driver: str = setting("claude", Choice(("claude", "tmux")), "claude: stream-json. tmux: the TUI, driven.")
    program: tuple[str, ...] = setting(("claude",), Words(1), "What to run, with its arguments.")
    workdir: str = setting("", Text(r"/[^\x00-\x1f\x7f]*", "give an absolute path"), "Where to run it.")
    env: dict[str, str] = field(
        default_factory=dict, metadata={"kind": Variables(), "help": "Its environment; kept private."}
    )


@dataclass(frozen=True, slots=True)
class Config:
    """A whole, checked configuration."""

    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    pipes: PipesConfig = field(default_factory=PipesConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    docker: DockerConfig = field(default_factory=DockerConfig)
    approvals: ApprovalsConfig = field(default_factory=ApprovalsConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    instances: dict[str, InstanceConfig] = field(default_factory=dict)


SECTIONS: dict[str, type[Any]] = {
    "daemon": DaemonConfig,
    "pipes": PipesConfig,
    "session": SessionConfig,
    "health": HealthConfig,
    "docker": DockerConfig,
    "approvals": ApprovalsConfig,
    "notify": NotifyConfig,
}
HOMES = {item.name: name for name, shape in SECTIONS.items() for item in fields(shape)}
"""Key -> its section, for those who look for it in another."""


def read(document: Mapping[str, object]) -> Config:
    """The configuration of a parsed TOML document; what it leaves out has its default. Raises ConfigFaults."""
    faults: list[Fault] = []
    sections: dict[str, Any] = {}
    for name, raw in document.items():
        if name == "instances":
            sections[name] = _read_instances(raw, faults)
        elif name in SECTIONS:
            sections[name] = read_table(SECTIONS[name], raw, name, faults, HOMES)
        else:
            faults.append(unknown(name, "", [*SECTIONS, "instances"], HOMES))
    if faults:
        raise ConfigFaults(faults)
    config = Config(**sections)
    return replace(config, instances={n: _settled(i, config.docker) for n, i in config.instances.items()})


def _read_instances(raw: object, faults: list[Fault]) -> dict[str, InstanceConfig]:
    if not isinstance(raw, dict):
        faults.append(
            Fault("instances", f"{type_name(raw)} is not a table", "write [instances.NAME] for each instance")
        )
        return {}
    return {name: _read_instance(name, value, faults) for name, value in raw.items()}


def _read_instance(name: str, raw: object, faults: list[Fault]) -> InstanceConfig:
    path = f"instances.{name}"
    if not INSTANCE_NAME.fullmatch(name):
        right = "use at most 63 of a-z 0-9 _ . - and begin with a letter or digit"
        faults.append(Fault(path, "is not an instance's name", right))
    instance = read_table(InstanceConfig, raw, path, faults)
    if isinstance(raw, dict):
        faults += (Fault(path, wrong, right) for wrong, right in _contradictions(raw))
    return instance


def _contradictions(raw: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is wrong with an instance as a whole; looks at what was written, even where a value is at fault."""
    process = raw.get("runtime") == "process"
    places = [key for key in ("container", "image") if raw.get(key)]
    if process and places:
        yield f'has {places[0]} and runtime = "process"', "keep one of them: a process runs on this host"
    elif len(places) > 1:
        yield "has both container and image", "keep container for one that is there, image for a new one"
    elif not places and not raw.get("runtime"):
        yield "does not say where it runs", 'give one of container, image or runtime = "process"'
    if process and raw.get("transport") in NEEDS_CONTAINER:
        yield f"a process has no transport {quoted(str(raw['transport']))}", 'use "auto", which takes the FIFO pair'
    if raw.get("driver") == "tmux" and raw.get("transport") == "exec":
        yield "the tmux driver needs an agent, and transport exec has none", 'use transport "auto"'


def _settled(instance: InstanceConfig, docker: DockerConfig) -> InstanceConfig:
    """With the runtime said, and the image where none was named."""
    if instance.runtime == "process":
        return instance
    image = instance.image if instance.image or instance.container else docker.image
    return replace(instance, runtime="docker", image=image)
