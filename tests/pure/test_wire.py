"""Frames and lines: whole, byte by byte, with more behind them, and everything that is neither."""

from __future__ import annotations

import binascii
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridged.protocol import wire
from ccbridged.protocol.errors import PeerError
from ccbridged.protocol.wire import Ack, Data, Frame, Hello, LineBuffer, Nak, Ping, Position

naturals = st.integers(0, (1 << 63) - 1)
positions = st.builds(Position, naturals, naturals)
ascii_texts = st.text(st.characters(max_codepoint=127))
names = st.text(st.characters(max_codepoint=127), max_size=wire.NAME_LIMIT)


@st.composite
def data_frames(draw: st.DrawFn) -> Data:
    text = draw(ascii_texts)
    offset = draw(st.integers(0, 1 << 30)) if text else 0
    total = offset + len(text) + (draw(st.integers(0, 1 << 30)) if text else 0)
    return Data(draw(naturals), draw(naturals), draw(st.integers(1, 1 << 62)), offset, total, text)


@st.composite
def hellos(draw: st.DrawFn) -> Hello:
    committed, delivered = sorted((draw(naturals), draw(naturals)))
    base = draw(st.integers(0, 1 << 61))
    return Hello(
        generation=draw(st.integers(1, 1 << 62)),
        peer=draw(naturals),
        journal=draw(names.filter(bool)),
        heard=draw(names),
        peer_journal=draw(names),
        committed=committed,
        delivered=delivered,
        base=base,
        oldest=base + draw(st.integers(1, 1 << 61)),
        settled=draw(st.booleans()),
        version=draw(naturals),
        digest=draw(names),
    )


frames: st.SearchStrategy[Frame] = st.one_of(
    data_frames(),
    hellos(),
    st.builds(Ack, naturals, naturals, positions, naturals),
    st.builds(Nak, naturals, naturals, positions),
    st.builds(Ping, naturals, naturals, positions),
)


def sealed(body: str | bytes) -> bytes:
    """A line that says ``body`` with a right checksum, whatever it is."""
    raw = body if isinstance(body, bytes) else body.encode()
    return raw + b',"c":"%08x"}' % binascii.crc32(raw)


@given(frames)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    line = wire.encode(frame)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line)
    assert wire.decode(line[:-1]) == frame


@given(frames, st.data())
def test_a_frame_that_lost_or_changed_a_byte_is_none(frame: Frame, data: st.DataObject) -> None:
    line = wire.encode(frame)[:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    with pytest.raises(PeerError):
        wire.decode(line[:at] + line[at + 1 :])
    with pytest.raises(PeerError):
        wire.decode(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :])


def test_a_frame_cut_at_any_byte_is_none() -> None:
    line = wire.encode(Data(1, 2, 3, 0, 4, "text"))[:-1]
    for cut in range(len(line)):
        for torn in (line[:cut], line[cut + 1 :]):
            with pytest.raises(PeerError):
                wire.decode(torn)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_raise_peer_error_and_nothing_else(noise: bytes) -> None:
    for line in (noise, sealed(noise), sealed(b'{"data":' + noise)):
        with pytest.raises(PeerError):
            wire.decode(line)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[1",
        '"x"',
        '{"other":[1,2,3,4]',
        '{"ping":[1,2,3,4]},{"ping":[1,2,3,4]',
        '{"ping":[1,2,3,4]} {',
        '{"data":' + "[" * 100_000,
        '{"data":[1,2,3,0,1],"m":"\udcff"'.encode("utf-8", "surrogateescape"),
        '{"data":[1,2,3,0,1],"m":"é"'.encode("latin-1"),
        '{"data":[1,2,3,0,1],"m":"\\u00e9"',
        '{"data":[1,2,3,0,1],"m":"x"'.encode("utf-16"),
        '{"data":[1,2,3,0,1],"m":1',
        '{"data":[1,2,3,0,1],"m":null',
        '{"data":[1,2,3,0,1]',
        '{"data":[1,2,3,0,1],"m":""',
        '{"data":[1,2,0,0,1],"m":"x"',
        '{"data":[1,2,3,1,1],"m":"x"',
        '{"data":[1,2,3,0,0],"m":"x"',
        '{"data":[1,2,3,0],"m":"x"',
        '{"data":[1,2,3,0,1,1],"m":"x"',
        '{"data":{"0":1},"m":"x"',
        '{"data":"12345","m":"x"',
        '{"data":null,"m":"x"',
        '{"ack":[1,2,3,4,-1]',
        '{"ack":[1,2,3,4,1.0]',
        '{"ack":[1,2,3,4,true]',
        '{"ack":[1,2,3,4,"5"]',
        '{"ack":[1,2,3,4,null]',
        '{"ack":[1,2,3,4,NaN]',
        '{"ack":[1,2,3,4,1e400]',
        '{"ack":[1,2,3,4,9223372036854775808]',
        '{"ack":[1,2,3,4,' + "9" * 5000 + "]",
        '{"ack":[1,2,3,4]',
        '{"nak":[1,2,3]',
        '{"ping":7',
    ],
)
def test_a_well_sealed_line_that_is_no_frame_is_refused(body: str | bytes) -> None:
    with pytest.raises(PeerError):
        wire.decode(sealed(body))


