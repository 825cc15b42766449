"""Busy is not stuck, with the real Claude Code: what is told while it works, what is cut off, and what never is."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.messages_endpoint import serve
from tests.scenarios.real_kit import CLAUDE, VERBOSE, Real, need_claude, new_key, tool, variables
from tests.scenarios.rig import running

PATIENCE = 2.0
"""Seconds without a sign of progress after which the impatient instance gives a request up."""
IMPATIENT = f"[session]\nrequest_timeout = {PATIENCE:g}\n"

Json = dict[str, Any]


@contextmanager
def place(config: str = "", *more: str) -> Iterator[Real]:
    """An instance ``web`` with a home and a workspace of its own. ``more``: variables, which go before others."""
    need_claude()
    with running(VERBOSE + config) as rig, serve() as endpoint:
        home, workspace = rig.directory / "home", rig.directory / "workspace"
        home.mkdir()
        workspace.mkdir()
        key = new_key()
        given = [word for one in (f"HOME={home}", *more) for word in ("--env", one)]
        rig.said(
            *("add", "web", "--process", "--workdir", str(workspace)),
            *(*variables(endpoint.url, key), *given, "--program", str(CLAUDE)),
        )
        yield Real(rig, endpoint, "web", key, str(workspace))
        assert rig.daemon and rig.daemon.poll() is None, rig.log.read_text()[-3000:]
        assert "Traceback" not in rig.log.read_text()


@pytest.fixture(scope="module")
def shared() -> Iterator[Real]:
    with place(IMPATIENT, "CLAUDE_CODE_MAX_RETRIES=3") as here:
        yield here


@pytest.fixture
def impatient(shared: Real) -> Iterator[Real]:
    """One that other tests use too: no turn is left running in it."""
    yield shared
    shared.rig.ctl("interrupt", "web")
    shared.rig.until(lambda: shared.rig.row("web")["state"] == "ready", "the end of its turn")


@pytest.fixture
def fresh() -> Iterator[Real]:
    """One to be broken, which has all the time in the world."""
    with place("[session]\nrequest_timeout = 0\n") as here:
        yield here


def activity(real: Real) -> Json:
    """What it is at; {}: nothing."""
    return real.rig.row("web")["activity"] or {}


def comes_to(real: Real, kind: str) -> Json:
    """The row in which it is at this."""
    seen: list[Json] = []

    def there() -> bool:
        seen.append(real.rig.row("web"))
        return (seen[-1]["activity"] or {}).get("kind") == kind

    real.rig.until(there, kind)
    assert seen[-1]["state"] == "busy"
    return seen[-1]


def ended(client: subprocess.Popen[bytes]) -> tuple[int, Json]:
    """The exit status of a ``send --json``, and its result."""
    out, _ = client.communicate(timeout=60)
    result: Json = json.loads(out.splitlines()[-1])
    return client.returncode, result


def sleepers(mark: str) -> list[psutil.Process]:
    """Processes that a tool has begun, whose command line ends with this number of seconds."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if words[:1] == ["sleep"] and words[-1] == mark and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def slow_tool(seconds: str) -> str:
    """A prompt on which the model uses a tool that takes so long; one that only sleeps needs nobody's permission."""
    return tool(f"touch slept; sleep {seconds}")


def allow(real: Real) -> None:
    real.rig.said("approve", real.question()["id"])


def stays_silent(real: Real, prompt: str, seconds: float) -> bool:
    """Whether the model is asked no more of this, for so long."""
    before = real.times(prompt)
    until = time.monotonic() + seconds
    while time.monotonic() < until and real.times(prompt) == before:
        time.sleep(0.05)
    return real.times(prompt) == before


def goes_on(real: Real) -> None:
    """The next prompt is answered, by the same program in the same session."""
    session = real.rig.row("web")["session_id"]
    result = real.ask("and on")
    assert (result["status"], result["text"], result["session_id"]) == (0, "echo: and on", session)


# What is told.


def test_five_ways_to_be_busy_are_told_apart(fresh: Real) -> None:
    client = fresh.begin("[[slow 2]] first", "--json")
    row = comes_to(fresh, "waiting_for_model")
    assert row["reason"].startswith("waiting for the model ")
    assert ended(client)[0] == 0
    client = fresh.begin("[[delta 8 4 400]]", "--json")
    comes_to(fresh, "answering")
    fresh.rig.until(lambda: "answering 1 s, last heard 0 s ago" in fresh.rig.row("web")["reason"], "its age")
    assert ended(client)[0] == 0
    client = fresh.begin(slow_tool("2.125"), "--json")
    row = comes_to(fresh, "waiting_for_approval")
    assert (row["activity"]["detail"], row["reason"][:29]) == ("Bash", "waiting for approval of Bash ")
    allow(fresh)
    row = comes_to(fresh, "running_tool")
    assert (row["activity"]["detail"], row["reason"][:13]) == ("Bash", "running Bash ")
    assert ended(client)[0] == 0
    row = fresh.rig.row("web")
    assert (row["state"], row["reason"], row["activity"]) == ("ready", "", None)


