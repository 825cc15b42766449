"""The store against the real thing: real files, a killed process, a full file system, strace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ccbridged.model.effects import (
    DropInstance,
    DropRequest,
    ForgetRequest,
    Hold,
    Release,
    Save,
    SaveEvent,
    SaveInstance,
    SaveLink,
    SaveLog,
    SaveRequest,
)
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import Event, Fenced, Link, LinkState, RolledBack
from ccbridged.system.eventlog import Entry, Keep
from ccbridged.system.store import QUOTA, Store, StoreFailed, StoreFull

HOUR = 3600.0
REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def opened(path: Path, durability: str = "process", quota: int = QUOTA, keep: Keep = Keep()) -> Iterator[Store]:
    with closing(Store(str(path), durability=durability, quota=quota, keep=keep)) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ccbridged.db"


def event(number: int, instance: str = "web", request: str = "", size: int = 0) -> SaveEvent:
    return SaveEvent(instance, request, "output", json.dumps({"number": number, "pad": "x" * size}))


def numbers(found: list[Entry]) -> list[int]:
    return [json.loads(text)["number"] for _, text, _ in found]


def all_numbers(store: Store, instance: str = "", request: str = "") -> list[int]:
    return numbers(store.events(after=0, instance=instance, request=request, limit_bytes=1 << 30))


def test_an_instance_is_there_again_with_its_latest_body(path: Path) -> None:
    with opened(path) as store:
        store.save([SaveInstance("web", {"state": "ready"}), SaveInstance("api", {})], HOUR)
        store.save([SaveInstance("web", {"state": "busy", "ü": ["\n"]})], HOUR)
    with opened(path) as store:
        assert store.instances() == [("api", {}), ("web", {"state": "busy", "ü": ["\n"]})]


def test_open_requests_come_back_oldest_first_with_their_prompts(path: Path) -> None:
    with opened(path) as store:
        for id_ in ("b", "a", "c"):
            store.save([SaveRequest(id_, "web", True, {"state": "queued"}, f"prompt of {id_}\ud800")], HOUR)
        store.save([SaveRequest("b", "web", True, {"state": "running"})], HOUR)
        store.save([SaveRequest("c", "web", False, {"state": "succeeded"})], HOUR)
        store.save([SaveRequest("d", "api", True, {}, "")], HOUR)
    with opened(path) as store:
        found = store.open_requests("web")
        assert [(r.id, r.body, r.prompt) for r in found] == [
            ("b", {"state": "running"}, "prompt of b\ud800"),
            ("a", {"state": "queued"}, "prompt of a\ud800"),
        ]
        assert [r.prompt for r in store.open_requests("api")] == [""]


def test_ended_requests_come_back_newest_few_oldest_first_without_prompts(path: Path) -> None:
    with opened(path) as store:
        for number in range(5):
            store.save([SaveRequest(f"r{number}", "web", False, {"n": number}, "p")], HOUR)
        assert [(r.id, r.prompt) for r in store.ended_requests("web", 2)] == [("r3", None), ("r4", None)]
        one = store.request("r0")
        assert one is not None and (one.open, one.body, one.prompt) == (False, {"n": 0}, "p")
        assert store.prompt("r0") == "p"
        assert store.request("no") is None and store.prompt("no") is None


def test_a_dropped_request_goes_with_its_prompt_and_events(path: Path) -> None:
    with opened(path) as store:
        store.save([SaveRequest("a", "web", False, {}, "p"), event(1, request="a"), event(2, request="b")], HOUR)
        store.save([event(3)], HOUR)
        store.save([DropRequest("a", "succeeded")], HOUR)
        assert store.request("a") is None and store.prompt("a") is None
        assert all_numbers(store) == [2, 3]


def test_of_a_dropped_request_id_and_state_are_known_until_it_is_forgotten(path: Path) -> None:
    with opened(path) as store:
        for n, state in enumerate(("failed", "succeeded", "uncertain")):
            store.save([SaveRequest(f"r{n}", "web", False, {"state": state}, "p")], HOUR)
        store.save([DropRequest("r1", "succeeded"), DropRequest("r0", "failed")], HOUR)
    with opened(path) as store:
        assert store.spent_states("web") == [("r0", "failed"), ("r1", "succeeded")]
        assert store.final_states("web") == [("r2", "uncertain")]
        assert [kept.id for kept in store.ended_requests("web", 9)] == ["r2"]
        assert store.open_requests("web") == []
        assert store.spent_states("api") == []
        store.save([ForgetRequest("r0")], HOUR)
        assert store.spent_states("web") == [("r1", "succeeded")]
        store.save([DropInstance("web")], HOUR)
        assert store.spent_states("web") == []


def test_a_dropped_instance_goes_with_everything_of_it_and_nothing_else(path: Path) -> None:
    both: list[Save] = []
    for name in ("web", "api"):
        both += [SaveInstance(name, {}), SaveRequest(name + "1", name, True, {}, "p"), event(1, name, name + "1")]
        both += [SaveLink(name, LinkState(2, "j", 3, 0, 1)), Hold(name, 1, "{}"), SaveLog(name, "agent", "line")]
    with opened(path) as store:
        store.save(both, HOUR)
        store.save([DropInstance("web")], HOUR)
        assert [name for name, _ in store.instances()] == ["api"]
        assert [store.open_requests(name) == [] for name in ("web", "api")] == [True, False]
        assert [store.prompt(name + "1") for name in ("web", "api")] == [None, "p"]
        assert [len(store.events(after=0, instance=name)) for name in ("web", "api")] == [0, 1]
        assert [len(store.logs(instance=name)) for name in ("web", "api")] == [0, 1]
        assert [store.link(name).next_seq for name in ("web", "api")] == [1, 2]
        assert [store.held(name) for name in ("web", "api")] == [[], [(1, "{}")]]


def test_an_event_comes_back_as_one_line_of_json_with_its_envelope(path: Path) -> None:
    with opened(path) as store:
        store.save([SaveEvent("web", "r1", "output", '{"message":{"text":"\\u00fc"}}')], 1700000000.25)
        store.save([SaveEvent("", "", "empty", "{}")], 1700000001)
        first, second = (json.loads(text) for _, text, _ in store.events(after=0))
    assert first == {
        "v": 1,
        "seq": 1,
        "at": 1700000000.25,
        "instance": "web",
        "request": "r1",
        "type": "output",
        "message": {"text": "ü"},
    }
    assert second == {"v": 1, "seq": 2, "at": 1700000001.0, "instance": "", "request": "", "type": "empty"}


def test_events_are_found_by_instance_by_request_and_after_a_cursor(path: Path) -> None:
    with opened(path) as store:
        store.save([event(n, "web" if n % 2 else "api", f"r{n % 3}" if n % 3 else "") for n in range(12)], HOUR)
        assert all_numbers(store) == list(range(12))
        assert all_numbers(store, "web") == [1, 3, 5, 7, 9, 11]
        assert all_numbers(store, "", "r1") == [1, 4, 7, 10]
        assert all_numbers(store, "web", "r1") == [1, 7]
        assert numbers(store.events(after=5, instance="", request="r1")) == [7, 10]
        assert numbers(store.events(after=5, instance="web")) == [5, 7, 9, 11]
        assert store.events(after=store.last_event) == []


def test_a_read_of_events_stops_at_the_limit_but_gives_at_least_one(path: Path) -> None:
    with opened(path) as store:
        store.save([event(n, size=1000) for n in range(10)], HOUR)
        assert numbers(store.events(after=0, limit_bytes=1)) == [0]
        assert numbers(store.events(after=1, limit_bytes=3000)) == [1, 2, 3]


def test_the_seq_of_an_event_is_never_given_twice(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1), event(2)], HOUR)
        store.save([DropInstance("web")], HOUR)
        assert store.last_event == 2
    with opened(path) as store:
        assert store.last_event == 2
        store.save([event(3)], HOUR)
        assert store.last_event == 3
        assert [seq for seq, *_ in store.events(after=0)] == [3]


def test_events_of_one_request_are_found_without_reading_the_others(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1)], HOUR)
    with closing(sqlite3.connect(path)) as connection:
        for column in ("instance = 'web'", "request = 'r1' AND request <> ''"):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM events WHERE {column} AND seq > 5 ORDER BY seq"
            (plan,) = connection.execute(query).fetchall()
            assert "rowid>?" in plan[3] and "SCAN" not in plan[3], plan


def test_stderr_lines_come_back_with_their_source_whatever_is_in_them(path: Path) -> None:
    with opened(path) as store:
        store.save([SaveLog("web", "program", 'a "quoted" \x1b[31m ü \udcff\n'), SaveLog("api", "agent", "b")], 2.5)
        store.save([SaveLog("web", "agent", "c")], 3.5)
        lines = [json.loads(text) for _, text, _ in store.logs(instance="web")]
        assert [(x["source"], x["line"], x["at"]) for x in lines] == [
            ("program", 'a "quoted" \x1b[31m ü \udcff\n', 2.5),
            ("agent", "c", 3.5),
        ]
        assert [json.loads(text)["line"] for _, text, _ in store.logs(instance="web", last=1)] == ["c"]
        assert [json.loads(text)["line"] for _, text, _ in store.logs(instance="web", after=lines[0]["seq"])] == ["c"]


def test_held_messages_stay_until_released(path: Path) -> None:
    with opened(path) as store:
        store.save([Hold("web", seq, f'"{seq}"') for seq in (3, 1, 2, 10)] + [Hold("api", 1, "1")], HOUR)
        store.save([Release("web", 2)], HOUR)
    with opened(path) as store:
        assert store.held("web") == [(3, '"3"'), (10, '"10"')]
        assert store.held("api") == [(1, "1")]


def test_a_link_state_comes_back_and_an_unknown_link_is_at_its_beginning(path: Path) -> None:
    state = LinkState(7, "ab" * 16, (1 << 63) - 1, 3, 9)
    with opened(path) as store:
        store.save([SaveLink("web", LinkState())], HOUR)
        store.save([SaveLink("web", state)], HOUR)
    with opened(path) as store:
        assert store.link("web") == state
        assert store.link("api") == LinkState()


def test_every_opening_is_a_new_epoch_of_the_same_journal(path: Path) -> None:
    seen = []
    for _ in range(3):
        with opened(path) as store:
            seen.append((store.journal, store.epoch))
    assert [epoch for _, epoch in seen] == [1, 2, 3]
    assert len({journal for journal, _ in seen}) == 1 and len(seen[0][0]) == 32


def test_only_the_owner_can_read_the_store(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1)], HOUR)
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(path.parent)}
    assert len(modes) == 3 and set(modes.values()) == {0o600}, modes


def test_a_save_that_fails_half_way_changes_nothing(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1)], HOUR)
        too_large = SaveLink("web", LinkState(next_seq=1 << 64))
        with pytest.raises(OverflowError):
            store.save([SaveInstance("web", {}), event(2), too_large], HOUR)
        assert store.instances() == []
        assert all_numbers(store) == [1] and store.last_event == 1
        store.save([event(3)], HOUR)
        assert store.last_event == store.events(after=0)[-1][0]


def test_a_second_daemon_is_told_that_the_store_is_held(path: Path) -> None:
    with opened(path):
        code = "import sys; from ccbridged.system.store import Store; Store(sys.argv[1], durability='process')"
        second = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, cwd=REPOSITORY
        )
    assert "another process holds the store" in second.stderr
    with opened(path) as store:
        assert store.epoch == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"this is a letter to my aunt\n" * 100, "not a database"),
        (b"SQLite format 3\0" + b"\xff" * 4080, "damaged"),
    ],
)
def test_a_file_that_is_no_store_is_refused_and_left_alone(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BridgeError, match=said) as caught:
        Store(str(path), durability="process")
    assert caught.value.code == "store" and "move" in caught.value.hint
    assert path.read_bytes() == content


def test_a_damaged_store_is_refused_and_left_alone(path: Path) -> None:
    with opened(path) as store:
        store.save([event(n, size=500) for n in range(100)], HOUR)
    with open(path, "r+b") as file:
        file.seek(12 * 4096)
        file.write(os.urandom(3 * 4096))
    damaged = path.read_bytes()
    with pytest.raises(BridgeError, match="damaged") as caught:
        Store(str(path), durability="process")
    assert caught.value.code == "store" and ".recover" in caught.value.hint
    assert path.read_bytes() == damaged


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (a)")
    before = path.read_bytes()
    with pytest.raises(BridgeError, match="some other program"):
        Store(str(path), durability="process")
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(BridgeError, match="newer") as caught:
        Store(str(path), durability="process")
    assert caught.value.code == "store" and "upgrade" in caught.value.hint
    assert path.read_bytes() == before


def test_a_log_without_its_store_is_refused(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1)], HOUR)
        shutil.copy(f"{path}-wal", path.parent / "log")
    path.unlink()
    (path.parent / "log").rename(f"{path}-wal")
    with pytest.raises(BridgeError, match="is gone"):
        Store(str(path), durability="process")
    assert not path.exists() and Path(f"{path}-wal").exists()


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="cannot open") as caught:
        Store(str(tmp_path / "no" / "db"), durability="process")
    assert caught.value.code == "store"


def test_the_agent_notices_a_store_that_was_rolled_back(path: Path) -> None:
    backup = path.with_suffix(".backup")
    with opened(path):
        pass
    shutil.copy(path, backup)
    agent = Link(journal="a" * 32, epoch=1)
    for life in range(2):
        if life:
            backup.replace(path)
        with opened(path) as store:
            host = Link(journal=store.journal, epoch=store.epoch, state=store.link("web"), held=store.held("web"))
            events = talk(host, agent, ["one", "two"] if not life else [])
            store.save([SaveLink("web", host.state)], HOUR)
    assert any(isinstance(event, (Fenced, RolledBack)) for event in events), events


def talk(host: Link, agent: Link, texts: list[str]) -> list[Event]:
    """What the host's end hears on a new connection on which it also says ``texts``."""
    events: list[Event] = []
    host.connect(0.0, 60000)
    agent.connect(0.0, 60000)
    for text in texts:
        host.send(text)
    for _ in range(6):
        agent.hear(host.output(0.0), 0.0)
        agent.commit(len(texts))
        events += host.hear(agent.output(0.0), 0.0)
    return events


