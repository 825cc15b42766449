"""The one question to a place's shell, asked of this host's own; and answers that no honest place would give."""

from __future__ import annotations

import ast
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ccbridged.model.effects import Spec
from ccbridged.model.sighting import Inside
from ccbridged.system import agentpack
from ccbridged.system.runtimes import glance, here

CLAUDE = """#!/bin/sh
echo "$@" >> {record}
case $* in
--version) echo "2.1.329 (Claude Code)" ;;
"auth status --help") echo "Usage: {usage}" ;;
"auth status") printf '{{\\n  "loggedIn": %s,\\n  "authMethod": "x"\\n}}\\n' "${{LOGGED_IN:-false}}"; exit 1 ;;
*) exit 3 ;;
esac
"""


PARTIAL = """#!{python}
import sys
code, sys.argv = sys.argv[3], sys.argv[3:]
sys.modules["json"] = None
exec(code)
"""


class Host:
    """A PATH with this host's commands and a ``claude`` of ours before them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = directory / "record"
        self.environ = {"PATH": f"{directory}/bin:{os.environ['PATH']}", "HOME": str(directory)}
        (directory / "bin").mkdir()

    def install(self, name: str, text: str) -> None:
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def claude(self, usage: str = "claude auth status [options]") -> None:
        self.install("claude", CLAUDE.format(record=self.record, usage=usage))

    def look(self, *, login: bool = False, program: str = "claude", **more: str) -> Inside:
        spec = Spec("web", "process", program=(program,), workdir=str(self.directory))
        place = here.place(spec, self.environ, more, login=login)
        assert not place.fault
        return place.inside

    def asked(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_there_is_seen(host: Host) -> None:
    host.claude()
    inside = host.look()
    assert (inside.fault, inside.uid, inside.home) == ("", os.getuid(), str(host.directory))
    assert (inside.program, inside.claude) == (f"{host.directory}/bin/claude", "2.1.329")
    assert inside.python.startswith("3.")
    assert (inside.missing, inside.ahead, inside.login) == ((), 0.0, "")
    assert inside.free is not None
    disk = os.statvfs(host.directory)
    assert abs(inside.free - disk.f_bavail * disk.f_frsize) < 1 << 30
    assert host.asked() == ["--version"]


@pytest.mark.parametrize(("answer", "login"), [("true", "yes"), ("false", "no")])
def test_claude_code_is_asked_for_its_login_with_the_instance_s_own_variables(
    host: Host, answer: str, login: str
) -> None:
    host.claude()
    assert host.look(login=True, LOGGED_IN=answer).login == login
    assert host.asked() == ["--version", "auth status --help", "auth status"]


def test_one_that_has_no_such_question_is_not_asked_it(host: Host) -> None:
    """It would take the words for a prompt."""
    host.claude(usage="claude [options] [prompt]")
    assert host.look(login=True).login == ""
    assert host.asked() == ["--version", "auth status --help"]


def test_a_program_that_is_not_there_is_not_there(host: Host) -> None:
    assert host.look(program="no-such-program").program == ""
    assert host.look(program="export").program == "", "what only the shell knows is no program"
    assert host.look(program=sys.executable).program == sys.executable


def test_a_python_that_is_not_whole_is_told_with_what_it_lacks(host: Host) -> None:
    host.install("python3", PARTIAL.format(python=sys.executable))
    assert host.look().missing == ("json",)
    host.install("python3", "#!/bin/sh\nexit 1\n")
    assert host.look().python == ""


def test_a_program_that_hangs_costs_only_so_much(host: Host) -> None:
    host.install("claude", "#!/bin/sh\nsleep 60\n")
    before = time.monotonic()
    inside = host.look()
    assert (inside.program, inside.claude) == (f"{host.directory}/bin/claude", "")
    assert time.monotonic() - before < here.WITHIN


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    spec = Spec("web", "process", workdir=str(tmp_path / "none"))
    assert here.place(spec, dict(os.environ), {}, login=False).fault == "there is no such directory"


def test_the_agent_uses_no_module_that_is_not_looked_for(tmp_path: Path) -> None:
    used: set[str] = set()
    with zipfile.ZipFile(agentpack.pack(str(tmp_path)).path) as archive:
        for name in archive.namelist():
            for node in ast.walk(ast.parse(archive.read(name))):
                match node:
                    case ast.Import(names):
                        used |= {alias.name.partition(".")[0] for alias in names}
                    case ast.ImportFrom(module=str(module)):
                        used.add(module.partition(".")[0])
    assert used - {"agent", "ccbridged", "__future__"} <= set(glance.MODULES.split())


# Answers.


def read(*lines: str) -> Inside:
    return glance.inside(glance.read("\n".join(lines)), 0.1)


def test_an_answer_without_its_end_is_none() -> None:
    assert read("ccbridge uid 0").fault == read().fault == "its shell did not answer what it was asked"


@pytest.mark.parametrize(
    "line",
    ["uid -1", "uid ²", "uid 9999999999999999999", "clock now", "free x", "free a b c d e f", "python", "login {", ""],
)
def test_nonsense_is_nothing(line: str) -> None:
    assert read(f"ccbridge {line}", "ccbridge end .") == Inside()


def test_a_value_is_short_and_said_once() -> None:
    inside = read("ccbridge home /a", "ccbridge home /b", "noise", f"ccbridge claude {'x' * 10_000}", "ccbridge end .")
    assert (inside.home, len(inside.claude)) == ("/a", 300)


def test_a_clock_is_ahead_or_behind_by_what_cannot_be_explained() -> None:
    now = int(time.time())
    for told, least, most in ((now, 0, 0), (now + 60, 55, 60), (now - 60, -60, -55)):
        ahead = read(f"ccbridge clock {told}", "ccbridge end .").ahead
        assert ahead is not None
        assert least <= ahead <= most


def test_of_the_link_directory_the_inode_is_told() -> None:
    assert glance.inode(glance.read("ccbridge link  1234 /run/ccbridge/link")) == 1234
    assert glance.inode({}) == glance.inode({"link": "x"}) == 0
