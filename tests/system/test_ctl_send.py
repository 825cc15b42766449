"""``send``, ``wait``, ``result`` and what else concerns one request, as whole processes."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.ctl_host import (
    FakeDaemon,
    assistant,
    begin,
    ctl,
    delta,
    message_start,
    result,
    script,
    tool,
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("send") / "run") as running:
        yield running


def test_an_answer_that_did_not_stream_is_printed_whole_with_one_newline(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 characters: hello\n", "")


def test_what_streamed_is_printed_once(daemon: FakeDaemon) -> None:
    steps = [message_start("m1"), delta("Hel"), delta("lo"), assistant("m1", "Hello there"), result(text="Hello there")]
    assert ctl(daemon, "send", "web", script(*steps)).stdout == "Hello there\n"


def test_messages_are_apart_by_a_newline(daemon: FakeDaemon) -> None:
    steps = [
        assistant("m1", "Looking."),
        tool("t1", "Bash", {"command": "ls"}),
        assistant("m2", "Done."),
        result(text="Done."),
    ]
    assert ctl(daemon, "send", "web", script(*steps)).stdout == "Looking.\nDone.\n"


def test_deltas_are_seen_as_they_come(daemon: FakeDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    steps = [message_start("m1"), delta("now"), ["wait-for", str(gate)], assistant("m1", "now then"), result()]
    with begin(daemon, "send", "web", script(*steps)) as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == "now"
        gate.touch()
        assert process.stdout.read() == " then\n"


def test_json_passes_every_event_on_a_line_of_its_own(daemon: FakeDaemon) -> None:
    approval = ["approval", {"id": "41c0", "tool": "Bash", "input": {}, "approve": "ccbridgectl approve 41c0"}]
    done = ctl(daemon, "send", "web", "--json", "--id", "json-1", script(delta("x"), approval, result(text="x")))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events] == ["request", "output", "approval", "result"]
    assert [event["v"] for event in events] == [1, 1, 1, 1]
    assert (events[0]["id"], events[0]["instance"], events[0]["state"], events[0]["position"]) == (
        "json-1",
        "web",
        "queued",
        0,
    )
    assert events[1]["message"]["type"] == "stream_event"
    assert (events[3]["id"], events[3]["state"], events[3]["text"], events[3]["error"]) == (
        "json-1",
        "succeeded",
        "x",
        None,
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [("succeeded", 0), ("failed", 1), ("cancelled", 6), ("uncertain", 7), ("timed_out", 124)],
)
def test_the_exit_status_says_how_the_request_ended(daemon: FakeDaemon, state: str, status: int) -> None:
    prompt = script(result(state, error=None if state == "succeeded" else "the reason"))
    done = ctl(daemon, "send", "web", "--id", f"end-{state}", prompt)
    assert done.returncode == status
    assert (state == "succeeded") == (done.stderr == "")
    assert (state == "succeeded") or "the reason" in done.stderr
    assert ctl(daemon, "wait", f"end-{state}").returncode == status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("not-running", 3),
        ("no-such-instance", 4),
        ("no-such-request", 4),
        ("not-permitted", 5),
        ("busy", 75),
        ("bad-config", 78),
        ("too-large", 2),
    ],
)
def test_a_refusal_has_its_status_and_one_line(daemon: FakeDaemon, code: str, status: int) -> None:
    done = ctl(daemon, "send", f"error-{code}", "hello")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "ccbridgectl: what \\x1b[31mhappened; what to do\n"


def test_a_refusal_with_json_is_an_object_on_stdout(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "error-busy", "hello", "--json")
    error = {"code": "busy", "message": "what \x1b[31mhappened", "hint": "what to do"}
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (75, {"v": 1, "error": error}, "")


def test_a_failure_keeps_what_was_said_and_tells_the_reason_on_stderr(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", script(assistant("m", "so far"), result("failed", "API Error", "API Error")))
    assert (done.stdout, done.stderr) == ("so far\n", "ccbridgectl: failed: API Error\n")


def test_no_wait_prints_the_id_and_does_not_follow(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "--no-wait", "--id", "later-1", script(["sleep", 30], result()))
    assert (done.returncode, done.stdout) == (0, "later-1\n")
    assert daemon.calls()[-1]["follow"] is False


def test_no_wait_with_json_prints_the_request(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "--no-wait", "--json", "--id", "later-2", "hello")
    told = json.loads(done.stdout)
    assert (told["type"], told["id"], told["state"]) == ("request", "later-2", "queued")


def test_wait_prints_the_answer_and_with_json_only_the_result(daemon: FakeDaemon) -> None:
    ctl(
        daemon,
        "send",
        "web",
        "--no-wait",
        "--id",
        "wait-1",
        script(delta("a"), assistant("m", "abc"), result(text="abc")),
    )
    assert ctl(daemon, "wait", "wait-1").stdout == "abc\n"
    assert json.loads(ctl(daemon, "wait", "wait-1", "--json").stdout)["type"] == "result"


def test_flags_of_send_reach_the_daemon(daemon: FakeDaemon) -> None:
    ctl(daemon, "send", "--timeout=1.5", "web", "--retry-uncertain", "hello", "--id", "flags-1")
    call = daemon.calls()[-1]
    assert (call["id"], call["timeout"], call["retry_uncertain"], call["follow"]) == ("flags-1", 1.5, True, True)


def test_every_send_makes_an_id_of_its_own(daemon: FakeDaemon) -> None:
    for _ in range(2):
        ctl(daemon, "send", "web", "same")
    first, second = (call["id"] for call in daemon.calls()[-2:])
    assert first != second
    assert len(str(first)) == 16


def test_a_prompt_of_16_megabytes_arrives_whole(daemon: FakeDaemon) -> None:
    prompt = ('Zeile "1"\n\t\\é€\U0001f642' * 800_000).encode()[: 16 * 1024 * 1024].decode(errors="ignore").encode()
    done = ctl(daemon, "send", "web", "-", stdin=prompt)
    assert done.returncode == 0, done.stderr
    call = daemon.calls()[-1]
    assert (call["prompt_bytes"], call["prompt_sha256"]) == (len(prompt), hashlib.sha256(prompt).hexdigest())
    assert len(prompt) > 15 * 1024 * 1024


def test_a_line_of_8_megabytes_is_printed_whole(daemon: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "script"
    text = "wörd " * (8 * 1024 * 1024 // 5)
    file.write_text(script(assistant("m", text), result(text=text)))
    done = ctl(daemon, "send", "web", "--file", str(file))
    assert done.stdout == text + "\n"


def test_text_from_a_container_is_shown_and_never_obeyed(daemon: FakeDaemon) -> None:
    hostile = "\x1b]0;title\x07 \x1b[2J \x9b31m \x7f \r \x00 \u202e \u2066 tab\tend"
    done = ctl(daemon, "send", "web", script(assistant("m", hostile), result("failed", "", hostile)))
    shown = "\\x1b]0;title\\x07 \\x1b[2J \\x9b31m \\x7f \\x0d \\x00 \\u202e \\u2066 tab\tend"
    assert done.stdout == shown + "\n"
    assert done.stderr == f"ccbridgectl: failed: {shown}\n"


def test_half_a_surrogate_pair_does_not_end_the_client(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", script(assistant("m", "a\udc80b"), result()))
    assert (done.returncode, done.stdout) == (0, "a\\udc80b\n")


def test_a_terminal_that_knows_only_ascii_gets_escapes(daemon: FakeDaemon) -> None:
    env = {"PYTHONIOENCODING": "ascii"}
    assert ctl(daemon, "send", "web", script(assistant("m", "é"), result()), env=env).stdout == "\\xe9\n"


def test_a_permission_question_is_told_on_stderr_with_the_commands_that_answer_it(daemon: FakeDaemon) -> None:
    approval = ["approval", {"id": "41c0", "tool": "Bash", "input": {"command": "rm -r \x1b[2J build"}}]
    done = ctl(daemon, "send", "web", script(assistant("m", "I ask."), approval, result()))
    assert done.stdout == "I ask.\n"
    assert "Bash: rm -r \\x1b[2J build" in done.stderr
    assert "ccbridgectl approve 41c0" in done.stderr
    assert "ccbridgectl deny 41c0" in done.stderr


def test_the_prompt_may_be_on_stdin(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "send", "web", "-", stdin=b"on\nstdin\n").stdout == "9 characters: on\nstdin\n"
    assert ctl(daemon, "send", "web", stdin=b"piped").stdout == "5 characters: piped\n"


def test_the_prompt_may_be_in_a_file_or_begin_with_a_dash(daemon: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_text("from a file")
    assert ctl(daemon, "send", "web", "--file", str(file)).stdout == "11 characters: from a file\n"
    assert ctl(daemon, "send", "web", "--", "-x").stdout == "2 characters: -x\n"


@pytest.mark.parametrize("empty", [b"", b" \n\t"])
def test_an_empty_prompt_is_refused(daemon: FakeDaemon, empty: bytes) -> None:
    done = ctl(daemon, "send", "web", "-", stdin=empty)
    assert done.returncode == 2
    assert "stdin is empty" in done.stderr


def test_a_prompt_that_is_not_utf8_is_refused_with_the_offset(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "-", stdin=b"abc\xff\xfe")
    assert done.returncode == 2
    assert "byte 0xff at offset 3" in done.stderr


def test_a_file_that_is_not_there_is_a_usage_error(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "--file", "/nowhere/at/all")
    assert done.returncode == 2
    assert "cannot read /nowhere/at/all: No such file or directory" in done.stderr


def test_two_prompts_are_refused_with_advice_to_quote(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "send", "web", "two", "words")
    assert done.returncode == 2
    assert "quotes" in done.stderr


def test_result_prints_the_answer_again(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "result", "aaaa").stdout == "three\n"
    assert json.loads(ctl(daemon, "result", "aaaa", "--json").stdout)["text"] == "three"


def test_cancel_and_interrupt_say_what_became_of_things(daemon: FakeDaemon) -> None:
    assert ctl(daemon, "cancel", "beef").stdout == "beef: cancelled\n"
    assert ctl(daemon, "interrupt", "web").stdout == "stopped: cafe0123\nstill queued: beef f00d\n"


def test_an_unknown_request_is_status_4(daemon: FakeDaemon) -> None:
    done = ctl(daemon, "wait", "nothing")
    assert (done.returncode, done.stderr) == (4, "ccbridgectl: there is no request nothing; see: ccbridgectl history\n")
