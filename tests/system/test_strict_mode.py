"""The tests' own strictness: what CI makes of a skip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SKIPS = {
    "one test": "import pytest\ndef test_a():\n    pass\ndef test_b():\n    pytest.skip('no engine')\n",
    "a module": "import pytest\npytest.skip('no engine', allow_module_level=True)\n",
}


def run(file: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | environ
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(file)]
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("skip", SKIPS)
def test_a_skip_fails_the_run_in_ci_and_is_named(tmp_path: Path, skip: str) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPS[skip])
    strict = run(file, CI="true")
    assert strict.returncode == 1
    assert "test_skipping.py" in strict.stdout.split("skipped, which is a failure")[1]


def test_a_skip_is_only_told_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPS["one test"])
    assert run(file).returncode == 0


def test_without_skips_ci_is_content(tmp_path: Path) -> None:
    file = tmp_path / "test_passing.py"
    file.write_text("def test_a():\n    pass\n")
    assert run(file, CI="true").returncode == 0
