"""What the measurements of the real Claude Code say about queueing, barriers, deaths and sessions, on the stand-in."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.standin.conversation import ASKING, STREAM, WITHIN, Starter

Json = dict[str, Any]

BARRIER = {"UserPromptSubmit": [{"hookCallbackIds": ["start"], "timeout": 60, "onFailure": "block"}]}
SESSION = "11111111-1111-4111-8111-111111111111"


def runs(record: Path) -> list[str]:
    """The prompts that really ran."""
    return [json.loads(line)["prompt"] for line in record.read_text().splitlines()] if record.exists() else []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def outcome(result: Json) -> tuple[str, bool, str | None]:
    return result["subtype"], result["is_error"], result.get("terminal_reason")


def test_a_plain_prompt_is_echoed_and_acknowledged(start: Starter) -> None:
    program = start()
    program.prompt("p1", "hello")
    result = program.result()
    program.until_state("p1", "completed")
    assert result["result"] == "echo: hello"
    assert result["user_message_uuids"] == ["p1"]
    assert outcome(result) == ("success", False, "completed")
    assert program.states("p1") == ["queued", "started", "completed"]


def test_partial_messages_come_only_when_asked_for(start: Starter) -> None:
    silent, chatty = start(), start(*ASKING)
    for program in (silent, chatty):
        program.prompt("p1", "[[delta 5 3 0]]")
        program.result()
    assert not [frame for frame in silent.heard if frame["type"] == "stream_event"]
    deltas = [frame for frame in chatty.heard if frame.get("event", {}).get("type") == "content_block_delta"]
    assert [frame["event"]["delta"]["text"] for frame in deltas] == ["012"] * 5


def test_nothing_runs_before_the_barrier_is_answered(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(CCBRIDGE_STANDIN_RECORD=str(record))
    program.request("i", subtype="initialize", hooks=BARRIER)
    program.prompt("p1", "hello")
    asked = program.until_type("control_request")
    program.request("ping", subtype="get_binary_version")
    assert runs(record) == []
    program.answer(asked, {})
    program.result()
    assert runs(record) == ["hello"]


def test_a_death_at_the_barrier_runs_nothing(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(CCBRIDGE_STANDIN_RECORD=str(record))
    program.request("i", subtype="initialize", hooks=BARRIER)
    program.prompt("p1", "hello")
    program.until_type("control_request")
    program.process.kill()
    program.ended()
    assert runs(record) == []


def test_the_barrier_fails_open_at_the_end_of_input(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(CCBRIDGE_STANDIN_RECORD=str(record))
    program.request("i", subtype="initialize", hooks=BARRIER)
    program.prompt("p1", "hello")
    program.until_type("control_request")
    program.end_input()
    assert program.ended() == 0
    assert runs(record) == ["hello"]


def test_a_barrier_that_nobody_answers_in_time_blocks(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(CCBRIDGE_STANDIN_RECORD=str(record))
    hook = {"hookCallbackIds": ["start"], "timeout": 0.05, "onFailure": "block"}
    program.request("i", subtype="initialize", hooks={"UserPromptSubmit": [hook]})
    program.prompt("p1", "hello")
    assert program.result()["num_turns"] == 0
    assert runs(record) == []


def test_prompts_that_wait_are_merged_into_one_turn(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(CCBRIDGE_STANDIN_RECORD=str(record))
    program.prompt("p1", "[[slow 0.3]]")
    program.until_state("p1", "started")
    program.prompt("p2", "two")
    program.prompt("p3", "three")
    assert program.result()["user_message_uuids"] == ["p1"]
    merged = program.result()
    assert (merged["user_message_uuids"], merged["result"]) == (["p2", "p3"], "echo: two\nthree")
    assert runs(record) == ["[[slow 0.3]]", "two", "three"]


def test_an_interrupt_stops_the_running_turn(start: Starter) -> None:
    program = start(*ASKING)
    program.prompt("p1", "[[delta 1000 4 20]]")
    program.until(lambda frame: frame.get("event", {}).get("type") == "content_block_delta")
    assert program.request("x", subtype="interrupt")["response"] == {"still_queued": []}
    result = program.result()
    program.until_state("p1", "cancelled")
    assert outcome(result) == ("error_during_execution", True, "aborted_streaming")
    program.prompt("p2", "still there")
    assert program.result()["result"] == "echo: still there"


def test_an_interrupt_right_behind_the_prompt_is_lost(start: Starter) -> None:
    program = start()
    line = {"type": "control_request", "request_id": "x", "request": {"subtype": "interrupt"}}
    body = {"role": "user", "content": "hello"}
    both = [{"type": "user", "uuid": "p1", "client_composed": True, "message": body}, line]
    program.write("".join(json.dumps(message) + "\n" for message in both).encode())
    receipt = program.until_type("control_response")["response"]["response"]
    assert receipt == {"still_queued": ["p1"]}
    assert program.result()["result"] == "echo: hello"


def test_cancel_queued_takes_out_what_has_not_started(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[hang]]")
    program.until_state("p1", "started")
    program.prompt("p2", "two")
    program.until_state("p2", "queued")
    receipt = program.request("x", subtype="interrupt", cancel_queued=True)["response"]
    program.until_state("p1", "cancelled")
    assert receipt == {"still_queued": [], "cancelled": ["p2"]}
    assert program.states("p2") == ["queued", "cancelled"]


def test_one_waiting_prompt_can_be_withdrawn(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[slow 0.2]]")
    program.until_state("p1", "started")
    program.prompt("p2", "two")
    program.until_state("p2", "queued")
    assert program.request("a", subtype="cancel_async_message", message_uuid="p2")["response"] == {"cancelled": True}
    assert program.request("b", subtype="cancel_async_message", message_uuid="p1")["response"] == {"cancelled": False}
    assert program.result()["user_message_uuids"] == ["p1"]


def test_end_session_accounts_for_everything(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[hang]]")
    program.until_state("p1", "started")
    program.prompt("p2", "two")
    program.until_state("p2", "queued")
    program.request("end", subtype="end_session")
    assert program.ended() == 1
    assert (program.states("p1")[-1], program.states("p2")[-1]) == ("cancelled", "discarded")


def test_end_session_without_a_turn_exits_well(start: Starter) -> None:
    program = start()
    program.request("end", subtype="end_session")
    assert program.ended() == 0


def test_an_unknown_request_is_refused_by_name(start: Starter) -> None:
    response = start().request("x", subtype="no_such_thing")
    assert response["error_code"] == "unsupported_request"


@pytest.mark.parametrize("sent, code", [(signal.SIGTERM, 143), (signal.SIGINT, 0), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_turn_without_a_result(start: Starter, sent: signal.Signals, code: int) -> None:
    program = start(*ASKING)
    program.prompt("p1", "[[delta 1000 4 20]]")
    program.until(lambda frame: frame.get("event", {}).get("type") == "content_block_delta")
    program.process.send_signal(sent)
    assert program.ended() == code
    assert not [frame for frame in program.heard if frame["type"] == "result"]


@pytest.mark.parametrize(
    "line", [b"garbage\n", b"null\n", b'{"a":1}{"b":2}\n', b'{"type":"user"}\n', b'{"type":"us', b'"\x00"\n']
)
def test_a_bad_line_is_the_end(start: Starter, line: bytes) -> None:
    program = start()
    program.write(line)
    program.end_input()
    assert program.ended() == 1
    assert "Error" in program.complaint()


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"{}\n", b"[1]\n", b"42\n", b'{"type":"keep_alive"}\n'])
def test_what_is_not_understood_is_passed_over(start: Starter, line: bytes) -> None:
    program = start()
    program.write(line)
    program.prompt("p1", "hello")
    assert program.result()["result"] == "echo: hello"


def test_the_end_of_input_waits_for_every_prompt(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[slow 0.1]]")
    program.prompt("p2", "two")
    program.end_input()
    assert program.ended() == 0
    ends = [frame["user_message_uuids"] for frame in program.heard if frame["type"] == "result"]
    assert ends == [["p1"], ["p2"]]


def test_an_api_error_is_a_success_with_is_error(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[error 529]]")
    result = program.result()
    assert outcome(result) == ("success", True, "api_error")
    assert result["api_error_status"] == 529
    program.prompt("p2", "[[error 529 1]] once")
    assert outcome(program.result()) == ("success", False, "completed")


def test_a_tool_runs_when_it_is_allowed(start: Starter, tmp_path: Path) -> None:
    program = start(*ASKING)
    program.prompt("p1", '[[tool Bash {"command": "echo done | tee made"}]]')
    asked = program.until_type("control_request")
    assert asked["request"]["input"] == {"command": "echo done | tee made"}
    assert not (tmp_path / "workspace" / "made").exists()
    program.answer(asked, {"behavior": "allow"})
    assert program.result()["result"] == "tool said: done"
    assert (tmp_path / "workspace" / "made").exists()


def test_permission_for_the_session_is_not_asked_again(start: Starter) -> None:
    program = start(*ASKING)
    program.prompt("p1", '[[tool Bash {"command": "true"}]][[tool Bash {"command": "echo two"}]]')
    asked = program.until_type("control_request")
    rules = [{**rule, "destination": "session"} for rule in asked["request"]["permission_suggestions"]]
    program.answer(asked, {"behavior": "allow", "updatedPermissions": rules})
    assert program.result()["result"] == "tool said: two"
    assert len([frame for frame in program.heard if frame["type"] == "control_request"]) == 1


def test_an_interrupt_withdraws_the_question(start: Starter) -> None:
    program = start(*ASKING)
    program.prompt("p1", '[[tool Bash {"command": "true"}]]')
    asked = program.until_type("control_request")
    program.request("x", subtype="interrupt")
    withdrawn = program.until_type("control_cancel_request")
    assert withdrawn["request_id"] == asked["request_id"]
    assert outcome(program.result())[2] == "aborted_tools"


def test_without_somebody_to_ask_a_tool_is_denied(start: Starter) -> None:
    program = start()
    program.prompt("p1", '[[tool Bash {"command": "true"}]]')
    assert program.result()["permission_denials"][0]["tool_name"] == "Bash"


def test_a_killed_program_leaves_its_tool_running(start: Starter, tmp_path: Path) -> None:
    program = start(*STREAM, "--allowedTools", "Bash")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program.prompt("p1", f'[[tool Bash {{"command": "exec 3<>{fifo}; echo ready >{fifo}.ready; read line <&3"}}]]')
    until(lambda: Path(f"{fifo}.ready").exists())
    program.process.kill()
    program.ended()
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))  # ENXIO if the tool were gone
    fifo.write_text("go\n")


def test_termination_takes_the_tool_along(start: Starter, tmp_path: Path) -> None:
    program = start(*STREAM, "--allowedTools", "Bash")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program.prompt("p1", f'[[tool Bash {{"command": "exec 3>{fifo}; echo $$ >&3; sleep 60"}}]]')
    with fifo.open() as reader:
        assert int(reader.readline()) > 0
        program.process.terminate()
        assert program.ended() == 143
        assert reader.read() == "", "its end is closed only when the whole group is gone"


def test_a_session_that_exists_cannot_be_made_again(start: Starter) -> None:
    first = start(*STREAM, "--session-id", SESSION)
    first.prompt("p1", "hello")
    first.result()
    second = start(*STREAM, "--session-id", SESSION)
    assert second.ended() == 1
    assert "already in use" in second.complaint()


def test_a_session_that_does_not_exist_cannot_be_resumed(start: Starter) -> None:
    program = start(*STREAM, f"--resume={SESSION}")
    assert "No conversation found" in program.result()["errors"][0]
    assert program.ended() == 1


def test_an_answered_prompt_is_not_run_again_after_resume(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    first = start(*STREAM, "--session-id", SESSION, CCBRIDGE_STANDIN_RECORD=str(record))
    first.prompt("p1", "hello")
    first.result()
    first.end_input()
    first.ended()
    second = start(*STREAM, f"--resume={SESSION}", CCBRIDGE_STANDIN_RECORD=str(record))
    second.prompt("p1", "hello")
    second.until_state("p1", "completed")
    second.prompt("p2", "again")
    assert second.result()["session_id"] == SESSION
    assert second.states("p1") == ["completed"]
    assert runs(record) == ["hello", "again"]


def test_a_prompt_without_an_answer_is_run_again_after_resume(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    first = start(*STREAM, "--session-id", SESSION, CCBRIDGE_STANDIN_RECORD=str(record))
    first.prompt("p1", "before")
    first.result()
    first.prompt("p2", "[[exit 9]]")
    assert first.ended() == 9
    second = start(*STREAM, f"--resume={SESSION}", CCBRIDGE_STANDIN_RECORD=str(record))
    second.prompt("p2", "[[exit 9]]")
    assert second.ended() == 9
    assert runs(record) == ["before", "[[exit 9]]", "[[exit 9]]"]


def test_the_same_uuid_is_dropped_in_silence(start: Starter) -> None:
    program = start()
    program.prompt("p1", "hello")
    program.result()
    program.prompt("p1", "hello")
    program.prompt("p2", "two")
    assert program.result()["user_message_uuids"] == ["p2"]


def test_a_turn_that_nobody_asked_for_names_no_prompt(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[unsolicited]]")
    program.result()
    extra = program.result()
    assert "user_message_uuids" not in extra
    assert extra["origin"] == {"kind": "task-notification"}


def test_noise_on_both_outputs_does_not_stop_the_answer(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[garbage]] [[stderr oh dear]]")
    assert program.until_type("garbage")["line"]
    assert program.result()["is_error"] is False
    program.end_input()
    program.ended()
    assert program.complaint() == "oh dear\n"


def test_a_spawned_process_outlives_its_program(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[spawn]]")
    pid = int(program.result()["result"].removeprefix("spawned "))
    program.process.kill()
    program.ended()
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)


def test_an_older_program_has_neither_receipts_nor_hooks(start: Starter) -> None:
    program = start(CCBRIDGE_STANDIN_FAULTS="no-lifecycle,no-hooks")
    answer = program.request("i", subtype="initialize", hooks=BARRIER)["response"]
    program.prompt("p1", "hello")
    init = program.until_type("system")
    assert "hooks_applied" not in answer
    assert "msg_lifecycle_v1" not in init["capabilities"]
    assert program.result()["result"] == "echo: hello"
    assert program.states("p1") == []


def test_a_failing_start_says_so_on_stderr_only(start: Starter) -> None:
    program = start(CCBRIDGE_STANDIN_FAULTS="fail-start")
    assert program.ended() == 1
    assert program.heard == []
    assert program.complaint()


def test_output_that_nobody_reads_stops_no_turn(start: Starter, tmp_path: Path) -> None:
    record = tmp_path / "record"
    program = start(*ASKING, CCBRIDGE_STANDIN_RECORD=str(record))
    program.pause()
    program.prompt("p1", "[[delta 2000 100 0]]")
    until(lambda: len(runs(record)) == 1)
    program.prompt("p2", "two")
    until(lambda: len(runs(record)) == 2)
    program.go_on()
    assert program.result()["result"] == "0123456789" * 10 * 2000
    assert program.result()["user_message_uuids"] == ["p2"]


def test_a_line_can_be_as_long_as_one_likes(start: Starter) -> None:
    program = start()
    program.prompt("p1", "[[line 3000000]]")
    assert len(program.result()["result"]) == 3_000_000


def test_a_slash_is_a_command_unless_the_prompt_is_composed(start: Starter) -> None:
    program = start()
    program.prompt("p1", "/cost")
    assert program.result()["result"] == "echo: /cost"
    program.prompt("p2", "/clear", client_composed=False)
    program.until(lambda frame: frame.get("subtype") == "conversation_reset")
    assert program.result()["num_turns"] == 0


def test_without_stream_json_it_prints_the_answer(start: Starter) -> None:
    program = start("-p", "[[garbage]]")
    program.end_input()
    process = program.process
    assert process.wait(20) == 0
    assert program.lines.get(timeout=20).startswith(b"this is")
    assert program.lines.get(timeout=20) == b"echo: [[garbage]]\n"