WRITER = """
import itertools, sys
from ccbridged.model.effects import Hold, Release, SaveEvent, SaveLink
from ccbridged.protocol.link import LinkState
from ccbridged.system.store import Store
store = Store(sys.argv[1], durability="process")
for n in itertools.count(store.link("web").committed + 1):
    events = [SaveEvent("web", "", "output", '{"number":%d,"pad":"%s"}' % (n, "x" * (n % 7 * 1000)))] * 3
    store.save([*events, SaveLink("web", LinkState(committed=n)), Hold("web", n, "{}"), Release("web", n - 1)], 1.0)
    print(n, flush=True)
"""


def test_what_was_saved_before_a_kill_is_there_and_nothing_is_half_there(path: Path) -> None:
    last = 0
    for round_ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 37 * round_):
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            said = max([said, *map(int, writer.stdout.read().splitlines())])
        with opened(path) as store:
            committed = store.link("web").committed
            assert said <= committed <= said + 1
            assert all_numbers(store) == [n for n in range(1, committed + 1) for _ in range(3)]
            assert store.held("web") == [(committed, "{}")]
            assert committed > last
            last = committed


def test_only_the_newest_events_of_each_instance_are_kept(path: Path) -> None:
    with opened(path, keep=Keep(events=500)) as store:
        store.save([SaveRequest("open", "web", True, {})], HOUR)
        for n in range(2000):
            store.save([event(n, request="open" if n < 10 else "done")], HOUR)
        store.save([event(n, "api") for n in range(100)], HOUR)
        found = all_numbers(store, "web")
        assert found[:10] == list(range(10)), "events of an open request stay"
        assert found[10:] == list(range(found[10], 2000))
        assert 480 <= len(found) - 10 <= 500
        assert len(all_numbers(store, "api")) == 100
        store.save([SaveRequest("open", "web", False, {})], HOUR)
        assert all_numbers(store, "web") == found[10:]


