"""FIFOs made, verified, opened, read and written: the real ones, with everything that can be at their path."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccbridged.protocol.errors import BridgeError
from ccbridged.system import fifo
from ccbridged.system.pins import Pin, PortablePin
from tests.system.processes import Child, nobody


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[fifo.Reader, fifo.Writer]]:
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    reader = fifo.Reader(fifo.open_reader(str(tmp_path), "f"))
    fd = fifo.open_writer(str(tmp_path), "f")
    assert fd is not None
    writer = fifo.Writer(fd, 1 << 20)
    yield reader, writer
    reader.close()
    writer.close()


PINS: tuple[type[Pin] | type[PortablePin], ...] = (Pin, PortablePin)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def drained(reader: fifo.Reader, writer: fifo.Writer) -> bytes:
    got = b""
    while chunk := reader.read():
        got += chunk
        writer.flush()
    return got


def a_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices: run `sudo .venv/bin/pytest tests/system`")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def a_second_name(path: Path) -> None:
    os.mkfifo(path.parent / "original")
    os.link(path.parent / "original", path)


def somebody_elses(path: Path) -> None:
    os.mkfifo(path)
    os.chown(path, nobody(), -1)


def a_link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


IMPOSTORS: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("precious"),
    "a directory": lambda path: path.mkdir(),
    "a symlink": a_link_to_a_fifo,
    "a dangling symlink": lambda path: path.symlink_to("nowhere"),
    "a device": a_device,
    "a second name": a_second_name,
    "somebody else's": somebody_elses,
}


def test_a_fifo_is_made_with_its_mode_and_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        fifo.make_fifo(str(tmp_path), "out.fifo", 0o620, os.getegid())
    finally:
        os.umask(before)
    assert stat.S_ISFIFO((tmp_path / "out.fifo").lstat().st_mode)
    assert mode(tmp_path / "out.fifo") == 0o620
    assert os.listdir(tmp_path) == ["out.fifo"]


def test_an_existing_fifo_is_kept_with_what_is_in_it(tmp_path: Path) -> None:
    first = fifo.make_fifo(str(tmp_path), "f", 0o600)
    holder = os.open(tmp_path / "f", os.O_RDWR | os.O_NONBLOCK)
    os.write(holder, b"unread")
    assert fifo.make_fifo(str(tmp_path), "f", 0o600) == first
    assert os.read(holder, 100) == b"unread"
    os.close(holder)


def test_a_wrong_mode_is_mended(tmp_path: Path) -> None:
    first = fifo.make_fifo(str(tmp_path), "f", 0o666)
    assert fifo.make_fifo(str(tmp_path), "f", 0o640) == first
    assert mode(tmp_path / "f") == 0o640


def test_a_wrong_group_is_mended(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root changes groups at will: run `sudo .venv/bin/pytest tests/system`")
    fifo.make_fifo(str(tmp_path), "f", 0o640)
    fifo.make_fifo(str(tmp_path), "f", 0o640, 12345)
    assert (tmp_path / "f").lstat().st_gid == 12345
    assert mode(tmp_path / "f") == 0o640


def test_a_mode_of_0_is_mended_by_one_who_is_not_root(public_dir: Path) -> None:
    other = nobody()
    os.chown(public_dir, other, -1)

    def mend() -> bytes:
        fifo.make_fifo(str(public_dir), "f", 0)
        with pytest.raises(BridgeError) as caught:
            fifo.open_reader(str(public_dir), "f")
        assert caught.value.code == "unavailable"
        fifo.make_fifo(str(public_dir), "f", 0o640)
        fifo.open_reader(str(public_dir), "f")
        return b"mended"

    with Child(mend, other) as child:
        assert child.result() == b"mended"


def test_what_a_crash_left_while_making_is_no_obstacle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / fifo.temporary_name("f"))
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_anything_else_at_the_path_is_refused_and_not_touched(tmp_path: Path, impostor: str) -> None:
    path = tmp_path / "in.fifo"
    IMPOSTORS[impostor](path)
    before = path.lstat()
    for attempt in (
        lambda: fifo.make_fifo(str(tmp_path), "in.fifo", 0o640),
        lambda: fifo.open_reader(str(tmp_path), "in.fifo"),
        lambda: fifo.open_writer(str(tmp_path), "in.fifo"),
    ):
        with pytest.raises(BridgeError) as caught:
            attempt()
        assert caught.value.code == "refused"
        remove = "rm -r" if impostor == "a directory" else "rm"
        assert caught.value.hint == f"if you do not need it: {remove} {shlex.quote(str(path))}"
    after = path.lstat()
    assert (before.st_ino, before.st_mode, before.st_uid, before.st_mtime) == (
        after.st_ino,
        after.st_mode,
        after.st_uid,
        after.st_mtime,
    )


def test_a_directory_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(BridgeError) as caught:
        fifo.make_fifo(str(tmp_path / "link"), "f", 0o600)
    assert caught.value.code == "refused"
    assert caught.value.hint.endswith(f"rm {tmp_path / 'link'}")
    assert os.listdir(tmp_path / "real") == []


def test_a_missing_directory_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="No such file") as caught:
        fifo.make_fifo(str(tmp_path / "none"), "f", 0o600)
    assert caught.value.code == "unavailable"


def test_opening_never_creates(tmp_path: Path) -> None:
    for attempt in (fifo.open_reader, fifo.open_writer):
        with pytest.raises(BridgeError, match="is gone"):
            attempt(str(tmp_path), "f")
    assert os.listdir(tmp_path) == []


def test_another_fifo_under_the_same_name_is_told_apart(tmp_path: Path) -> None:
    first = fifo.make_fifo(str(tmp_path), "f", 0o600)
    os.rename(tmp_path / "f", tmp_path / "old")
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    with pytest.raises(BridgeError, match="was replaced"):
        fifo.open_reader(str(tmp_path), "f", first)


def test_a_writer_without_a_reader_is_a_state_and_no_error(tmp_path: Path) -> None:
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    assert fifo.open_writer(str(tmp_path), "f") is None


def test_both_pins_open_what_they_looked_at_and_nothing_else(tmp_path: Path) -> None:
    for number, kind in enumerate(PINS):
        name = f"f{number}"
        os.mkfifo(tmp_path / name)
        with kind(str(tmp_path), name) as pinned:
            fd = pinned.open(os.O_RDONLY)
            assert os.fstat(fd).st_ino == pinned.stat.st_ino
            os.close(fd)
            pinned.chmod(0o640)
            pinned.chown(os.getegid())
        assert mode(tmp_path / name) == 0o640
        (tmp_path / "link").symlink_to(name)
        with kind(str(tmp_path), "link") as pinned:
            assert stat.S_ISLNK(pinned.stat.st_mode)
            with pytest.raises(OSError, match=r".+"):
                pinned.open(os.O_RDONLY)
        (tmp_path / "link").unlink()
        with pytest.raises(FileNotFoundError):
            kind(str(tmp_path), "link")


def test_what_takes_the_place_of_a_pinned_fifo_is_not_opened(tmp_path: Path) -> None:
    for kind in PINS:
        os.mkfifo(tmp_path / "f")
        with kind(str(tmp_path), "f") as pinned:
            was = pinned.stat.st_ino
            os.rename(tmp_path / "f", tmp_path / "aside")
            os.mkfifo(tmp_path / "f")
            try:
                fd = pinned.open(os.O_RDONLY)
            except FileNotFoundError:
                assert kind is PortablePin
            else:
                assert os.fstat(fd).st_ino == was
                os.close(fd)
        os.unlink(tmp_path / "f")
        os.unlink(tmp_path / "aside")


def test_before_the_first_writer_there_is_nothing_and_not_an_end(tmp_path: Path) -> None:
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    reader = fifo.Reader(fifo.open_reader(str(tmp_path), "f"))
    assert reader.read() is None
    fd = os.open(tmp_path / "f", os.O_WRONLY)
    assert reader.read() is None
    os.close(fd)
    assert reader.read() == b""
    reader.close()


def test_after_an_end_a_new_read_end_is_silent_and_keeps_what_was_unread(tmp_path: Path) -> None:
    fifo.make_fifo(str(tmp_path), "f", 0o600)
    reader = fifo.Reader(fifo.open_reader(str(tmp_path), "f"))
    fd = os.open(tmp_path / "f", os.O_WRONLY)
    os.write(fd, b"last words")
    os.close(fd)
    reader.replace(fifo.open_reader(str(tmp_path), "f"))
    assert reader.read(4) == b"last"
    assert reader.read() == b" words"
    assert reader.read() is None
    epoll = select.epoll()
    epoll.register(reader.fd, select.EPOLLIN)
    assert epoll.poll(0.05) == []
    second = os.open(tmp_path / "f", os.O_WRONLY)
    os.write(second, b"again")
    os.close(second)
    assert epoll.poll(5) != []
    assert (reader.read(), reader.read()) == (b"again", b"")
    epoll.close()
    reader.close()


def test_a_closed_end_has_no_fd(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    for end in ends:
        end.close()
        assert end.fd == -1
        end.close()


def test_what_does_not_fit_is_kept_and_arrives_in_order(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    reader, writer = ends
    data = os.urandom(500_000)
    writer.write(data)
    assert writer.kept == 500_000 - writer.capacity
    writer.write(b"tail")
    assert drained(reader, writer) == data + b"tail"
    assert writer.kept == 0


def test_one_piece_is_kept_however_large_and_others_up_to_the_limit(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    reader, writer = ends
    writer.write(bytes(3 << 20))
    writer.write(bytes(1 << 19))
    kept = writer.kept
    for size in (1 << 20, 4 << 20):
        with pytest.raises(BufferError, match="waiting"):
            writer.write(bytes(size))
    assert writer.kept == kept
    assert drained(reader, writer) == bytes((3 << 20) + (1 << 19))
    writer.write(bytes(2 << 20))
    with pytest.raises(BufferError, match="waiting"):
        writer.write(bytes((1 << 20) + 100_000))
    assert drained(reader, writer) == bytes(2 << 20)


def test_sixty_four_megabytes_pass_without_quadratic_cost(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    reader, writer = ends
    started = time.process_time()
    writer.write(bytes(64 << 20))
    size = 0
    while chunk := reader.read():
        size += len(chunk)
        writer.flush()
    assert size == 64 << 20
    assert time.process_time() - started < 5


def test_a_reader_that_has_left_is_noticed_before_and_while_writing(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    reader, writer = ends
    writer.write(bytes(100_000))
    assert not writer.abandoned
    reader.close()
    assert writer.abandoned
    with pytest.raises(BrokenPipeError):
        writer.flush()
    writer.close()
    assert writer.kept == 0


def test_an_8_kib_pipe_says_so_and_carries_everything(ends: tuple[fifo.Reader, fifo.Writer]) -> None:
    reader, writer = ends
    fcntl.fcntl(writer.fd, 1031, 8192)
    assert writer.capacity == 8192
    data = os.urandom(100_000)
    writer.write(data)
    assert drained(reader, writer) == data


def test_out_of_fds_has_a_name_and_a_remedy() -> None:
    fault = fifo.unavailable("/x/f", OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    assert (fault.code, "limit on open files" in fault.hint) == ("unavailable", True)


def test_a_file_system_without_inodes_has_a_name_and_a_remedy() -> None:
    fault = fifo.unavailable("/x y/f", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert (fault.code, fault.hint) == ("unavailable", "free some inodes: df -i '/x y'")
