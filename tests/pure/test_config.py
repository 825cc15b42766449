"""Every setting of the contract: read, bounded, and its faults named with what would be right."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import tomli

from ccbridged.model import config, kinds
from ccbridged.model.config import Config, ConfigFaults, InstanceConfig, Rule
from ccbridged.model.sample import sample

GOOD: list[tuple[str, str, object]] = [
    ("daemon.runtime_dir", '"/run/x"', "/run/x"),
    ("daemon.state_dir", '"~/state"', "~/state"),
    ("daemon.log_level", '"debug"', "debug"),
    ("daemon.log_format", '"json"', "json"),
    ("daemon.durability", '"process"', "process"),
    ("pipes.in_mode", "0o600", 0o600),
    ("pipes.in_mode", '"0644"', 0o644),
    ("pipes.out_mode", '"0o622"', 0o622),
    ("pipes.group", '"users"', "users"),
    ("pipes.warn_age", "0", 0.0),
    ("session.idle_timeout", "600", 600.0),
    ("session.request_timeout", "0.5", 0.5),
    ("session.max_history", "0", 0),
    ("session.max_queue", "1", 1),
    ("health.enabled", "false", False),
    ("health.check_interval", "0.05", 0.05),
    ("health.max_consecutive_failures", "1000", 1000),
    ("health.recovery_delay", "0", 0.0),
    ("docker.host", '"unix:///x.sock"', "unix:///x.sock"),
    ("docker.communication_mode", '"exec"', "exec"),
    ("docker.image", '"mine:1"', "mine:1"),
    ("approvals.default", '"deny"', "deny"),
    ("approvals.timeout", "60", 60.0),
    ("approvals.rules", '[{tool="Bash", match="git *", action="allow"}]', (Rule("Bash", "git *", "allow"),)),
    ("notify.command", '["notify-send", "x"]', ("notify-send", "x")),
]

BAD = [
    ("daemon.runtime_dir", '"relative"', "absolute path"),
    ("daemon.state_dir", "1", "absolute path"),
    ("daemon.log_level", '"inf"', 'did you mean "info"?'),
    ("daemon.log_level", "3", '"debug", "info", "warning" or "error"'),
    ("daemon.log_format", '"xml"', '"text" or "json"'),
    ("daemon.durability", '"none"', '"power" or "process"'),
    ("pipes.in_mode", "640", "0o640"),
    ("pipes.in_mode", "0o040", "0o600"),
    ("pipes.in_mode", "true", "0o640"),
    ("pipes.out_mode", '"rw"', "0o640"),
    ("pipes.group", "[]", "one line of text"),
    ("pipes.warn_age", "-1", "seconds from 0 to 86400"),
    ("session.idle_timeout", '"5m"', "without quotes or unit"),
    ("session.idle_timeout", "inf", "seconds from 0"),
    ("session.request_timeout", "nan", "seconds from 0"),
    ("session.max_history", "-1", "whole number from 0"),
    ("session.max_history", "1.5", "whole number from 0"),
    ("session.max_queue", "0", "whole number from 1 to 100000"),
    ("health.enabled", "1", "true or false"),
    ("health.check_interval", "0", "seconds from 0.05"),
    ("health.max_consecutive_failures", "0", "whole number from 1 to 1000"),
    ("health.recovery_delay", "true", "seconds from 0"),
    ("docker.host", '"/run/docker.sock"', "unix:///run/docker.sock"),
    ("docker.communication_mode", '"pipe"', '"auto", "fifo", "stream", "socket", "files" or "exec"'),
    ("docker.image", '"two words"', "image"),
    ("approvals.default", '"maybe"', '"ask", "allow" or "deny"'),
    ("approvals.timeout", "-0.1", "seconds from 0"),
    ("approvals.rules", '"Bash"', 'tool="Bash"'),
    ("approvals.rules", "[1]", 'tool="Bash"'),
    ("notify.command", '"notify-send x"', "a list of texts"),
    ("notify.command", '["a\\u0000b"]', "a list of texts"),
]

INSTANCE_BAD = [
    ("container", '"a b"', "container's name"),
    ("image", '""\nimage2 = 1', 'did you mean "image"?'),
    ("runtime", '"podman"', '"process" or "docker"'),
    ("transport", '"tcp"', '"auto"'),
    ("driver", '"screen"', '"claude" or "tmux"'),
    ("program", "[]", "a list of texts"),
    ("workdir", '"here"', "absolute path"),
    ("env", '"A=1"', "a table of texts"),
]


def document(path: str, value: str) -> dict[str, object]:
    section, key = path.rsplit(".", 1)
    return tomli.loads(f"[{section}]\n{key} = {value}\n")


def faults_of(text: str) -> dict[str, tuple[str, str]]:
    """Key path -> what is wrong, what would be right."""
    with pytest.raises(ConfigFaults) as caught:
        config.read(tomli.loads(text))
    return {fault.path: (fault.wrong, fault.right) for fault in caught.value.faults}


@pytest.mark.parametrize(("path", "value", "expected"), GOOD)
def test_a_setting_is_read(path: str, value: str, expected: object) -> None:
    section, key = path.split(".")
    found = getattr(getattr(config.read(document(path, value)), section), key)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("path", "value", "right"), BAD)
def test_a_setting_out_of_bounds_is_a_fault_that_says_what_is_right(path: str, value: str, right: str) -> None:
    with pytest.raises(ConfigFaults) as caught:
        config.read(document(path, value))
    [fault] = caught.value.faults
    assert fault.path == path
    assert right in fault.right
    assert str(caught.value) == f"{path}: {fault.wrong}; {fault.right}"


def test_every_setting_is_tested_both_ways() -> None:
    stated = {f"{name}.{item.name}" for name, shape in config.SECTIONS.items() for item in fields(shape)}
    assert {path for path, _, _ in GOOD} == stated
    assert {path for path, _, _ in BAD} == stated
    assert {key for key, _, _ in INSTANCE_BAD} == {item.name for item in fields(InstanceConfig)}


def test_nothing_said_means_all_defaults() -> None:
    assert config.read({}) == Config()


def test_an_empty_text_means_the_default_place() -> None:
    assert config.read(tomli.loads('[daemon]\nstate_dir = ""')).daemon.state_dir == ""


def test_all_faults_come_at_once() -> None:
    found = faults_of("""
        [daemon]
        log_level = 1
        colour = "red"
        [health]
        check_interval = "x"
        [instances.a]
        [instances.B]
        runtime = "process"
    """)
    assert sorted(found) == ["daemon.colour", "daemon.log_level", "health.check_interval", "instances.B", "instances.a"]


@pytest.mark.parametrize(
    ("text", "path", "right"),
    [
        ("[deamon]", "deamon", 'did you mean "daemon"?'),
        ("[zzz]", "zzz", "known are approvals, daemon"),
        ("log_level = 'info'", "log_level", "it belongs in [daemon]"),
        ("[daemon]\nidle_timeout = 1", "daemon.idle_timeout", "it belongs in [session]"),
        ("[session]\ntimeout = 1", "session.timeout", 'did you mean "idle_timeout", or does it belong in [approvals]?'),
        ("[session]\nmax_histroy = 1", "session.max_histroy", 'did you mean "max_history"?'),
        ("[notify]\nzzz = 1", "notify.zzz", "known are command"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(text: str, path: str, right: str) -> None:
    assert right in faults_of(text)[path][1]


@pytest.mark.parametrize("text", ["daemon = 1", "instances = 2", "[instances]\nweb = 3"])
def test_what_should_be_a_table_is_told_so(text: str) -> None:
    [(wrong, right)] = faults_of(text).values()
    assert "a number is not a table" in wrong
    assert "write [" in right


def test_a_rule_must_say_its_tool_and_its_action() -> None:
    found = faults_of('[approvals]\nrules = [{match = "git *"}, {tool = "Bash", action = "permit"}]')
    assert set(found) == {"approvals.rules[0]", "approvals.rules[1].action"}


def instance(text: str) -> InstanceConfig:
    return config.read(tomli.loads(f"[instances.web]\n{text}")).instances["web"]


@pytest.mark.parametrize(("key", "value", "right"), INSTANCE_BAD)
def test_an_instance_setting_out_of_bounds_is_a_fault(key: str, value: str, right: str) -> None:
    place = "" if key == "runtime" else 'runtime = "docker"'
    [(_, said)] = faults_of(f"[instances.web]\n{place}\n{key} = {value}").values()
    assert right in said


def test_an_instance_is_read_whole() -> None:
    found = instance("""
        container = "dev"
        transport = "stream"
        driver = "tmux"
        program = ["claude", "--model", "opus"]
        workdir = "/src"
        env = {A = "1"}
    """)
    program = ("claude", "--model", "opus")
    assert found == InstanceConfig("dev", "", "docker", "stream", "tmux", program, "/src", {"A": "1"})


def test_an_instance_of_runtime_docker_takes_the_default_image() -> None:
    found = config.read(tomli.loads('[docker]\nimage = "mine"\n[instances.web]\nruntime = "docker"'))
    assert found.instances["web"].image == "mine"
    assert instance('image = "other"').image == "other"
    assert instance('container = "c"').image == ""


def test_a_process_has_no_image() -> None:
    found = instance('runtime = "process"')
    assert (found.runtime, found.image) == ("process", "")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('container = "a"\nimage = "b"', "both container and image"),
        ('container = "a"\nruntime = "process"', 'container and runtime = "process"'),
        ('image = "b"\nruntime = "process"', 'image and runtime = "process"'),
        ("", "does not say where it runs"),
        ('runtime = "process"\ntransport = "stream"', 'no transport "stream"'),
        ('runtime = "process"\ntransport = "exec"', 'no transport "exec"'),
        ('container = "a"\ndriver = "tmux"\ntransport = "exec"', "tmux driver needs an agent"),
    ],
)
def test_a_contradiction_within_an_instance_is_a_fault(text: str, wrong: str) -> None:
    assert wrong in faults_of(f"[instances.web]\n{text}")["instances.web"][0]


@pytest.mark.parametrize("name", ["a", "0", "web-1.x_y", "a" * 63])
def test_a_good_instance_name_is_kept(name: str) -> None:
    assert set(config.read({"instances": {name: {"runtime": "process"}}}).instances) == {name}


@pytest.mark.parametrize("name", ["", "Web", "-a", ".a", "a b", "a/b", "é", "a" * 64])
def test_a_bad_instance_name_is_a_fault(name: str) -> None:
    with pytest.raises(ConfigFaults, match="not an instance's name"):
        config.read({"instances": {name: {"runtime": "process"}}})


def test_a_variable_at_fault_does_not_give_its_value_away() -> None:
    found = faults_of('[instances.web]\nruntime = "process"\nenv = {"A-B" = "secret", C = 7}')
    assert set(found) == {"instances.web.env.A-B", "instances.web.env.C"}
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\x1b[31m", '"a\\x1b[31m"'),
        ("x" * 100, '"' + "x" * 56 + "…"),
        (True, "true"),
        (1.5, "1.5"),
        ([], "a list"),
        (tomli.loads("d = 2020-01-01")["d"], "a date or time"),
    ],
)
def test_a_value_is_shown_on_one_short_line(value: Any, text: str) -> None:
    assert kinds.shown(value) == text


def test_the_sample_is_all_defaults() -> None:
    document = tomli.loads(sample())
    assert config.read(document) == Config()
    assert {name: set(table) for name, table in document.items()} == {
        name: {item.name for item in fields(shape)} for name, shape in config.SECTIONS.items()
    }


def test_the_instance_of_the_sample_only_has_to_say_where_it_runs() -> None:
    _, _, example = sample().partition("# [instances.web]")
    lines = [line.removeprefix("# ") for line in example.splitlines()]
    assert set(faults_of("\n".join(["[instances.web]", *lines]))) == {"instances.web"}


def test_every_setting_has_its_help_in_the_sample() -> None:
    text = sample()
    for shape in (*config.SECTIONS.values(), InstanceConfig):
        for item in fields(shape):
            assert len(item.metadata["help"]) > 10
            assert f"# {item.metadata['help']}\n" in text
