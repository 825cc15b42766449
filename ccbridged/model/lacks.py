"""What a container lacks to be an instance, in words, each with what mends it. ``discover`` and ``doctor`` share it."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from ccbridged.model.sighting import LINK, PYTHON, Inside, Sighting

_CLAUDE = "npm install -g @anthropic-ai/claude-code"
_INSTALL = {
    "apt-get": "apt-get update && apt-get install -y {}",
    "apk": "apk add {}",
    "dnf": "dnf install -y {}",
    "microdnf": "microdnf install -y {}",
    "yum": "yum install -y {}",
    "zypper": "zypper install -y {}",
    "pacman": "pacman -Sy --noconfirm {}",
}


class Lack(NamedTuple):
    """``check``: container, python3, claude or link. ``what`` it lacks, in a few words; the same as a ``detail``: a
    sentence. ``fix``: a command or docker's flag."""

    check: str
    what: str
    detail: str
    fix: str


def of_state(seen: Sighting, start: str = "") -> list[Lack]:
    """That it runs. ``start``: the command for that, if it is not docker's."""
    if seen.inside is not None and not seen.inside.fault:
        return []
    if seen.inside is not None:
        detail = f"nothing can be seen in container {seen.name}: {seen.inside.fault}"
        return [Lack("container", f"a shell that answers ({seen.inside.fault})", detail, f"docker restart {seen.name}")]
    verb = {"paused": "unpause", "restarting": "logs", "dead": "rm -f", "removing": "rm -f"}.get(seen.state, "start")
    detail = f"container {seen.name} is {seen.state}"
    return [Lack("container", f"running processes (it is {seen.state})", detail, start or f"docker {verb} {seen.name}")]


def of_python(seen: Sighting, inside: Inside) -> list[Lack]:
    """A python3 that can run the agent."""
    if not inside.python:
        what, detail = "python3", "has no python3, which the agent needs"
    elif _version(inside.python) < PYTHON:
        least = ".".join(map(str, PYTHON))
        what = f"python3 {least} or newer (it has {inside.python})"
        fix = "use an image with a newer one, such as one of Debian 12"
        return [
            Lack("python3", what, f"container {seen.name} has python3 {inside.python}; the agent needs {least}", fix)
        ]
    elif inside.missing:
        names = ", ".join(inside.missing[:3]) + (", …" if len(inside.missing) > 3 else "")
        what, detail = f"a whole python3 (it has no {names})", f"has only a part of python3: {names} is missing"
    else:
        return []
    return [Lack("python3", what, f"container {seen.name} {detail}", install(seen, inside, "python3"))]


def of_program(seen: Sighting, inside: Inside, program: str = "claude") -> list[Lack]:
    """Claude Code, or whatever the program is, on the PATH of the container's user."""
    if inside.program:
        return []
    detail = f"container {seen.name} has no {program} on the PATH of its user"
    if program != "claude":
        return [Lack("claude", program, detail, "install it there, or add the instance with its path")]
    fix = install(seen, inside, "npm", _CLAUDE)
    return [Lack("claude", "Claude Code", detail, f"{fix}; or use an image that has it, such as ccbridge/claude")]


def of_link(seen: Sighting, links: str, name: str) -> list[Lack]:
    """The link directory of instance ``name``, as it is now. ``links``: the directory of all of them."""
    again = f"create it again with {flag(links, name)}"
    if seen.link is None:
        detail = f"container {seen.name} does not have the link directory of {name} mounted"
        return [Lack("link", "the link directory", detail, again)]
    if seen.link.name != name:
        detail = f"container {seen.name} has the link directory of {seen.link.name} mounted, not that of {name}"
        return [Lack("link", f"a link directory of its own (that of {seen.link.name} is another's)", detail, again)]
    if seen.link.fresh is False:
        detail = f"container {seen.name} still sees an earlier link directory of {name}"
        fix = f"docker restart {seen.name}"
        return [Lack("link", "the present link directory (it sees an earlier one)", detail, fix)]
    return []


def flag(links: str, name: str) -> str:
    """Docker's flag that mounts the link directory of an instance."""
    return f"docker's flag: -v {shlex.quote(f'{links}/{name}')}:{LINK}:ro"


def install(seen: Sighting, inside: Inside, package: str, then: str = "") -> str:
    """The command that installs a package in the container, and does something with it ``then``."""
    words = _INSTALL.get(inside.installer, "").format(package)
    if not words and not then:
        return f"install {package} in it, or use an image that has it"
    return f"docker exec -u 0 {seen.name} sh -c '{' && '.join(filter(None, (words, then)))}'"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,6}", text)[:2])
