"""What the agent says where it cannot work: one clear line, and an exit status that tells whether to try again."""

import ast
import ctypes
import subprocess
import sys
from pathlib import Path

from tests.system.agent_host import PATIENCE, ROOT, Rig, eventually, pack, rig

FRONT_DOOR = ROOT / "agent/__main__.py"


def told(outcome: tuple[int, str]) -> tuple[int, str]:
    """The status and the one line."""
    status, errors = outcome
    assert errors.count("\n") == 1, errors
    return status, errors


def pretend(pyz: Path, lie: str) -> tuple[int, str]:
    """Run the packed agent in a Python made to look otherwise."""
    code = f"import runpy, sys; {lie}; sys.argv = ['agent.pyz']; runpy.run_path({str(pyz)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-c", code], stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode()


def refused_without_override(made: Rig) -> tuple[int, str]:
    """Run the agent without root's right to open anything."""
    done = subprocess.run(
        made.command(), stderr=subprocess.PIPE, check=False, timeout=PATIENCE, preexec_fn=give_up_override
    )
    return done.returncode, done.stderr.decode()


def give_up_override() -> None:
    """CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, out of the bounding set; others have neither."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def test_a_python_that_is_too_old_is_told_what_is_needed(tmp_path: Path) -> None:
    status, line = told(pretend(pack(tmp_path / "agent.pyz"), "sys.version_info = (3, 4, 2, 'final', 0)"))
    assert status == 78
    assert "needs Python >= 3.10 with the standard library (python3, not python3-minimal)" in line
    assert "is 3.4.2" in line


def test_a_python_without_its_library_is_told_what_is_needed(tmp_path: Path) -> None:
    status, line = told(pretend(pack(tmp_path / "agent.pyz"), "sys.modules['json'] = None"))
    assert status == 78
    assert "not python3-minimal" in line
    assert "has no module json" in line


def test_the_front_door_is_readable_for_any_python() -> None:
    source = FRONT_DOOR.read_bytes().decode("ascii")
    tree = ast.parse(source, feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.Nonlocal, ast.Starred)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert functions
    assert not [f for f in functions if f.returns or f.args.kwonlyargs or any(a.annotation for a in f.args.args)]


def test_the_packed_agent_says_its_version_from_anywhere(tmp_path: Path) -> None:
    pyz = pack(tmp_path / "agent.pyz")
    done = subprocess.run([sys.executable, "-I", str(pyz), "--version"], cwd="/", stdout=subprocess.PIPE, check=True)
    assert done.stdout.startswith(b"0.")


def test_a_link_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        made.link = tmp_path / "absent"
        status, line = told(made.refused())
        assert status == 78
        assert f"there is no link directory {made.link}" in line


def test_a_link_directory_without_fifos_is_named(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        (made.link / "in.fifo").unlink()
        status, line = told(made.refused())
        assert status == 78
        assert f"there is no FIFO {made.link}/in.fifo" in line


def test_a_plain_file_in_place_of_a_fifo_is_refused(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        (made.link / "in.fifo").unlink()
        (made.link / "in.fifo").write_text("")
        status, line = told(made.refused())
        assert status == 78
        assert "it is not a FIFO" in line


def test_a_symlink_in_place_of_a_fifo_is_refused(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        (made.link / "in.fifo").rename(tmp_path / "elsewhere")
        (made.link / "in.fifo").symlink_to(tmp_path / "elsewhere")
        assert told(made.refused())[0] == 78


def test_a_fifo_that_may_not_be_opened_names_the_group_to_add(tmp_path: Path) -> None:
    for name, mode in (("in.fifo", 0o040), ("out.fifo", 0o020)):
        (tmp_path / name).mkdir()
        with rig(tmp_path / name) as made:
            (made.link / "in.fifo").chmod(0o444)
            (made.link / "out.fifo").chmod(0o222)
            (made.link / name).chmod(mode)
            status, line = told(refused_without_override(made))
            assert status == 78
            assert f"may not use {made.link}/{name}" in line
            assert f"--group-add {(made.link / name).stat().st_gid}" in line


def test_a_journal_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        made.journal.chmod(0o555)
        status, line = told(refused_without_override(made))
        assert status == 78
        assert f"the journal directory {made.journal} cannot be used by uid" in line


def test_a_second_agent_is_told_who_holds_the_journal(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        agent = made.start()
        eventually(lambda: "agent 0" in made.log(), "the first agent")
        status, line = told(made.refused())
        assert status == 75
        assert f"another agent holds {made.journal}, pid {agent.pid}" in line


def test_the_log_can_be_json(tmp_path: Path) -> None:
    with rig(tmp_path) as made:
        made.link = tmp_path / "absent"
        _, line = made.refused("--log-format", "json")
        assert '"level":"error","message":"there is no link directory' in line