def test_a_rate_limit_is_told_with_the_next_try(fresh: Real) -> None:
    client = fresh.begin("[[error 429 1 2]] limited", "--json")
    row = comes_to(fresh, "rate_limited")
    assert re.fullmatch(r"rate limited by the API \d s, try 1 of 1 in \d s", row["reason"])
    assert row["activity"]["until"] > row["activity"]["since"] + 1
    (line,) = [line for line in fresh.rig.said("list").splitlines() if line.startswith("web")]
    assert "rate limited by the API" in line
    assert ended(client)[0] == 0
    assert fresh.times("[[error 429 1 2]] limited") == 2


@pytest.mark.parametrize(
    ("prompt", "kind", "words"),
    [
        ("[[error 529]]", "overloaded", "the API is overloaded"),
        ("[[error 401]]", "not_logged_in", "not logged in"),
        ("[[error 500]]", "api_error", "the API fails"),
    ],
)
def test_an_api_that_fails_is_told_while_it_is_tried_again(shared: Real, prompt: str, kind: str, words: str) -> None:
    client = shared.rig.begin("send", "web", prompt, "--json")
    assert comes_to(shared, kind)["reason"].startswith(words)
    assert ended(client)[1]["state"] == "failed"
    goes_on(shared)


def test_an_api_that_is_not_there_is_told() -> None:
    with place("", "ANTHROPIC_BASE_URL=http://127.0.0.1:9", "CLAUDE_CODE_MAX_RETRIES=3") as real:
        client = real.rig.begin("send", "web", "nobody hears me", "--json")
        assert comes_to(real, "no_connection")["reason"].startswith("no connection to the API ")
        assert ended(client)[1]["state"] == "failed"


def test_the_limit_of_a_subscription_is_told_until_it_ends() -> None:
    with place("", "ANTHROPIC_API_KEY=", "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-of-nobody") as real:
        assert real.ask("[[limit 3600]]")["state"] == "failed"
        row = real.rig.row("web")
        assert (row["state"], row["reason"]) == ("ready", "usage limit reached (five hour), it ends in 60 min")


def test_what_it_is_at_and_since_when_survives_the_daemon(fresh: Real) -> None:
    client = fresh.begin(slow_tool("6.125"), "--json")
    allow(fresh)
    before = comes_to(fresh, "running_tool")["activity"]
    fresh.rig.kill()
    fresh.rig.start()
    after = comes_to(fresh, "running_tool")["activity"]
    assert (after["detail"], after["since"]) == ("Bash", before["since"])
    assert ended(client)[0] == 0


# What is cut off, and what is not.


def test_a_model_that_streams_slowly_is_not_cut_off(impatient: Real) -> None:
    begun = time.monotonic()
    status, result = ended(impatient.begin("[[delta 8 4 500]]", "--json"))
    assert (status, result["text"], time.monotonic() - begun > PATIENCE) == (0, "0123" * 8, True)


def test_a_model_that_hangs_is_cut_off_and_asked_no_more(impatient: Real) -> None:
    prompt = "[[hang]] hung"
    status, result = ended(impatient.begin(prompt, "--json"))
    assert (status, result["state"], result["error"]) == (124, "timed_out", "timed out; its turn was stopped")
    assert stays_silent(impatient, prompt, 2)
    goes_on(impatient)


def test_a_tool_that_runs_for_long_is_not_cut_off(impatient: Real) -> None:
    client = impatient.begin(slow_tool(f"{PATIENCE * 2:g}.25"), "--json")
    allow(impatient)
    status, result = ended(client)
    assert (status, result["state"]) == (0, "succeeded")


def test_a_person_who_thinks_for_long_is_not_cut_off(impatient: Real) -> None:
    client = impatient.begin(tool("touch thought; echo thought"), "--json")
    question = impatient.question()
    until = question["asked_at"] + 2 * PATIENCE
    impatient.rig.until(lambda: time.time() > until, "a long thought")
    assert activity(impatient)["kind"] == "waiting_for_approval"
    impatient.rig.said("approve", question["id"])
    status, result = ended(client)
    assert (status, "thought" in result["text"]) == (0, True)


def test_a_try_that_claude_has_announced_is_waited_for(impatient: Real) -> None:
    begun = time.monotonic()
    status, result = ended(impatient.begin(f"[[error 429 1 {PATIENCE * 2:g}]] patience", "--json"))
    assert (status, result["state"], time.monotonic() - begun > 2 * PATIENCE) == (0, "succeeded", True)


