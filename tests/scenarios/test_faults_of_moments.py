"""``kill -9`` at a chosen system call: before it is done, so after the one before it; each read, write, commit, ack."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.scenarios.breaking import agent_of, fault_injected
from tests.scenarios.rig import Rig, running

CALLS = ("read", "write", "pwrite64", "fdatasync")
NUMBERS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def web() -> Iterator[Rig]:
    with running() as rig:
        rig.add("web")
        yield rig


def strike(rig: Rig, victim: psutil.Process, rule: str, prompt: str) -> subprocess.Popen[bytes]:
    """The client of a prompt in whose course the victim died; unless it makes fewer such calls for one."""
    with fault_injected(victim.pid, rule):
        client = rig.begin("send", "web", prompt)
        until = time.monotonic() + 20
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE and client.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
    return client


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_daemon_killed_at_any_call_loses_and_repeats_nothing(web: Rig, call: str, number: int) -> None:
    assert web.daemon
    prompt = f"daemon {call} {number}"
    client = strike(web, psutil.Process(web.daemon.pid), f"{call}:signal=SIGKILL:when={number}", prompt)
    if web.daemon.poll() is not None:
        web.start()
    out, err = client.communicate(timeout=30)
    # One that came when no daemon was there any more has given it nothing.
    assert (client.returncode, out.decode()) in ((0, f"echo: {prompt}\n"), (69, "")), err
    assert web.ran().count(prompt) == (client.returncode == 0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", NUMBERS)
def test_an_agent_killed_at_any_call_repeats_nothing_and_says_what_is_uncertain(
    web: Rig, call: str, number: int
) -> None:
    web.until(lambda: web.row("web")["state"] == "ready", "the one before")
    prompt = f"agent {call} {number}"
    client = strike(web, agent_of(web, "web"), f"{call}:signal=SIGKILL:when={number}", prompt)
    out, err = client.communicate(timeout=30)
    assert client.returncode in (0, 7), err
    assert web.ran().count(prompt) in ((1,) if client.returncode == 0 else (0, 1))
    assert out.decode() == (f"echo: {prompt}\n" if client.returncode == 0 else "")
