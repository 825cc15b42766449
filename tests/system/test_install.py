"""What pip makes of the project: commands that work, an agent that can be packed, and nothing beside it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from ccbridged.commandline import parse
from ccbridged.model.config import SECTIONS
from ccbridged.protocol.errors import BridgeError
from ccbridged.system import agentpack

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


class Installed:
    """A fresh virtual environment with the project in it; its dependencies are those of these tests."""

    def __init__(self, directory: Path, *what: str) -> None:
        self.directory = directory
        self.bin = directory / "venv" / "bin"
        run(sys.executable, "-m", "venv", str(directory / "venv"))
        borrowed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        (self.packages / "dependencies.pth").write_text("\n".join(dict.fromkeys(borrowed)))
        run(str(self.bin / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-index", *what)

    @property
    def packages(self) -> Path:
        return next(self.bin.parent.glob("lib/python3*/site-packages"))

    def call(self, name: str, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One of the installed commands; neither the checkout nor an earlier installation helps."""
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.directory), **more}
        command = [str(self.bin / name), *argv]
        return subprocess.run(
            command, env=environment, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory))
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"), str(wheel))


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("editable"), "--no-build-isolation", "-e", str(ROOT))


@pytest.fixture(params=["from_wheel", "editable"])
def installed(request: pytest.FixtureRequest) -> Installed:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Installed)
    return found


@pytest.fixture
def served(installed: Installed, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A detached daemon of the installation; what to add to the environment of its clients."""
    (tmp_path / "ccbridged.toml").touch()
    variables = {"CCBRIDGED_RUNTIME_DIR": str(tmp_path / "run")}
    config, state = str(tmp_path / "ccbridged.toml"), str(tmp_path / "state")
    done = installed.call("ccbridged", "--detach", "--config", config, "--state-dir", state, **variables)
    assert done.returncode == 0, done
    yield {**variables, "STATE": state}
    installed.call("ccbridgectl", "remove", "web", "-y", **variables)
    os.kill(int((tmp_path / "state" / "lock").read_text()), signal.SIGTERM)


def test_the_wheel_carries_the_agent_inside_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"ccbridged", "ccbridgectl", "ccbridged-0.1.0.data", "ccbridged-0.1.0.dist-info"}
    carried = {name.rpartition("/")[2] for name in names if name.startswith("ccbridged/agent/")}
    assert carried == {path.name for path in (ROOT / "agent").glob("*.py")}


def test_there_is_no_package_called_agent(from_wheel: Installed) -> None:
    done = from_wheel.call("python", "-c", "import agent")
    assert "No module named 'agent'" in done.stderr
    assert not (from_wheel.packages / "agent").exists()


def test_both_commands_know_their_version(installed: Installed) -> None:
    assert installed.call("ccbridged", "--version").stdout == "ccbridged 0.1.0\n"
    assert installed.call("ccbridgectl", "--version").stdout == "ccbridgectl 0.1.0\n"


def test_exit_statuses_come_through_the_script(installed: Installed) -> None:
    assert installed.call("ccbridgectl", "no-such-verb").returncode == 2
    assert installed.call("ccbridgectl", "status", CCBRIDGED_RUNTIME_DIR="/nonexistent").returncode == 69


def test_all_that_is_printed_arrives_in_a_pipe(installed: Installed) -> None:
    printed = installed.call("ccbridgectl", "completion", "bash").stdout
    assert printed.endswith("\n")
    assert printed == (ROOT / "packaging" / "completions" / "ccbridgectl.bash").read_text()


def test_a_reader_that_leaves_is_no_error_message(installed: Installed) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(installed.bin / "ccbridgectl"), "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_script_loads_nothing_heavy(installed: Installed) -> None:
    script = str(installed.bin / "ccbridgectl")
    done = installed.call("python", "-X", "importtime", script, "status", CCBRIDGED_RUNTIME_DIR="/nonexistent")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ccbridgectl.__main__" in loaded
    assert {"re", "json", "typing", "argparse"} & loaded == set()


def test_an_installed_daemon_packs_its_agent_and_a_prompt_is_answered(
    installed: Installed, served: dict[str, str]
) -> None:
    standin = str(ROOT / "packaging" / "standin" / "claude.py")
    added = installed.call("ccbridgectl", "add", "web", "--process", "--program", "python", standin, **served)
    assert added.returncode == 0, added
    sent = installed.call("ccbridgectl", "send", "web", "hello", **served)
    assert (sent.returncode, sent.stdout) == (0, "echo: hello\n")
    packed = Path(served["STATE"], "agent", agentpack.STABLE)
    assert packed.read_bytes() == agentpack.build(), "the same sources, wherever they are, give the same agent"
    assert (
        hashlib.sha256(packed.read_bytes()).hexdigest()[:12]
        in installed.call("ccbridgectl", "status", "web", **served).stdout
    )


def test_manual_and_completions_are_where_others_look_for_them(from_wheel: Installed) -> None:
    share = from_wheel.bin.parent / "share"
    assert (share / "man" / "man1" / "ccbridgectl.1").exists()
    assert (share / "man" / "man8" / "ccbridged.8").exists()
    assert (share / "systemd" / "user" / "ccbridged.service").exists()
    assert (share / "bash-completion" / "completions" / "ccbridgectl").exists()
    assert (share / "zsh" / "site-functions" / "_ccbridgectl").exists()
    assert (share / "fish" / "vendor_completions.d" / "ccbridgectl.fish").exists()


def test_the_page_of_the_daemon_is_what_its_flags_and_settings_say() -> None:
    command = [sys.executable, str(ROOT / "packaging" / "man" / "page.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    page = ROOT / "packaging" / "man" / "ccbridged.8"
    assert page.read_text() == done.stdout, "run: .venv/bin/python packaging/man/page.py > packaging/man/ccbridged.8"
    assert all(rf"\fB{item.name}\fR" in done.stdout for shape in SECTIONS.values() for item in fields(shape))


@pytest.mark.parametrize("unit", ["ccbridged.service", "user/ccbridged.service"])
def test_systemd_finds_nothing_wrong_with_the_units(unit: str, from_wheel: Installed, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here: run `sudo apt install systemd`")
    text = (ROOT / "packaging" / "systemd" / unit).read_text()
    copy = tmp_path / "ccbridged.service"
    copy.write_text(text.replace("/usr/bin/ccbridged", str(from_wheel.bin / "ccbridged")))
    command = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", ["ccbridged.service", "user/ccbridged.service"])
def test_the_units_let_agents_live_and_give_up_on_what_no_restart_mends(unit: str) -> None:
    lines = (ROOT / "packaging" / "systemd" / unit).read_text().splitlines()
    assert {"Type=notify", "KillMode=process", "Restart=on-failure", "WatchdogSec=30"} <= set(lines)
    given_up = next(line for line in lines if line.startswith("RestartPreventExitStatus="))
    statuses = {BridgeError(code, "").exit_status for code in ("busy", "bad-config")}
    assert set(map(int, given_up.partition("=")[2].split())) == statuses


@pytest.mark.parametrize("unit", ["ccbridged.service", "user/ccbridged.service"])
def test_the_command_of_a_unit_is_one_that_the_daemon_understands(unit: str) -> None:
    text = (ROOT / "packaging" / "systemd" / unit).read_text()
    command = re.findall(r"^ExecStart=(.*)", text, re.MULTILINE)
    (words,) = (line.split() for line in command)
    assert parse(words[words.index("--foreground") :]).action == "foreground"
