"""Where the daemon's things are, by user and environment, and who wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccbridged import commandline
from ccbridged.commandline import Places
from ccbridged.model.config import Config, DaemonConfig

NOBODY = 4_000_000_000
"""A user without a /run/user directory."""


def places(*arguments: str, uid: int = NOBODY, config: Config | None = None, **environ: str) -> Places:
    return commandline.places(commandline.parse(["--foreground", *arguments]), config or Config(), environ, uid)


def test_root_gets_the_system_places() -> None:
    found = places(uid=0, XDG_RUNTIME_DIR="/run/user/0", XDG_STATE_HOME="/x")
    assert found == Places("/run/ccbridged", "/var/lib/ccbridged", "/var/lib/ccbridged/ccbridged.log")


def test_a_user_gets_the_places_of_the_session() -> None:
    found = places(XDG_RUNTIME_DIR="/run/user/7", XDG_STATE_HOME="/s")
    assert found == Places("/run/user/7/ccbridged", "/s/ccbridged", "/s/ccbridged/ccbridged.log")


def test_a_user_without_a_session_gets_places_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = places(XDG_RUNTIME_DIR="relative", XDG_STATE_HOME="relative")
    assert found.state_dir == "/home/me/.local/state/ccbridged"
    assert found.runtime_dir == "/home/me/.local/state/ccbridged/run"


def test_the_file_beats_the_defaults_and_arguments_beat_the_file() -> None:
    config = Config(daemon=DaemonConfig(runtime_dir="/file/run", state_dir="/file/state"))
    filed = places(config=config)
    told = places("--runtime-dir", "/told/run", "--state-dir", "/told/state", config=config)
    assert (filed.runtime_dir, filed.state_dir) == ("/file/run", "/file/state")
    assert (told.runtime_dir, told.state_dir) == ("/told/run", "/told/state")


def test_the_clients_variable_beats_the_file_but_not_an_argument() -> None:
    config = Config(daemon=DaemonConfig(runtime_dir="/file/run"))
    assert places(config=config, CCBRIDGED_RUNTIME_DIR="/env/run").runtime_dir == "/env/run"
    assert places("--runtime-dir", "/told", CCBRIDGED_RUNTIME_DIR="/env/run").runtime_dir == "/told"


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = commandline.parse(["--foreground", "--config", "c.toml", "--state-dir", "state"])
    assert (options.config, options.state_dir) == (f"{tmp_path}/c.toml", f"{tmp_path}/state")


def test_the_users_file_is_read_when_it_exists(tmp_path: Path) -> None:
    options = commandline.parse(["--check-config"])
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert commandline.config_file(options, environ, NOBODY) == ""
    assert commandline.load("") == Config()
    (tmp_path / "ccbridged").mkdir()
    (tmp_path / "ccbridged" / "ccbridged.toml").write_text("[session]\nmax_queue = 7\n")
    file = commandline.config_file(options, environ, NOBODY)
    assert file == f"{tmp_path}/ccbridged/ccbridged.toml"
    assert commandline.load(file).session.max_queue == 7


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    options = commandline.parse(["--check-config", "--config", str(tmp_path / "none")])
    assert commandline.config_file(options, {}, NOBODY) == str(tmp_path / "none")
