"""The daemon's log: one line is one line, in a form for people or for machines, of bounded size."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccbridged.system import logs


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A log file; afterwards the root logger is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield tmp_path / "logs" / "daemon.log"
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_has_time_level_and_message(file: Path) -> None:
    logs.set_up("info", "text", str(file))
    logging.info("instance %s is ready", "web")
    logging.debug("not wanted")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO instance web is ready\n", file.read_text())


def test_a_message_cannot_forge_a_line(file: Path) -> None:
    logs.set_up("info", "text", str(file))
    logging.info("from a container: \n2026 ERROR \x1b[31m\u202e")
    [line] = file.read_text().splitlines()
    assert line.endswith(r"from a container: \n2026 ERROR \x1b[31m\u202e")


def test_json_is_one_object_per_line(file: Path) -> None:
    logs.set_up("debug", "json", str(file))
    logging.debug("a\nb")
    try:
        raise ValueError("x")
    except ValueError:
        logging.exception("failed")
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["level"], first["message"]) == ("debug", "a\nb")
    assert second["trace"].endswith("ValueError: x")


def test_an_exception_keeps_its_lines(file: Path) -> None:
    logs.set_up("info", "text", str(file))
    try:
        raise ValueError("x")
    except ValueError:
        logging.exception("failed")
    assert file.read_text().splitlines()[-1] == "ValueError: x"


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_trace_that_is_given_is_shown_as_that_of_an_exception(file: Path, format: str) -> None:
    logs.set_up("info", format, str(file))
    logging.info("stuck", extra={"trace": "Thread 1:\n  here"})
    text = file.read_text()
    assert (json.loads(text)["trace"] if format == "json" else text.partition("\n")[2]).strip() == "Thread 1:\n  here"


def test_what_goes_to_the_other_descriptor_is_in_the_log_too_however_often_that_is_rotated(file: Path) -> None:
    also = os.open(os.devnull, os.O_WRONLY)
    logs.set_up("info", "text", str(file), also)
    for number in range(3):
        os.write(also, f"last words {number}\n".encode())
        assert f"last words {number}" in file.read_text()
        logging.info("x" * logs.ROTATE_AT)
        logging.info("y")
        assert "last words" not in file.read_text()
    os.close(also)


def test_setting_up_again_takes_the_place_of_the_first(file: Path) -> None:
    logs.set_up("info", "text", str(file))
    logs.set_up("error", "text", str(file))
    logging.info("not wanted")
    logging.error("once")
    assert file.read_text().count("once") == 1
    assert "not wanted" not in file.read_text()


def test_the_log_is_private_and_bounded(file: Path) -> None:
    logs.set_up("info", "text", str(file))
    message = "x" * 1_000_000
    for _ in range(45):
        logging.info(message)
    assert len(list(file.parent.iterdir())) == 1 + logs.KEPT
    assert sum(path.stat().st_size for path in file.parent.iterdir()) <= (1 + logs.KEPT) * logs.ROTATE_AT
    assert file.parent.stat().st_mode & 0o077 == 0


def test_without_a_file_it_goes_to_stderr(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    logging.info("hello")
    assert capsys.readouterr().err.endswith("INFO hello\n")
