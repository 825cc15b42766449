"""The link with one thing wrong, forty-odd times: a test that cannot tell these from the link proves nothing.

A mutant is a copy of the protocol's modules under another package's name, with one piece of text replaced.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import ccbridged.protocol

MODULES = ("errors", "wire", "link_events", "sender", "receiver", "link")


class Mutant(NamedTuple):
    """``before`` stands exactly once in ``module``."""

    name: str
    module: str
    before: str
    after: str


MUTANTS = (
    # Connections and generations
    Mutant(
        "every connection has the same generation",
        "link",
        "(self.generation >> _SALT_BITS) + 1",
        "(self.generation >> _SALT_BITS)",
    ),
    Mutant("every life has the same generations", "link", "epoch << _EPOCH_BITS\n", "1 << _EPOCH_BITS\n"),
    Mutant("an old copy has the generations of its origin", "link", 'f"{self.journal} {now}"', "self.journal"),
    Mutant("a new journal has the generations of the old", "link", 'f"{self.journal} {now}"', '"salt"'),
    Mutant("a hello without echo is acted on", "link", "if echo and not self._settled:", "if not self._settled:"),
    Mutant(
        "frames of other connections are taken",
        "link",
        "if not self._settled or frame.generation != self._heard_generation or frame.peer != self.generation:",
        "if not self._settled:",
    ),
    Mutant(
        "frames to other connections of this end are taken",
        "link",
        " or frame.peer != self.generation:",
        ":",
    ),
    Mutant("a stranger is met under the old generation", "link", "        if stranger:", "        if False:"),
    Mutant("zombies are not fenced", "link", "hello.peer > self.generation:", "hello.peer < 0:"),
    Mutant("zombies are not told", "link", "self._hello_due = self._hello_due or self._settled", "pass"),
    Mutant("an older life is believed", "link", "and hello.generation < known[1]:", "and hello.generation < 0:"),
    Mutant(
        "the peer's generation is forgotten at a restart",
        "link",
        "self._peer_generation = self._heard_generation = state.peer_generation",
        "self._peer_generation = self._heard_generation = 0",
    ),
    Mutant("its own bytes are taken for a peer's", "link", "elif hello.journal == self.journal:", "elif False:"),
    Mutant(
        "hellos are answered endlessly",
        "link",
        "self._hello_due = self._hello_due or not (echo and hello.settled)",
        "self._hello_due = True",
    ),
    Mutant(
        "a hello is not answered once the link is up",
        "link",
        "self._hello_due = self._hello_due or not (echo and hello.settled)",
        "self._hello_due = self._hello_due and not self._settled",
    ),
    Mutant(
        "a hello is not repeated", "link", "            self._hello_due = True\n            self", "            self"
    ),
    Mutant("hellos are repeated as fast as ever", "link", "min(self._hello_interval * 2, MAX_INTERVAL)", "0.5"),
    Mutant("no newline ends what a dead writer left", "link", 'lines.append(b"\\n")', "pass"),
    Mutant("any version is talked to", "link", "if hello.version != wire.VERSION:", "if False:"),
    # Journals
    Mutant("a new peer is not noticed", "link", 'elif self._peer_journal not in ("", hello.journal):', "elif False:"),
    Mutant(
        "a rebase keeps its generation",
        "link",
        "self._base = self._sender.oldest - 1\n        self._greet(now)",
        "self._base = self._sender.oldest - 1\n        self._unsettle(now)",
    ),
    Mutant("a rebase replays what was held", "link", "        self._sender.drop()\n", ""),
    Mutant(
        "a rebase goes on counting", "link", "self._receiver = Receiver(hello.oldest - 1)", "self._receiver.begin(1)"
    ),
    Mutant(
        "a rebase does not say where it begins",
        "link",
        "        self._base = self._sender.oldest - 1\n        self._greet",
        "        self._greet",
    ),
    Mutant("a receiver rolled back goes on", "link", "if hello.oldest > max(committed, hello.base) + 1:", "if False:"),
    Mutant("a sender rolled back goes on", "link", "if hello.delivered > self._sender.sent:", "if False:"),
    Mutant(
        "new messages hide what a sender forgot",
        "sender",
        "return self._reached.seq - 1",
        "return self.next_seq - 1",
    ),
    Mutant("an old copy is told as its salt falls", "link", "if not self._was_up and (", "if self._halted and ("),
    Mutant("a zombie is told it was rolled back", "link", "if not self._was_up and (", "if ("),
    # Receiving
    Mutant("gaps are not seen", "receiver", "elif here > expected:", "elif here > (1 << 62, 0):"),
    Mutant(
        "what is delivered is acknowledged",
        "receiver",
        "self.delivered = frame.seq",
        "self.delivered = self.committed = frame.seq",
    ),
    Mutant("duplicates are delivered again", "receiver", "if here < expected:", "if here < (0, 0):"),
    Mutant(
        "duplicates are not acknowledged again",
        "receiver",
        "if here < expected:\n            self._ack_due = True",
        "if here < expected:\n            pass",
    ),
    Mutant("every frame after a gap is a nak", "receiver", "self._nak_due or not self._gap_seen", "True"),
    Mutant(
        "a second frame after a gap unsays the nak",
        "receiver",
        "self._nak_due or not self._gap_seen",
        "not self._gap_seen",
    ),
    Mutant("a gap is never naked again", "receiver", "else:\n            self._gap_seen = False", "else:"),
    Mutant(
        "a fragment outlives its connection",
        "receiver",
        "        self._partial.clear()\n        self._ack_due",
        "        self._ack_due",
    ),
    Mutant(
        "a ping is not answered",
        "receiver",
        "sent: Position) -> None:\n        self._ack_due = True",
        "sent: Position) -> None:",
    ),
    Mutant("a ping finds nothing missing", "receiver", "self._nak_due = self._received() < sent", "pass"),
    Mutant(
        "a commit for a former peer counts",
        "receiver",
        "if self.committed < seq <= self.delivered:",
        "if self.committed < seq:",
    ),
    Mutant("nothing is acknowledged before it is whole", "receiver", "_REPORT_AFTER = 512", "_REPORT_AFTER = 1 << 40"),
    # Sending
    Mutant(
        "a new connection does not rewind",
        "sender",
        "self._go_to(Position(max(delivered + 1, self.oldest), 0), now)",
        "self._go_to(max(self._cursor, (self.oldest, 0)), now)",
    ),
    Mutant(
        "a new connection repeats what was delivered",
        "sender",
        "Position(max(delivered + 1, self.oldest), 0)",
        "Position(self.oldest, 0)",
    ),
    Mutant("a nak does not rewind", "sender", "if (self.oldest, 0) <= received < self._cursor and", "if False and"),
    Mutant("a nak rewinds to anything", "sender", "if (self.oldest, 0) <= received < self._cursor and", "if True and"),
    Mutant("no pings", "sender", "None:\n        self.ping_due = True", "None:\n        self.ping_due = False"),
    Mutant("pings are as frequent as ever", "sender", "min(self._ping_interval * 2, MAX_INTERVAL)", "PING_INTERVAL"),
    Mutant(
        "pings stay rare after progress",
        "sender",
        "        self._ping_interval = PING_INTERVAL\n        self._ping_at = now",
        "        self._ping_at = now",
    ),
    Mutant(
        "data is sent again by the clock",
        "sender",
        "None:\n        self.ping_due = True",
        "None:\n        self._go_to(Position(self.oldest, 0), now)\n        self.ping_due = True",
    ),
    Mutant("the window is ignored", "sender", "self._window - self._in_flight - _OVERHEAD", "self._window"),
    Mutant("frames are not counted with their heads", "sender", "_OVERHEAD = 128", "_OVERHEAD = 0"),
    Mutant(
        "the window never opens again",
        "sender",
        "self._in_flight -= self._flight.popleft()[1]",
        "self._flight.popleft()",
    ),
    Mutant(
        "an ack of what was never sent is believed",
        "sender",
        "if received > self._reached or committed",
        "if committed",
    ),
    Mutant("a commit beyond what was received is believed", "sender", " or committed >= received.seq or", " or"),
    Mutant("a place beyond the end of a message is believed", "sender", "offset < len(self.held[index][1])", "True"),
    Mutant("an ack beyond the cursor is not followed", "sender", "if received > self._cursor:", "if False:"),
    Mutant(
        "one message too many is let go of",
        "sender",
        "self.held[0][0] <= committed:",
        "self.held[0][0] <= committed + 1:",
    ),
    Mutant(
        "arrived is as good as committed",
        "sender",
        "return self.release(committed)",
        "return self.release(received.seq - 1)",
    ),
    Mutant("escapes are not counted", "sender", "> 0 and piece:", "> 1 << 40 and piece:"),
    Mutant("a message may be of any size", "link", "if len(text) > self.message_limit:", "if False:"),
    Mutant("a peer's message may be of any size", "link", "if frame.total > self.message_limit:", "if False:"),
    # Lines
    Mutant(
        "checksums are not checked", "wire", "if line[-_SEAL_SIZE:] != _SEAL % binascii.crc32(body):", "if not line:"
    ),
    Mutant("a line without end is kept", "wire", "if self._size > self.limit:", "if False:"),
    Mutant("the rest of a dead connection is kept", "link", "        self._lines.rest()\n", ""),
)


@contextmanager
def mutated(mutant: Mutant | None, directory: Path) -> Iterator[ModuleType]:
    """The link module of a mutant (None: of a faithful copy), importable while the context lasts."""
    package = f"mutant_{directory.name}"
    source = Path(next(iter(ccbridged.protocol.__path__)))
    (directory / "__init__.py").touch()
    for name in MODULES:
        text = (source / f"{name}.py").read_text()
        if mutant is not None and name == mutant.module:
            assert text.count(mutant.before) == 1, f"{mutant.before!r} does not stand once in {name}.py"
            text = text.replace(mutant.before, mutant.after)
        (directory / f"{name}.py").write_text(text.replace("ccbridged.protocol", package))
    spec = importlib.util.spec_from_file_location(
        package, directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    assert spec is not None
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield importlib.import_module(f"{package}.link")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]
