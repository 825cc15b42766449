"""Requests stream in while everything is killed, stopped and restarted at random; then the books are checked.

    python -m tests.scenarios.torture --seconds 3600 --seed 7         an hour; the seed of a failure replays its plan

What must be true at the end: every request that was accepted has one final state and the client that waited for it was
told the same; the program's own record shows each prompt at most once, and exactly once where it succeeded, unless it
asked to be repeated; the event log that was followed all the time has no gap and no repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.scenarios.rig import STANDIN, Rig, running

CONFIG = """
[health]
recovery_delay = 0.05
max_consecutive_failures = 1000
[session]
max_history = 100000
max_queue = 1000
[approvals]
default = "allow"
"""
PROMPTS = ("{}", "{} [[slow 0.05]]", "{} [[delta 5 20 20]]", '{} [[tool Read {{"file_path": "/etc/hostname"}}]]')
SETTLE = 120.0
FINAL = {"succeeded", "failed", "cancelled", "timed_out", "uncertain"}
VICTIMS = ("program", "program", "program", "agent", "agent", "daemon", "daemon", "client")
IMAGE = os.environ.get("CCBRIDGE_TEST_IMAGE", "ccbridge/claude:test")


@dataclass
class Sent:
    """A request, and what its client was told of its end ("" if the client did not live to hear it)."""

    id: str
    repeat: bool
    told: str = ""
    error: str = ""
    accepted: bool = False


@dataclass
class Books:
    """What happened, for the check at the end."""

    sent: dict[str, Sent] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    clients: list[subprocess.Popen[bytes]] = field(default_factory=list)


class Torture:
    """``containers``: those of the instances that are in one, made by the daemon."""

    def __init__(self, rig: Rig, seed: int, instances: list[str], containers: list[str]) -> None:
        self.rig = rig
        self.seed = seed
        self.instances = instances
        self.containers = containers
        self.books = Books()
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, *, seconds: float, kills: int) -> None:
        """Until both so much time has passed and so many have been killed."""
        follower = self.rig.begin("events", "-f", "--json")
        followed: list[int] = []
        threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(3)]
        threads.append(threading.Thread(target=_follow, args=(follower, followed), daemon=True))
        for thread in threads:
            thread.start()
        # A client that has once been served waits for a daemon that is away; one that has not says so and ends.
        self.rig.until(lambda: followed, "the first event")
        self._chaos(seconds, kills)
        self._stop.set()
        for thread in threads[:-1]:
            thread.join()
        states = self._settled()
        self._check(states)
        self._check_events(follower, threads[-1], followed)

    def _chaos(self, seconds: float, kills: int) -> None:
        dice = random.Random(self.seed)
        until = time.monotonic() + seconds
        while time.monotonic() < until or self.books.deaths.total() < kills:
            time.sleep(dice.uniform(0.01, 0.3))
            victim, freeze, pause = dice.choice(VICTIMS), dice.random() < 0.25, dice.uniform(0.0, 0.3)
            self._strike(victim, dice.random(), pause if freeze else 0.0)
            if victim == "daemon" and not freeze:
                time.sleep(pause)
                self.rig.start()

    def _strike(self, victim: str, which: float, freeze: float) -> None:
        """Kill it, or stop it for ``freeze`` seconds."""
        if victim == "daemon":
            assert self.rig.daemon
            targets = [self.rig.daemon.pid]
        elif victim == "client":
            with self._lock:
                targets = [client.pid for client in self.books.clients if client.poll() is None]
        else:
            targets = self._targets(victim)
        if not targets:
            return
        pid = targets[int(which * len(targets))]
        try:
            os.kill(pid, signal.SIGSTOP if freeze else signal.SIGKILL)
            if freeze:
                time.sleep(freeze)
                os.kill(pid, signal.SIGCONT)
            elif victim == "daemon":
                assert self.rig.daemon
                self.rig.daemon.wait()
        except ProcessLookupError:
            return
        self.books.deaths[f"{victim} stopped" if freeze else victim] += not freeze

    def _targets(self, victim: str) -> list[int]:
        """Pids of the agents, or of what is below them."""
        try:
            agents = [*self.rig.agents(), *map(psutil.Process, self._first_processes())]
            if victim == "agent":
                return [agent.pid for agent in agents]
            below = [child for agent in agents for child in agent.children(recursive=True)]
            return [child.pid for child in below if any("claude.py" in word for word in child.cmdline())]
        except psutil.Error:
            return []

    def _first_processes(self) -> list[int]:
        """Of the containers that run: the agents there."""
        names = [f"ccbridge-{name}" for name in self.containers]
        states = [_docker("inspect", "-f", "{{.State.Pid}}", name) for name in names]
        return [int(pid) for pid in states if pid not in ("", "0")]

    def _client(self, number: int) -> None:
        dice = random.Random(self.seed * 1000 + number)
        count = 0
        while not self._stop.is_set():
            count += 1
            self._request(Sent(f"c{number}-{count}", dice.random() < 0.1), dice)

    def _request(self, sent: Sent, dice: random.Random) -> None:
        prompt = dice.choice(PROMPTS).format(sent.id)
        flags = ["--retry-uncertain"] if sent.repeat else []
        argv = ["send", dice.choice(self.instances), prompt, "--id", sent.id, "--json", *flags]
        with self._lock:
            self.books.sent[sent.id] = sent
            client = self.rig.begin(*argv)
            self.books.clients = [c for c in self.books.clients if c.poll() is None] + [client]
        if dice.random() < 0.1:
            time.sleep(dice.uniform(0, 0.1))
            self.rig.ctl("cancel", sent.id)
        out, _ = client.communicate()
        lines = [json.loads(line) for line in out.splitlines() if line.endswith(b"}")]
        sent.accepted = any("type" in line for line in lines)
        sent.told = next((line["state"] for line in lines if line.get("type") == "result"), "")
        sent.error = next((line["error"]["code"] for line in lines if "type" not in line), "")

    def _settled(self) -> dict[str, dict[str, Any]]:
        """Id -> what the history says of it, once all is final."""
        deadline = time.monotonic() + SETTLE
        while True:
            rows = [row for name in self.instances for row in self.rig.json("history", name, "-n", "100000")]
            if all(row["state"] in FINAL for row in rows):
                return {row["id"]: row for row in rows}
            assert time.monotonic() < deadline, self._failure("not settled", self.rig.said("list"))
            time.sleep(0.2)

    def _check(self, states: dict[str, dict[str, Any]]) -> None:
        ran = Counter(prompt.split()[0] for prompt in self.rig.ran())
        for sent in self.books.sent.values():
            state = states[sent.id]["state"] if sent.id in states else ""
            assert sent.error in ("", "no-daemon"), self._failure("refused", sent)
            assert state or not sent.accepted, self._failure("lost", sent)
            assert not sent.told or state == sent.told, self._failure(f"told {sent.told}, is {state}", sent)
            assert ran[sent.id] <= 1 or sent.repeat, self._failure(f"ran {ran[sent.id]} times", sent)
            assert ran[sent.id] >= 1 or state != "succeeded", self._failure("succeeded and never ran", sent)
        assert not set(ran) - set(states), self._failure("ran and is not known", set(ran) - set(states))

    def _check_events(self, follower: subprocess.Popen[bytes], reader: threading.Thread, followed: list[int]) -> None:
        all_ = [json.loads(line)["seq"] for line in self.rig.said("events", "--json").splitlines()]
        self.rig.until(lambda: followed and followed[-1] >= all_[-1], "the follower's end")
        follower.kill()
        reader.join()
        assert all_ == list(range(1, all_[-1] + 1)), self._failure("the log has a gap", "")
        assert followed[: len(all_)] == all_, self._failure("the follower missed or repeated", "")

    def _failure(self, what: str, whom: object) -> str:
        killed, log = dict(self.books.deaths), self.rig.log.read_text()[-3000:]
        story = ""
        if isinstance(whom, Sent):
            all_ = self.rig.said("events", "--json").splitlines()
            mine = [f"{line[:400]}" for line in all_ if f'"{whom.id}"' in line]
            runs = [line for line in self.rig.record.read_text().splitlines() if f'"{whom.id} ' in line]
            story = "\n".join(["", *mine, *runs])
        return f"seed {self.seed}: {what}: {whom}{story}\nkilled {killed}; log:\n{log}"


def _follow(follower: subprocess.Popen[bytes], seqs: list[int]) -> None:
    assert follower.stdout
    for line in follower.stdout:
        seqs.append(json.loads(line)["seq"])


def processes(seed: int, *, seconds: float, kills: int) -> Books:
    """Two instances on this host."""
    with running(CONFIG) as rig:
        rig.add("web")
        rig.add("api")
        torture = Torture(rig, seed, ["web", "api"], [])
        torture.run(seconds=seconds, kills=kills)
        return torture.books


def containers(seed: int, *, seconds: float, kills: int) -> Books:
    """One instance on this host, and one in a container; there a killed agent is a killed container."""
    name = f"torture-{os.urandom(4).hex()}"
    with running(CONFIG) as rig:
        try:
            rig.add("web")
            rig.record.touch()
            rig.record.chmod(0o666)
            mounts = ["--volume", f"{STANDIN.parent}:/standin:ro", "--volume", f"{rig.record}:/record"]
            program = ["--program", "python3", "/standin/claude.py"]
            rig.said("add", name, "--image", IMAGE, *mounts, "--env", "CCBRIDGE_STANDIN_RECORD=/record", *program)
            torture = Torture(rig, seed, ["web", name], [name])
            torture.run(seconds=seconds, kills=kills)
            return torture.books
        finally:
            rig.kill()
            _docker("rm", "-fv", f"ccbridge-{name}")


def _docker(*argv: str) -> str:
    """What it prints; "" where it fails, as it does for a container that is just coming or going."""
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--docker", action="store_true", help="one of the two instances is in a container")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    books = (containers if given.docker else processes)(given.seed, seconds=given.seconds, kills=given.kills)
    outcomes = Counter(sent.told or "not heard" for sent in books.sent.values())
    print(f"{len(books.sent)} requests: {dict(outcomes)}; killed: {dict(+books.deaths)}")


if __name__ == "__main__":
    main()
