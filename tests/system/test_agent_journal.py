"""The agent's journal: what it keeps, what it makes of damage, and what it does on a full disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import records
from agent.journal import Journal, lock
from ccbridged.protocol.errors import BridgeError
from ccbridged.protocol.link import LinkState
from ccbridged.protocol.messages import Alive, Feed
from tests.system.agent_host import connected, eventually, rig, shell, start, started

STATE = LinkState(3, "host", 7, 1, 2)


@contextmanager
def opened(directory: Path) -> Iterator[Journal]:
    journal = Journal(str(directory), sync=False)
    try:
        yield journal
    finally:
        journal.close()


def written(directory: Path) -> bytes:
    """A journal of two messages, each of its own append; its bytes."""
    with opened(directory) as journal:
        journal.append(STATE._replace(next_seq=2), [(1, "one")])
        journal.append(STATE, [(2, "two")])
    return (directory / "journal").read_bytes()


def found(directory: Path) -> tuple[LinkState, list[tuple[int, str]]]:
    with opened(directory) as journal:
        return journal.state, list(journal.held)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, unmounted afterwards."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip(f"may not mount here: run as root with CAP_SYS_ADMIN: {' '.join(command)}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_is_appended_is_found_again(tmp_path: Path) -> None:
    written(tmp_path)
    assert found(tmp_path) == (STATE, [(1, "one"), (2, "two")])


def test_the_id_stays_and_every_opening_is_a_new_epoch(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        pass
    with opened(tmp_path) as second:
        pass
    assert (second.journal, second.epoch) == (first.journal, first.epoch + 1)


def test_a_wiped_journal_has_another_id(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        pass
    (tmp_path / "journal").unlink()
    with opened(tmp_path) as second:
        pass
    assert second.journal != first.journal


def test_a_tail_torn_at_any_byte_is_cut_off(tmp_path: Path) -> None:
    whole = written(tmp_path)
    last = whole.rindex(b"\n", 0, -1) + 1
    for size in range(last, len(whole)):
        (tmp_path / "journal").write_bytes(whole[:size])
        assert found(tmp_path) == (STATE._replace(next_seq=2), [(1, "one")])
        assert found(tmp_path) == (STATE._replace(next_seq=2), [(1, "one")])


def test_a_tail_of_zeros_or_of_garbage_is_cut_off(tmp_path: Path) -> None:
    whole = written(tmp_path)
    for tail in (bytes(5000), b"\n\n\n", b"garbage\n" * 100, b"00000000 {}\n"):
        (tmp_path / "journal").write_bytes(whole + tail)
        assert found(tmp_path)[0] == STATE


def test_a_damaged_middle_is_refused_with_its_place(tmp_path: Path) -> None:
    whole = written(tmp_path)
    second = whole.index(b"\n") + 1
    third = whole.index(b"\n", second) + 1
    for place in range(second, third - 1):
        (tmp_path / "journal").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BridgeError, match=f"damaged at byte {second}") as caught:
            found(tmp_path)
        assert caught.value.exit_status == 78


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"hello\n", bytes(100), written(tmp_path).partition(b"\n")[2]):
        (tmp_path / "journal").write_bytes(content)
        if content:
            with pytest.raises(BridgeError, match="damaged at byte 0"):
                found(tmp_path)
        assert (tmp_path / "journal").read_bytes() == content


def test_what_was_freed_is_not_found_again(tmp_path: Path) -> None:
    written(tmp_path)
    with opened(tmp_path) as journal:
        journal.free(1)
        journal.append(STATE._replace(next_seq=4), [(3, "three")])
    assert found(tmp_path)[1] == [(2, "two"), (3, "three")]


def test_a_new_beginning_lets_go_of_all(tmp_path: Path) -> None:
    written(tmp_path)
    with opened(tmp_path) as journal:
        journal.append(STATE._replace(next_seq=4), [(3, "three")], anew=True)
    assert found(tmp_path)[1] == [(3, "three")]


def test_a_compacted_journal_says_the_same_and_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(STATE, [(1, "x" * 2_000_000), (2, "two")])
        journal.free(1)
        assert journal.wasteful
        journal.compact([(2, "two")])
        assert not journal.wasteful
        assert (tmp_path / "journal").stat().st_size == journal.size < 1000
        journal.append(STATE._replace(next_seq=4), [(3, "three")])
    assert found(tmp_path) == (STATE._replace(next_seq=4), [(2, "two"), (3, "three")])


def test_a_crash_while_compacting_changes_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "journal.new").write_bytes(b"half a jour")
    assert found(tmp_path)[0] == STATE
    with opened(tmp_path) as journal:
        journal.compact([])
    assert found(tmp_path) == (STATE, [])


def test_a_failed_append_has_appended_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk, opened(disk) as journal:
        journal.append(STATE, [(2, "two")])
        with pytest.raises(OSError, match="No space left"):
            journal.append(STATE._replace(next_seq=5), [(3, "x" * 900_000)])
        assert (disk / "journal").stat().st_size == journal.size
        assert found(disk) == (STATE, [(2, "two")])


def test_the_reserve_makes_room_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        with opened(disk) as journal:
            journal.append(STATE, [(2, "x" * 500_000)])
            (disk / "others").write_bytes(bytes(16))
            with pytest.raises(OSError, match="No space left"), (disk / "others").open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            journal.free(2)
            journal.make_room([])
            journal.append(STATE, [(3, "x" * 100_000)])
        assert [seq for seq, _ in found(disk)[1]] == [3]


def test_one_lock_one_holder(tmp_path: Path) -> None:
    held = lock(str(tmp_path))
    with pytest.raises(BridgeError, match=f"another agent holds .*, pid {os.getpid()}") as caught:
        lock(str(tmp_path))
    assert caught.value.exit_status == 75
    os.close(held)
    os.close(lock(str(tmp_path)))


@pytest.mark.parametrize("kind", ["FIFO", "directory", "/dev/zero"])
def test_a_journal_that_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = "/dev/zero" if kind == "/dev/zero" else str(tmp_path / "journal")
    if kind != "/dev/zero":
        (os.mkfifo if kind == "FIFO" else os.mkdir)(path)
    with pytest.raises(BridgeError, match=f"the journal {path} is no regular file") as caught:
        records.read(path)
    assert (caught.value.code, "move it away" in caught.value.hint) == ("refused", True)


def test_an_agent_with_a_damaged_journal_refuses_to_start(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        whole = written(made.journal)
        (made.journal / "journal").write_bytes(whole.replace(b'"one"', b'"eno"'))
        status, line = made.refused()
        assert status == 78
        assert f"the journal {made.journal}/journal is damaged at byte" in line
        assert line.count("\n") == 1


def test_a_torn_journal_loses_nothing_that_the_host_has(tmp_path: Path) -> None:
    with connected(tmp_path) as (made, host):
        started(host, shell("seq 1 1000; exec cat"))
        host.until(lambda: len(host.lines()) == 1000, "a thousand lines")
        made.kill()
        with (made.journal / "journal").open("ab") as file:
            file.write(b'12345678 {"held":[[')
        made.start()
        again = made.reconnect()
        again.until(lambda: len(again.of(Alive)) == 2, "the next Alive")
        assert len(again.lines()) == 1000


def test_on_a_full_disk_the_child_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    with small_disk(tmp_path / "agent", "4m"), connected(tmp_path) as (made, host):
        started(host, shell("seq -f '%0999.0f' 1 20000; exec cat"))
        host.close()
        eventually(lambda: "the journal cannot be written: No space left" in made.log(), "word of it")
        assert made.log().count("cannot be written") == 1
        again = made.connect(host.disk)
        again.until(lambda: len(again.lines()) == 20000, "all lines", 30)
        again.send(Feed("main", 1, "and on"))
        again.until(lambda: again.lines()[-1] == "and on", "the last line")
        assert list(map(int, again.lines()[:-1])) == list(range(1, 20001))


def test_prompts_wait_while_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    with small_disk(tmp_path / "agent", "2m") as disk, connected(tmp_path) as (made, host):
        started(host, start("cat"))
        with pytest.raises(OSError, match="No space left"), (disk / "others").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        # More than the reserve holds, so that it cannot be kept.
        host.send(Feed("main", 1, "x" * 400_000))
        host.until(lambda: "cannot be written" in made.log(), "word of it")
        host.send(Feed("main", 1, "prompt"))
        for _ in range(20):
            host.serve(0.01)
        assert host.link.held
        assert host.lines() == []
        (disk / "others").unlink()
        host.until(lambda: len(host.lines()) == 2, "both lines")
        host.until(lambda: not host.link.held, "the commit of both")
