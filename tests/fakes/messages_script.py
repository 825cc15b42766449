"""What the scripted Messages endpoint answers: a request's messages in, a plan and its stream events out.

The prompt is the script, so a test says in one place what it sends and what comes of it, and there is
nothing to reset. `hello` is answered `echo: hello`; directives anywhere in the prompt change that:

    [[text N]]                    N characters, in deltas of 1,000
    [[line BYTES]]                BYTES characters in one delta: lines of that size on Claude's stdout
    [[delta COUNT SIZE DELAY_MS]] COUNT deltas of SIZE characters, DELAY_MS apart
    [[words]]                     the echo, one delta per word, 10 ms apart
    [[tool NAME {json}]]          a tool_use; may stand several times; after the last result: `tool said: ...`
    [[slow SECONDS]]              waits before the first byte
    [[error STATUS [TIMES [AFTER]]]]  an API error, always or only the first TIMES; AFTER seconds it may be tried again
    [[limit SECONDS]]             the subscription's limit is reached, and is no more so many seconds from now
    [[drop]]                      cuts the connection in the middle of the answer
    [[hang]]                      never answers
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]

# How user messages begin that nobody typed: Claude Code adds them beside, before and after the prompt.
NOT_TYPED = ("<system-reminder>", "<local-command-", "<command-", "[Request interrupted")


# How it tells the model, in a system message, of a prompt that came while the turn was running.
FOLDED = re.compile(r"The user sent a new message while you were working:\n(.*?)\n\nThis is how", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request's messages say: the typed texts, the tool results since the last of them, and the
    prompts that were folded into running turns."""

    texts: tuple[str, ...]
    results: tuple[str, ...]
    folded: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return self.texts[-1] if self.texts else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is answered."""

    deltas: tuple[str, ...] = ()
    pause: float = 0.0
    tool: tuple[str, Json] | None = None
    wait: float = 0.0
    error: int | None = None
    after: float = 0.0
    limit: float = 0.0
    drop: bool = False


def read_conversation(messages: Sequence[Json]) -> Conversation:
    texts: list[str] = []
    results: list[str] = []
    folded: list[str] = []
    for message in messages:
        for block in _blocks(message.get("content")):
            match message["role"], block["type"]:
                case "user", "tool_result":
                    results.append("".join(part.get("text", "") for part in _blocks(block.get("content"))))
                case "user", "text" if not block["text"].lstrip().startswith(NOT_TYPED):
                    texts.append(block["text"])
                    results.clear()
                case "system", "text":
                    folded += FOLDED.findall(block["text"])
    return Conversation(tuple(texts), tuple(results), tuple(folded))


def _blocks(content: str | list[Json] | None) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def make_plan(conversation: Conversation, attempt: int) -> Plan:
    """`attempt` counts the earlier requests with the same prompt. ValueError: a directive is malformed."""
    prompt, results = conversation.prompt, conversation.results
    answer = f"tool said: {results[-1]}" if results else f"echo: {prompt}"
    plan = Plan(deltas=(answer,))
    tools, rest = _split_tools(prompt)
    for name, numbers in _directives(rest):
        match name, numbers:
            case "text", [size]:
                deltas = (_filler(min(1000, int(size) - at)) for at in range(0, int(size), 1000))
                plan = replace(plan, deltas=tuple(deltas))
            case "line", [size]:
                plan = replace(plan, deltas=(_filler(int(size)),))
            case "delta", [count, size, milliseconds]:
                plan = replace(plan, deltas=(_filler(int(size)),) * int(count), pause=milliseconds / 1000)
            case "words", []:
                plan = replace(plan, deltas=tuple(re.findall(r"\S+\s*", answer)), pause=0.01)
            case "slow", [seconds]:
                plan = replace(plan, wait=seconds)
            case "error", [status]:
                plan = replace(plan, error=int(status))
            case "error", [status, times, *after]:
                plan = replace(plan, error=int(status) if attempt < times else None, after=sum(after))
            case "limit", [seconds]:
                plan = replace(plan, error=429, limit=seconds)
            case "drop", []:
                plan = replace(plan, deltas=("cut off ",), drop=True)
            case "hang", []:
                plan = replace(plan, wait=math.inf)
            case _:
                raise ValueError(f"[[{name}]] with {len(numbers)} numbers")
    return plan if len(results) >= len(tools) else replace(plan, tool=tools[len(results)])


def _directives(text: str) -> Iterator[tuple[str, list[float]]]:
    for found in re.finditer(r"\[\[(text|line|delta|words|slow|error|limit|drop|hang)\b([^\]]*)\]\]", text):
        yield found[1], [float(word) for word in found[2].split()]


def _split_tools(prompt: str) -> tuple[list[tuple[str, Json]], str]:
    """The tool directives, and the prompt without them: a command may hold anything."""
    tools: list[tuple[str, Json]] = []
    rest: list[str] = []
    end = 0
    while found := re.compile(r"\[\[tool (\w+) +").search(prompt, end):
        rest.append(prompt[end : found.start()])
        arguments, end = json.JSONDecoder().raw_decode(prompt, found.end())
        tools.append((found[1], arguments))
    return tools, "".join((*rest, prompt[end:]))


def _filler(size: int) -> str:
    return ("0123456789" * (size // 10 + 1))[:size]


def events(plan: Plan, number: int, model: str) -> Iterator[tuple[float, Json]]:
    """The stream's events, each with the seconds to wait before it."""
    usage = {"input_tokens": 10, "output_tokens": 1}
    message: Json = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield 0.0, {"type": "message_start", "message": message}
    block: Json = {"type": "text", "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": text} for text in plan.deltas]
    if plan.tool is not None:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": plan.tool[0], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(plan.tool[1])}]
    yield 0.0, {"type": "content_block_start", "index": 0, "content_block": block}
    for position, delta in enumerate(deltas):
        pause = plan.pause if position else 0.0
        yield pause, {"type": "content_block_delta", "index": 0, "delta": delta}
    if plan.drop:
        return
    yield 0.0, {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": "tool_use" if plan.tool else "end_turn", "stop_sequence": None}
    usage = {"output_tokens": max(1, sum(map(len, plan.deltas)) // 4)}
    yield 0.0, {"type": "message_delta", "delta": ended, "usage": usage}
    yield 0.0, {"type": "message_stop"}


def whole(plan: Plan, number: int, model: str) -> Json:
    """The same answer for a client that does not stream."""
    stream = [event for _, event in events(plan, number, model)]
    block: Json = {"type": "text", "text": "".join(plan.deltas)}
    if plan.tool is not None:
        block = stream[1]["content_block"] | {"input": plan.tool[1]}
    message: Json = stream[0]["message"]
    return message | {"content": [block], "stop_reason": "tool_use" if plan.tool else "end_turn"}