@pytest.mark.parametrize(
    ("prompt", "approved"),
    [
        ("[[hang]] a limit", False),
        ("[[delta 100 4 300]] a limit", False),
        ("[[error 429 9 30]] a limit", False),
        (tool("touch limit"), False),
        (slow_tool("600.125"), True),
    ],
    ids=["hanging", "streaming", "rate limited", "waiting for a person", "running a tool"],
)
def test_an_absolute_limit_cuts_off_whatever_it_is_at(impatient: Real, prompt: str, approved: bool) -> None:
    client = impatient.begin(prompt, "--json", "--timeout", "1.5")
    if approved:
        allow(impatient)
        impatient.rig.until(lambda: sleepers("600.125"), "the tool")
    status, result = ended(client)
    assert (status, result["state"], result["error"]) == (124, "timed_out", "timed out; its turn was stopped")
    assert stays_silent(impatient, prompt, 1)
    assert (sleepers("600.125"), impatient.rig.json("approvals")) == ([], [])
    goes_on(impatient)


def test_an_absolute_limit_counts_while_it_is_queued(impatient: Real) -> None:
    blocker = impatient.begin("[[delta 8 4 400]] blocks", "--json")
    done = impatient.rig.ctl("send", "web", "never begun", "--timeout", "0.5")
    assert (done.returncode, b"timed out: not started within 0.5 s" in done.stderr) == (124, True)
    assert (ended(blocker)[0], impatient.times("never begun")) == (0, 0)


def test_an_absolute_limit_is_kept_while_the_agent_cannot_be_reached(fresh: Real) -> None:
    client = fresh.begin(slow_tool("600.375"), "--json", "--timeout", "4")
    allow(fresh)
    fresh.rig.until(lambda: sleepers("600.375"), "the tool")
    (agent,) = fresh.rig.agents()
    fresh.rig.kill()
    agent.suspend()
    fresh.rig.start()
    try:
        status, result = ended(client)
    finally:
        agent.resume()
    assert (status, result["state"]) == (124, "timed_out")
    assert "its agent cannot be reached" in result["error"]
    fresh.rig.until(lambda: not sleepers("600.375"), "the end of the tool")
    goes_on(fresh)


# Asleep.


def test_an_idle_claude_sleeps_and_remembers_when_it_is_woken() -> None:
    with place("[session]\nidle_timeout = 1\n") as real:
        session = real.ask("remember this")["session_id"]
        (program,) = real.programs()
        real.rig.until(lambda: not program.is_running(), "its sleep")
        row = real.rig.row("web")
        assert (row["state"], row["reason"]) == ("ready", "asleep; it wakes up for the next prompt")
        result = real.ask("what was it?")
        assert (result["status"], result["session_id"]) == (0, session)
        assert real.endpoint.requests()[-1]["texts"] == ["remember this", "what was it?"]
        assert real.programs() != [program]


def test_a_prompt_in_the_moment_of_going_to_sleep_is_answered_once() -> None:
    with place("[session]\nidle_timeout = 0.3\n") as real:
        session = real.ask("0")["session_id"]
        for number in range(1, 13):
            real.rig.until(lambda: real.rig.row("web")["state"] == "ready", "its rest")
            time.sleep(0.2 + number * 0.02)
            result = real.ask(str(number))
            assert (result["status"], result["session_id"]) == (0, session)
        assert real.endpoint.requests()[-1]["texts"] == [str(number) for number in range(13)]
        assert [real.times(str(number)) for number in range(13)] == [1] * 13


def test_a_task_in_the_background_is_not_put_to_sleep() -> None:
    command = {"command": "sleep 3.875; touch made", "description": "slowly", "run_in_background": True}
    with place("[session]\nidle_timeout = 1\n") as real:
        client = real.begin(f"[[tool Bash {json.dumps(command)}]]", "--json")
        allow(real)
        assert ended(client)[0] == 0
        real.rig.until(lambda: Path(real.directory, "made").exists(), "the end of the task")
        real.rig.until(lambda: not real.programs(), "its sleep")


def test_the_history_is_as_long_as_it_may_be_and_what_fell_out_is_forgotten() -> None:
    with place("[session]\nmax_history = 3\n") as real:
        for number in range(5):
            assert real.ask(f"number {number}", "--id", f"n{number}")["status"] == 0
        assert [row["id"] for row in real.rig.json("history", "web")] == ["n2", "n3", "n4"]
        assert real.rig.ctl("result", "n1").returncode == 4
        assert real.rig.said("result", "n2") == "echo: number 2\n"
        assert real.ask("number 2", "--id", "n2")["text"] == "echo: number 2"
        assert real.times("number 2") == 1
        assert len(real.endpoint.requests()[-1]["texts"]) == 5
