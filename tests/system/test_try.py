"""The demo: what it shows is true, what cannot work is explained, and nothing of it stays on the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.fakes.messages_endpoint import serve

ROOT = Path(__file__).parents[2]
TRY = str(ROOT / "packaging" / "try")
CLAUDE = Path(os.environ.get("CCBRIDGE_TEST_CLAUDE", "/var/cache/ccbridge-tests/bin/claude"))
PATIENCE = 240.0
"""Seconds: an installation from a package index is part of it."""

CANNOT_ANSWER = "#!/bin/sh\necho 'Invalid API key: please run /login' >&2\nexit 1\n"
NEVER_ASKED = "#!/bin/sh\ntouch {witness}\n"


class Machine:
    """``tools``: first on the PATH. ``temporary``, ``home``: where something could be left."""

    def __init__(self, directory: Path) -> None:
        self.tools, self.temporary, self.home = (directory / name for name in ("bin", "tmp", "home"))
        for path in (self.tools, self.temporary, self.home):
            path.mkdir()
        self.tool("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')

    def tool(self, name: str, script: str) -> None:
        path = self.tools / name
        path.write_text(script)
        path.chmod(0o755)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "http"))}
        places = {"PATH": f"{self.tools}:/usr/bin:/bin", "TMPDIR": str(self.temporary), "HOME": str(self.home)}
        return {**kept, **places, **more}

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        """From start to end."""
        with self.started(*argv, **more) as demo:
            out, err = demo.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(argv, demo.returncode, out, err)

    @contextmanager
    def started(self, *argv: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """In a process group of its own, as from a terminal."""
        pipe = subprocess.PIPE
        env = self.environment(more)
        with subprocess.Popen(
            [TRY, *argv], env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        ) as demo:
            try:
                yield demo
            finally:
                if demo.poll() is None:
                    os.killpg(demo.pid, signal.SIGKILL)

    def left(self) -> list[object]:
        """Files and processes that stayed."""
        processes = [
            process.info["cmdline"]
            for process in psutil.process_iter(["cmdline"])
            if any(str(self.temporary) in word for word in process.info["cmdline"] or ())
        ]
        return [*processes, *self.temporary.iterdir()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def read_until(demo: subprocess.Popen[str], end: str) -> str:
    assert demo.stdout
    said = ""
    deadline = time.monotonic() + PATIENCE
    while end not in said:
        assert time.monotonic() < deadline
        line = demo.stdout.readline()
        assert line, f"it ended: {said}{demo.stderr.read() if demo.stderr else ''}"
        said += line
    return said


def test_the_demo_shows_two_answers_and_takes_everything_away(machine: Machine, tmp_path: Path) -> None:
    witness = tmp_path / "asked"
    machine.tool("claude", NEVER_ASKED.format(witness=witness))
    done = machine.run("--standin")
    assert done.returncode == 0, done
    assert "the stand-in, not Claude Code (as you asked)" in done.stdout
    assert "\necho: This prompt comes back word by word." in done.stdout
    assert "\necho: This answer arrives although its daemon was killed." in done.stdout
    assert "ccbridged went away" in done.stderr, "the daemon was not killed during the answer"
    assert "\ndemo  ready" in done.stdout.partition("ccbridgectl list")[2]
    assert "transport  fifo" in done.stdout.partition("ccbridgectl status demo")[2]
    assert not witness.exists()
    assert machine.left() == []
    assert list(machine.home.iterdir()) == []


def test_a_claude_that_cannot_answer_is_named_and_ctrl_c_leaves_nothing(machine: Machine) -> None:
    machine.tool("claude", CANNOT_ANSWER)
    with machine.started() as demo:
        said = read_until(demo, "Another one,")
        assert f"{machine.tools}/claude does not answer; it says: Invalid API key: please run /login" in said
        os.killpg(demo.pid, signal.SIGINT)
        _, err = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, err.splitlines()[-1]) == (130, "try: stopped; all of it is taken away again")
    assert machine.left() == []


def test_the_real_claude_is_preferred_and_its_notes_are_taken_away_too(machine: Machine) -> None:
    if not CLAUDE.exists():
        pytest.skip("no real Claude Code: run `sudo tests/provision`")
    machine.tool("claude", f'#!/bin/sh\nexec {CLAUDE.resolve()} "$@"\n')
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "ANTHROPIC_API_KEY": "dummy"}
    with serve() as endpoint:
        done = machine.run(ANTHROPIC_BASE_URL=endpoint.url, **quiet)
        asked = {request["text"] for request in endpoint.requests()}
    assert done.returncode == 0, done
    assert f"your own Claude Code, {machine.tools}/claude" in done.stdout
    assert "\necho: In one sentence: what is a named pipe?" in done.stdout
    assert "Answer with the one word: ready" in asked
    assert machine.left() == []
    assert list((machine.home / ".claude" / "projects").iterdir()) == []


def test_without_a_package_index_it_says_what_to_do_and_leaves_nothing(machine: Machine) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0"}
    done = machine.run("--standin", **nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="")
    assert done.returncode == 1
    assert "pip cannot install the checkout" in done.stderr
    assert "PIP_INDEX_URL to a mirror" in done.stderr
    assert machine.left() == []


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("#!/bin/sh\nexit 1\n", "there is no python3 on the PATH; ccbridged needs Python 3.10 or newer"),
        ('#!/bin/sh\ncase "$2" in *print*) echo 3.9;; *) exit 1;; esac\n', "is Python 3.9; ccbridged needs"),
        ('#!/bin/sh\ncase "$2" in *print*) echo 3.12;; *ensure*) exit 1;; esac\n', "(Python 3.12) has no venv module"),
    ],
)
def test_a_python_that_will_not_do_is_refused_with_a_remedy(machine: Machine, python: str, said: str) -> None:
    machine.tool("python", python)
    done = machine.run(PYTHON=str(machine.tools / "python"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "sudo apt install python3" in done.stderr
    assert machine.left() == []


def test_the_demo_runs_with_the_tools_of_a_slim_image(machine: Machine) -> None:
    """No ps, no awk, no git: only what POSIX and coreutils have."""
    shutil.rmtree(machine.home)
    for tool in ("sh", "dirname", "mktemp", "mkdir", "rm", "cp", "cat", "sleep", "kill", "tail", "tr"):
        found = shutil.which(tool)
        assert found, tool
        (machine.tools / tool).symlink_to(found)
    done = machine.run("--standin", PATH=str(machine.tools))
    assert done.returncode == 0, done
    assert machine.left() == []
