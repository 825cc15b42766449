"""``discover``: which containers could be instances, what each has, and what it lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccbridged.model import lacks
from ccbridged.model.effects import Json, Spec
from ccbridged.model.lacks import Lack
from ccbridged.model.sighting import Sighting


def rows(found: Sequence[Sighting], links: str, specs: Sequence[Spec]) -> list[Json]:
    """What ``discover`` answers: those that lack least come first. ``links``: the directory of all link directories."""
    keepers = _keepers(found, specs)
    suggested = {spec.name for spec in specs} | set(keepers)
    told: list[Json] = []
    for one in found:
        owner = _owner(one, specs)
        name = owner or next((link for link, keeper in keepers.items() if keeper == one.id), "")
        if not name:
            name = _name(one, suggested)
            suggested.add(name)
        told.append(_row(one, owner, _lacks(one, links, owner, name)))
    return sorted(told, key=_order)


def _order(row: Json) -> tuple[bool, int, str]:
    missing = row["lacks"]
    assert isinstance(missing, list)
    return row["claude"] in (None, ""), len(missing), str(row["name"])


def _row(seen: Sighting, owner: str, missing: Sequence[Lack]) -> Json:
    inside = seen.inside if seen.inside is not None and not seen.inside.fault else None
    return {
        "name": seen.name,
        "id": seen.id,
        "image": seen.image,
        "state": seen.state,
        "instance": owner or None,
        "claude": None if inside is None else inside.claude or inside.program,
        "python3": None if inside is None else inside.python,
        "link": seen.link.name if seen.link else None,
        "lacks": [{"what": lack.what, "fix": lack.fix} for lack in missing],
    }


def _owner(seen: Sighting, specs: Sequence[Spec]) -> str:
    """The instance that runs in it, "" for none."""
    for spec in specs:
        given = spec.container
        if given and (given == seen.name or (len(given) >= 12 and seen.id.startswith(given))):
            return spec.name
        if spec.image and seen.instance == spec.name:
            return spec.name
    return ""


def _keepers(found: Sequence[Sighting], specs: Sequence[Spec]) -> dict[str, str]:
    """Link directory -> the id of the one container that it is for, "" for that of an instance: where several have the
    same one mounted, that which is called like it, else the first by name."""
    keepers = {spec.name: "" for spec in specs}
    for one in sorted(found, key=lambda one: (one.link is None or one.link.name != one.name, one.name)):
        if one.link is not None and not one.foreign:
            keepers.setdefault(one.link.name, one.id)
    return keepers


def _lacks(seen: Sighting, links: str, owner: str, name: str) -> list[Lack]:
    if seen.foreign or (seen.instance and not owner):
        return [_not_ours(seen)]
    missing = lacks.of_state(seen)
    if not missing and seen.inside is not None:
        missing = [*lacks.of_program(seen, seen.inside), *lacks.of_python(seen, seen.inside)]
    return [*missing, *lacks.of_link(seen, links, name)]


def _not_ours(seen: Sighting) -> Lack:
    if seen.foreign:
        detail = f"container {seen.name} was made by another ccbridged"
        return Lack("container", "to be free (another ccbridged made it)", detail, "ask the ccbridgectl of that one")
    detail = f"container {seen.name} was made for {seen.instance}, which is no more"
    what = f"an instance (it was made for {seen.instance}, which is no more)"
    return Lack("container", what, detail, f"docker rm -f {seen.name}")


def _name(seen: Sighting, taken: set[str]) -> str:
    """A name for an instance in this container that no other has."""
    base = re.sub(r"[^a-z0-9_.-]+", "-", seen.name.lower()).lstrip("_.-")[:56] or f"c{seen.id[:12].lower()}"
    names = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
