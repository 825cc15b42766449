"""The configuration file: faults with their lines, and what the command line makes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import configfile


def faults(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(BridgeError) as caught:
        configfile.load(str(path))
    assert caught.value.exit_status == 78
    return [line.removeprefix(f"{path}:") for line in caught.value.message.splitlines()]


def daemon(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ccbridged", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    text = """# a comment = 1
[health]
check_interval = "x"   # [not.a.table]

[ instances . "web" ]
runtime = "process"
env = {A = 1}
[instances.api]
[approvals]
rules = [
  {tool = "Bash", action = "allow"},
  {tool = "Bash", action = "permit"},
]
"""
    found = faults(tmp_path / "c.toml", text)
    assert [line.split(": ")[:2] for line in found] == [
        ["3", "health.check_interval"],
        ["7", "instances.web.env.A"],
        ["8", "instances.api"],
        ["10", "approvals.rules[1].action"],
    ]


def test_a_dotted_key_has_its_line(tmp_path: Path) -> None:
    [line] = faults(tmp_path / "c.toml", "\nhealth.check_interval = 0\n")
    assert line.startswith("2: health.check_interval: 0 is out of bounds;")


def test_a_group_that_does_not_exist_is_named_among_the_other_faults(tmp_path: Path) -> None:
    found = faults(tmp_path / "c.toml", '[pipes]\ngroup = "no-such-group"\nwarn_age = -1\n')
    assert [line.split(":")[0] for line in found] == ["2", "3"]
    assert 'there is no group "no-such-group"' in found[0]


@pytest.mark.parametrize(("text", "line"), [("x\n", "1"), ("[a]\nb = \n", "2"), ("[a]\nb = [1,\n\n", "4")])
def test_broken_toml_is_named_with_its_line(tmp_path: Path, text: str, line: str) -> None:
    [found] = faults(tmp_path / "c.toml", text)
    assert found.split(":")[0] == line
    assert "mend the TOML" in found


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"[daemon]\n\xff")
    with pytest.raises(BridgeError, match="not UTF-8 at byte 9"):
        configfile.load(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match=r"No such file.*--config"):
        configfile.load(str(tmp_path / "c.toml"))


@pytest.mark.parametrize("kind", ["FIFO", "/dev/zero"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = "/dev/zero" if kind != "FIFO" else str(tmp_path / "c.toml")
    if kind == "FIFO":
        os.mkfifo(path)
    done = daemon("--check-config", "--config", path)
    assert (done.returncode, done.stderr) == (78, f"{path}: is no regular file; give a file with --config\n")


def test_a_directory_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="Is a directory; give an existing file with --config") as caught:
        configfile.load(str(tmp_path))
    assert "make it readable" not in caught.value.message


def test_check_config_prints_every_fault_and_exits_78(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[daemon]\nlog_level = 1\n[session]\nmax_queue = 0\n")
    done = daemon("--check-config", "--config", str(path))
    assert done.returncode == 78
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{path}:2", f"{path}:4"]


def test_the_printed_sample_passes_the_check(tmp_path: Path) -> None:
    printed = daemon("--print-config")
    path = tmp_path / "c.toml"
    path.write_text(printed.stdout)
    done = daemon("--check-config", "--config", str(path))
    assert (printed.returncode, done.returncode, done.stderr) == (0, 0, "")


def test_version_and_wrong_usage() -> None:
    assert daemon("--version").stdout.startswith("ccbridged 0.")
    for wrong in ((), ("--foreground", "--detach"), ("--foreground", "--bogus"), ("--foreground", "--state-dir", "")):
        done = daemon(*wrong)
        assert done.returncode == 2
        assert "usage:" in done.stderr
