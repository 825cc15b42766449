"""The engine: the only file that imports ``docker``, and it does so at the first use. Every call blocks.

What the SDK raises becomes a BridgeError that says what to do; nothing of the SDK's leaves this file but plain JSON.
"""

from __future__ import annotations

import getpass
import io
import os
import socket
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ccbridged.model.effects import Json
from ccbridged.protocol.errors import BridgeError

if TYPE_CHECKING:
    import docker

_DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT = 30
"""Seconds for an answer of the engine's."""


class Ran(NamedTuple):
    """``status`` 126 or 127: it could not be run at all, and ``output`` is the engine's reason."""

    status: int
    output: str


class NoImage(BridgeError):
    """The image is not on this engine."""


class Refused(BridgeError):
    """The engine answered, and the answer is no; ``message`` is its own."""


class Bind(NamedTuple):
    """A directory of this host's, where the container sees it."""

    source: str
    target: str
    read_only: bool


class Creation(NamedTuple):
    """``options``: docker's own for a new container: volumes, network, user, memory, cpus."""

    name: str
    image: str
    command: list[str]
    labels: dict[str, str]
    binds: list[Bind]
    groups: list[str]
    workdir: str
    options: Json


class Engine:
    """``host``: the engine's address; "": docker's own way to find it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._client: docker.DockerClient | None = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def version(self) -> str:
        with self._told():
            return str(self._api().version()["Version"])

    def inspect(self, reference: str) -> Json | None:
        """All of ``docker inspect``; None where there is no such container."""
        import docker.errors

        with self._told():
            try:
                found: Json = self._api().inspect_container(reference)
            except docker.errors.NotFound:
                return None
            return found

    def start(self, reference: str) -> None:
        with self._told():
            self._api().start(reference)

    def unpause(self, reference: str) -> None:
        with self._told():
            self._api().unpause(reference)

    def stop(self, reference: str, grace: float) -> None:
        """TERM, then KILL after ``grace`` seconds. A container that is gone or stopped already is fine."""
        import docker.errors

        with self._told():
            try:
                self._api().stop(reference, timeout=int(grace))
            except docker.errors.NotFound:
                pass

    def remove(self, reference: str) -> None:
        """With its anonymous volumes. One that is gone already is fine."""
        import docker.errors

        with self._told():
            try:
                self._api().remove_container(reference, v=True, force=True)
            except docker.errors.NotFound:
                pass

    def create(self, creation: Creation) -> str:
        """The new container's id; it is not started. Raises NoImage, Refused."""
        import docker.errors

        with self._told():
            api = self._api()
            try:
                made = api.create_container(
                    image=creation.image,
                    name=creation.name,
                    entrypoint=creation.command,
                    labels=creation.labels,
                    user=_text(creation.options, "user"),
                    working_dir=creation.workdir or None,
                    host_config=_host_config(api, creation),
                )
            except docker.errors.ImageNotFound:
                raise NoImage("refused", f"there is no image {creation.image} here") from None
            except (docker.errors.DockerException, ValueError) as error:
                if isinstance(error, docker.errors.APIError):
                    raise
                raise BridgeError(
                    "usage", f"docker does not take these options: {error}", "see: docker run --help"
                ) from None
            return str(made["Id"])

    def run(self, reference: str, command: list[str], user: str = "") -> Ran:
        """Run it in the container and wait for its end. No stdin, no terminal; both outputs as one text."""
        with self._told():
            api = self._api()
            created = api.exec_create(reference, command, user=user)
            output = api.exec_start(created["Id"])
            status = _ended(api, created["Id"], _TIMEOUT)
            return Ran(-1 if status is None else status, output.decode("utf-8", "replace").strip())

    def detach(self, reference: str, command: list[str]) -> str:
        """Run it in the container and leave it; an id for ``status``."""
        with self._told():
            api = self._api()
            created = api.exec_create(reference, command)
            api.exec_start(created["Id"], detach=True)
            return str(created["Id"])

    def status(self, detached: str) -> int | None:
        """The exit status; None while it runs."""
        with self._told():
            return _ended(self._api(), detached, 0)

    def put(self, reference: str, directory: str, archive: bytes) -> None:
        """Unpack a tar in the container's ``directory``, whether it runs or not. Raises Refused."""
        with self._told():
            self._api().put_archive(reference, directory, archive)

    def read(self, reference: str, path: str) -> bytes | None:
        """A regular file of the container's, whether it runs or not; None where there is none."""
        import docker.errors

        with self._told():
            try:
                chunks, _ = self._api().get_archive(reference, path)
            except docker.errors.NotFound:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                member = tar.next()
                file = tar.extractfile(member) if member is not None and member.isreg() else None
                return file.read() if file is not None else None

    def last_words(self, reference: str) -> str:
        """The last line that the container's main process said."""
        with self._told():
            said = self._api().logs(reference, tail=1).decode("utf-8", "replace").strip()
            return said or "it said nothing"

    def _api(self) -> docker.APIClient:
        if self._client is None:
            self._client = _connect(self._host)
        return self._client.api

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever the SDK raises, told to a person."""
        import docker.errors

        try:
            yield
        except docker.errors.APIError as error:
            said = str(error.explanation or error)
            raise Refused("failed", f"docker: {said}", "see the engine's log: journalctl -u docker") from None
        except (docker.errors.DockerException, OSError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> BridgeError:
        where = self._host or os.environ.get("DOCKER_HOST", "") or "its usual address"
        kinds = {type(cause) for cause in _causes(error)}
        if PermissionError in kinds:
            user = _user()
            return BridgeError(
                "not-permitted",
                f"{user} may not use the Docker engine at {where}",
                f"let it: sudo usermod -aG docker {user}, then restart ccbridged",
            )
        why = "is not running" if kinds & {FileNotFoundError, ConnectionRefusedError} else f"does not answer: {error}"
        hint = "start it: sudo systemctl start docker; or say where it is: [docker] host in the configuration"
        return BridgeError("unavailable", f"the Docker engine at {where} {why}", hint)


def _connect(host: str) -> docker.DockerClient:
    """Docker Desktop, colima and rootless engines are contexts, which the SDK does not look for by itself."""
    import docker
    from docker.context import ContextAPI

    address = host or os.environ.get("DOCKER_HOST", "")
    context = None if address else ContextAPI.get_current_context()
    chosen = context if context is not None and context.Name != "default" and context.Host else None
    _knock(address or (chosen.Host if chosen else "") or _DEFAULT)
    if host:
        return docker.DockerClient(base_url=host, version="auto", timeout=_TIMEOUT)
    if chosen:
        tls: Any = chosen.TLSConfig or False
        return docker.DockerClient(base_url=chosen.Host, tls=tls, version="auto", timeout=_TIMEOUT)
    return docker.from_env(version="auto", timeout=_TIMEOUT)


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: the SDK would leave a socket open at each attempt."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knocker:
            knocker.settimeout(_TIMEOUT)
            knocker.connect(address.removeprefix("unix://"))


def _host_config(api: docker.APIClient, creation: Creation) -> Any:
    from docker.types import Mount

    options = creation.options
    volumes = options.get("volumes", [])
    cpus = _text(options, "cpus")
    return api.create_host_config(
        mounts=[Mount(bind.target, bind.source, type="bind", read_only=bind.read_only) for bind in creation.binds],
        binds=[str(volume) for volume in volumes] if isinstance(volumes, (list, tuple)) else None,
        network_mode=_text(options, "network"),
        mem_limit=_text(options, "memory"),
        nano_cpus=int(float(cpus) * 1e9) if cpus else None,
        group_add=creation.groups,
        restart_policy={"Name": "unless-stopped"},
    )


def _text(options: Json, key: str) -> str | None:
    value = options.get(key)
    return str(value) if value else None


def _ended(api: docker.APIClient, exec_id: str, patience: float) -> int | None:
    """The output's end comes a little before the engine knows the status."""
    until = time.monotonic() + patience
    while (found := api.exec_inspect(exec_id))["Running"]:
        if time.monotonic() >= until:
            return None
        time.sleep(0.005)
    return int(found["ExitCode"] or 0)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it wraps, in whichever way."""
    yield error
    wrapped = [error.__cause__, error.__context__, *error.args]
    for cause in wrapped:
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.geteuid()}"
