"""What ``doctor`` finds of one instance: where it runs, Claude Code in there, its login, link, agent and sessions."""

from __future__ import annotations

import posixpath
from dataclasses import asdict, dataclass

from ccbridged.model import lacks
from ccbridged.model.effects import Json
from ccbridged.model.instance import Instance
from ccbridged.model.lacks import Lack
from ccbridged.model.sighting import Examination, Inside, Place, Sighting

SKEW = 5.0
"""Seconds that two clocks may differ."""
MIB = 1024 * 1024
FULL = 64 * MIB
"""Bytes free on a disk below which nothing on it can be relied on."""


@dataclass(frozen=True, slots=True)
class Check:
    """``severity``: error or advice, also where it is ``ok``. ``fix``: "" where nothing is to be mended."""

    check: str
    instance: str
    ok: bool
    severity: str
    detail: str
    fix: str

    def told(self) -> Json:
        return asdict(self)


def well(check: str, instance: str, detail: str) -> Check:
    return Check(check, instance, True, "error", detail, "")


def error(check: str, instance: str, detail: str, fix: str) -> Check:
    return Check(check, instance, False, "error", detail, fix)


def advice(check: str, instance: str, detail: str, fix: str) -> Check:
    return Check(check, instance, False, "advice", detail, fix)


def checks(instance: Instance, seen: Examination, links: str, digest: str) -> list[Check]:
    """``links``: the directory of all link directories. ``digest``: of the packed agent."""
    told = [_state(instance)]
    match seen.seen[instance.name]:
        case Sighting() as container:
            told += _container(instance, container, seen, links)
        case Place() as place:
            told += _place(instance, place, seen)
        case None if seen.engine.fault is None:
            told.append(_no_container(instance, links))
    return [*told, *_agent(instance, digest)]


def clock(name: str, whose: str, ahead: float, fix: str) -> Check:
    if abs(ahead) <= SKEW:
        return well("clock", name, f"{whose} is right")
    side = "ahead of" if ahead > 0 else "behind"
    return error("clock", name, f"{whose} is {abs(ahead):.0f} s {side} this host's", fix)


def size(count: float) -> str:
    """Bytes, for people."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"


def _state(instance: Instance) -> Check:
    """What the instance itself complains of."""
    name, reason = instance.name, instance.standing.reason
    told = instance.state + (f": {reason}" if reason else "")
    if instance.state in ("failed", "recovering"):
        return error("state", name, told, f"ccbridgectl logs {name} -n 20; when it is mended: ccbridgectl start {name}")
    return well("state", name, told)


def _agent(instance: Instance, digest: str) -> list[Check]:
    told = instance.agency.told.get("digest")
    if not told or not instance.wanted:
        return []
    if told == digest:
        return [well("agent", instance.name, "as new as the daemon")]
    return [advice("agent", instance.name, "older than the daemon", f"ccbridgectl restart {instance.name}")]


# In a container.


def _no_container(instance: Instance, links: str) -> Check:
    spec = instance.spec
    if not instance.wanted or not spec.container:
        return well("container", instance.name, "there is none; it is made at the next start")
    fix = f"create it again with {lacks.flag(links, spec.name)}"
    return error("container", instance.name, f"there is no container {spec.container}", fix)


def _container(instance: Instance, seen: Sighting, exam: Examination, links: str) -> list[Check]:
    name = instance.name
    if not instance.wanted and seen.inside is None:
        return [well("container", name, f"container {seen.name} is {seen.state}, and {name} was stopped")]
    told = [_lacking("container", name, lacks.of_state(seen, _starter(instance)), f"{seen.name} runs")]
    told.append(_link(instance, seen, exam, links))
    if seen.inside is None or seen.inside.fault:
        return told
    inside = seen.inside
    told.append(_lacking("python3", name, lacks.of_python(seen, inside), f"version {inside.python}"))
    missing = lacks.of_program(seen, inside, instance.spec.program[0])
    told += _program(instance, inside, missing, f"docker exec -it {seen.name} ")
    told.append(_uid(instance, seen, inside, exam.host.uid))
    if inside.ahead is not None:
        told.append(clock(name, "the container's clock", inside.ahead, "see what sets it: docker inspect " + seen.name))
    return [*told, *_room(name, inside), *_sessions(instance, seen, inside)]


def _starter(instance: Instance) -> str:
    return f"ccbridgectl start {instance.name} --container"


def _link(instance: Instance, seen: Sighting, exam: Examination, links: str) -> Check:
    name = instance.name
    if wrong := lacks.of_link(seen, links, name):
        lack = wrong[0]
        stale = seen.link is not None and seen.link.name == name
        return error("link", name, lack.detail, f"{lack.fix} && ccbridgectl start {name}" if stale else lack.fix)
    if fault := exam.host.pipes.get(name, ""):
        return error("link", name, fault, f"ccbridgectl restart {name}")
    if seen.link is not None and seen.link.writable:
        detail = "its link directory is mounted writable: root of the container could put something else there"
        return advice("link", name, detail, f"create it again with {lacks.flag(links, name)}")
    return well("link", name, "mounted, and the present one")


def _uid(instance: Instance, seen: Sighting, inside: Inside, ours: int) -> Check:
    """Pipe buffers are rationed per uid, except root's; and a uid is what is left when a container's walls break."""
    name, theirs = instance.name, seen.host_uid if seen.host_uid >= 0 else inside.uid
    if theirs < 0:
        return well("uid", name, "it cannot be told which uid it has")
    if theirs != ours:
        return well("uid", name, f"uid {theirs} inside, {ours} outside")
    if ours == 0:
        why = "no quota is shared, as root has none, but whatever breaks out of the container is root of this host"
        told = f"root inside and outside: {why}"
    else:
        why = "they share one quota of pipe buffers, and what breaks out may do what the daemon may"
        told = f"uid {ours} inside and outside: {why}"
    other = 1000 if ours != 1000 else 1001
    flag = f"--user {other}"
    if instance.spec.image:
        return advice("uid", name, told, _anew(name, flag))
    return advice("uid", name, told, f"create {seen.name} again with docker's flag: {flag}")


def _sessions(instance: Instance, seen: Sighting, inside: Inside) -> list[Check]:
    """Whether Claude Code's sessions and its login outlive the container."""
    name, home = instance.name, inside.home
    if not inside.claude or not posixpath.isabs(home):
        return []
    folder = inside.config_dir or posixpath.join(home, ".claude")
    kept = [folder] if inside.config_dir else [folder, posixpath.join(home, ".claude.json")]
    lost = [path for path in kept if not _outlives(seen, path)]
    if not lost:
        return [well("sessions", name, f"{folder} is on a volume")]
    where = f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} in the container only"
    detail = f"{where}: sessions or login are lost when it is made again"
    volume = f"-v {name}-home:{home}"
    if instance.spec.image:
        return [advice("sessions", name, detail, _anew(name, volume))]
    return [advice("sessions", name, detail, f"create {seen.name} again with docker's flag: {volume}")]


