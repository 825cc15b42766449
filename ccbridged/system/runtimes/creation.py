"""What is said to the engine about a container that it is to create."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ccbridged.model.effects import Json


class Bind(NamedTuple):
    """A directory of this host's, where the container sees it."""

    source: str
    target: str
    read_only: bool


class Volume(NamedTuple):
    """A volume of the engine's, made with these labels if it is not there. A new one begins with what the image has at
    ``target``."""

    name: str
    target: str
    labels: dict[str, str]


class Creation(NamedTuple):
    """``options``: docker's own for a new container: volumes, network, user, memory, cpus."""

    name: str
    image: str
    command: list[str]
    labels: dict[str, str]
    options: Json
    environment: Mapping[str, str]
    binds: Sequence[Bind] = ()
    volumes: Sequence[Volume] = ()
    groups: Sequence[str] = ()
    workdir: str = ""
