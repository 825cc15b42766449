"""The manual: ``--help`` and the man page, both from the table of verbs, so that neither disagrees with the parser."""

from __future__ import annotations

import textwrap

from ccbridgectl.details import DETAILS, ENVIRONMENT, EXIT, NAMES, SUMMARY
from ccbridgectl.grammar import Flag, Verb
from ccbridgectl.table import GLOBALS, VERBS
from ccbridged.protocol.errors import BridgeError

WIDTH = 100


def page(verb: str) -> str:
    """The help of a verb, or for "" of the whole tool. Raises BridgeError ``usage``."""
    if not verb:
        return _tool()
    if verb not in VERBS or not VERBS[verb].summary:
        raise BridgeError("usage", f"there is no verb {verb!r}", "see: ccbridgectl --help")
    return _verb(VERBS[verb])


def visible() -> list[Verb]:
    """The verbs that are not hidden, each once, in the order of the table."""
    return [verb for name, verb in VERBS.items() if name == verb.name and verb.summary]


def usage(verb: Verb) -> str:
    """``ccbridgectl add NAME [flags] [-- ARGS]``."""
    parts = ("ccbridgectl", verb.name, verb.operands, "[flags]", f"[-- {verb.rest}]" if verb.rest else "")
    return " ".join(filter(None, parts))


def spelling(flag: Flag) -> str:
    return ", ".join(flag.names) + (f" {flag.metavar}" if flag.metavar else "")


def _tool() -> str:
    verbs = [(" ".join(filter(None, (", ".join((v.name, *v.aliases)), v.operands))), v.summary) for v in visible()]
    return "\n".join(
        [
            *textwrap.wrap(SUMMARY, WIDTH),
            "",
            "Usage: ccbridgectl VERB [ARGUMENTS] [flags]",
            "",
            "Verbs:",
            *_listed(verbs),
            "",
            NAMES,
            "",
            "Flags of every verb:",
            *_flags(GLOBALS),
            "",
            "Environment:",
            *_listed(ENVIRONMENT),
            "",
            "Exit statuses:",
            *_listed(EXIT),
            "",
            "ccbridgectl VERB --help explains a verb.",
            "",
        ]
    )


def _verb(verb: Verb) -> str:
    text, examples = DETAILS[verb.name]
    summary = verb.summary[0].upper() + verb.summary[1:] + "."
    lines = [summary, "", f"Usage: {usage(verb)}"]
    if verb.aliases:
        lines += [f"Also: {', '.join(verb.aliases)}"]
    if text:
        lines += ["", *textwrap.wrap(text, WIDTH)]
    if verb.completes:
        lines += ["", NAMES]
    if verb.flags:
        lines += ["", "Flags:", *_flags(verb.flags)]
    lines += ["", "Flags of every verb:", *_flags(GLOBALS)]
    lines += ["", "Examples:", *(f"  {example}" for example in examples)]
    return "\n".join([*lines, "", "Exit statuses are explained in: ccbridgectl --help", ""])


def _flags(flags: tuple[Flag, ...]) -> list[str]:
    return _listed(
        [(spelling(flag) if flag.names[0][1] != "-" else f"    {spelling(flag)}", flag.help) for flag in flags]
    )


def _listed(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    """Two columns; what is longer than a line goes on below itself."""
    left = max(len(name) for name, _ in rows) + 4
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, WIDTH - left) or [""]
        lines += [f"  {name:<{left - 2}}{first}".rstrip(), *(" " * left + line for line in more)]
    return lines


def man_page() -> str:
    """ccbridgectl(1) in roff."""
    lines = ['.TH CCBRIDGECTL 1 "" ccbridged "User Commands"', ".SH NAME", r"ccbridgectl \- talk to ccbridged"]
    lines += [".SH SYNOPSIS", ".B ccbridgectl", r"\fIVERB\fR [\fIARGUMENTS\fR] [\fIflags\fR]"]
    lines += [".SH DESCRIPTION", _roff(SUMMARY), ".PP", _roff(NAMES), ".SH VERBS"]
    for verb in visible():
        lines += _man_verb(verb)
    lines += [".SH FLAGS OF EVERY VERB", *_man_flags(GLOBALS)]
    lines += [".SH EXIT STATUS", *_man_list(EXIT), ".SH ENVIRONMENT", *_man_list(ENVIRONMENT)]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR ccbridged (8)", ""])


def _man_verb(verb: Verb) -> list[str]:
    text, examples = DETAILS[verb.name]
    also = f" Also: {', '.join(verb.aliases)}." if verb.aliases else ""
    summary = verb.summary[0].upper() + verb.summary[1:] + "."
    lines = [f".SS {_roff(usage(verb))}", _roff(f"{summary}{also} {text}".strip()), *_man_flags(verb.flags)]
    return [*lines, ".PP", ".EX", *map(_roff, examples), ".EE"]


def _man_flags(flags: tuple[Flag, ...]) -> list[str]:
    return [line for flag in flags for line in (".TP", rf"\fB{_roff(spelling(flag))}\fR", _roff(flag.help))]


def _man_list(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for name, text in rows for line in (".TP", rf"\fB{_roff(name)}\fR", _roff(text))]


def _roff(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped
