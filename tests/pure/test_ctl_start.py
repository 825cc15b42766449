"""What a call loads: time to start is most of what a short call costs."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"json", "re", "typing", "collections", "enum", "functools", "subprocess", "signal", "argparse", "dataclasses"}


@pytest.mark.parametrize("verb", ["views", "requests"])
def test_the_hot_path_loads_nothing_heavy(verb: str) -> None:
    script = f"import sys, ccbridgectl.__main__, ccbridgectl.client, ccbridgectl.verbs.{verb}; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert HEAVY & set(done.stdout.split()) == set()
