"""``ccbridgectl.client``, as a script or a bot uses it."""

from collections.abc import Iterator

import pytest

from ccbridgectl.client import BridgeError, Client, RequestFailed
from tests.system.ctl_host import FakeDaemon, assistant, result, script


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("client") / "run") as running:
        yield running


@pytest.fixture
def bridge(daemon: FakeDaemon) -> Client:
    return Client(str(daemon.dir))


def test_send_returns_the_result(bridge: Client) -> None:
    answer = bridge.send("web", "hello", id="lib-1", timeout=60)
    assert (answer.id, answer.state, answer.text, answer.error, answer.exit_status) == (
        *("lib-1", "succeeded", "5 characters: hello", ""),
        0,
    )


def test_a_request_that_does_not_succeed_raises_with_its_result(bridge: Client) -> None:
    with pytest.raises(RequestFailed) as raised:
        bridge.send("web", script(result("uncertain", "half", "Claude died")))
    assert (raised.value.exit_status, raised.value.message) == (7, "Claude died")
    assert (raised.value.result.state, raised.value.result.text) == ("uncertain", "half")


def test_a_stream_is_events_to_the_result(bridge: Client) -> None:
    stream = bridge.stream("web", script(assistant("m", "x"), result(text="x")), id="lib-2")
    assert [(event.type, event.seq, event.instance, event.request) for event in stream] == [
        ("request", 1, "web", "lib-2"),
        ("output", 2, "web", "lib-2"),
        ("result", 3, "web", "lib-2"),
    ]
    assert stream.status == 0


def test_the_same_id_gets_the_same_answer(bridge: Client) -> None:
    bridge.send("web", "once", id="lib-3")
    assert bridge.wait("lib-3").text == "4 characters: once"


def test_an_empty_id_is_no_new_one(bridge: Client) -> None:
    for call in (bridge.send, bridge.stream):
        with pytest.raises(BridgeError, match="an id must not be empty") as raised:
            call("web", "never", id="")
        assert raised.value.code == "usage"


def test_what_is_refused_raises_its_code(bridge: Client) -> None:
    with pytest.raises(BridgeError) as raised:
        bridge.cancel("error-no-such-request")
    assert (raised.value.code, raised.value.hint, raised.value.exit_status) == ("no-such-request", "what to do", 4)


def test_everything_else_is_plain_objects(bridge: Client) -> None:
    assert [row["name"] for row in bridge.list()] == ["api", "web"]
    assert [row["name"] for row in bridge.list("ready")] == ["api"]
    assert bridge.status("web")["state"] == "busy"
    assert bridge.status()["v"] == 1
    assert bridge.result("aaaa").text == "three"
    assert [event.seq for event in bridge.events(since=3)] == [4, 5]


def test_without_a_daemon_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("CCBRIDGED_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(BridgeError) as raised:
        Client().list()
    assert raised.value.code == "no-daemon"
