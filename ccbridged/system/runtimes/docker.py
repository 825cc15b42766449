"""The engine: the only file that imports ``docker``, and it does so at the first use. Every call blocks.

What the SDK raises becomes a BridgeError that says what to do; nothing of the SDK's leaves this file but plain JSON.
"""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ccbridged.model.effects import Json
from ccbridged.protocol.errors import BridgeError
from ccbridged.system.runtimes.creation import Creation
from ccbridged.system.runtimes.unreachable import unreachable

if TYPE_CHECKING:
    import docker
    from docker.types import CancellableStream

_DEFAULT = "unix:///var/run/docker.sock"
TIMEOUT = 30.0
"""Seconds for an answer of the engine's."""
_KEEPALIVE = 15
"""Seconds of silence after which TCP looks whether the engine's machine is still there, and between such looks."""

_TIMES = 3
"""Engine's timeouts within which what is run in a container must end: to end an agent takes one, at most."""
_ENOUGH = 1024 * 1024
"""Bytes of output of what is run there."""
_LATE = 0.5
"""Seconds that an end may be known later than the end of the output."""


class Ran(NamedTuple):
    """``status`` 126 or 127: it could not be run at all, and ``output`` is the engine's reason."""

    status: int
    output: str


class NoImage(BridgeError):
    """The image is not on this engine."""


class Refused(BridgeError):
    """The engine answered, and the answer is no; ``message`` is its own."""


