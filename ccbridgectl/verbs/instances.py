"""Verbs that change instances or answer their questions: add, remove, start, stop, restart, approve, deny."""

from __future__ import annotations

import os
import sys

from ccbridgectl.client import Client
from ccbridgectl.document import Json, table, text
from ccbridgectl.grammar import Given
from ccbridgectl.layout import state
from ccbridgectl.screen import Screen
from ccbridgectl.stream import Answer
from ccbridgectl.text import one_line
from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_RUNTIMES = ("container", "image", "process")
_OF_IMAGES = ("volume", "network", "user", "memory", "cpus")


def add(given: Given, client: Client, screen: Screen) -> int:
    return _tell(client.answer(addition(given, os.environ, os.getcwd)), given.word(), screen)


def remove(given: Given, client: Client, screen: Screen) -> int:
    """What cannot be undone is asked for, or said with -y."""
    name = given.word()
    if not given.has("yes"):
        if not (os.isatty(0) and screen.err.isatty()):
            raise BridgeError(
                "usage", f"removing {name} cannot be undone", f"if you mean it: ccbridgectl remove -y {name}"
            )
        found = table(client.answer({"verb": "status", "name": name}).result)
        name = text(found.get("name")) or name
        screen.err.write(one_line(f"Remove {name}, {_lost(found)}?") + " [y/N] ")
        screen.err.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            screen.note("nothing was removed")
            return 6
    return _tell(client.answer({"verb": "remove", "name": name}), name, screen)


def _lost(found: Json) -> str:
    """All that goes with an instance, whose ``status`` this is."""
    made = text(found.get("image")) and ", its container, and the volume with its login and its sessions"
    return f"its history{',' if made else ' and'} its queue{made}"


def start(given: Given, client: Client, screen: Screen) -> int:
    return _change("start", given, client, screen)


def stop(given: Given, client: Client, screen: Screen) -> int:
    return _change("stop", given, client, screen)


def restart(given: Given, client: Client, screen: Screen) -> int:
    return _change("restart", given, client, screen)


def approve(given: Given, client: Client, screen: Screen) -> int:
    if given.has("session") and given.has("always"):
        raise BridgeError("usage", "--session and --always exclude each other", "give one of them, or none")
    scope = next((key for key in ("session", "always") if given.has(key)), "")
    return _settle({"verb": "approve", "id": given.word(), "scope": scope}, "allowed", client, screen)


def deny(given: Given, client: Client, screen: Screen) -> int:
    return _settle({"verb": "deny", "id": given.word(), "reason": given.text("reason")}, "denied", client, screen)


def addition(given: Given, environ: Mapping[str, str], here: Callable[[], str]) -> Json:
    """The call of an ``add``. Relative paths are meant from here, not from the daemon's directory."""
    chosen = [key for key in _RUNTIMES if given.has(key)]
    if len(chosen) != 1:
        hint = "for example: ccbridgectl add web --container my-container, or: ccbridgectl add web --process"
        raise BridgeError("usage", "add needs exactly one of --container, --image and --process", hint)
    process = chosen == ["process"]
    misplaced = [key for key in _OF_IMAGES if given.has(key)]
    if misplaced and chosen != ["image"]:
        raise BridgeError("usage", f"--{misplaced[0]} is for --image only", "see: ccbridgectl add --help")
    call: Json = {"verb": "add", "name": given.word(), "runtime": "process" if process else "docker"}
    call |= {key: given.text(key) for key in ("container", "image", "transport", "driver") if given.has(key)}
    workdir = given.text("workdir")
    if process:
        workdir = os.path.join(here(), workdir) if workdir else here()
    call |= {"workdir": os.path.normpath(workdir)} if workdir else {}
    call |= {"program": given.many("program")} if given.has("program") else {}
    call |= {"args": given.rest} if given.rest else {}
    env = variables(given.many("env-file"), given.many("env"), environ)
    docker = _docker(given, here)
    call |= {"env": env} if env else {}
    call |= {"docker": docker} if docker else {}
    return call | ({"wait": False} if given.has("no-wait") else {})


def variables(files: list[str], words: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Files first, so that --env overrides. Raises BridgeError ``usage``, which never repeats a value."""
    found: dict[str, str] = {}
    for file in files:
        for line in _lines(file):
            found |= _variable(line, environ, file)
    for word in words:
        found |= _variable(word, environ, "--env")
    return found


def _variable(word: str, environ: Mapping[str, str], where: str) -> dict[str, str]:
    name, equals, value = word.partition("=")
    if not name.isidentifier() or not name.isascii():
        raise BridgeError(
            "usage", f"{where}: a variable's name is missing or not one", "write NAME=VALUE, or NAME alone"
        )
    if not equals:
        if name not in environ:
            raise BridgeError("usage", f"{where}: {name} is not set here", f"write {name}=VALUE, or export it first")
        value = environ[name]
    return {name: value}


def _lines(file: str) -> Iterator[str]:
    try:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                word = line.strip("\r\n").lstrip()
                if word and not word.startswith("#"):
                    yield word
    except OSError as error:
        raise BridgeError("usage", f"cannot read {file}: {error.strerror}", "name a file of NAME=VALUE lines") from None
    except UnicodeDecodeError as error:
        raise BridgeError("usage", f"{file} is not UTF-8 at offset {error.start}", "convert it with iconv") from None


def _docker(given: Given, here: Callable[[], str]) -> Json:
    table_: Json = {key: given.text(key) for key in ("network", "user", "memory", "cpus") if given.has(key)}
    return table_ | ({"volumes": [_volume(word, here) for word in given.many("volume")]} if given.has("volume") else {})


def _volume(word: str, here: Callable[[], str]) -> str:
    """As docker reads it: a source that begins with . is a directory from here, a bare name is a volume."""
    source, colon, rest = word.partition(":")
    if not colon:
        raise BridgeError("usage", f"--volume {word!r} has no target", "write --volume SOURCE:TARGET")
    return (os.path.normpath(os.path.join(here(), source)) if source.startswith(".") else source) + colon + rest


def _change(verb: str, given: Given, client: Client, screen: Screen) -> int:
    call: Json = {"verb": verb, "name": given.word()}
    call |= {"container": True} if given.has("container") else {}
    call |= {"wait": False} if given.has("no-wait") else {}
    return _tell(client.answer(call), given.word(), screen)


def _tell(answer: Answer, name: str, screen: Screen) -> int:
    """The name on stdout, as docker prints it; how the instance is now, for a person."""
    body = table(answer.result)
    if screen.json:
        screen.lines([answer.raw])
        return answer.status
    screen.lines([one_line(text(body.get("name")) or name)])
    if text(body.get("state")) and (screen.err.isatty() or answer.status):
        screen.note(state(body))
    return answer.status


def _settle(call: Json, verdict: str, client: Client, screen: Screen) -> int:
    answer = client.answer(call)
    body = table(answer.result)
    told = " ".join(
        filter(None, (text(body.get("instance")), text(body.get("tool")), text(body.get("verdict")) or verdict))
    )
    screen.lines([answer.raw if screen.json else f"{text(body.get('id')) or text(call['id'])}: {one_line(told)}"])
    return answer.status
