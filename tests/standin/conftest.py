"""Stand-ins that are gone when their test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standin.conversation import STREAM, Program, Starter


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts stand-ins that share one home directory; whatever still runs at the end is killed."""
    programs: list[Program] = []

    def begin(*arguments: str, **environ: str) -> Program:
        programs.append(Program(tmp_path, *(arguments or STREAM), **environ))
        return programs[-1]

    yield begin
    for program in programs:
        program.close()
