"""What daemon and agent say: it comes back as it was, and what does not fit is refused."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridged.protocol import messages
from ccbridged.protocol.errors import PeerError
from ccbridged.protocol.link import Link, Message
from ccbridged.protocol.messages import Alive, End, Errors, Exited, FromAgent, Output, Quit, Start, Tailed, ToAgent

EVERY_KIND = (*get_args(ToAgent), *get_args(FromAgent))

lines = st.text(st.characters(exclude_categories=())).filter(
    lambda text: text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
values = {
    str: lines,
    int: st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    bool: st.booleans(),
    float: st.floats(-1e15, 1e15),
    list[str]: st.lists(lines, max_size=3),
    dict[str, str]: st.dictionaries(lines, lines, max_size=3),
    dict[str, int]: st.dictionaries(lines, st.integers(0, 99), max_size=3),
}


@st.composite
def any_message(draw: st.DrawFn) -> ToAgent | FromAgent:
    kind = draw(st.sampled_from(EVERY_KIND))
    message: ToAgent | FromAgent = kind(*(draw(values[of]) for of in kind.__annotations__.values()))
    return message


@given(any_message())
def test_a_message_comes_back_as_it_was(message: ToAgent | FromAgent) -> None:
    text = messages.encode(message)
    assert text.isascii()
    assert messages.decode(text) == message


@pytest.mark.parametrize(
    "line",
    [
        '{"a":"b"}',
        "naïve 日本語",
        "\U0001f600\U0010ffff",
        "\0\x1b[2J\x7f\x9b",
        "\udc80\udcff",
        "\ud800",
        '"\\"\\\\\n\r\t',
        "",
    ],
)
def test_any_line_travels_over_a_link_unchanged(line: str) -> None:
    ends = Link(journal="a", epoch=1), Link(journal="b", epoch=1)
    here, there = ends
    for end in ends:
        end.connect(0.0, 4096)
    here.send(messages.encode(Output("main", 1, line)))
    heard = []
    for _ in range(6):
        heard += there.hear(here.output(0.0), 0.0)
        here.hear(there.output(0.0), 0.0)
    (text,) = (event.text for event in heard if isinstance(event, Message))
    assert messages.decode(text) == Output("main", 1, line)


def test_a_kind_of_a_later_version_is_none_and_later_fields_are_dropped() -> None:
    assert messages.decode('["later",1,2]') is None
    assert messages.decode('["exited","main",1,0,true,"later"]') == Exited("main", 1, 0, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[" * 100_000,
        "9" * 5000,
        "{}",
        "[]",
        "null",
        '"output"',
        "[1]",
        "[null]",
        '[["output"],"main",1,"x"]',
        '["output","main",1]',
        '["output","main",1,2]',
        '["output","main",1,null]',
        '["output","main","1","x"]',
        '["output","main",1.0,"x"]',
        '["output","main",true,"x"]',
        '["output","main",' + "9" * 19 + ',"x"]',
        '["output",null,1,"x"]',
        '["exited","main",1,0,1]',
        '["exited","main",1,0,"true"]',
        '["quit","1"]',
        '["quit",true]',
        '["quit",NaN]',
        '["quit",Infinity]',
        '["quit",1e999]',
        '["quit",' + "9" * 400 + "]",
        '["start","main",1,"ls","",{},[],""]',
        '["start","main",1,["ls",1],"",{},[],""]',
        '["start","main",1,["ls"],"",[],[],""]',
        '["start","main",1,["ls"],"",{"a":1},[],""]',
        '["alive",1,"","","",false,{"main":"1"}]',
        '["alive",1,"","","",false,{"main":true}]',
        '["alive",1,"","","",false,[]]',
    ],
)
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(PeerError):
        messages.decode(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    ),
    st.sampled_from(EVERY_KIND),
)
def test_any_json_is_a_message_or_refused(value: object, kind: type) -> None:
    named = [kind.__name__.lower(), *value] if isinstance(value, list) else value
    for candidate in (value, named):
        try:
            message = messages.decode(json.dumps(candidate))
        except PeerError:
            continue
        assert message is None or type(message) in EVERY_KIND


def test_the_words_on_the_wire_are_as_agreed() -> None:
    start = Start("main", 1, ["claude", "-p"], "/work", {"A": "b"}, ["CLAUDECODE"], "bye")
    assert messages.encode(start) == '["start","main",1,["claude","-p"],"/work",{"A":"b"},["CLAUDECODE"],"bye"]'
    assert messages.encode(End("main", 1, 2.5)) == '["end","main",1,2.5]'
    assert messages.decode('["quit",5]') == Quit(5)
    assert messages.decode('["alive",7,"1","3.11","node",false,{"main":2}]') == Alive(
        7, "1", "3.11", "node", False, {"main": 2}
    )
    assert messages.decode('["errors","",0,"x"]') == Errors("", 0, "x")
    assert messages.decode('["tailed",1,"x",""]') == Tailed(1, "x", "")
