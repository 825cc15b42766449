"""From a Start to what can be executed, or to a sentence that says why not and what to do."""

from __future__ import annotations

import errno
import json
import os
from typing import NamedTuple

from ccbridged.protocol.messages import Start

MARK = "CCBRIDGE_CHILD_OF"
"""The variable by which the processes of one agent's children are found again: the id of its journal."""
_INSTALL = {
    "claude": "npm install -g @anthropic-ai/claude-code",
    "tmux": "apt-get install tmux",
    "python3": "apt-get install python3",
}


class Refusal(Exception):
    """The program cannot be started; its text is the reason that travels."""


class Program(NamedTuple):
    """What is executed: bytes, as the kernel takes them. ``cwd`` b"": the agent's own."""

    path: bytes
    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes


def prepare(start: Start, env_file: str, mark: str) -> Program:
    """Raises Refusal. ``env_file``: JSON of private variables, read anew each time; it may be absent."""
    if not start.argv or not start.argv[0]:
        raise Refusal("no program was given: set the instance's program")
    env = {**os.environ, **start.env, **_private(env_file)}
    for name in start.scrub:
        env.pop(name, None)
    env[MARK] = mark
    try:
        argv = [_bytes(word) for word in start.argv]
        table = {_bytes(name): _bytes(value) for name, value in env.items() if name and "=" not in name}
        cwd = _bytes(start.cwd)
    except ValueError:
        raise Refusal("an argument, a variable or the directory has a character that cannot be passed on") from None
    if cwd:
        _check_directory(start.cwd)
    return Program(_find(start, env.get("PATH", os.defpath)), argv, table, cwd)


def why_not(program: Program, stage: str, number: int) -> str:
    """The sentence for an errno that chdir or exec gave."""
    name = os.fsdecode(program.path)
    if stage == "chdir":
        return f"the working directory {os.fsdecode(program.cwd)} cannot be used: {os.strerror(number)}"
    if number == errno.ENOENT:
        return f"{name} cannot run {_here()}: its interpreter or loader is missing"
    if number == errno.ENOEXEC:
        return f"{name} is no program for this machine: it is for another architecture, or lacks its first line #!"
    if number == errno.E2BIG:
        return f"{name}: the arguments and variables are too long together"
    return f"{name} cannot be executed: {os.strerror(number)}"


def _bytes(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("NUL")
    return text.encode("utf-8", "surrogateescape")


def _private(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            table = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refusal(f"the instance's private variables in {path} cannot be read: {error}") from None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise Refusal(f"{path} is not a JSON object of strings: add the instance's --env again")
    return table


def _check_directory(cwd: str) -> None:
    if not os.path.isdir(cwd):
        raise Refusal(f"the working directory {cwd} does not exist {_here()}: mount it or change the workdir")
    if not os.access(cwd, os.X_OK):
        raise Refusal(f"uid {os.geteuid()} may not enter the working directory {cwd}")


def _find(start: Start, path: str) -> bytes:
    name = start.argv[0]
    if "/" in name:
        candidates = [os.path.join(start.cwd, name)]
        missing = f"there is no {name} {_here()}: install it or change the instance's program"
    else:
        candidates = [os.path.join(part or ".", name) for part in path.split(os.pathsep)]
        advice = _INSTALL.get(name, "install it or give the instance's program with its path")
        missing = f"{name} is not on PATH {_here()}: {advice} (PATH is {path})"
    found = [candidate for candidate in candidates if os.path.isfile(candidate)]
    for candidate in found:
        if os.access(candidate, os.X_OK):
            return _bytes(os.path.abspath(candidate))
    if found:
        raise Refusal(f"{found[0]} is not executable for uid {os.geteuid()}: chmod +x it, or run as another user")
    raise Refusal(missing)


def _here() -> str:
    contained = os.getpid() == 1 or any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))
    return "in the container" if contained else "on this host"
