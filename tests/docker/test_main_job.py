"""The main job in real containers: prompts to the real Claude Code and back, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.docker.conftest import docker
from tests.docker.main_job_kit import (
    KINDS,
    Site,
    container,
    containers,
    inside,
    processes,
    site,
    started_at,
)
from tests.scenarios.real_kit import LIMIT, VERBOSE, Real, command_lines, files_with, left_of, new_key, tool, variables

UNREACHABLE = "/nonexistent/docker.sock"


@pytest.fixture(scope="module")
def home() -> Iterator[Site]:
    """One daemon for all tests that leave it as it was."""
    with site() as here:
        yield here


@pytest.fixture(scope="module", params=KINDS)
def shared(home: Site, request: pytest.FixtureRequest) -> Real:
    return home.add(request.param)


@pytest.fixture
def web(shared: Real) -> Iterator[Real]:
    """An instance that other tests use too: no turn is left running in it."""
    yield shared
    shared.rig.ctl("interrupt", shared.name)


@pytest.fixture
def fresh() -> Iterator[Site]:
    """A daemon to be killed."""
    with site() as here:
        yield here


# Adding.


def test_a_container_without_the_mount_is_refused_with_the_flag_that_it_lacks(home: Site) -> None:
    name = f"{home.prefix}bare"
    home.run(name)
    done = home.rig.ctl("add", name, "--container", name, *variables(home.endpoint.url, new_key()))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (78, b"", 1)
    assert f"{' '.join(home.mount(name))}\n" in done.stderr.decode()
    assert left_of(home.rig, name) == []
    assert name not in home.rig.said("list", "-q").split()
    assert processes(name) == ["sleep 600"]
    docker("rm", "-f", name)
    home.run(name, *home.mount(name))
    assert home.rig.said("add", name, "--container", name, *variables(home.endpoint.url, new_key())) == f"{name}\n"


def test_a_container_that_is_not_there_is_said_to_be_so_and_nothing_is_left(home: Site) -> None:
    name = f"{home.prefix}none"
    done = home.rig.ctl("add", name, "--container", name, "--env", f"TOKEN={new_key()}")
    assert (done.returncode, done.stdout) == (3, b"")
    assert f"there is no container {name}; see: docker ps -a" in done.stderr.decode()
    assert list(home.rig.state_dir.rglob(f"*{name}*")) == []
    assert home.rig.ctl("status", name).returncode == 4


def test_an_image_that_is_not_there_is_said_to_be_so_and_nothing_is_left(home: Site) -> None:
    name = f"{home.prefix}none"
    done = home.rig.ctl("add", name, "--image", "example/no-such", "--env", f"TOKEN={new_key()}")
    assert (done.returncode, done.stdout) == (78, b"")
    assert "docker pull example/no-such" in done.stderr.decode()
    assert list(home.rig.state_dir.rglob(f"*{name}*")) == []
    assert containers(name) == []


@pytest.mark.parametrize("where", [("--container", "any"), ("--image", "any")])
def test_an_engine_that_is_not_there_is_said_to_be_so_and_nothing_is_left(where: tuple[str, str]) -> None:
    with site(f'{VERBOSE}[docker]\nhost = "unix://{UNREACHABLE}"\n') as here:
        done = here.rig.ctl("add", "web", *where, "--env", f"TOKEN={new_key()}")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (69, b"", 1)
        assert f"the Docker engine at unix://{UNREACHABLE} is not running" in done.stderr.decode()
        assert "systemctl start docker" in done.stderr.decode()
        assert left_of(here.rig, "web") == []
        assert here.rig.json("list") == []


# Sending.


def test_the_answer_is_seen_while_the_model_still_writes(web: Real) -> None:
    client = web.begin("[[delta 3 4 700]]")
    assert client.stdout
    first = client.stdout.read(1)
    assert web.rig.row(web.name)["state"] == "busy"
    assert first + client.stdout.read() == b"0123" * 3 + b"\n"
    assert client.wait(20) == 0


def test_a_second_prompt_goes_on_in_the_same_session(web: Real) -> None:
    first, second = web.ask("my name is Ada"), web.ask("what is my name?")
    assert (first["state"], second["state"]) == ("succeeded", "succeeded")
    assert first["session_id"] == second["session_id"] == web.rig.row(web.name)["session_id"] != ""
    heard = web.endpoint.requests()[-1]
    assert heard["texts"][-2:] == ["my name is Ada", "what is my name?"]
    assert heard["session"] == first["session_id"]


def test_each_prompt_has_its_own_price(web: Real) -> None:
    prices = [web.ask("how much is it?")["cost_usd"] for _ in range(3)]
    assert prices[0] > 0
    assert prices == prices[:1] * 3


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("several\n\n  lines\n", id="several lines"),
        pytest.param("🎉 e\u0301 ẍ שלום مرحبا \u202eabc\u202c 漢字 \U0001f469\u200d\U0001f4bb", id="all of Unicode"),
        pytest.param("/help me with @file and !ls", id="commands"),
        pytest.param('{"type":"user"}\t"quoted" \\n $HOME', id="JSON and shell"),
    ],
)
def test_a_prompt_reaches_the_model_as_it_was_given(web: Real, prompt: str) -> None:
    result = web.ask(prompt)
    assert (result["status"], result["text"]) == (0, f"echo: {prompt}")
    assert web.endpoint.requests()[-1]["text"] == prompt


def test_a_prompt_may_come_from_arguments_stdin_or_a_file(web: Real) -> None:
    file = web.rig.directory / f"{web.name}.txt"
    file.write_text("from a file ☃\n")
    assert web.text("from an argument ☃") == "echo: from an argument ☃\n"
    piped = web.rig.ctl("send", web.name, "-", stdin="from stdin ☃".encode())
    assert (piped.returncode, piped.stdout.decode()) == (0, "echo: from stdin ☃\n")
    assert web.rig.said("send", web.name, "--file", str(file)).startswith("echo: from a file ☃\n")


def test_json_is_a_line_per_event_and_ends_with_the_result(web: Real) -> None:
    out = web.rig.said("send", web.name, "in JSON", "--json", "--id", f"{web.name}-json")
    lines = [json.loads(line) for line in out.splitlines()]
    first, last = lines[0], lines[-1]
    assert {line["v"] for line in lines} == {1}
    assert (first["type"], first["id"], first["instance"]) == ("request", f"{web.name}-json", web.name)
    assert (first["state"], first["position"]) == ("queued", 0)
    outputs = [line for line in lines if line["type"] == "output"]
    kinds = [line["message"]["type"] for line in outputs]
    assert "stream_event" in kinds and kinds[-1] == "result" and "assistant" in kinds
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    assert (last["type"], last["id"], last["state"], last["text"]) == (
        *("result", f"{web.name}-json", "succeeded", "echo: in JSON"),
    )
    assert last["error"] is None and last["usage"]["output_tokens"] > 0
    assert last["session_id"] and last["duration_ms"] > 0


def test_one_that_nobody_waits_for_is_waited_for_later(web: Real) -> None:
    id_ = web.rig.said("send", web.name, "[[slow 0.5]] later", "--no-wait").strip()
    early = web.rig.ctl("result", id_)
    assert (early.returncode, f"ccbridgectl wait {id_}" in early.stderr.decode()) == (75, True)
    assert web.rig.said("wait", id_) == "echo: [[slow 0.5]] later\n"
    assert web.rig.said("result", id_) == "echo: [[slow 0.5]] later\n"
    assert web.rig.json("result", id_).items() <= web.rig.json("wait", id_).items()


def test_an_error_of_the_api_is_a_failure_in_its_words(web: Real) -> None:
    done = web.rig.ctl("send", web.name, "[[error 529]] overloaded")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"ccbridgectl: failed: API Error: 529 as the prompt asked for" in done.stderr
    result = web.ask("[[error 400]] bad")
    assert (result["status"], result["state"]) == (1, "failed")
    assert "API Error: 400 as the prompt asked for" in result["error"]
    assert web.text("well again") == "echo: well again\n"


def test_a_turn_is_cancelled_while_it_runs(web: Real) -> None:
    client = web.begin("[[hang]] cancel this", "--id", f"{web.name}-cancel")
    assert web.rig.said("cancel", f"{web.name}-cancel") == f"{web.name}-cancel: stopping\n"
    assert client.wait(20) == 6
    assert web.rig.ctl("result", f"{web.name}-cancel").returncode == 6
    assert web.text("after the cancel") == "echo: after the cancel\n"


def test_a_turn_is_stopped_when_its_time_is_over(web: Real) -> None:
    result = web.ask("[[hang]] too slow", "--timeout", "0.5")
    assert (result["status"], result["state"]) == (124, "timed_out")
    assert web.text("after the timeout") == "echo: after the timeout\n"


def test_a_tool_waits_for_a_person_who_says_yes(web: Real) -> None:
    marker = f"{web.directory}/allowed"
    client = web.begin(tool(f"touch {marker}"), "--json")
    question = web.question()
    assert (question["tool"], question["input"]["command"]) == ("Bash", f"touch {marker}")
    assert web.rig.row(web.name)["reason"].startswith("waiting for approval of Bash")
    assert not inside(web, marker)
    assert web.rig.said("approve", question["id"]) == f"{question['id']}: {web.name} Bash allowed\n"
    out, _ = client.communicate(timeout=20)
    lines = [json.loads(line) for line in out.splitlines()]
    (asked,) = [line for line in lines if line["type"] == "approval"]
    assert (asked["id"], asked["tool"]) == (question["id"], "Bash")
    assert asked["approve"] == f"ccbridgectl approve {question['id']}"
    assert asked["input"]["command"] == f"touch {marker}"
    assert (client.returncode, lines[-1]["state"], lines[-1]["text"][:10]) == (0, "succeeded", "tool said:")
    assert inside(web, marker)
    late = web.rig.ctl("deny", question["id"])
    assert (late.returncode, b"may have been answered" in late.stderr) == (4, True)


def test_a_tool_that_a_person_denies_does_not_run(web: Real) -> None:
    marker = f"{web.directory}/denied"
    client = web.begin(tool(f"touch {marker}"))
    web.rig.said("deny", web.question()["id"], "--reason", "not in here")
    out, _ = client.communicate(timeout=20)
    assert (client.returncode, b"not in here" in out) == (0, True)
    assert not inside(web, marker)


def test_health_is_well_with_containers(home: Site, web: Real) -> None:
    found = home.rig.json("health")
    assert found["ok"] is True, found
    components = {component["name"]: component for component in found["components"]}
    assert components["docker_daemon"]["detail"].startswith("version ")
    assert components["container"]["instances"][web.name]["detail"].startswith("running, pid ")


# What is large.


@pytest.mark.parametrize("kind", KINDS)
def test_large_prompts_and_answers_come_through_and_a_limit_is_told_in_claudes_words(home: Site, kind: str) -> None:
    big = Site(home.rig, home.endpoint, f"{home.prefix}big-").add(kind)
    # The first of its session: later ones are reckoned otherwise.
    refused = big.ask("z" * LIMIT)
    assert (refused["status"], refused["state"], refused["error"]) == (1, "failed", "Prompt is too long")
    prompt = "ünï " * 200_000
    assert len(prompt.encode()) == 1_200_000
    assert big.ask(prompt)["text"] == f"echo: {prompt}"
    answer = big.text("[[line 8000000]]")
    assert answer == "0123456789" * 800_000 + "\n"
    assert big.text("small again") == "echo: small again\n"


# Whatever dies.


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_daemon_finds_container_agent_and_program_again(fresh: Site, kind: str) -> None:
    web = fresh.add(kind)
    web.text("before")
    life, since = web.life(), started_at(web)
    waiting = web.begin("[[slow 2]] in between", "--id", "between")
    queued = fresh.rig.said("send", web.name, "queued", "--no-wait").strip()
    fresh.rig.kill()
    fresh.rig.start()
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (0, b"echo: [[slow 2]] in between\n")
    assert b"waiting for it" in err
    assert fresh.rig.said("wait", queued) == "echo: queued\n"
    assert (web.life(), started_at(web)) == (life, since)
    again = fresh.rig.said("send", web.name, "[[slow 2]] in between", "--id", "between")
    assert again == "echo: [[slow 2]] in between\n"
    assert [web.times(prompt) for prompt in ("before", "[[slow 2]] in between", "queued")] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_kept_by_the_agent_while_there_is_no_daemon(fresh: Site, kind: str) -> None:
    web = fresh.add(kind)
    client = web.begin("[[slow 1]] alone", "--id", "alone")
    fresh.rig.kill()
    client.kill()
    fresh.rig.daemon = None
    program = web.programs()[0].pid
    path = "/run/ccbridge/agent" if kind == "made" else f"/var/lib/ccbridge/{web.name}"
    said = f"grep -qa 'total_cost_usd' {path}/journal && echo yes || echo no"
    fresh.rig.until(lambda: docker("exec", container(web), "sh", "-c", said) == "yes", "the answer")
    fresh.rig.start()
    assert fresh.rig.said("wait", "alone") == "echo: [[slow 1]] alone\n"
    assert (web.times("[[slow 1]] alone"), web.programs()[0].pid) == (1, program)


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_that_was_restarted_is_found_again_with_its_session(fresh: Site, kind: str) -> None:
    web = fresh.add(kind)
    session = web.ask("before")["session_id"]
    docker("restart", "-t", "0", container(web))
    after = web.ask("after")
    assert (after["status"], after["session_id"]) == (0, session)
    assert web.endpoint.requests()[-1]["texts"] == ["before", "after"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_that_was_removed_and_made_again_is_used_without_further_ado(fresh: Site, kind: str) -> None:
    web = fresh.add(kind)
    client = web.begin("[[hang]] when it was removed")
    docker("rm", "-f", container(web))
    if kind == "guest":
        fresh.rig.until(lambda: fresh.rig.row(web.name)["state"] == "recovering", "the loss")
        fresh.run(web.name, *fresh.mount(web.name))
    assert client.wait(30) == 7
    assert web.text("and on") == "echo: and on\n"
    assert web.times("[[hang]] when it was removed") == 1


# Removing.


def test_what_was_made_is_gone_when_it_is_removed(fresh: Site) -> None:
    web = fresh.add("made")
    web.text("before")
    assert fresh.rig.said("remove", "-y", web.name) == f"{web.name}\n"
    assert (containers(fresh.prefix), web.programs()) == ([], [])
    assert list(fresh.rig.state_dir.rglob(f"*{web.name}*")) == []
    assert fresh.rig.json("list") == []


def test_a_guest_is_left_as_it_was_when_its_instance_is_removed(fresh: Site) -> None:
    web = fresh.add("guest")
    since = started_at(web)
    hanging = web.begin("[[hang]] removed", "--id", "removed")
    assert fresh.rig.said("remove", "-y", web.name) == f"{web.name}\n"
    assert hanging.wait(20) == 6
    assert (started_at(web), processes(web.name), web.programs()) == (since, ["sleep 600"], [])
    assert not inside(web, "/var/lib/ccbridge") and docker("exec", web.name, "ls", "/run/ccbridge/link") == ""
    assert left_of(fresh.rig, web.name) == []
    again = ["add", web.name, "--container", web.name, *variables(web.endpoint.url, web.key)]
    assert fresh.rig.said(*again) == f"{web.name}\n"
    assert (fresh.rig.json("history", web.name), web.text("anew")) == ([], "echo: anew\n")


# Secrets.


def test_a_secret_is_nowhere_but_in_two_private_files_and_the_programs_environment(web: Real) -> None:
    web.text("nothing to tell")
    shown = [["status", web.name], ["list"], ["events"], ["logs", web.name], ["history", web.name], ["health"]]
    for words in shown:
        assert web.key not in web.rig.said(*words, "--json")
    assert web.key not in command_lines()
    assert web.key not in docker("inspect", container(web)) + docker("logs", container(web))
    made = container(web) != web.name
    kept = [f"state/secrets/{web.name}.json"]
    assert files_with(web.key, web.rig.directory) == ([f"state/agents/{web.name}/env"] if made else []) + kept
    assert (web.rig.directory / kept[0]).stat().st_mode & 0o777 == 0o600
    assert b"SQLite" in (web.rig.state_dir / "ccbridged.db").read_bytes()[:16]
    (program,) = web.programs()
    assert program.environ()["ANTHROPIC_API_KEY"] == web.key
