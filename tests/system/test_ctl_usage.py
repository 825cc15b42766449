"""Wrong command lines, help, version, completion: everything that needs no daemon."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccbridgectl.publish import papers
from tests.system.ctl_host import ROOT, FakeDaemon, ctl, environment


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("usage") / "run") as running:
        yield running


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> FakeDaemon:
    """A directory in which no daemon is."""
    return FakeDaemon(tmp_path_factory.mktemp("nobody") / "run")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["statsu"], "did you mean 'status'?"),
        (["attach", "web"], "there is no verb 'attach'"),
        (["send", "web", "hello", "--no-wiat"], "did you mean '--no-wait'?"),
        (["send", "web", "hello", "--no-wiat"], "ccbridgectl send --help"),
        (["send", "web", "hello", "--time", "3"], "unknown flag '--time'"),
        (["send", "web", "hello", "--timeout", "soon"], "is not a number of seconds"),
        (["send", "web", "hello", "--timeout"], "--timeout needs a value"),
        (["send", "web", "hello", "--no-wait=1"], "takes no value"),
        (["send"], "send needs NAME"),
        (["history", "web", "-n", "-3"], "is not a whole number"),
        (["add", "x", "--process", "--transport", "pigeon"], "none of auto, fifo"),
        (["list", "surplus"], "does not take 'surplus'"),
        (["-n", "3", "history", "web"], "the flags of a verb go after it"),
        (["list", "--color", "pink"], "none of auto, always, never"),
        (["completion", "tcsh"], "bash, zsh, fish"),
        (["send", "web", "hello", "--id", ""], "an id must not be empty"),
        (["send", "web", "hello", "--id="], "an id must not be empty"),
        (["queue", "web", "--move", "x", "9" * 4000], "is not a place from 0 up"),
        (["queue", "web", "--move", "x", "9" * 5000], "is not a place from 0 up"),
    ],
)
def test_wrong_usage_is_status_2_and_names_what_is_right(nobody: FakeDaemon, argv: list[str], said: str) -> None:
    done = ctl(nobody, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_and_version_need_no_daemon(nobody: FakeDaemon) -> None:
    assert ctl(nobody).stdout == ctl(nobody, "--help").stdout == ctl(nobody, "help").stdout
    assert ctl(nobody, "send", "-h").stdout == ctl(nobody, "help", "send").stdout
    assert "--retry-uncertain" in ctl(nobody, "send", "--help").stdout
    assert ctl(nobody, "--version").stdout.startswith("ccbridgectl ")


def test_every_verb_explains_itself(nobody: FakeDaemon) -> None:
    assert "ccbridgectl ls" not in ctl(nobody, "ls", "--help").stdout
    assert "Also: ls, ps" in ctl(nobody, "ls", "--help").stdout


def test_what_packages_carry_is_what_the_table_says() -> None:
    written = {path: (ROOT / "packaging" / path).read_text() for path in papers()}
    assert written == papers(), "run: python3 -m ccbridgectl.publish packaging"


def test_the_papers_are_written_by_one_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "ccbridgectl.publish", str(tmp_path)], cwd=ROOT, check=True)
    assert {path: (tmp_path / path).read_text() for path in papers()} == papers()


def test_the_man_page_has_no_faults() -> None:
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("man and groff are not installed: apt-get install man-db groff")
    command = ["groff", "-man", "-Tutf8", "-ww", str(ROOT / "packaging/man/ccbridgectl.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def complete(daemon: FakeDaemon, tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    command = tmp_path / "ccbridgectl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ccbridgectl "$@"\n')
    command.chmod(0o755)
    given = " ".join(f"'{word}'" for word in words)
    lines = [
        f"source {ROOT}/packaging/completions/ccbridgectl.bash",
        f"COMP_WORDS=(ccbridgectl {given}); COMP_CWORD={len(words)}; _ccbridgectl",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    env = environment(daemon.dir)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT, env=env, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sta"], ["status", "start"]),
        (["send", ""], ["api", "web"]),
        (["send", "w"], ["web"]),
        (["wait", "ca"], ["cafe0123"]),
        (["--json", "cancel", ""], ["beef", "cafe0123"]),
        (["--runtime-dir", "/x", "help", "his"], ["history"]),
        (["approve", ""], ["41c0"]),
        (["send", "web", "--re"], ["--retry-uncertain"]),
        (["add", "x", "--transport", "s"], ["stream", "socket"]),
        (["list", "--color", "a"], ["auto", "always"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(daemon: FakeDaemon, tmp_path: Path, words: list[str], offered: list[str]) -> None:
    assert complete(daemon, tmp_path, *words) == offered


def test_completion_is_silent_when_the_daemon_is_down(nobody: FakeDaemon, tmp_path: Path) -> None:
    assert complete(nobody, tmp_path, "send", "") == []
    assert complete(nobody, tmp_path, "sta") == ["status", "start"]


@pytest.mark.parametrize(("shell", "file"), [("zsh", "_ccbridgectl"), ("fish", "ccbridgectl.fish")])
def test_the_other_shells_accept_their_scripts(shell: str, file: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    subprocess.run([shell, "-n", str(ROOT / "packaging/completions" / file)], check=True, capture_output=True)