def test_only_so_many_bytes_of_events_are_kept_across_restarts(path: Path) -> None:
    keep = Keep(bytes=500_000)
    for round_ in range(4):
        with opened(path, keep=keep) as store:
            store.save([SaveInstance("web", {})], HOUR)
            for n in range(250):
                store.save([event(1000 * round_ + n, size=1000)], HOUR)
    with opened(path, keep=keep) as store:
        found = all_numbers(store)
    assert found[-1] == 3249 and 450 <= len(found) <= 500


def test_only_the_newest_stderr_lines_of_each_instance_are_kept(path: Path) -> None:
    with opened(path, keep=Keep(lines=100)) as store:
        store.save([SaveLog("api", "agent", "stays")], HOUR)
        for n in range(1000):
            store.save([SaveLog("web", "agent", str(n))], HOUR)
        lines = [json.loads(text)["line"] for _, text, _ in store.logs(instance="web")]
        assert lines == [str(n) for n in range(1000 - len(lines), 1000)]
        assert 90 <= len(lines) <= 100
        assert len(store.logs(instance="api")) == 1


def test_beyond_its_quota_the_store_takes_nothing_new_but_still_lets_go(path: Path) -> None:
    with opened(path, quota=1 << 20) as store:
        with pytest.raises(StoreFull, match="quota"):
            for n in range(1000):
                store.save([SaveRequest(f"r{n}", "web", False, {}), event(n, request=f"r{n}", size=4000)], HOUR)
        kept = all_numbers(store)
        with pytest.raises(StoreFull):
            store.save([Hold("web", 1, "x" * 100_000)], HOUR)
        store.save([SaveLink("web", LinkState(committed=1)), Release("web", 1)], HOUR)
        for n in kept[:20]:
            store.save([DropRequest(f"r{n}", "failed"), ForgetRequest(f"r{n}")], HOUR)
        store.save([event(5000, size=4000)], HOUR)
        assert all_numbers(store) == [*kept[20:], 5000]
        assert store.health().size <= (1 << 20) + 256 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs to mount a small file system: run `sudo .venv/bin/pytest tests/system`")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", mount], check=True)
    yield mount
    subprocess.run(["umount", mount], check=True)


