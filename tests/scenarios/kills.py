"""The real Claude Code killed again and again, in the first moments of turns whose tool appends to a file.

    python -m tests.scenarios.kills --kills 300

What must be true: no line twice, no line of a request that is not ``succeeded`` or ``uncertain``, no request without an
outcome, and no prompt that reached the model more than once.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.fakes.messages_endpoint import Endpoint, serve
from tests.scenarios.real_kit import CLAUDE, Real, new_key, tool, variables
from tests.scenarios.rig import CONFIG, Rig, running

WINDOW = 0.4
"""Seconds of a turn in which it is killed."""
FAST = (
    CONFIG
    + """max_consecutive_failures = 1000
[approvals]
default = "allow"
[session]
max_history = 100000
"""
)


class Tally(NamedTuple):
    """How the requests ended; of these, how many had run their tool; prompts that were delivered more than once."""

    states: Counter[str]
    ran: int
    repeats: int


def add(rig: Rig, endpoint: Endpoint) -> Real:
    """An instance on this host, in the rig's directory."""
    key = new_key()
    where = ["--process", "--workdir", str(rig.directory), "--env", f"HOME={rig.directory}", "--env", "IS_SANDBOX=1"]
    rig.said("add", "web", *where, *variables(endpoint.url, key), "--program", str(CLAUDE))
    return Real(rig, endpoint, "web", key, str(rig.directory))


def torment(web: Real, kills: int, seed: int) -> Tally:
    """One request per kill. Raises AssertionError with the seed."""
    dice = random.Random(seed)
    file = Path(web.directory) / "ran"
    ids = []
    for number in range(kills):
        id_ = f"k{seed}-{number}"
        ids.append(id_)
        web.rig.said("send", "web", f"{tool(f'echo {id_} >> {file}')} {id_}", "--id", id_, "--no-wait")
        time.sleep(dice.uniform(0, WINDOW))
        for process in web.programs():
            process.kill()
        web.rig.ctl("wait", id_)
    return _checked(web, ids, file, f"seed {seed}")


def _checked(web: Real, ids: list[str], file: Path, seed: str) -> Tally:
    lines = Counter(file.read_text().split()) if file.exists() else Counter()
    history = {row["id"]: row for row in web.rig.json("history", "web", "-n", "100000")}
    assert set(history) >= set(ids), f"{seed}: lost: {set(ids) - set(history)}"
    states = {id_: history[id_]["state"] for id_ in ids}
    assert set(states.values()) <= {"succeeded", "uncertain", "failed"}, f"{seed}: {states}"
    assert max(lines.values(), default=0) <= 1, f"{seed}: twice: {lines.most_common(3)}"
    ran = {id_ for id_ in lines if states[id_] not in ("succeeded", "uncertain")}
    assert not ran, f"{seed}: ran, and are said not to have: {ran}"
    unrun = {id_ for id_, state in states.items() if state == "succeeded" and id_ not in lines}
    assert not unrun, f"{seed}: succeeded, and never ran: {unrun}"
    asked = Counter(request["text"].split()[-1] for request in web.endpoint.requests() if not request["tool_results"])
    often = {id_: asked[id_] for id_ in ids if asked[id_] > 1}
    assert not often, f"{seed}: reached the model more than once: {often}"
    repeats = sum(history[id_]["result"]["attempts"] > 1 for id_ in ids)
    return Tally(Counter(states.values()), len(lines), repeats)


def run(kills: int, seed: int) -> Tally:
    with running(FAST) as rig, serve() as endpoint:
        return torment(add(rig, endpoint), kills, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    tally = run(given.kills, given.seed)
    print(json.dumps({**tally._asdict(), "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
