"""A whole world without I/O: a bridge, what its store holds, and an agent with a program for each instance.

Effects are carried out as the daemon does it: first the saves, then what others see; that nothing others see runs
ahead of what is saved is checked each time. The daemon can be killed, also between the two, and is loaded from what was
saved.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ccbridged.model import effects as fx
from ccbridged.model.bridge import Bridge, Known
from ccbridged.model.config import Config, HealthConfig, SessionConfig
from ccbridged.model.effects import Effect, Input, Json
from ccbridged.model.instance import Instance
from ccbridged.model.memory import Moment
from ccbridged.model.requests import FINAL, from_body
from ccbridged.protocol import calls
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState
from tests.pure.bridge_agent import Agent, Home, Program

WINDOW = 61440
EPOCH = 1_700_000_000.0
CALM = Config(
    session=SessionConfig(idle_timeout=0.0, request_timeout=0.0),
    health=HealthConfig(enabled=False, recovery_delay=5.0),
)
"""A configuration in which nothing happens because nothing happens."""


@dataclass
class Disk:
    """What was saved, in JSON where the store keeps JSON."""

    journal: str = "daemon-1"
    epoch: int = 0
    instances: dict[str, str] = field(default_factory=dict)
    requests: dict[str, tuple[str, bool, str, str]] = field(default_factory=dict)
    spent: dict[str, tuple[str, str]] = field(default_factory=dict)
    events: list[fx.SaveEvent] = field(default_factory=list)
    logs: list[fx.SaveLog] = field(default_factory=list)
    links: dict[str, LinkState] = field(default_factory=dict)
    outbox: dict[str, dict[int, str]] = field(default_factory=dict)

    def save(self, effect: fx.Save) -> None:
        match effect:
            case fx.SaveInstance(name, body):
                self.instances[name] = json.dumps(body)
            case fx.SaveRequest(id_, instance, open_, body, prompt):
                kept = self.requests[id_][3] if prompt is None else prompt
                self.requests[id_] = (instance, open_, json.dumps(body), kept)
            case fx.DropRequest(id_, state):
                self.spent[id_] = (self.requests.pop(id_)[0], state)
            case fx.ForgetRequest(id_):
                del self.spent[id_]
            case fx.DropInstance(name):
                self.requests = {id_: row for id_, row in self.requests.items() if row[0] != name}
                self.spent = {id_: row for id_, row in self.spent.items() if row[0] != name}
                for table in (self.instances, self.links, self.outbox):
                    table.pop(name, None)
            case fx.SaveEvent(_, _, _, body):
                assert isinstance(json.loads(body), dict)
                self.events.append(effect)
            case fx.SaveLog():
                self.logs.append(effect)
            case fx.SaveLink(name, state):
                self.links[name] = state
            case fx.Hold(name, seq, text):
                self.outbox.setdefault(name, {})[seq] = text
            case fx.Release(name, seq):
                box = self.outbox.get(name, {})
                self.outbox[name] = {held: text for held, text in box.items() if held > seq}

    def known(self) -> list[Known]:
        return [self._known(name, json.loads(body)) for name, body in sorted(self.instances.items())]

    def _known(self, name: str, body: Json) -> Known:
        mine = [(id_, row) for id_, row in self.requests.items() if row[0] == name]
        return Known(
            body,
            [from_body(json.loads(row[2]), row[3]) for _, row in mine if row[1]],
            [(id_, str(json.loads(row[2])["state"])) for id_, row in mine if not row[1]],
            [(id_, state) for id_, (instance, state) in self.spent.items() if instance == name],
            self.links.get(name, LinkState()),
            sorted(self.outbox.get(name, {}).items()),
        )

    def request(self, id_: str) -> Any:
        return json.loads(self.requests[id_][2])

    def told(self, kind: str, request: str = "") -> list[Any]:
        """The bodies of the events of a type."""
        chosen = [event for event in self.events if event.type == kind and request in ("", event.request)]
        return [json.loads(event.body) for event in chosen]


class World:
    """``slow``: runtime actions wait in ``actions`` until ``act``. ``faults``: (name, action) -> why it will fail.

    ``pipes``, ``containers``: what a probe finds of each instance, if that is not well. ``effects``: everything that
    was asked for, in order. ``answers``: by client. ``before_acts``: False kills the daemon between its saves and what
    others see. ``cuts``: bytes after which a stream breaks, with what is in flight.
    """

    def __init__(self, config: Config = CALM) -> None:
        self.config = config
        self.now = 100.0
        self.disk = Disk()
        self.homes: dict[str, Home] = {}
        self.agents: dict[str, Agent] = {}
        self.streams: dict[str, str] = {}
        self.actions: deque[Effect] = deque()
        self.slow = False
        self.faults: dict[tuple[str, str], BridgeError] = {}
        self.pipes: dict[str, list[object]] = {}
        self.containers: dict[str, list[object]] = {}
        self.stream_faults: dict[str, fx.Closed] = {}
        self.effects: list[Effect] = []
        self.answers: dict[str, list[Effect]] = {}
        self.exited: fx.Exit | None = None
        self.before_acts: Callable[[], bool] = lambda: True
        self.cuts: dict[str, int] = {}
        self._inputs: deque[Input] = deque()
        self._entropy = 0
        self._clients = 0
        self._bridge: Bridge | None = None
        self.load()

    # The daemon.

    @property
    def bridge(self) -> Bridge:
        assert self._bridge
        return self._bridge

    @property
    def alive(self) -> bool:
        return self._bridge is not None

    def load(self) -> None:
        """A new life of the daemon."""
        self.disk.epoch += 1
        self._bridge = Bridge(self.config, journal=self.disk.journal, epoch=self.disk.epoch, digest="digest-1")
        self._perform(self.bridge.load(self.disk.known(), self.moment()))
        self.run()

    def kill(self) -> None:
        """The daemon is gone, and with it whatever it was about to do. Its agents notice."""
        self._bridge = None
        self._inputs.clear()
        self.actions.clear()
        self.streams.clear()
        for agent in self.agents.values():
            agent.link.disconnect()

    def restart(self) -> None:
        self.kill()
        self.load()

    def take(self, happened: Input) -> None:
        self._inputs.append(happened)
        self.run()

    def moment(self) -> Moment:
        self._entropy += 1
        return Moment(self.now, EPOCH + self.now, self._entropy)

    # Clients.

    def ask(self, verb: str, **fields: object) -> str:
        """What a client sends; returns who it is, whose answer is in ``answers`` once there is one."""
        self._clients += 1
        client = f"client-{self._clients}"
        self.answers[client] = []
        call = calls.parse(json.dumps({"verb": verb, **fields}).encode())
        self.take(fx.Asked(client, 1000, call))
        return client

    def answer(self, client: str) -> Any:
        """The one document of its answer. Raises what it was told instead."""
        assert len(self.answers[client]) == 1, self.answers[client]
        match self.answers[client][0]:
            case fx.Reply(_, result) | fx.ReplyStatus(_, result):
                return json.loads(json.dumps(result))
            case fx.Fail(_, fault):
                raise fault
            case other:
                return other

    def say(self, verb: str, **fields: object) -> Any:
        return self.answer(self.ask(verb, **fields))

    def add(self, name: str = "web", **fields: object) -> None:
        """An instance that is ready when this returns."""
        assert self.say("add", name=name, runtime="process", **fields)["state"] == "ready"

    def send(self, prompt: str, name: str = "web", **fields: object) -> str:
        """Returns the request's id."""
        self._clients += 1
        id_ = str(fields.pop("id", f"r{self._clients}"))
        self.say("send", name=name, id=id_, prompt=prompt, **fields)
        return id_

    # What can be seen.

    def instance(self, name: str = "web") -> Instance:
        return self.bridge.instances[name]

    def state(self, name: str = "web") -> str:
        return self.instance(name).state

    def reason(self, name: str = "web") -> str:
        return self.instance(name).standing.reason

    def end_of(self, id_: str) -> str:
        """The final state of a request, "" while it has none. It is told once, and as it is kept."""
        told = [event["state"] for event in self.disk.told("result", id_)]
        row = self.disk.requests.get(id_)
        if row is not None:
            state = self.disk.request(id_)["state"]
            assert told == ([state] if state in FINAL else []), (id_, told, state)
            assert row[1] is (state not in FINAL)
        assert len(told) <= 1, (id_, told)
        return told[0] if told else ""

    def ran(self, name: str = "web") -> list[str]:
        """The prompts that a program really began, in order."""
        return [prompt for _, prompt in self.homes[name].started]

    def program(self, name: str = "web") -> Program:
        program = self.agents[name].program
        assert program
        return program

    def asked_for(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def logged(self) -> str:
        return "\n".join(effect.text for effect in self.asked_for(fx.Say))

    # What happens to agents and programs.

    def home(self, name: str) -> Home:
        return self.homes.setdefault(name, Home(f"agent-{name}-{len(self.homes)}"))

    def start_agent(self, name: str, *, silent: bool = False) -> None:
        self.agents[name] = Agent(self.home(name), silent=silent)
        if self.streams.get(name) == "listening":
            self._meet(name)
        self.run()

    def kill_agent(self, name: str = "web") -> None:
        """As ``kill -9`` does it: what it has not got rid of is in its journal."""
        self._lose_agent(name)
        self.run()

    def kill_program(self, name: str = "web", code: int = -9) -> None:
        self.program(name).exit(code)
        self.run()

    def finish(self, name: str = "web") -> None:
        self.program(name).finish()
        self.run()

    def lose_journal(self, name: str = "web") -> None:
        self.kill_agent(name)
        old = self.homes.pop(name)
        self.homes[name] = Home(old.journal + "'", started=old.started, files=old.files)

    # Time.

    def run(self) -> None:
        """Until nothing happens any more without time passing."""
        for _ in range(20_000):
            if not self._step():
                return
        raise AssertionError("it never comes to rest")

    def act(self) -> None:
        """The runtime actions that wait are done."""
        while self.actions:
            self._do_action(self.actions.popleft())
            self.run()

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(20_000):
            times = [at for at in self._deadlines() if at <= until]
            if not times:
                self.now = until
                return
            self.now = max(self.now, min(times))
            self._tick()
        raise AssertionError("something is due for ever")

    def _deadlines(self) -> list[float]:
        times = [agent.link.deadline for agent in self.agents.values() if not agent.silent]
        times.append(self._bridge.deadline if self._bridge else None)
        return [at for at in times if at is not None]

    def _tick(self) -> None:
        for agent in self.agents.values():
            agent.link.tick(self.now)
        if self._bridge and self._bridge.deadline is not None and self._bridge.deadline <= self.now:
            self._inputs.append(fx.Tick())
        self.run()

    def _step(self) -> bool:
        if self._bridge and self._inputs:
            self._perform(self.bridge.handle(self._inputs.popleft(), self.moment()))
            return True
        if self.actions and not self.slow and self._bridge:
            self._do_action(self.actions.popleft())
            return True
        carried = [self._carry(name) for name, state in list(self.streams.items()) if state == "open"]
        return any(carried)

    def _carry(self, name: str) -> bool:
        """Bytes in both directions; whether there were any."""
        agent = self.agents[name]
        said = agent.output(self.now)
        if said:
            self._inputs.append(fx.Heard(name, self._cut(name, said)))
        return bool(said) | self._flush(name)

    def _flush(self, name: str) -> bool:
        instance = self.bridge.instances.get(name)
        if instance is None or self.streams.get(name) != "open":
            return False
        told = instance.mail.link.output(self.now)
        if told:
            self.agents[name].hear(self._cut(name, told), self.now)
        return bool(told)

    def _cut(self, name: str, data: bytes) -> bytes:
        if name not in self.cuts:
            return data
        self.cuts[name] -= len(data)
        if self.cuts[name] > 0:
            return data
        self._inputs.append(fx.Closed(name, "the stream broke"))
        self.streams[name] = "broken"
        return data[: self.cuts.pop(name) + len(data)]

    def mend(self, name: str) -> None:
        """A broken stream is there again, with the same agent."""
        if self.streams.get(name) == "broken":
            self._meet(name)
        self.run()

    def _meet(self, name: str) -> None:
        self.streams[name] = "open"
        self.agents[name].link.connect(self.now, WINDOW)
        self._inputs.append(fx.Opened(name, WINDOW))

    def _lose_agent(self, name: str) -> None:
        agent = self.agents.pop(name, None)
        if agent:
            agent.kill_program()
        if self.streams.get(name) in ("open", "broken"):
            self.streams[name] = "listening"
            self._inputs.append(fx.Closed(name, "the agent is gone"))

    # Effects.

    def _perform(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            if isinstance(effect, fx.Save):
                self.disk.save(effect)
        if not self.before_acts():
            self.kill()
        for effect in effects:
            if self._bridge and not isinstance(effect, fx.Save):
                self._check_saved(effect)
                self._do(effect)

    def _do(self, effect: fx.Act) -> None:
        match effect:
            case fx.Commit(name, seq):
                self.instance(name).mail.link.commit(seq)
            case fx.Flush(name):
                self._flush(name)
            case fx.Reply(client) | fx.ReplyStatus(client) | fx.Fail(client) | fx.Follow(client):
                self.answers.setdefault(client, []).append(effect)
            case fx.FollowLogs(client) | fx.Recall(client) | fx.RecallHistory(client):
                self.answers.setdefault(client, []).append(effect)
            case fx.OpenStream(spec):
                self._open(spec.name)
            case fx.CloseStream(name):
                self.streams.pop(name, None)
                if name in self.agents:
                    self.agents[name].link.disconnect()
            case fx.Launch() | fx.Halt() | fx.Remove() | fx.Probe():
                self.actions.append(effect)
            case fx.Exit():
                self.exited = effect
            case fx.KeepEnv() | fx.Say() | fx.WatchEngine():
                pass
            case fx.Survey() | fx.Examine():
                pass  # Answered by the test.

    def _open(self, name: str) -> None:
        self.streams[name] = "listening"
        if name in self.stream_faults:
            self._inputs.append(self.stream_faults[name])
        elif name in self.agents:
            self._meet(name)
        else:
            self._inputs.append(fx.Closed(name, ""))

    def _do_action(self, effect: Effect) -> None:
        match effect:
            case fx.Probe(token, specs):
                facts: Json = {"docker_daemon": [True, "no instance needs it"], "store": [True, "writable"]}
                facts["fifo_pipes"] = {spec.name: self.pipes.get(spec.name, [True, "there"]) for spec in specs}
                boxes = [spec.name for spec in specs if spec.runtime == "docker"]
                facts["container"] = {name: self.containers.get(name, [True, "running"]) for name in boxes}
                self._inputs.append(fx.RuntimeDone(token, "probe", None, facts))
            case fx.Launch(spec):
                self._done(spec.name, "launch", self._launch)
            case fx.Halt(spec):
                self._done(spec.name, "halt", self._halt)
            case fx.Remove(spec):
                self._done(spec.name, "remove", self._remove)

    def _done(self, name: str, action: str, do: Callable[[str], Json]) -> None:
        fault = self.faults.get((name, action))
        facts = {} if fault else do(name)
        self._inputs.append(fx.RuntimeDone(name, action, fault, facts))

    def _launch(self, name: str) -> Json:
        if name not in self.agents:
            self.start_agent(name)
        return {"pid": 40 + self.homes[name].epoch}

    def _halt(self, name: str) -> Json:
        if name in self.agents:
            self.agents[name].end()
            self.run()
            self._lose_agent(name)
        return {}

    def _remove(self, name: str) -> Json:
        self._halt(name)
        self.homes.pop(name, None)
        return {}

    def _check_saved(self, effect: Effect) -> None:
        """Nothing that others see may run ahead of what a next life of the daemon would know."""
        disk = self.disk
        match effect:
            case fx.Commit(name, seq):
                assert disk.links[name].committed >= seq
            case fx.Flush(name):
                link = self.instance(name).mail.link
                state = disk.links.get(name, LinkState())
                assert dict(link.held) == disk.outbox.get(name, {})
                assert link.state._replace(committed=0) == state._replace(committed=0)
                assert link.state.committed <= state.committed
            case fx.Follow(_, _, request) | fx.Recall(_, request) if request:
                assert request in disk.requests
            case fx.Launch(spec) | fx.Halt(spec) | fx.Remove(spec):
                assert json.loads(disk.instances[spec.name])["spec"] == json.loads(json.dumps(spec.body()))
            case _:
                pass
