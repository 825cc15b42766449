"""The packed agent: the same bytes twice, nothing in it that a container may lack, and carried by the wheel."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ccbridged.system.agentpack import build, pack

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first = pack(str(tmp_path / "a"))
    os.utime(REPOSITORY / "agent" / "main.py")
    second = pack(str(tmp_path / "b"))
    assert Path(first.path).read_bytes() == Path(second.path).read_bytes() == build()


def test_the_file_is_named_by_its_content_and_has_a_stable_twin(tmp_path: Path) -> None:
    made = pack(str(tmp_path))
    content = Path(made.path).read_bytes()
    assert made.digest == hashlib.sha256(content).hexdigest()
    assert Path(made.path).name == f"agent-{made.digest[:16]}.pyz"
    assert (tmp_path / "agent.pyz").read_bytes() == content
    assert content[:2] == b"PK", "the agent recognises by this that it is packed"


def test_entries_are_stored_sorted_and_equally_dated(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(str(tmp_path)).path) as archive:
        entries = archive.infolist()
    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    assert {(e.compress_type, e.date_time) for e in entries} == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))}


def test_everyone_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = pack(str(tmp_path / "agent"))
    finally:
        os.umask(before)
    assert os.stat(made.path).st_mode & 0o777 == 0o644
    assert os.stat(tmp_path / "agent").st_mode & 0o777 == 0o755


def test_packing_again_changes_nothing(tmp_path: Path) -> None:
    first = pack(str(tmp_path))
    inodes = {entry.name: entry.inode() for entry in os.scandir(tmp_path)}
    assert pack(str(tmp_path)) == first
    assert {entry.name: entry.inode() for entry in os.scandir(tmp_path)} == inodes


def test_a_damaged_or_older_pack_is_replaced_and_old_ones_go(tmp_path: Path) -> None:
    made = pack(str(tmp_path))
    for name in (Path(made.path).name, "agent.pyz"):
        (tmp_path / name).write_bytes(b"torn")
    for number in range(9):
        old = tmp_path / f"agent-{number:016x}.pyz"
        old.write_bytes(b"PK")
        os.utime(old, (number, number))
    with open(tmp_path / "agent.pyz", "rb") as opened_before:
        again = pack(str(tmp_path))
        assert opened_before.read() == b"torn", "who has the old one open keeps it"
    assert again == made
    assert (tmp_path / "agent.pyz").read_bytes() == Path(made.path).read_bytes() == build()
    assert sorted(os.listdir(tmp_path))[:-2] == [f"agent-{number:016x}.pyz" for number in range(5, 9)]


def test_it_imports_nothing_but_the_standard_library_and_the_protocol(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(str(tmp_path)).path) as archive:
        names = archive.namelist()
        trees = {name: ast.parse(archive.read(name)) for name in names}
    imported = {(name, module) for name, tree in trees.items() for node in ast.walk(tree) for module in _modules(node)}
    packed = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names}
    for name, module in sorted(imported):
        assert module.split(".")[0] in sys.stdlib_module_names or module in packed, f"{name} imports {module}"
    assert {top for name in packed for top in [name.split(".")[0]]} == {"__main__", "agent", "ccbridged"}
    assert not any(name.startswith(("ccbridged.system", "ccbridged.model")) for name in packed)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import"
        return [node.module or ""]
    return []


def test_it_runs_isolated_and_far_from_its_sources(tmp_path: Path) -> None:
    made = pack(str(tmp_path))
    ran = subprocess.run(
        [sys.executable, "-I", made.path, "--version"], cwd="/", env={}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip()


def test_the_wheel_carries_the_agent_but_no_top_level_package_of_that_name(tmp_path: Path) -> None:
    hatch = Path(sys.executable).with_name("hatchling")
    if not hatch.exists():
        pytest.skip("needs the build backend: run `.venv/bin/pip install hatchling`")
    subprocess.run([hatch, "build", "-t", "wheel", "-d", tmp_path], cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        packages = {top for top in tops if not top.endswith((".dist-info", ".data"))}
        assert packages == {"ccbridged", "ccbridgectl"}
        archive.extractall(tmp_path / "installed")
    code = (
        "import sys, hashlib; from ccbridged.system.agentpack import build; print(hashlib.sha256(build()).hexdigest())"
    )
    installed = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path / "installed",
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert installed.stdout.strip() == hashlib.sha256(build()).hexdigest()