def fill(disk: Path) -> Path:
    """A file of others that leaves no room at all."""
    other = disk / "other"
    with open(other, "ab", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    return other


def test_on_a_full_disk_acknowledgements_are_still_recorded(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(small_disk / "db") as store:
        assert store.health().ballast
        for n in range(3000):
            store.save([Hold("web", n, "{}"), event(n)], HOUR)
        other = fill(small_disk)
        with pytest.raises(StoreFull, match="disk"):
            for n in range(3000, 10_000):
                store.save([event(n, size=3000)], HOUR)
        kept = all_numbers(store)
        for n in range(3000):
            store.save([SaveLink("web", LinkState(committed=n)), Release("web", n)], HOUR)
        assert store.held("web") == [] and store.link("web").committed == 2999
        assert not store.health().ballast and "gave up its ballast" in caplog.text
        with pytest.raises(StoreFull, match="disk"):
            store.save([event(1)], HOUR)
        assert all_numbers(store) == kept
        other.unlink()
        store.save([event(10_000)], HOUR)
        assert store.health().ballast
        assert all_numbers(store) == [*kept, 10_000]


def test_a_store_with_its_ballast_opens_on_a_full_disk(small_disk: Path) -> None:
    with opened(small_disk / "db") as store:
        store.save([Hold("web", 1, "{}")], HOUR)
    fill(small_disk)
    with opened(small_disk / "db") as store:
        assert store.epoch == 2 and not store.health().ballast
        with pytest.raises(StoreFull):
            store.save([event(1)], HOUR)
        store.save([Release("web", 1)], HOUR)
        assert store.held("web") == []


def test_a_store_does_not_open_on_a_disk_without_any_room(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(BridgeError, match="no space") as caught:
        Store(str(small_disk / "db"), durability="process")
    assert caught.value.code == "store" and "free some space" in caught.value.hint


def test_a_store_whose_disk_fails_says_so_and_recovers(path: Path) -> None:
    with opened(path) as store:
        store.save([event(1)], HOUR)
        wal = next(fd for fd in range(256) if target(fd) == f"{path}-wal")
        kept, bad = os.dup(wal), os.open(os.devnull, os.O_RDONLY)
        os.dup2(bad, wal)
        with pytest.raises(StoreFailed):
            store.save([event(2, size=10_000)], HOUR)
        os.dup2(kept, wal)
        os.close(kept)
        os.close(bad)
        store.save([event(3)], HOUR)
        assert all_numbers(store) == [1, 3]


def target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


TRACED = """
import sys
from ccbridged.model.effects import SaveEvent
from ccbridged.system.store import Store
store = Store(sys.argv[1], durability=sys.argv[2])
print("BEGIN", flush=True)
for n in range(20):
    store.save([SaveEvent("web", "", "output", "{}")], 1.0)
    print("SAVED", flush=True)
print("END", flush=True)
"""


@pytest.mark.parametrize(("durability", "synced"), [("power", True), ("process", False)])
def test_a_save_is_on_the_disk_before_it_returns_only_for_power(path: Path, durability: str, synced: bool) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace: run `sudo apt-get install strace`")
    command = ["strace", "-f", "-e", "trace=write,fsync,fdatasync", "-o", f"{path}.trace"]
    command += [sys.executable, "-c", TRACED, str(path), durability]
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    trace = Path(f"{path}.trace").read_text()
    saves = trace.partition("BEGIN")[2].partition("END")[0].split("SAVED")[:20]
    assert len(saves) == 20
    assert ["fdatasync(" in calls or "fsync(" in calls for calls in saves] == [synced] * 20


def test_the_epoch_is_on_the_disk_before_anything_is_done_with_it(path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace: run `sudo apt-get install strace`")
    with opened(path):
        pass
    command = ["strace", "-f", "-e", "trace=write,fsync,fdatasync", "-o", f"{path}.trace"]
    command += [sys.executable, "-c", TRACED, str(path), "process"]
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    assert "sync(" in Path(f"{path}.trace").read_text().partition("BEGIN")[0]
