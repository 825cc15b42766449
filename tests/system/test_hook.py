"""``[notify] command`` as real processes, told from a real event log: in order, bounded, holding nobody up."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccbridged.model.effects import DropInstance, Save, SaveEvent
from ccbridged.system.hook import WAITING, WAITING_SIZE, Hook
from ccbridged.system.store import Store
from tests.system.agent_host import alive
from tests.system.processes import until

BIG = 8 * 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "db"), durability="process")
    yield store
    store.close()


@contextmanager
def ready(store: Store, within: float) -> Iterator[Hook]:
    hook = Hook(store, {"PATH": os.environ["PATH"], "OURS": "1"}, within=within)
    yield hook
    hook.close(0)
    until(lambda: not threads())


@pytest.fixture
def hook(store: Store) -> Iterator[Hook]:
    """Whose command has all the time."""
    with ready(store, 60) as hook:
        yield hook


@pytest.fixture
def hasty(store: Store) -> Iterator[Hook]:
    with ready(store, 0.4) as hook:
        yield hook


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "notify"]


def happen(store: Store, hook: Hook, *events: SaveEvent) -> None:
    """As the daemon does it: one transaction, and then it is told."""
    store.save(events, 1000.0)
    hook.saved(events)


def event(type: str = "state", body: object = None) -> SaveEvent:
    return SaveEvent("web", "r1", type, json.dumps(body or {"state": "running"}))


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_the_command_gets_each_event_as_the_line_that_the_log_shows_in_order(
    store: Store, hook: Hook, tmp_path: Path
) -> None:
    hook.use(sh(f"cat >> {tmp_path}/told"))
    for number in range(10):
        happen(store, hook, event("request", {"n": number}), event("result", {"n": number}))
    until(lambda: len(lines(tmp_path / "told")) == 20)
    assert lines(tmp_path / "told") == [entry.text for entry in store.events(after=0)]


def test_claudes_stream_is_not_told(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"cat >> {tmp_path}/told"))
    happen(store, hook, event("output"), event("output"))
    happen(store, hook, event("output"), event("result"), event("output"))
    happen(store, hook, event("container"))
    until(lambda: len(lines(tmp_path / "told")) == 2)
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "told")] == [4, 6]


def test_what_happened_before_there_was_a_command_is_not_told(store: Store, hook: Hook, tmp_path: Path) -> None:
    happen(store, hook, event())
    hook.use(sh(f"cat >> {tmp_path}/told"))
    happen(store, hook, event("result"))
    until(lambda: lines(tmp_path / "told"))
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "told")] == [2]


def test_without_a_command_there_is_no_thread_and_with_none_any_more_it_goes(store: Store, hook: Hook) -> None:
    hook.use(())
    happen(store, hook, event())
    assert not threads()
    hook.use(("true",))
    assert len(threads()) == 1
    hook.use(())
    until(lambda: not threads())


def test_another_command_takes_over_what_waits(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"cat >> {tmp_path}/first; touch {tmp_path}/begun; sleep 0.2"))
    happen(store, hook, event(), event(), event())
    until((tmp_path / "begun").exists)
    hook.use(())
    hook.use(sh(f"cat >> {tmp_path}/second"))
    happen(store, hook, event())
    until(lambda: lines(tmp_path / "second"))
    assert len(threads()) == 1, "two commands would run at a time"
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "first")] == [1]
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "second")] == [4], "with none, what waits is dropped"


def test_it_runs_in_slash_with_the_given_environment_and_nobodys_descriptors(
    store: Store, hook: Hook, tmp_path: Path
) -> None:
    facts = "import json, os; print(json.dumps({'cwd': os.getcwd(), 'environ': sorted(os.environ),"
    facts += " 'fds': sorted(os.listdir('/proc/self/fd'))[:-1]}))"
    write = f'{sys.executable} -c "{facts}" > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/facts'
    hook.use(sh(write))
    happen(store, hook, event())
    until((tmp_path / "facts").exists)
    seen = json.loads((tmp_path / "facts").read_text())
    assert seen["cwd"] == "/"
    assert set(seen["environ"]) - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == {"OURS", "PATH"}
    assert seen["fds"] == ["0", "1", "2"]


def test_an_event_of_any_size_goes_through(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"cat > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/told"))
    happen(store, hook, event("result", {"text": "x" * BIG}))
    until((tmp_path / "told").exists)
    assert (tmp_path / "told").read_text() == store.events(after=0)[0].text + "\n"


@pytest.mark.parametrize("script", ["exec <&-; sleep 0.05", "true", "head -c 1 > /dev/null"])
def test_one_that_reads_nothing_or_little_has_done_well(
    store: Store, hook: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    hook.use(sh(f"{script}; echo >> {tmp_path}/ran"))
    happen(store, hook, event("result", {"text": "x" * BIG}), event())
    until(lambda: len(lines(tmp_path / "ran")) == 2)
    hook.use(())
    until(lambda: not threads())
    assert not caplog.messages


def test_one_that_hangs_is_ended_and_the_next_event_is_told(
    store: Store, hasty: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hasty.use(sh(f"read line; echo $$ >> {tmp_path}/pids; trap '' TERM; while :; do sleep 0.1; done"))
    happen(store, hasty, event(), event())
    until(lambda: len(lines(tmp_path / "pids")) == 2)
    first, second = map(int, lines(tmp_path / "pids"))
    assert not alive(first)
    assert caplog.messages == ["the [notify] command sh took longer than 0.4 s, for event 1"]
    hasty.close(0)
    assert not alive(second)


def test_what_it_leaves_in_its_process_group_is_ended_with_it(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"sleep 100 & echo $! >> {tmp_path}/left"))
    happen(store, hook, event(), event())
    until(lambda: len(lines(tmp_path / "left")) == 2)
    until(lambda: not any(alive(int(pid)) for pid in lines(tmp_path / "left")))


def test_somebody_who_keeps_its_stderr_holds_up_nothing(store: Store, hook: Hook, tmp_path: Path) -> None:
    keeper = f"setsid sh -c 'echo $$ >> {tmp_path}/left; exec sleep 100' &"
    hook.use(sh(f"read line; {keeper} until [ -s {tmp_path}/left ]; do sleep 0.01; done; echo >> {tmp_path}/done"))
    happen(store, hook, event(), event())
    until(lambda: len(lines(tmp_path / "done")) == 2)
    keepers = [int(pid) for pid in lines(tmp_path / "left")]
    assert alive(keepers[0])
    for pid in filter(alive, keepers):
        os.kill(pid, signal.SIGKILL)


def test_a_failure_is_logged_with_its_last_words_and_without_the_arguments(
    store: Store, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.use((*sh("echo first >&2; echo the last word >&2; exit 3"), "secret"))
    happen(store, hook, event())
    until(lambda: caplog.messages)
    assert caplog.messages == ["the [notify] command sh ended with status 3, for event 1: the last word"]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_death_by_a_signal_is_a_failure(store: Store, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    hook.use(sh("kill -9 $$"))
    happen(store, hook, event())
    until(lambda: caplog.messages)
    assert caplog.messages == ["the [notify] command sh was killed by signal 9, for event 1"]


@pytest.mark.parametrize(
    ("name", "why"), [("/nowhere/at-all", "No such file or directory"), ("/etc", "Permission denied"), ("", "")]
)
def test_a_command_that_cannot_be_run_is_logged(
    store: Store, hook: Hook, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    hook.use((name, "secret"))
    happen(store, hook, event())
    until(lambda: caplog.messages)
    assert caplog.messages[0].startswith(f"the [notify] command {name} cannot be started: {why}")


def test_a_broken_command_does_not_flood_the_log(
    store: Store, hook: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook.use(
        sh(f"echo >> {tmp_path}/ran; head -c 9 /dev/urandom | od >&2; exit $(($(wc -l < {tmp_path}/ran) % 2 + 1))")
    )
    happen(store, hook, *[event()] * 40)
    until(lambda: len(lines(tmp_path / "ran")) == 40)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "the [notify] command sh ended with status 2, for event 1",
        "the [notify] command sh ended with status 1, for event 2",
    ]


def test_a_flood_of_output_costs_neither_memory_nor_time(
    store: Store, hasty: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hasty.use(sh("yes out & yes error >&2"))
    happen(store, hasty, event())
    busy, began = time.process_time(), time.monotonic()
    until(lambda: caplog.messages)
    assert time.process_time() - busy < (time.monotonic() - began) / 2
    assert caplog.messages[0] == "the [notify] command sh took longer than 0.4 s, for event 1: error"


@contextmanager
def held_up(store: Store, directory: Path, hook: Hook) -> Iterator[None]:
    """The command hangs at event 1; afterwards it writes what it is told to ``told``."""
    os.mkfifo(directory / "gate")
    hook.use(sh(f"touch {directory}/begun; read line < {directory}/gate"))
    happen(store, hook, event())
    until((directory / "begun").exists)
    yield
    hook.use(sh(f"cat >> {directory}/told"))
    (directory / "gate").write_text("go on\n")


def test_more_events_than_may_wait_drop_the_oldest_and_are_counted(
    store: Store, hook: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with held_up(store, tmp_path, hook):
        happen(store, hook, *[event()] * (WAITING + 5))
    until(lambda: len(lines(tmp_path / "told")) == WAITING)
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "told")] == list(range(7, WAITING + 7))
    assert caplog.messages == [
        "more events wait for the [notify] command than may: the oldest are dropped",
        "the [notify] command has caught up: 5 events were dropped",
    ]


def test_large_events_that_wait_are_bounded_too(store: Store, hook: Hook, tmp_path: Path) -> None:
    with held_up(store, tmp_path, hook):
        for _ in range(3):
            happen(store, hook, event("result", {"text": "x" * (WAITING_SIZE * 2 // 5)}))
        happen(store, hook, event())
    until(lambda: [line for line in lines(tmp_path / "told") if '"seq":5,' in line[:20]])
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "told")] == [3, 4, 5]


def test_nobody_waits_for_it(store: Store, hook: Hook) -> None:
    hook.use(sh("sleep 10"))
    started = time.monotonic()
    for _ in range(200):
        happen(store, hook, event())
    assert time.monotonic() - started < 2


def test_at_the_end_what_waits_has_a_moment_left(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"cat >> {tmp_path}/told"))
    happen(store, hook, event(), event(), event())
    hook.close(10)
    assert len(lines(tmp_path / "told")) == 3
    assert not threads()


def test_at_the_end_a_command_that_still_runs_is_ended(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook(store, os.environ)
    hook.use(sh(f"echo $$ > {tmp_path}/pid; exec sleep 100"))
    happen(store, hook, event(), event())
    until(lambda: lines(tmp_path / "pid"))
    started = time.monotonic()
    hook.close(0.1)
    assert time.monotonic() - started < 2
    assert not alive(int((tmp_path / "pid").read_text()))
    assert caplog.messages[0] == "the [notify] command still runs and is ended; 1 more events are not told to it"


def test_events_of_an_instance_that_is_gone_are_gone(store: Store, hook: Hook, tmp_path: Path) -> None:
    hook.use(sh(f"cat >> {tmp_path}/told"))
    saves: list[Save] = [event(), DropInstance("web")]
    store.save(saves, 0)
    hook.saved(saves)
    happen(store, hook, event())
    until(lambda: lines(tmp_path / "told"))
    assert [json.loads(line)["seq"] for line in lines(tmp_path / "told")] == [2]