class Events:
    """What becomes of containers, one JSON object each; it ends when the engine does. ``close``, in any thread, ends it
    too. ``told``: see ``Engine``."""

    def __init__(self, stream: CancellableStream[Json], told: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream = stream
        self._told = told

    def __iter__(self) -> Iterator[Json]:
        with self._told():
            yield from self._stream

    def close(self) -> None:
        _end(self._stream)


class Engine:
    """``host``: the engine's address; "": docker's own way to find it. ``timeout``: seconds for an answer."""

    def __init__(self, host: str, *, timeout: float = TIMEOUT) -> None:
        self._host = host
        self._timeout = timeout
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
                    environment=dict(creation.environment),
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
        """Run it in the container and wait for its end. No stdin, no terminal; both outputs as one text. A container
        may do with it what it likes, so it is bounded, generously: BridgeError ``failed``."""
        with self._told():
            api = self._api()
            created = api.exec_create(reference, command, user=user)
            stream = api.exec_start(created["Id"], stream=True)
            output = _read_within(stream, self._timeout * _TIMES, _ENOUGH)
            if output is None:
                hint = f"look what it does: docker top {reference[:12]}"
                raise BridgeError("failed", f"{command[0]} does not end in container {reference[:12]}", hint)
            status = _ended(api, created["Id"], self._timeout)
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

    def events(self, actions: Sequence[str]) -> Events:
        """What becomes of containers from now on, of these kinds; wait as long as you like for the next."""
        with self._told():
            api = self._api()
            _keep_alive(api)
            wanted = {"type": "container", "event": list(actions)}
            return Events(api.events(filters=wanted, decode=True), self._told)

    def image(self, reference: str) -> Json:
        """All of ``docker image inspect``. Raises NoImage."""
        import docker.errors

        with self._told():
            try:
                found: Json = self._api().inspect_image(reference)  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                raise NoImage("refused", f"there is no image {reference} here") from None
            return found

    def volume(self, name: str) -> Json | None:
        """All of ``docker volume inspect``; None where there is no such volume."""
        import docker.errors

        with self._told():
            try:
                found: Json = self._api().inspect_volume(name)
            except docker.errors.NotFound:
                return None
            return found

    def remove_volume(self, name: str) -> None:
        """One that is gone already is fine. Raises Refused where a container has it."""
        import docker.errors

        with self._told():
            try:
                self._api().remove_volume(name)
            except docker.errors.NotFound:
                pass

    def containers(self) -> list[Json]:
        """All of them, running or not, as ``docker ps -a`` has them."""
        with self._told():
            found: list[Json] = self._api().containers(all=True)
            return found

    def clock(self) -> str:
        """The engine's own time, in RFC 3339; "" where it does not say."""
        with self._told():
            return str(self._api().info().get("SystemTime", ""))

    def peek(self, reference: str, command: list[str], environment: Mapping[str, str], limit: int) -> Ran:
        """As ``run``, where nothing is trusted: of the output no more than ``limit`` bytes, and within the engine's
        timeout, or BridgeError ``timed-out``. What it runs may go on after that."""
        with self._told():
            api = self._api()
            created = api.exec_create(reference, command, environment=dict(environment))
            stream = api.exec_start(created["Id"], stream=True)
            output = _read_within(stream, self._timeout, limit)
            if output is None:
                raise BridgeError("timed-out", f"no answer within {self._timeout:g} s")
            status = _ended(api, created["Id"], _LATE)
            return Ran(-1 if status is None else status, output.decode("utf-8", "replace"))

    def last_words(self, reference: str) -> str:
        """The last line that the container's main process said."""
        with self._told():
            said = self._api().logs(reference, tail=1).decode("utf-8", "replace").strip()
            return said or "it said nothing"

    def _api(self) -> docker.APIClient:
        if self._client is None:
            self._client = _connect(self._host, self._timeout)
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
            raise unreachable(self.described, error) from None

    @property
    def described(self) -> str:
        """In a sentence."""
        return f"the Docker engine at {self._host or os.environ.get('DOCKER_HOST', '') or 'its usual address'}"


def _connect(host: str, timeout: float) -> docker.DockerClient:
    """Docker Desktop, colima and rootless engines are contexts, which the SDK does not look for by itself."""
    import docker
    from docker.context import ContextAPI

    address = host or os.environ.get("DOCKER_HOST", "")
    context = None if address else ContextAPI.get_current_context()
    chosen = context if context is not None and context.Name != "default" and context.Host else None
    _knock(address or (chosen.Host if chosen else "") or _DEFAULT, timeout)
    seconds: Any = timeout
    if host:
        return docker.DockerClient(base_url=host, version="auto", timeout=seconds)
    if chosen:
        tls: Any = chosen.TLSConfig or False
        return docker.DockerClient(base_url=chosen.Host, tls=tls, version="auto", timeout=seconds)
    return docker.from_env(version="auto", timeout=seconds)


def _knock(address: str, timeout: float) -> None:
    """Raises OSError where nobody listens: the SDK would leave a socket open at each attempt."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knocker:
            knocker.settimeout(timeout)
            knocker.connect(address.removeprefix("unix://"))


def _keep_alive(api: docker.APIClient) -> None:
    """An engine that vanishes from the network says nothing, and neither do those who only listen to it."""
    manager: Any = getattr(api.get_adapter(api.base_url), "poolmanager", None)
    if manager is not None:
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, name):
                options.append((socket.IPPROTO_TCP, getattr(socket, name), _KEEPALIVE))
        manager.connection_pool_kw["socket_options"] = options


def _host_config(api: docker.APIClient, creation: Creation) -> Any:
    from docker.types import Mount

    options = creation.options
    mounts = [Mount(bind.target, bind.source, type="bind", read_only=bind.read_only) for bind in creation.binds]
    mounts += [Mount(volume.target, volume.name, labels=volume.labels) for volume in creation.volumes]
    volumes = options.get("volumes", [])
    cpus = _text(options, "cpus")
    return api.create_host_config(
        mounts=mounts,
        binds=[str(volume) for volume in volumes] if isinstance(volumes, (list, tuple)) else None,
        network_mode=_text(options, "network"),
        mem_limit=_text(options, "memory"),
        nano_cpus=int(float(cpus) * 1e9) if cpus else None,
        group_add=list(creation.groups),
        restart_policy={"Name": "unless-stopped"},
    )


def _text(options: Json, key: str) -> str | None:
    value = options.get(key)
    return str(value) if value else None


def _end(stream: CancellableStream[Any]) -> None:
    """In any thread; who waits for more in another one wakes up."""
    import docker.errors

    try:
        stream.close()
    except (docker.errors.DockerException, OSError, AttributeError):
        pass  # It has ended by itself meanwhile.


def _read_within(stream: Any, seconds: float, limit: int) -> bytes | None:
    """None: it had not ended by then. The SDK waits for ever for the next piece; only closing the stream wakes it."""
    over = threading.Event()

    def end() -> None:
        over.set()
        _end(stream)

    timer = threading.Timer(seconds, end)
    timer.start()
    output = b""
    try:
        for piece in stream:
            output += piece
            if len(output) > limit:
                break
    finally:
        timer.cancel()
        stream._response.close()  # Closing the stream alone leaves its socket open.
    return None if over.is_set() else output[:limit]


def _ended(api: docker.APIClient, exec_id: str, patience: float) -> int | None:
    """The output's end comes a little before the engine knows the status."""
    until = time.monotonic() + patience
    while (found := api.exec_inspect(exec_id))["Running"]:
        if time.monotonic() >= until:
            return None
        time.sleep(0.005)
    return int(found["ExitCode"] or 0)
