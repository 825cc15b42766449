"""The daemon dies and comes back while ``ccbridgectl`` waits: one quiet line, no gap, nothing twice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccbridgectl.client import Client
from ccbridged.protocol.errors import BridgeError
from tests.system.ctl_host import FakeDaemon, assistant, begin, ctl, delta, message_start, result, script

GONE = "ccbridgectl: ccbridged went away; waiting for it…\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path / "run") as running:
        yield running


def test_send_goes_on_where_it_was(daemon: FakeDaemon) -> None:
    steps = [message_start("m"), delta("one "), delta("two "), ["die"], delta("three "), ["die"], delta("four")]
    prompt = script(*steps, assistant("m", "one two three four"), result(text="one two three four"))
    with begin(daemon, "send", "web", "--id", "again", prompt) as process:
        for _ in range(2):
            daemon.await_death()
            daemon.start()
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "one two three four\n", GONE * 2)
    assert [call["id"] for call in daemon.calls()] == ["again"] * 3
    assert [call["since"] for call in daemon.calls()] == [0, 4, 5]


def test_send_with_json_has_every_event_once(daemon: FakeDaemon) -> None:
    prompt = script(delta("a"), ["die"], delta("b"), delta("c"), ["die"], result(text="abc"))
    with begin(daemon, "send", "web", "--json", prompt) as process:
        for _ in range(2):
            daemon.await_death()
            daemon.start()
        out, _ = process.communicate()
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [1, 2, 3, 4, 5]


def test_a_daemon_killed_from_outside_is_waited_for(daemon: FakeDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    prompt = script(delta("a"), ["wait-for", str(gate)], delta("b"), result(text="ab"))
    with begin(daemon, "send", "web", prompt) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "a"
        daemon.kill()
        gate.touch()
        daemon.start()
        assert process.stdout.read() == "b\n"
        process.wait()
    assert process.returncode == 0


def test_wait_goes_on_too(daemon: FakeDaemon) -> None:
    ctl(daemon, "send", "web", "--no-wait", "--id", "w", script(assistant("m", "half"), ["die"], result(text="half")))
    with begin(daemon, "wait", "w") as process:
        daemon.await_death()
        daemon.start()
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "half\n", GONE)


@pytest.mark.parametrize("verb", ["events", "logs"])
def test_a_followed_log_goes_on_from_its_cursor(daemon: FakeDaemon, verb: str) -> None:
    with begin(daemon, verb, "web", "-f", "--json") as process:
        assert process.stdout is not None
        seqs = [json.loads(process.stdout.readline())["seq"] for _ in range(7)]
        daemon.kill()
        daemon.start()
        seqs += [json.loads(process.stdout.readline())["seq"] for _ in range(5)]
        process.kill()
        process.communicate()
    assert seqs == list(range(1, 13))


def test_no_daemon_is_status_69_and_says_how_to_start_one(daemon: FakeDaemon) -> None:
    daemon.kill()
    done = ctl(daemon, "send", "web", "hello")
    assert (done.returncode, done.stdout) == (69, "")
    assert str(daemon.dir) in done.stderr
    assert "ccbridged --detach" in done.stderr


def test_no_daemon_with_json_is_an_object(daemon: FakeDaemon) -> None:
    daemon.kill()
    done = ctl(daemon, "list", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"], done.stderr) == (69, "no-daemon", "")


def test_a_directory_without_a_daemon_is_no_daemon(daemon: FakeDaemon, tmp_path: Path) -> None:
    assert ctl(daemon, "status", "--runtime-dir", str(tmp_path / "nowhere")).returncode == 69


def test_patience_has_an_end(daemon: FakeDaemon) -> None:
    told: list[str] = []
    stream = Client(str(daemon.dir), patience=0.3, notice=told.append).stream("web", script(delta("a"), ["die"]))
    with pytest.raises(BridgeError) as raised:
        list(stream)
    assert (raised.value.code, raised.value.exit_status) == ("no-daemon", 69)
    assert len(told) == 1


def test_what_may_be_done_once_only_is_not_repeated(daemon: FakeDaemon) -> None:
    with begin(daemon, "stop", "dies") as process:
        daemon.await_death()
        daemon.start()
        out, err = process.communicate()
    assert (process.returncode, out) == (69, "")
    assert "may or may not have been done" in err
    assert [call["verb"] for call in daemon.calls()] == ["stop"]
