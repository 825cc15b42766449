"""The real Claude Code as a process of this host: what a prompt goes through, and what survives whose death."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes.messages_endpoint import serve
from tests.scenarios.real_kit import (
    CLAUDE,
    LIMIT,
    VERBOSE,
    Real,
    command_lines,
    files_with,
    left_of,
    need_claude,
    new_key,
    tool,
    variables,
)
from tests.scenarios.rig import running


@contextmanager
def place() -> Iterator[Real]:
    """An instance ``web`` with a home and a workspace of its own."""
    need_claude()
    with running(VERBOSE) as rig, serve() as endpoint:
        home, workspace = rig.directory / "home", rig.directory / "workspace"
        home.mkdir()
        workspace.mkdir()
        key = new_key()
        env = [*variables(endpoint.url, key), "--env", f"HOME={home}"]
        rig.said("add", "web", "--process", "--workdir", str(workspace), *env, "--program", str(CLAUDE))
        yield Real(rig, endpoint, "web", key, str(workspace))
        assert rig.daemon and rig.daemon.poll() is None, rig.log.read_text()[-3000:]
        assert "Traceback" not in rig.log.read_text()


@pytest.fixture(scope="module")
def shared() -> Iterator[Real]:
    with place() as here:
        yield here


@pytest.fixture
def real(shared: Real) -> Iterator[Real]:
    """An instance that other tests use too: no turn is left running in it."""
    yield shared
    shared.rig.ctl("interrupt", "web")


@pytest.fixture
def fresh() -> Iterator[Real]:
    """One to be broken."""
    with place() as here:
        yield here


def test_claude_answers_while_it_writes_and_goes_on_in_one_session(real: Real) -> None:
    client = real.begin("[[delta 3 4 500]]")
    assert client.stdout
    first = client.stdout.read(1)
    assert real.rig.row("web")["state"] == "busy"
    assert first + client.stdout.read() == b"0123" * 3 + b"\n"
    one, two = real.ask("one"), real.ask("two")
    assert one["session_id"] == two["session_id"] == real.endpoint.requests()[-1]["session"]
    assert real.endpoint.requests()[-1]["texts"] == ["[[delta 3 4 500]]", "one", "two"]
    assert one["cost_usd"] == two["cost_usd"] > 0


@pytest.mark.parametrize(
    "prompt", ["several\n\n  lines\n", "🎉 e\u0301 שלום \u202eabc\u202c 漢字", "/clear @file !ls", "ü" * 600_000]
)
def test_claude_is_told_a_prompt_as_it_was_given(real: Real, prompt: str) -> None:
    result = real.ask(prompt)
    assert (result["status"], result["text"]) == (0, f"echo: {prompt}")


def test_failures_of_the_api_come_back_in_claudes_words(real: Real) -> None:
    result = real.ask("[[error 400]]")
    assert (result["status"], result["state"]) == (1, "failed")
    assert "API Error: 400 as the prompt asked for" in result["error"]
    dropped = real.ask("[[drop]]")
    assert (dropped["status"], dropped["error"][:10]) == (1, "API Error:")


def test_a_turn_of_claudes_is_cancelled_or_timed_out(real: Real) -> None:
    client = real.begin("[[hang]] cancel me", "--id", "cancel-me")
    assert real.rig.said("cancel", "cancel-me") == "cancel-me: stopping\n"
    assert client.wait(20) == 6
    assert real.ask("[[hang]] time out", "--timeout", "0.5")["status"] == 124
    assert real.text("and on") == "echo: and on\n"


@pytest.mark.parametrize(("verb", "made"), [("approve", True), ("deny", False)])
def test_claude_uses_a_tool_only_when_a_person_lets_it(real: Real, verb: str, made: bool) -> None:
    marker = f"{real.directory}/{verb}"
    client = real.begin(tool(f"touch {marker}"), "--json")
    real.rig.said(verb, real.question()["id"])
    out, _ = client.communicate(timeout=20)
    result = json.loads(out.splitlines()[-1])
    assert (client.returncode, result["state"], result["text"][:10]) == (0, "succeeded", "tool said:")
    assert os.path.exists(marker) is made


def test_claude_works_on_while_the_daemon_is_dead(fresh: Real) -> None:
    fresh.text("before")
    life = fresh.life()
    client = fresh.begin("[[slow 2]] meanwhile", "--id", "meanwhile")
    fresh.rig.kill()
    fresh.rig.start()
    out, err = client.communicate(timeout=30)
    assert (client.returncode, out, b"waiting for it" in err) == (0, b"echo: [[slow 2]] meanwhile\n", True)
    assert fresh.rig.said("send", "web", "[[slow 2]] meanwhile", "--id", "meanwhile") == out.decode()
    assert (fresh.life(), fresh.times("[[slow 2]] meanwhile")) == (life, 1)


def test_a_killed_claude_remembers_and_its_turn_is_uncertain(fresh: Real) -> None:
    fresh.text("remember this")
    session = fresh.rig.row("web")["session_id"]
    client = fresh.begin("[[hang]] dies")
    fresh.programs()[0].send_signal(signal.SIGKILL)
    _, err = client.communicate(timeout=30)
    assert (client.returncode, b"it may have run" in err) == (7, True)
    result = fresh.ask("what was it?")
    assert (result["status"], result["session_id"]) == (0, session)
    heard = fresh.endpoint.requests()[-1]["texts"]
    assert (heard[0], heard[-1]) == ("remember this", "what was it?")
    assert fresh.times("[[hang]] dies") == 1


def test_what_is_too_long_is_refused_in_claudes_words_and_long_lines_are_not(fresh: Real) -> None:
    refused = fresh.ask("z" * LIMIT)
    assert (refused["status"], refused["error"]) == (1, "Prompt is too long")
    assert fresh.text("[[line 8000000]]") == "0123456789" * 800_000 + "\n"


def test_a_removed_claude_leaves_its_work_and_nothing_of_ours(fresh: Real) -> None:
    fresh.text("before")
    assert fresh.key not in command_lines()
    assert files_with(fresh.key, fresh.rig.directory) == ["state/agents/web/env", "state/secrets/web.json"]
    fresh.rig.said("remove", "-y", "web")
    assert (fresh.programs(), fresh.rig.agents(), left_of(fresh.rig, "web")) == ([], [], [])
    assert files_with("before", fresh.rig.directory / "home")
