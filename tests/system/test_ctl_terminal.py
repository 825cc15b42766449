"""``ccbridgectl`` with a person before it: the quiet line, Ctrl-C, questions; and with a reader that goes away."""

import json
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.system.ctl_host import (
    CTL,
    PATIENCE,
    ROOT,
    FakeDaemon,
    assistant,
    begin,
    delta,
    environment,
    eventually,
    message_start,
    result,
    script,
    tool,
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("terminal") / "run") as running:
        yield running


class Terminal:
    """A pseudo-terminal's master end, and all that has come out of it."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self.fd = fd
        self.process = process
        self.seen = ""

    def read(self) -> bool:
        assert select.select([self.fd], [], [], PATIENCE)[0], f"nothing more came after {self.seen!r}"
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += chunk.decode()
        return bool(chunk)

    def until(self, text: str) -> None:
        while text not in self.seen:
            assert self.read(), f"never came: {text!r} in {self.seen!r}"

    def end(self) -> int:
        while self.read():
            pass
        return self.process.wait()


@contextmanager
def on_terminal(daemon: FakeDaemon, *argv: str, out: int | None = None, **env: str) -> Iterator[Terminal]:
    """``out``: stdout, if that is not the terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*CTL, *argv],
        stdin=slave,
        stdout=slave if out is None else out,
        stderr=slave,
        cwd=ROOT,
        env=environment(daemon.dir, **{"TERM": "xterm", **env}),
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_the_quiet_line_tells_of_the_tool_and_is_gone_at_the_end(daemon: FakeDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    steps = [
        tool("t", "Bash", {"command": "make \x1b[2J all"}),
        ["wait-for", str(gate)],
        assistant("m", "made"),
        result(),
    ]
    with (
        open(tmp_path / "out", "wb") as out,
        on_terminal(daemon, "send", "web", script(*steps), out=out.fileno()) as screen,
    ):
        screen.until("web: running Bash ")
        screen.until(": make \\x1b[2J all")
        gate.touch()
        assert screen.end() == 0
    assert screen.seen.endswith("\r\x1b[K")
    assert (tmp_path / "out").read_text() == "made\n"


def test_the_quiet_line_waits_for_an_approval(daemon: FakeDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    approval = ["approval", {"id": "41c0", "tool": "Bash", "input": {}}]
    steps = [approval, ["wait-for", str(gate)], ["approval_closed", {"id": "41c0"}], result()]
    with on_terminal(daemon, "send", "web", script(*steps)) as screen:
        screen.until("web: waiting for approval of Bash")
        gate.touch()
        assert screen.end() == 0


def test_a_dumb_terminal_has_no_quiet_line_and_no_colour(daemon: FakeDaemon, tmp_path: Path) -> None:
    with on_terminal(
        daemon, "send", "web", script(["sleep", 0.7], assistant("m", "x"), result()), TERM="dumb"
    ) as screen:
        assert screen.end() == 0
    assert screen.seen == "x\r\n"


def test_markdown_is_rendered_on_a_terminal_and_stays_harmless(daemon: FakeDaemon) -> None:
    if not find_spec("rich"):
        pytest.skip("rich is not installed: pip install 'ccbridged[rich]'")
    text = "# Head\n\n* item **bold** [l](http://x/) &#x202e; \x1b[2J\n\n```\ncode\n```\n"
    steps = [message_start("m"), delta(text[:20]), delta(text[20:]), assistant("m", text), result(text=text)]
    with on_terminal(daemon, "send", "web", script(*steps)) as screen:
        assert screen.end() == 0
    assert "\x1b[1mbold\x1b[0m" in screen.seen
    assert "**" not in screen.seen
    assert "\\u202e" in screen.seen
    assert "\\x1b[2J" in screen.seen
    assert not {"\u202e", "\x1b[2J", "\x1b]8"} & set(re.findall(r"\x1b\[2J|\x1b\]8|\u202e", screen.seen))


def test_without_colour_a_terminal_gets_text_as_it_comes(daemon: FakeDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    steps = [message_start("m"), delta("**no"), ["wait-for", str(gate)], assistant("m", "**now**"), result()]
    with on_terminal(daemon, "send", "web", script(*steps), NO_COLOR="1") as screen:
        screen.until("**no")
        gate.touch()
        assert screen.end() == 0
    assert "**now**\r\n" in screen.seen


def test_states_are_coloured_on_a_terminal_unless_it_is_declined(daemon: FakeDaemon) -> None:
    with on_terminal(daemon, "list") as screen:
        screen.end()
    assert "\x1b[32mready\x1b[0m" in screen.seen
    with on_terminal(daemon, "list", NO_COLOR="1") as screen:
        screen.end()
    assert "\x1b[3" not in screen.seen


def test_ctrl_c_leaves_the_request_running_and_says_how_to_see_it_again(daemon: FakeDaemon) -> None:
    with begin(daemon, "send", "web", "--id", "mine", script(delta("begun"), ["sleep", 60], result())) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "begun"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == (
        "ccbridgectl: request mine goes on; see it with: ccbridgectl wait mine, stop it with: ccbridgectl cancel mine\n"
    )


def test_ctrl_c_ends_a_followed_log_quietly(daemon: FakeDaemon) -> None:
    with begin(daemon, "events", "-f") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_a_reader_that_goes_away_ends_the_client_quietly(daemon: FakeDaemon) -> None:
    with begin(daemon, "events", "-f", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["seq"] == 1
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_takes_nothing_with_it(daemon: FakeDaemon, closed: str) -> None:
    command = f"{CTL[0]} -m ccbridgectl send web hello {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, cwd=ROOT, env=environment(daemon.dir), timeout=15, check=False
    )
    expected = b"" if ">&-" in closed.replace("2>&-", "") else b"5 characters: hello\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_a_full_disk_is_told(daemon: FakeDaemon) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*CTL, "list"], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, env=environment(daemon.dir), check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"ccbridgectl: No space left on device: stdout\n"


@pytest.mark.parametrize(("said", "status", "asked"), [(b"y\n", 0, True), (b"\n", 6, False), (b"n\n", 6, False)])
def test_remove_asks_on_a_terminal(daemon: FakeDaemon, said: bytes, status: int, asked: bool) -> None:
    before = len(daemon.calls())
    with on_terminal(daemon, "remove", "web") as screen:
        screen.until("Remove web, its history and its queue? [y/N] ")
        os.write(screen.fd, said)
        assert screen.end() == status
    assert ("remove" in [call["verb"] for call in daemon.calls()[before:]]) is asked


def test_remove_says_that_a_made_container_goes_with_its_volume(daemon: FakeDaemon) -> None:
    with on_terminal(daemon, "remove", "made") as screen:
        screen.until("its container, and the volume with its login and its sessions? [y/N] ")
        os.write(screen.fd, b"n\n")
        assert screen.end() == 6


def test_no_prompt_on_a_terminal_is_a_usage_error(daemon: FakeDaemon) -> None:
    with on_terminal(daemon, "send", "web") as screen:
        assert screen.end() == 2
    assert "there is no prompt" in screen.seen


def test_a_client_that_is_killed_leaves_no_fifo(daemon: FakeDaemon) -> None:
    with begin(daemon, "send", "web", script(delta("x"), ["sleep", 60], result())) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.kill()
        process.communicate()
    eventually(lambda: not os.listdir(daemon.dir / "clients"), "an empty directory")
