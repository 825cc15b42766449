#!/usr/bin/env python3
"""A stand-in for Claude Code: it speaks the same stream-json, needs no login, and its prompts are its script.

For tests and for trying ccbridged out (`script.py` has the directives). Only Python's standard library.

    CCBRIDGE_STANDIN_RECORD=FILE   appends a JSON line for every prompt that really ran, synced to disk first
    CCBRIDGE_STANDIN_FAULTS=LIST   fail-start, slow-start (1 s), no-lifecycle and no-hooks (older programs)
"""

import json
import os
import sys
import time
from typing import Any, NoReturn

import frames
from host import Host, Settings
from session import Refused, Session, begin, resume
from turn import Prompt

VERSION = "2.1.329"
FLAGS = {"-p", "--print", "--verbose", "--include-partial-messages", "--replay-user-messages", "--bare"}
FLAGS |= {"--dangerously-skip-permissions", "--strict-mcp-config", "--disable-slash-commands"}
VALUED = {"--input-format", "--output-format", "--permission-prompt-tool", "--permission-mode", "--session-id"}
VALUED |= {"--resume", "--model", "--allowedTools", "--disallowedTools", "--append-system-prompt", "--system-prompt"}
VALUED |= {"--max-turns", "--add-dir", "--settings", "--setting-sources", "--mcp-config", "--fallback-model"}


def parse(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options, flags with the value "", and what is none. Raises Refused for an option that is not known."""
    options: dict[str, str] = {}
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in FLAGS:
            options[name] = ""
        elif name in VALUED:
            options[name] = value if equals else next(rest, "")
        elif word == "--":
            words += rest
        elif word.startswith("-") and word != "-":
            raise Refused(f"error: unknown option '{word}'")
        else:
            words.append(word)
    return options, words


def settings(options: dict[str, str]) -> Settings:
    """Raises Refused where the real one does not start."""
    mode = options.get("--permission-mode", "default")
    if "--dangerously-skip-permissions" in options:
        mode = "bypassPermissions"
    if mode == "bypassPermissions" and os.getuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        raise Refused("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons")
    return Settings(
        version=VERSION,
        format=options.get("--output-format", "text"),
        mode=mode,
        allowed=frozenset(options.get("--allowedTools", "").replace(",", " ").split()),
        asks=options.get("--permission-prompt-tool") == "stdio",
        partial="--include-partial-messages" in options,
        faults=frozenset(os.environ.get("CCBRIDGE_STANDIN_FAULTS", "").split(",")),
        record=os.environ.get("CCBRIDGE_STANDIN_RECORD", ""),
        max_retries=int(os.environ.get("CLAUDE_CODE_MAX_RETRIES", "1")),
        tells_state=os.environ.get("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS") == "1",
    )


def open_session(options: dict[str, str]) -> Session:
    if "--resume" not in options:
        return begin(options.get("--session-id", ""))
    if "--session-id" in options:
        raise Refused("Error: --session-id with --continue or --resume also needs --fork-session.")
    return resume(options["--resume"])


def refuse(refusal: Refused, options: dict[str, str]) -> NoReturn:
    """The two ways in which a start fails: with a result, or only on stderr."""
    if refusal.session_id and options.get("--output-format") == "stream-json":
        end: dict[str, Any] = {"subtype": "error_during_execution", "is_error": True, "num_turns": 0}
        frame = frames.result((), {**end, "errors": [str(refusal)]}, {"total_cost_usd": 0, "result_index": 0})
        print(json.dumps({**frame, "session_id": refusal.session_id}, separators=(",", ":")))
    else:
        print(refusal, file=sys.stderr)
    sys.exit(1)


def main() -> None:
    argv = sys.argv[1:]
    if "--version" in argv or "-v" in argv:
        print(f"{VERSION} (Claude Code stand-in)")
        return
    options: dict[str, str] = {}
    try:
        options, words = parse(argv)
        chosen = settings(options)
        if "slow-start" in chosen.faults:
            time.sleep(1.0)
        if "fail-start" in chosen.faults:
            raise Refused("Error: the stand-in was told not to start.")
        session = open_session(options)
    except Refused as refusal:
        refuse(refusal, options)
    prompts = []
    if options.get("--input-format", "text") == "text":
        text = " ".join(words) or sys.stdin.read()
        prompts = [Prompt("", text, composed=True)]
    Host(chosen, session, prompts).run()


if __name__ == "__main__":
    main()
