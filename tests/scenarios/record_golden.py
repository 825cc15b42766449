"""Records what a state directory of the present version looks like, for all later versions to be tested with:

    python -m tests.scenarios.record_golden

To be run for a new version of the database or of the agent's journal, never again for an old one.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from agent.records import FORMAT
from ccbridged.system.storefile import VERSION
from tests.scenarios.breaking import agent_dir, kill_agent
from tests.scenarios.rig import STANDIN, Rig, running

GOLDEN = Path(__file__).parent / "golden"


def main() -> None:
    """One request is done, of one the agent alone has the outcome, one waits; daemon and agent were killed."""
    GOLDEN.mkdir(exist_ok=True)
    with running() as rig:
        rig.add("web")
        rig.said("send", "web", "done", "--id", "done")
        rig.said("send", "web", "[[slow 1]] held", "--id", "held", "--no-wait")
        rig.said("send", "web", "waited", "--id", "waited", "--no-wait")
        rig.until(lambda: len(rig.ran()) == 2, "its start")
        rig.kill()
        rig.daemon = None
        journal = agent_dir(rig, "web") / "journal"
        rig.until(lambda: journal.read_bytes().count(b"total_cost_usd") == 2, "the outcome")
        time.sleep(1)  # Its last frames.
        kill_agent(rig, "web")
        (GOLDEN / f"journal-{FORMAT}").write_bytes(journal.read_bytes())
        (GOLDEN / f"database-{VERSION}.sql").write_text(dumped(rig))


def dumped(rig: Rig) -> str:
    """The database as SQL, without the places of this machine."""
    with closing(sqlite3.connect(rig.state_dir / "ccbridged.db")) as database:
        lines = list(database.iterdump())
        for name in ("application_id", "user_version"):
            (value,) = database.execute(f"PRAGMA {name}").fetchone()
            lines.append(f"PRAGMA {name} = {value};")
    text = "\n".join(lines) + "\n"
    for place, name in ((str(STANDIN), "{standin}"), (sys.executable, "{python}"), (str(rig.directory), "{directory}")):
        text = text.replace(place, name)
    return text


if __name__ == "__main__":
    main()
