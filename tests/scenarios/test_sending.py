"""A prompt's way to a program and back, as a person or a script sees it."""

from __future__ import annotations

import json
import time

import pytest

from tests.scenarios.rig import Rig


def test_the_answer_is_streamed_while_it_is_made(web: Rig) -> None:
    client = web.begin("send", "web", "[[delta 3 4 700]]")
    assert client.stdout
    first = client.stdout.read(1)
    begun = time.monotonic()
    rest = client.stdout.read()
    assert len(first + rest) == 3 * 4 + 1
    assert time.monotonic() - begun > 0.5
    assert client.wait() == 0


def test_a_second_prompt_goes_on_in_the_same_session(web: Rig) -> None:
    first = json.loads(web.said("send", "web", "one", "--json").splitlines()[-1])
    second = json.loads(web.said("send", "web", "two", "--json").splitlines()[-1])
    assert (first["state"], second["state"]) == ("succeeded", "succeeded")
    assert first["session_id"] == second["session_id"] != ""


@pytest.mark.parametrize(
    "prompt", ["two\nlines\n", "ünï ☃ 🎉 \u202e rtl", "/help @file", "a" * 1_000_000, 'tab\tand \\ "quotes"']
)
def test_a_prompt_arrives_as_it_was_given(web: Rig, prompt: str) -> None:
    done = web.ctl("send", "web", "-", stdin=prompt.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert web.ran()[-1] == prompt


def test_an_answer_may_have_lines_of_8_mb(web: Rig) -> None:
    assert len(web.said("send", "web", "[[line 8000000]]")) == 8_000_001


def test_json_is_one_object_per_line_and_ends_with_the_result(web: Rig) -> None:
    lines = [json.loads(line) for line in web.said("send", "web", "hello", "--json", "--id", "json-1").splitlines()]
    assert [line["v"] for line in lines] == [1] * len(lines)
    assert lines[0]["type"] == "request"
    assert (lines[0]["id"], lines[0]["instance"], lines[0]["state"], lines[0]["position"]) == (
        "json-1",
        "web",
        "queued",
        0,
    )
    assert {line["type"] for line in lines} == {"request", "state", "output", "result"}
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    result = lines[-1]
    assert (result["type"], result["state"], result["text"], result["error"]) == (
        "result",
        "succeeded",
        "echo: hello",
        None,
    )
    assert {"id", "session_id", "cost_usd", "usage", "duration_ms"} <= set(result)


def test_no_wait_then_wait_then_result(web: Rig) -> None:
    id_ = web.said("send", "web", "[[delta 2 2 100]]", "--no-wait").strip()
    waited = web.json("wait", id_)
    assert (waited["id"], waited["state"]) == (id_, "succeeded")
    again = web.json("result", id_)
    assert again["text"] == waited["text"] != ""


def test_a_result_that_is_not_there_yet_is_said_to_be_so(web: Rig) -> None:
    id_ = web.said("send", "web", "[[slow 1]]", "--no-wait").strip()
    done = web.ctl("result", id_)
    assert done.returncode == 75
    assert b"is still" in done.stderr
    assert f"ccbridgectl wait {id_}".encode() in done.stderr
    assert web.ctl("wait", id_).returncode == 0


def test_an_error_of_the_api_is_a_failure_with_its_words(web: Rig) -> None:
    done = web.ctl("send", "web", "[[error 400]]")
    assert done.returncode == 1
    assert b"API Error" in done.stderr


def test_the_same_id_is_answered_again_and_run_once(web: Rig) -> None:
    first = web.said("send", "web", "only once", "--id", "once")
    assert web.said("send", "web", "only once", "--id", "once") == first
    assert web.said("send", "web", "something else", "--id", "once", "--no-wait") == "once\n"
    assert web.ran().count("only once") == 1
    assert "something else" not in web.ran()


def test_a_running_request_can_be_cancelled(web: Rig) -> None:
    client = web.begin("send", "web", "[[hang]] cancel me", "--id", "hanging")
    web.until(lambda: "[[hang]] cancel me" in web.ran(), "its start")
    assert web.said("cancel", "hanging") == "hanging: stopping\n"
    assert client.wait(10) == 6
    assert web.ctl("result", "hanging").returncode == 6
    assert web.said("send", "web", "afterwards") == "echo: afterwards\n"


def test_one_that_waits_can_be_cancelled_and_never_runs(web: Rig) -> None:
    blocker = web.begin("send", "web", "[[slow 1]] blocker")
    web.until(lambda: "[[slow 1]] blocker" in web.ran(), "its start")
    id_ = web.said("send", "web", "never", "--no-wait").strip()
    assert [row["id"] for row in web.json("queue", "web")] == [id_]
    assert web.said("cancel", id_) == f"{id_}: cancelled\n"
    assert web.ctl("wait", id_).returncode == 6
    assert blocker.wait(10) == 0
    assert "never" not in web.ran()
    done = web.ctl("cancel", id_)
    assert (done.returncode, b"has ended already" in done.stderr) == (4, True)


def test_an_interrupt_stops_the_turn_and_leaves_the_queue(web: Rig) -> None:
    client = web.begin("send", "web", "[[hang]] interrupt me", "--id", "interrupted")
    web.until(lambda: "[[hang]] interrupt me" in web.ran(), "its start")
    id_ = web.said("send", "web", "stays", "--no-wait").strip()
    assert web.json("interrupt", "web") == {"v": 1, "stopped": "interrupted", "queued": [id_]}
    assert client.wait(10) == 6
    assert web.ctl("wait", id_).returncode == 0


def test_an_absolute_timeout_stops_the_turn(web: Rig) -> None:
    done = web.ctl("send", "web", "[[hang]]", "--timeout", "0.5")
    assert done.returncode == 124
    assert b"timed out" in done.stderr
    assert web.said("send", "web", "afterwards") == "echo: afterwards\n"


def test_many_at_once_are_answered_each_and_in_order(web: Rig) -> None:
    ids = [web.said("send", "web", f"number {n}", "--no-wait").strip() for n in range(20)]
    assert [web.json("wait", id_)["text"] for id_ in ids] == [f"echo: number {n}" for n in range(20)]
    ran = [prompt for prompt in web.ran() if prompt.startswith("number ")]
    assert ran == [f"number {n}" for n in range(20)]


def test_questions_of_claude_are_answered_by_people(web: Rig) -> None:
    client = web.begin("send", "web", '[[tool Bash {"command": "echo from-the-tool"}]]')
    web.until(lambda: web.json("approvals"), "the question")
    (question,) = web.json("approvals")
    assert (question["tool"], question["input"]["command"]) == ("Bash", "echo from-the-tool")
    assert web.row("web")["reason"].startswith("waiting for approval of Bash")
    assert web.said("approve", question["id"]) == f"{question['id']}: web Bash allowed\n"
    out, _ = client.communicate(timeout=10)
    assert b"from-the-tool" in out
    late = web.ctl("deny", question["id"])
    assert (late.returncode, b"may have been answered" in late.stderr) == (4, True)


def test_a_tool_that_is_denied_does_not_run(web: Rig) -> None:
    marker = web.directory / "denied"
    client = web.begin("send", "web", f'[[tool Bash {{"command": "touch {marker}"}}]]')
    web.until(lambda: web.json("approvals"), "the question")
    web.said("deny", web.json("approvals")[0]["id"], "--reason", "not here")
    assert client.wait(10) == 0
    assert not marker.exists()


def test_a_slow_reader_of_events_stalls_nobody_and_misses_nothing(web: Rig) -> None:
    since = max((json.loads(line)["seq"] for line in web.said("events", "--json").splitlines()), default=0)
    reader = web.begin("events", "web", "--since", str(since), "--json", "-f")
    assert reader.stdout
    sent = [web.said("send", "web", f"[[text 300000]] {n}") for n in range(6)]
    assert all(len(answer) > 300_000 for answer in sent)
    last = json.loads(web.said("events", "--json").splitlines()[-1])["seq"]
    seqs: list[int] = []
    while not seqs or seqs[-1] < last:
        event = json.loads(reader.stdout.readline())
        seqs.append(event["seq"])
    assert seqs == list(range(seqs[0], last + 1))
    reader.kill()


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["send", "nobody", "hi"], 4, "there is no instance 'nobody'"),
        (["wait", "nothing"], 4, "there is no request 'nothing'"),
        (["result", "nothing"], 4, "there is no request 'nothing'"),
        (["cancel", "nothing"], 4, "there is no request 'nothing'"),
        (["approve", "nothing"], 4, "there is no approval 'nothing'"),
        (["status", "nobody"], 4, "ccbridgectl list"),
        (["add", "web", "--process"], 75, "there is an instance web already"),
        (["add", "Bad Name", "--process"], 2, "is not an instance's name"),
        (["add", "other", "--process", "--transport", "socket"], 78, "not available yet"),
        (["send", "web", "hi", "--id", "two words"], 2, "choose another --id"),
        (["health", "--component", "nonsense"], 2, "docker_daemon"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(web: Rig, argv: list[str], status: int, words: str) -> None:
    done = web.ctl(*argv)
    assert (done.returncode, done.stdout) == (status, b"")
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    told = web.ctl(*argv, "--json")
    error = json.loads(told.stderr or told.stdout)["error"]
    assert words in f"{error['message']}; {error['hint']}"


def test_health_is_well_and_says_so(web: Rig) -> None:
    found = web.json("health")
    assert found["ok"] is True
    names = {"docker_daemon", "fifo_pipes", "container", "agent", "program", "store"}
    assert {component["name"] for component in found["components"]} == names


def test_what_a_daemon_tells_of_itself(web: Rig) -> None:
    found = web.json("status")
    assert web.daemon
    assert found["daemon"]["pid"] == web.daemon.pid
    assert (found["daemon"]["service"], found["instances"]) == ("none", {"ready": 1})
    assert found["daemon"]["rss_bytes"] > 1_000_000
    (row,) = web.json("list")
    assert (row["name"], row["state"], row["runtime"], row["transport"]) == ("web", "ready", "process", "fifo")
    assert row["agent"]["current"] is True


def test_history_and_logs_are_kept(web: Rig) -> None:
    web.said("send", "web", "[[stderr a word of warning]] remember me")
    rows = web.json("history", "web")
    assert rows[-1]["prompt"] == "[[stderr a word of warning]] remember me"
    assert rows[-1]["result"]["state"] == "succeeded"
    assert "a word of warning" in web.said("logs", "web")
    assert web.said("history", "web", "-n", "1").count("> ") == 1


def test_a_client_that_dies_leaves_its_request_running(web: Rig) -> None:
    client = web.begin("send", "web", "[[delta 3 1 200]] orphan", "--id", "orphan")
    web.until(lambda: "[[delta 3 1 200]] orphan" in web.ran(), "its start")
    client.kill()
    client.wait()
    assert web.json("wait", "orphan")["state"] == "succeeded"
