"""A loop that is stuck ends its process and says where; one that only sleeps, or was stopped itself, does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.agent_host import alive

LIMIT = 0.6
PROGRAM = """
import logging, re, signal, subprocess, sys, threading, time
from ccbridged.system import logs
from ccbridged.system.watchdog import Watchdog, trace_fatal_signals

def say(text):
    print(text, flush=True)

def stuck_in_a_call():
    time.sleep(60)

def stuck_in_a_loop():
    while True:
        pass

def stuck_in_the_interpreter():
    re.match("(a|a)+$", "a" * 60 + "b")

logs.set_up("info", FORMAT)
trace_fatal_signals()
dog = Watchdog(LIMIT)
dog.start()
BODY
"""
LIVES = "\nsay('well')\ndog.close()\n"


def program(body: str, form: str = "text") -> str:
    return PROGRAM.replace("BODY", body).replace("FORMAT", repr(form)).replace("LIMIT", repr(LIMIT))


def run(body: str, form: str = "text") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program(body, form)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def started(body: str) -> Iterator[subprocess.Popen[str]]:
    """Returns when it has said something."""
    command = [sys.executable, "-c", program(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["stuck_in_a_call", "stuck_in_a_loop"])
@pytest.mark.parametrize("before", ["", "dog.rest(); time.sleep(1.5); dog.wake()"])
def test_a_loop_that_is_stuck_aborts_and_its_stack_comes_first(how: str, before: str) -> None:
    done = run(f"{before}\n{how}()")
    assert done.returncode == -signal.SIGABRT
    first, second, *stack = done.stderr.splitlines()
    assert first.endswith(
        "CRITICAL the loop has been in one turn for 0.6 s: ccbridged aborts; nothing is lost, start it again"
    )
    assert second == "Thread MainThread:"
    assert stack[1].endswith(f"in {how}")
    assert "Thread watchdog:" in stack
    assert "Fatal Python error" not in done.stderr, "it has been said"


def test_a_loop_that_keeps_the_interpreter_is_ended_with_its_stack_too() -> None:
    done = run("stuck_in_the_interpreter()")
    assert done.returncode == -signal.SIGPROF
    assert "in stuck_in_the_interpreter" in done.stderr


def test_as_json_it_is_one_object() -> None:
    done = run("stuck_in_a_call()", "json")
    entry = json.loads(done.stderr)
    assert entry["level"] == "critical"
    assert "in stuck_in_a_call" in entry["trace"]


def test_a_loop_that_turns_lives_however_long_it_sleeps() -> None:
    turns = "for pause in (0, 2.0, 0.01, 0.2, 0.01, 0.7, *[0.001] * 1000):\n    dog.rest()\n    time.sleep(pause)\n"
    done = run(turns + "    dog.wake()" + LIVES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", "")


def test_a_turn_may_take_long_again_and_again() -> None:
    done = run(f"for _ in range(4):\n    time.sleep({LIMIT / 2})\n    dog.rest()\n    dog.wake()" + LIVES)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_was_stopped_in_a_turn_goes_on() -> None:
    turn = "say('ready')\nuntil = time.monotonic() + 0.3\nwhile time.monotonic() < until:\n    pass\n"
    with started(f"{turn}dog.rest(); dog.wake(){LIVES}") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(4 * LIMIT)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "well\n", "")


def test_and_is_ended_where_it_is_stuck_afterwards() -> None:
    with started("say('ready')\nstuck_in_a_call()") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(2 * LIMIT)
        assert alive(process.pid)
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == -signal.SIGABRT


def test_a_log_that_takes_nothing_does_not_keep_it_alive() -> None:
    with started("say('ready')\nlogging.info('x' * 1_000_000)") as process:
        assert process.wait(30) == -signal.SIGALRM


def test_while_the_loop_sleeps_nobody_looks() -> None:
    watched = """
watcher = next(thread for thread in threading.enumerate() if thread.name == "watchdog")
def switches():
    lines = open(f"/proc/self/task/{watcher.native_id}/status").read().splitlines()
    return [line for line in lines if "ctxt" in line]
dog.rest()
time.sleep(2 * LIMIT)
before = switches()
time.sleep(2 * LIMIT)
say(switches() == before)
dog.wake()
stuck_in_a_call()
"""
    done = run(watched)
    assert (done.stdout, done.returncode) == ("True\n", -signal.SIGABRT)


def test_once_closed_it_watches_nothing() -> None:
    done = run(f"dog.close()\ntime.sleep({3 * LIMIT})\nsay('well')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", "")


def test_a_child_inherits_no_timer_and_no_signal_that_is_ignored() -> None:
    child = (
        "import signal\n"
        "timers = [signal.getitimer(which) for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)]\n"
        "numbers = (signal.SIGALRM, signal.SIGPROF, signal.SIGABRT)\n"
        "print(timers, [signal.getsignal(number) == signal.SIG_DFL for number in numbers])"
    )
    started = f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = run(f"signal.setitimer(signal.ITIMER_REAL, 100)\n{started}{LIVES}")
    assert done.stdout == "[(0.0, 0.0), (0.0, 0.0)] [True, True, True]\nwell\n"


@pytest.mark.parametrize(
    ("body", "number"), [("stuck_in_the_interpreter()", signal.SIGPROF), ("stuck_in_a_call()", signal.SIGABRT)]
)
def test_a_caller_that_ignored_these_signals_changes_nothing(body: str, number: int) -> None:
    ignored = "trap '' ALRM PROF; exec \"$@\""
    command = ["sh", "-c", ignored, "sh", sys.executable, "-c", program(body)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == -number


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_fatal_signal_leaves_the_stacks_of_all_threads(number: int) -> None:
    with started(
        "dog.close()\nthreading.Thread(target=stuck_in_a_loop).start()\nsay('ready')\nstuck_in_a_call()"
    ) as it:
        it.send_signal(number)
        _, err = it.communicate(timeout=30)
        assert it.returncode == -number
    assert "Fatal Python error: " in err
    assert "in stuck_in_a_loop" in err
    assert "in <module>" in err


def test_without_stderr_nothing_is_written_to_whatever_has_its_number(tmp_path: Path) -> None:
    body = "from ccbridged.system.watchdog import trace_fatal_signals; import os, sys\n"
    body += "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); assert fd == 2, fd\n"
    body += "trace_fatal_signals(); os.kill(os.getpid(), 6)"
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", body, str(tmp_path / "victim")]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGABRT
    assert (tmp_path / "victim").read_bytes() == b""