def _anew(name: str, flag: str) -> str:
    """Of one in a container that was made for it."""
    gone = "its sessions, its login and its history go with it"
    return f"ccbridgectl remove {name} ({gone}), then add it again with: {flag}"


def _outlives(seen: Sighting, path: str) -> bool:
    path = posixpath.normpath(path)
    return any(path == target or path.startswith(target.rstrip("/") + "/") for target in seen.volumes)


# On this host, and in both.


def _place(instance: Instance, place: Place, exam: Examination) -> list[Check]:
    name = instance.name
    told = []
    if fault := exam.host.pipes.get(name, ""):
        told.append(error("link", name, fault, f"ccbridgectl restart {name}"))
    if place.fault:
        fix = f"make it: mkdir -p {place.workdir}; or remove {name} and add it with another --workdir"
        return [*told, error("workdir", name, f"{place.workdir} cannot be used: {place.fault}", fix)]
    told.append(well("workdir", name, place.workdir))
    if place.inside.fault:
        return [*told, error("program", name, place.inside.fault, "see: ccbridgectl logs " + name)]
    program = instance.spec.program[0]
    missing = []
    if not place.inside.program:
        ours = program == "claude"
        fix = "npm install -g @anthropic-ai/claude-code" if ours else f"install it, or add {name} with its path"
        missing = [Lack("claude", program, f"{program} is not on the daemon's PATH", fix)]
    return [*told, *_program(instance, place.inside, missing, ""), *_room(name, place.inside)]


def _program(instance: Instance, inside: Inside, missing: list[Lack], prefix: str) -> list[Check]:
    name = instance.name
    found = f"version {inside.claude}" if inside.claude else inside.program
    told = [_lacking("claude", name, missing, found)]
    if missing or not inside.claude:
        return told
    before = instance.conversation.memory.login
    if inside.login == "no" or (before == "none" and not inside.login):
        fix = f"{prefix}{instance.spec.program[0]} auth login; or remove {name} and add it with --env ANTHROPIC_API_KEY"
        told.append(error("login", name, "Claude Code says that it is not logged in", fix))
    elif inside.login == "yes" or before:
        told.append(well("login", name, f"by {before}" if before not in ("", "none") else "logged in"))
    return told


def _room(name: str, inside: Inside) -> list[Check]:
    if inside.free is None:
        return []
    detail = f"{size(inside.free)} free where Claude Code keeps its sessions"
    if inside.free < FULL:
        return [error("disk", name, detail, "make room there, or give it a volume")]
    return [well("disk", name, detail)]


def _lacking(check: str, name: str, missing: list[Lack], good: str) -> Check:
    return error(check, name, missing[0].detail, missing[0].fix) if missing else well(check, name, good)
