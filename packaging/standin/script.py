"""What the stand-in answers: the prompt is the script, with the directives of the tests' scripted endpoint.

`hello` is answered `echo: hello`; directives anywhere in the prompt change that:

    [[text N]]                    N characters, in deltas of 1,000
    [[line BYTES]]                BYTES characters in one delta
    [[delta COUNT SIZE DELAY_MS]] COUNT deltas of SIZE characters, DELAY_MS apart
    [[words]]                     the echo, one delta per word, 10 ms apart
    [[tool NAME {json}]]          a tool call, Bash really runs; may stand several times; then: `tool said: ...`
    [[slow SECONDS]]              waits before the first byte of each answer
    [[error STATUS [TIMES]]]      an API error, always or only the first TIMES
    [[drop]] [[hang]]             cuts the answer in the middle; never answers
    [[exit CODE]]                 the program dies with this status, without a result
    [[garbage]]                   a line on stdout that is no JSON, then the answer
    [[stderr TEXT]]               a line on stderr, then the answer
    [[spawn]]                     leaves a process in a session of its own; answers `spawned PID`
    [[unsolicited]]               after the answer, a turn that nobody asked for
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]

_DIRECTIVE = re.compile(
    r"\[\[(text|line|delta|words|slow|error|drop|hang|exit|garbage|stderr|spawn|unsolicited)\b([^\]]*)\]\]"
)
_TOOL = re.compile(r"\[\[tool (\w+) +")


class Plan(NamedTuple):
    """How one prompt is answered. ``deltas``: None for the echo in one piece; ``pause``: seconds between deltas;
    ``wait``: seconds before each answer; ``error_times``: how often ``error`` comes before it goes well."""

    deltas: tuple[str, ...] | None = None
    words: bool = False
    pause: float = 0.0
    tools: tuple[tuple[str, Json], ...] = ()
    wait: float = 0.0
    error: int = 0
    error_times: float = math.inf
    drop: bool = False
    exit: int | None = None
    garbage: bool = False
    stderr: str = ""
    spawn: bool = False
    unsolicited: bool = False

    def pieces(self, answer: str) -> tuple[str, ...]:
        """The deltas of an answer."""
        if self.drop:
            return ("cut off ",)
        if self.deltas is not None:
            return self.deltas
        return tuple(re.findall(r"\S+\s*", answer)) if self.words else (answer,)


def make_plan(prompt: str) -> Plan:
    """Raises ValueError where a directive is malformed."""
    tools, rest = _split_tools(prompt)
    plan = Plan(tools=tuple(tools))
    for found in _DIRECTIVE.finditer(rest):
        plan = plan._replace(**_change(found[1], found[2].strip()))
    return plan


def _change(name: str, given: str) -> Json:
    if name == "stderr":
        return {"stderr": given}
    match name, [float(word) for word in given.split()]:
        case "text", [size]:
            return {"deltas": tuple(_filler(min(1000, int(size) - at)) for at in range(0, int(size), 1000))}
        case "line", [size]:
            return {"deltas": (_filler(int(size)),)}
        case "delta", [count, size, milliseconds]:
            return {"deltas": (_filler(int(size)),) * int(count), "pause": milliseconds / 1000}
        case "words", []:
            return {"words": True, "pause": 0.01}
        case "slow", [seconds]:
            return {"wait": seconds}
        case "error", [status, *times]:
            return {"error": int(status), "error_times": times[0] if times else math.inf}
        case "hang", []:
            return {"wait": math.inf}
        case "exit", [code]:
            return {"exit": int(code)}
        case "drop" | "garbage" | "spawn" | "unsolicited", []:
            return {name: True}
        case _, numbers:
            raise ValueError(f"[[{name}]] with {len(numbers)} numbers")


def _split_tools(prompt: str) -> tuple[Iterator[tuple[str, Json]], str]:
    """The tool directives, and the prompt without them: a command may hold anything."""
    tools: list[tuple[str, Json]] = []
    rest: list[str] = []
    end = 0
    while found := _TOOL.search(prompt, end):
        rest.append(prompt[end : found.start()])
        arguments, end = json.JSONDecoder().raw_decode(prompt, found.end())
        tools.append((found[1], arguments))
    return iter(tools), "".join((*rest, prompt[end:]))


def _filler(size: int) -> str:
    return ("0123456789" * (size // 10 + 1))[:size]
