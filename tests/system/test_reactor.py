"""The reactor, on real pipes, signals and threads."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from ccbridged.system.reactor import Reactor, Ready


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_readable_fd_is_told_with_its_owner(reactor: Reactor, pipe: tuple[int, int]) -> None:
    owner = object()
    reactor.watch(pipe[0], owner, read=True, write=False)
    assert reactor.wait(0) == ([], [], [])
    os.write(pipe[1], b"x")
    assert reactor.wait(5) == ([Ready(owner, readable=True, writable=False)], [], [])


def test_what_is_watched_can_be_changed_and_forgotten(reactor: Reactor, pipe: tuple[int, int]) -> None:
    reactor.watch(pipe[1], "first", read=False, write=True)
    reactor.watch(pipe[1], "second", read=False, write=True)
    assert reactor.wait(5)[0] == [Ready("second", readable=False, writable=True)]
    reactor.watch(pipe[1], "second", read=True, write=False)
    assert reactor.wait(0)[0] == []
    reactor.watch(pipe[1], "second", read=False, write=False)
    reactor.forget(pipe[1])
    reactor.forget(-1)
    assert reactor.wait(0)[0] == []


def test_a_write_end_watched_for_reading_tells_when_its_reader_leaves(reactor: Reactor) -> None:
    out, into = os.pipe()
    reactor.watch(into, "peer", read=True, write=False)
    assert reactor.wait(0)[0] == []
    os.close(out)
    assert reactor.wait(5)[0] == [Ready("peer", readable=True, writable=False)]
    reactor.forget(into)
    os.close(into)


def test_the_timeout_is_kept_and_a_past_one_is_no_wait(reactor: Reactor) -> None:
    started = time.monotonic()
    assert reactor.wait(-3) == ([], [], [])
    assert reactor.wait(0.05) == ([], [], [])
    assert 0.04 < time.monotonic() - started < 2


def test_posts_of_many_threads_all_arrive_in_each_threads_order(reactor: Reactor) -> None:
    def say(who: int) -> None:
        for n in range(2000):
            reactor.post((who, n))

    threads = [threading.Thread(target=say, args=[who]) for who in range(4)]
    for thread in threads:
        thread.start()
    posted: list[object] = []
    while len(posted) < 8000:
        news = reactor.wait(5)[2]
        assert news, "a post did not wake the reactor"
        posted += news
    for thread in threads:
        thread.join()
    for who in range(4):
        assert [thing for thing in posted if isinstance(thing, tuple) and thing[0] == who] == [
            (who, n) for n in range(2000)
        ]


def test_a_post_wakes_one_who_sleeps_for_ever(reactor: Reactor) -> None:
    timer = threading.Timer(0.05, reactor.post, ["hello"])
    timer.start()
    assert reactor.wait(None) == ([], [], ["hello"])
    timer.join()


def test_a_post_is_told_once(reactor: Reactor) -> None:
    reactor.post("a")
    reactor.post("b")
    assert reactor.wait(5)[2] == ["a", "b"]
    assert reactor.wait(0) == ([], [], [])


def test_signals_come_out_once_each_and_do_nothing_else(reactor: Reactor) -> None:
    reactor.catch([signal.SIGTERM, signal.SIGHUP])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert reactor.wait(5)[1] == [signal.SIGHUP, signal.SIGTERM]


def test_a_signal_is_not_lost_among_a_hundred_thousand_posts(reactor: Reactor) -> None:
    reactor.catch([signal.SIGTERM])
    for n in range(100_000):
        reactor.post(n)
    os.kill(os.getpid(), signal.SIGTERM)
    _, signals, posted = reactor.wait(5)
    assert signals == [signal.SIGTERM]
    assert len(posted) == 100_000


def test_a_closed_reactor_gives_signals_back_and_drops_posts() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    reactor = Reactor()
    reactor.catch([signal.SIGUSR1])
    assert signal.getsignal(signal.SIGUSR1) != before
    reactor.close()
    reactor.post("too late")
    reactor.close()
    assert signal.getsignal(signal.SIGUSR1) == before
    assert signal.set_wakeup_fd(-1) == -1
