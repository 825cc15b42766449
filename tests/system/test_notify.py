"""What a service manager hears, on a real socket of its kind."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccbridged.system.notify import Notifier, watchdog_interval


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(65536).decode("utf-8").split("\n")


def test_each_state_is_one_datagram_as_sd_notify_describes_it(manager: socket.socket) -> None:
    says: list[tuple[Callable[[Notifier], None], list[str]]] = [
        (lambda n: n.ready("3 instances"), ["READY=1", "STATUS=3 instances"]),
        (lambda n: n.status("web is busy"), ["STATUS=web is busy"]),
        (lambda n: n.watchdog(), ["WATCHDOG=1"]),
        (lambda n: n.stopping("asked to"), ["STOPPING=1", "STATUS=asked to"]),
    ]
    with Notifier() as notifier:
        for say, expected in says:
            say(notifier)
            assert heard(manager) == expected


def test_a_reload_carries_the_monotonic_time(manager: socket.socket) -> None:
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    with Notifier() as notifier:
        notifier.reloading()
    first, second = heard(manager)
    name, _, microseconds = second.partition("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before - 0.01 <= int(microseconds) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_a_status_is_utf_8_and_cannot_smuggle_an_assignment(manager: socket.socket) -> None:
    with Notifier() as notifier:
        notifier.status("wéb → 日本\nREADY=1\ud800")
    assert heard(manager) == ["STATUS=wéb → 日本 READY=1?"]


def test_an_abstract_socket_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"ccbridged-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        with Notifier() as notifier:
            notifier.watchdog()
        assert heard(listening) == ["WATCHDOG=1"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sdnotify forgets to close it
@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_without_a_manager_there_is_silence(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    with Notifier() as notifier:
        notifier.ready("")
        notifier.reloading()
        notifier.stopping("")
    notifier.watchdog()


def test_a_manager_that_does_not_listen_holds_nobody_up_for_long(manager: socket.socket) -> None:
    with Notifier() as notifier:
        started = time.monotonic()
        for _ in range(10_000):
            notifier.watchdog()
            if time.monotonic() - started > 0.5:
                break
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("allowed", "whose", "interval"),
    [
        ("30000000", "", 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    allowed: str, whose: str, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", allowed)
    monkeypatch.setenv("WATCHDOG_PID", whose)
    assert watchdog_interval() == interval
