"""Frames, and the one line of JSON that each becomes.

Lines and not lengths, because a FIFO outlives its writers and only a line reader can find its feet after a torn write.
Every line is ASCII, so a frame is never cut inside a character and a person can read it with ``cat``. Every line ends
with a checksum of itself: where a second reader stole bytes, the head of one frame may meet the tail of another.
"""

from __future__ import annotations

import binascii
import json
from typing import Any, NamedTuple

from ccbridged.protocol.errors import PeerError

VERSION = 1
FRAME_LIMIT = 128 * 1024
"""Bytes of the longest line a receiver keeps; a longer one is counted and skipped."""
NAME_LIMIT = 128
"""Characters of a journal's id or a digest, at most: what a peer calls itself is kept."""


class Position(NamedTuple):
    """A place in one direction of a link: the next character to come is ``offset`` of message ``seq``."""

    seq: int
    offset: int


class Hello(NamedTuple):
    """Who I am and what I have, on a new connection. These fields are in the hello of every version of the protocol.

    ``heard`` and ``peer``: your journal and generation as I last heard them ("", 0: never); ``peer_journal``: whose
    sequence numbers ``committed`` (durable here) and ``delivered`` (arrived here, do not send again) count;
    ``base``: what I let go of before I knew you; ``oldest``: the first sequence I still hold; ``settled``: I have seen
    my own generation echoed, no answer needed.
    """

    generation: int
    peer: int
    journal: str
    heard: str
    peer_journal: str
    committed: int
    delivered: int
    base: int
    oldest: int
    settled: bool
    version: int
    digest: str


class Data(NamedTuple):
    """A message (offset 0, total = its length) or a fragment of one, in characters of its JSON text."""

    generation: int
    peer: int
    seq: int
    offset: int
    total: int
    text: str


class Ack(NamedTuple):
    """All before ``received`` has arrived (flow control); all up to ``committed`` is durable here (let go of it)."""

    generation: int
    peer: int
    received: Position
    committed: int


class Nak(NamedTuple):
    """Something before what you sent is missing: go back to ``received``."""

    generation: int
    peer: int
    received: Position


class Ping(NamedTuple):
    """All before ``sent`` has been sent: an in-order receiver knows at once whether something is missing."""

    generation: int
    peer: int
    sent: Position


Frame = Hello | Data | Ack | Nak | Ping

quoted = json.encoder.encode_basestring_ascii
"""A JSON string literal in ASCII, quotes included: how a data frame carries its text."""

_DECODER = json.JSONDecoder()
_TOO_LARGE = 1 << 63
_SEAL = b',"c":"%08x"}'
_SEAL_SIZE = 16


def encode(frame: Frame) -> bytes:
    """One frame as one line of ASCII JSON, newline included."""
    match frame:
        case Data(mine, yours, seq, offset, total, text):
            return data_line(mine, yours, Position(seq, offset), total, quoted(text))
        case Ack(mine, yours, received, committed):
            return _sealed(f'{{"ack":[{mine},{yours},{received.seq},{received.offset},{committed}]')
        case Nak(mine, yours, received):
            return _sealed(f'{{"nak":[{mine},{yours},{received.seq},{received.offset}]')
        case Ping(mine, yours, sent):
            return _sealed(f'{{"ping":[{mine},{yours},{sent.seq},{sent.offset}]')
        case _:
            return _sealed('{"hello":' + json.dumps(frame._asdict(), separators=(",", ":")))


def data_line(mine: int, yours: int, at: Position, total: int, literal: str) -> bytes:
    """The line of a data frame whose text is already ``quoted``."""
    seq, offset = at
    return _sealed(f'{{"data":[{mine},{yours},{seq},{offset},{total}],"m":{literal}')


def _sealed(body: str) -> bytes:
    raw = body.encode("ascii")
    return raw + _SEAL % binascii.crc32(raw) + b"\n"


def decode(line: bytes) -> Frame:
    """The frame of one line (without its newline). Raises PeerError for anything that is not exactly a frame."""
    body = line[:-_SEAL_SIZE]
    if line[-_SEAL_SIZE:] != _SEAL % binascii.crc32(body):
        raise PeerError("not a frame: torn, or something else")
    try:
        text = body.decode("ascii") + "}"
        raw, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise PeerError(f"not a frame: {error}") from None
    if end != len(text):
        raise PeerError("not a frame: more than one")
    if "data" in raw:
        return _data(raw)
    if "ack" in raw:
        mine, yours, seq, offset, committed = _naturals(raw["ack"], 5)
        return Ack(mine, yours, Position(seq, offset), committed)
    if "hello" in raw:
        return _hello(raw["hello"])
    kind = Nak if "nak" in raw else Ping
    mine, yours, seq, offset = _naturals(raw.get("nak", raw.get("ping")), 4)
    return kind(mine, yours, Position(seq, offset))


def _data(raw: dict[str, object]) -> Data:
    mine, yours, seq, offset, total = _naturals(raw["data"], 5)
    text = raw.get("m")
    if isinstance(text, str) and text.isascii() and seq and offset + len(text) <= total and (text or not total):
        return Data(mine, yours, seq, offset, total, text)
    raise PeerError("a data frame whose numbers do not fit its text")


def _naturals(numbers: object, count: int) -> list[int]:
    if not isinstance(numbers, list) or len(numbers) != count:
        raise PeerError(f"a frame without {count} numbers")
    for number in numbers:
        if type(number) is not int or not 0 <= number < _TOO_LARGE:
            raise PeerError("a frame with a number that is no natural one of 63 bits")
    return numbers


def _hello(fields: dict[str, Any]) -> Hello:
    match fields:
        case {
            "journal": str(journal),
            "heard": str(heard),
            "peer_journal": str(peer_journal),
            "settled": bool(),
            "digest": str(digest),
        }:
            names = ("generation", "committed", "delivered", "base", "oldest", "peer", "version")
            generation, committed, delivered, base, oldest, *_ = _naturals([fields.get(name) for name in names], 7)
            named = all(name.isascii() and len(name) <= NAME_LIMIT for name in (journal, heard, peer_journal, digest))
            if generation and journal and committed <= delivered and base < oldest and named:
                return Hello(*(fields[name] for name in Hello._fields))
    raise PeerError("a hello with missing or wrong fields")


class LineBuffer:
    """Chunks in, whole lines out (without their newline). Memory stays below ``limit`` + one chunk, whatever arrives.

    ``skipped`` counts lines longer than ``limit`` bytes, of which nothing is kept.
    """

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self.limit = limit
        self.skipped = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._overlong = False

    def feed(self, chunk: bytes) -> list[bytes]:
        head, newline, rest = chunk.partition(b"\n")
        self._keep(head)
        if not newline:
            return []
        lines = self._finish()
        *whole, tail = rest.split(b"\n")
        for line in whole:
            if len(line) <= self.limit:
                lines.append(line)
            else:
                self.skipped += 1
        self._keep(tail)
        return lines

    def rest(self) -> bytes:
        """The unterminated tail, taken out: what a writer that died left behind."""
        tail = b"".join(self._parts)
        self._clear()
        return tail

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self.limit:
            self._overlong = True
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _finish(self) -> list[bytes]:
        lines = [] if self._overlong else [b"".join(self._parts)]
        self.skipped += self._overlong
        self._clear()
        return lines

    def _clear(self) -> None:
        self._parts.clear()
        self._size = 0
        self._overlong = False
