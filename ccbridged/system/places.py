"""Where in the state directory things of an instance are, and who may reach them.

Everything lies below directories of mode 0700, so what a container's other uid must write (its own agent directory,
mounted there by itself) can be open to all without being open to anybody on this host.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import dataclass

from ccbridged.protocol.errors import BridgeError
from ccbridged.system.transports import IN, OUT, make_link_directory, remove_link_directory


@dataclass(frozen=True, slots=True)
class Places:
    """``state_dir``: absolute. ``install_id``: tells this installation's containers from those of another."""

    state_dir: str
    install_id: str

    @property
    def pack_dir(self) -> str:
        """The packed agent: a directory of its own, because it is mounted as one."""
        return os.path.join(self.state_dir, "agent")

    def link_dir(self, name: str) -> str:
        """The FIFO pair."""
        return os.path.join(self.state_dir, "links", name)

    def agent_dir(self, name: str) -> str:
        """The agent's journal and lock, and its copy of the private variables."""
        return os.path.join(self.state_dir, "agents", name)

    def agent_names(self) -> list[str]:
        """Whose agent directories there are, with or without an instance of that name. Raises BridgeError."""
        path = os.path.join(self.state_dir, "agents")
        try:
            return [name for name in os.listdir(path) if not name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable(path, error) from None

    def secret(self, name: str) -> str:
        """The private variables, as the daemon keeps them: what is in the agent directory may belong to another uid."""
        return os.path.join(self.state_dir, "secrets", f"{name}.json")

    def make(self, name: str, *, shared: bool) -> None:
        """Link and agent directory. ``shared``: another uid must write to the latter. Raises BridgeError."""
        make_link_directory(self.link_dir(name))
        path = self.agent_dir(name)
        try:
            _make_private(os.path.dirname(path))
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o777 if shared else 0o700)
        except OSError as error:
            raise _unusable(path, error) from None

    def write_env(self, name: str, env: dict[str, str]) -> None:
        """Keep the private variables; the agent finds them at its next launch, or now if its copy is ours too.

        Raises BridgeError; no value is ever in its text.
        """
        path = self.secret(name)
        try:
            _make_private(os.path.dirname(path))
            _replace(path, json.dumps(env).encode("ascii"))
            copy = os.path.join(self.agent_dir(name), "env")
            if os.path.lexists(copy) and os.lstat(copy).st_uid == os.geteuid():
                _replace(copy, json.dumps(env).encode("ascii"))
        except OSError as error:
            raise _unusable(path, error) from None

    def env(self, name: str) -> bytes:
        """The private variables as a JSON object; an empty one where none were kept. Raises BridgeError."""
        try:
            with open(self.secret(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b"{}"
        except OSError as error:
            raise _unusable(self.secret(name), error) from None

    def hand_env(self, name: str) -> None:
        """Give the agent of our own uid its copy. Raises BridgeError."""
        try:
            _replace(os.path.join(self.agent_dir(name), "env"), self.env(name))
        except OSError as error:
            raise _unusable(self.agent_dir(name), error) from None

    def remove(self, name: str, *, keep_mounted: bool) -> list[str]:
        """Take away all of the instance; what another uid made and cannot be removed is moved aside and returned.

        ``keep_mounted``: empty the directories only, because a container that stays has them mounted and would never
        see new ones. Raises BridgeError.
        """
        if keep_mounted:
            self._empty_link_dir(name)
        else:
            remove_link_directory(self.link_dir(name))
        try:
            _unlink(self.secret(name))
            return _remove_tree(self.agent_dir(name), keep_mounted=keep_mounted)
        except OSError as error:
            raise _unusable(self.agent_dir(name), error) from None

    def _empty_link_dir(self, name: str) -> None:
        for fifo in (IN, OUT):
            path = os.path.join(self.link_dir(name), fifo)
            try:
                if stat.S_ISFIFO(os.lstat(path).st_mode):
                    os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise _unusable(path, error) from None


def _make_private(path: str) -> None:
    os.makedirs(path, 0o700, exist_ok=True)
    os.chmod(path, 0o700)


def _replace(path: str, content: bytes) -> None:
    """Whole or not at all, readable for its owner only, and never through a symlink that somebody put there."""
    new = f"{path}.{os.urandom(8).hex()}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.rename(new, path)
    except OSError:
        _unlink(new)
        raise


def _remove_tree(path: str, *, keep_mounted: bool) -> list[str]:
    try:
        if not keep_mounted:
            shutil.rmtree(path)
            return []
        for entry in os.scandir(path):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    except FileNotFoundError:
        pass
    except PermissionError:
        aside = os.path.join(os.path.dirname(path), f".removed-{os.path.basename(path)}-{os.urandom(4).hex()}")
        os.rename(path, aside)
        return [aside]
    return []


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _unusable(path: str, error: OSError) -> BridgeError:
    hint = f"look at it: ls -ld {path}; the state directory must belong to the daemon's user and have room"
    return BridgeError("unavailable", f"cannot use {path}: {error.strerror or error}", hint)