def test_a_hello_needs_every_field_with_its_type() -> None:
    whole = Hello(1, 2, "j", "h", "p", 3, 4, 4, 5, True, 1, "d")._asdict()
    assert wire.decode(sealed('{"hello":' + json.dumps(whole))) == Hello(**whole)
    assert wire.decode(sealed('{"hello":' + json.dumps({**whole, "later": "field"}))) == Hello(**whole)
    wrong = [("generation", 0), ("journal", ""), ("oldest", 4), ("delivered", 2), ("digest", "d" * 129), ("heard", "é")]
    for name, value in [*wrong, *((name, [1]) for name in whole), *((name, None) for name in whole)]:
        with pytest.raises(PeerError):
            wire.decode(sealed('{"hello":' + json.dumps({**whole, name: value})))
    for name in whole:
        with pytest.raises(PeerError):
            wire.decode(sealed('{"hello":' + json.dumps({key: whole[key] for key in whole if key != name})))
    for fields in ("[]", "1", '"x"', "null"):
        with pytest.raises(PeerError):
            wire.decode(sealed('{"hello":' + fields))


def test_a_frame_is_as_it_was_agreed() -> None:
    """Both ends are packed from one source, but one may be older: what is on the wire changes with VERSION only."""
    assert wire.VERSION == 1
    assert wire.encode(Data(1, 2, 3, 0, 2, 'a"')) == b'{"data":[1,2,3,0,2],"m":"a\\"","c":"a147c8b8"}\n'
    assert wire.encode(Ack(1, 2, Position(3, 4), 5)) == b'{"ack":[1,2,3,4,5],"c":"8b3c6077"}\n'
    assert wire.encode(Nak(1, 2, Position(3, 4))) == b'{"nak":[1,2,3,4],"c":"a440e41b"}\n'
    assert wire.encode(Ping(1, 2, Position(3, 4))) == b'{"ping":[1,2,3,4],"c":"24a025f7"}\n'


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_come_out_alike_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"tail"
    limit = 8
    buffer = LineBuffer(limit)
    got: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += buffer.feed(stream[:size])
        stream = stream[size:]
    assert got == [line for line in lines if len(line) <= limit]
    assert buffer.skipped == sum(len(line) > limit for line in lines)
    assert buffer.rest() == b"tail"
    assert buffer.rest() == b""


def test_lines_fed_whole_byte_by_byte_and_with_more_behind() -> None:
    whole, single, trailing = LineBuffer(), LineBuffer(), LineBuffer()
    assert whole.feed(b"one\n\ntwo\n") == [b"one", b"", b"two"]
    assert [line for byte in b"one\n\ntwo\n" for line in single.feed(bytes([byte]))] == [b"one", b"", b"two"]
    assert trailing.feed(b"one\ntw") == [b"one"]
    assert trailing.feed(b"") == []
    assert trailing.feed(b"o\n") == [b"two"]


def test_an_overlong_line_costs_no_memory_and_only_itself() -> None:
    buffer = LineBuffer(limit=100)
    for _ in range(1000):
        assert buffer.feed(b"x" * 60) == []
    assert buffer.rest() == b""
    assert buffer.feed(b"x" * 101) == []
    assert buffer.feed(b"end\nnext\n" + b"y" * 101 + b"\n" + b"z" * 100 + b"\n") == [b"next", b"z" * 100]
    assert buffer.skipped == 2
