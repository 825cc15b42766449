"""Where the client looks for the daemon."""

from pathlib import Path

import pytest

from ccbridgectl.places import candidates, runtime_dir
from ccbridged.protocol.errors import BridgeError

NO_SUCH_USER = 4_000_000_000


def test_the_session_comes_before_the_system() -> None:
    assert candidates({"XDG_RUNTIME_DIR": "/run/user/7"}, 7) == ["/run/user/7/ccbridged", "/run/ccbridged"]


def test_without_a_session_the_state_directory_is_looked_into() -> None:
    home = {"XDG_STATE_HOME": "/h/state"}
    assert candidates(home, NO_SUCH_USER) == ["/h/state/ccbridged/run", "/run/ccbridged"]
    relative = {"XDG_STATE_HOME": "/h/state", "XDG_RUNTIME_DIR": "relative/is/ignored"}
    assert candidates(relative, NO_SUCH_USER) == candidates(home, NO_SUCH_USER)


def test_what_is_asked_for_wins_and_needs_no_fifo(tmp_path: Path) -> None:
    environ = {"CCBRIDGED_RUNTIME_DIR": "/from/the/environment"}
    assert runtime_dir(str(tmp_path), environ, 0) == str(tmp_path)
    assert runtime_dir("", environ, 0) == "/from/the/environment"


def test_of_the_usual_places_the_first_with_a_fifo_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ccbridged").mkdir()
    (tmp_path / "ccbridged/control").touch()
    assert runtime_dir("", {"XDG_RUNTIME_DIR": str(tmp_path)}, 0) == f"{tmp_path}/ccbridged"


def test_none_of_them_is_no_daemon_and_names_them(tmp_path: Path) -> None:
    with pytest.raises(BridgeError) as raised:
        runtime_dir("", {"XDG_RUNTIME_DIR": str(tmp_path)}, 0)
    assert raised.value.exit_status == 69
    assert str(tmp_path) in raised.value.message
    assert "ccbridged --detach" in raised.value.hint
