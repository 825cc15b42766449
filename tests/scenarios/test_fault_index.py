"""The list of faults names tests that exist, and every test of faults is in it: so it cannot rot."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.scenarios.fault_index import FAULTS

TESTS = Path(__file__).parents[1]
NAMED = sorted({name for names in FAULTS.values() for name in names})


def names_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_list_of_faults_names_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert function in names_in(path)


def test_every_test_of_faults_is_in_the_list() -> None:
    files = sorted(path.relative_to(TESTS).as_posix() for path in Path(__file__).parent.glob("test_faults*.py"))
    assert len(files) == 3
    assert [
        f"{path}::{name}" for path in files for name in sorted(names_in(path)) if f"{path}::{name}" not in NAMED
    ] == []


def test_no_fault_is_without_a_test() -> None:
    assert [fault for fault, names in FAULTS.items() if not names] == []
