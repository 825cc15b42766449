"""What is read of a program that is not trusted can be written down again, and be read by others."""

from __future__ import annotations

import json

import pytest

from ccbridged.model import claude
from ccbridged.model.jsonline import MAX_DEPTH, as_ascii, decode


def nested(depth: int, inner: str = "1") -> str:
    return '{"a":[' * (depth // 2) + inner + "]}" * (depth // 2)


@pytest.mark.parametrize("line", ["", "x", "NaN", "[Infinity]", "-Infinity", "1e999", '{"a":-1e999}', "1" * 5000])
def test_what_has_no_meaning_for_others_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 600, 200_000])
def test_what_is_nested_too_deep_is_refused_before_it_can_hurt(depth: int) -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        decode(nested(depth))
    question = '{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool","tool_name":"T","input":'
    line = question + nested(depth) + "}}"
    assert claude.read_line(line) == claude.Noise(line)


def test_what_is_long_or_not_quite_too_deep_is_read() -> None:
    assert decode(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    wide = json.dumps({"a": [[1], {"b": []}] * 1000, "text": "[" * 1000})
    assert decode(wide) == json.loads(wide)
    assert decode("[1.5, 1e3]") == [1.5, 1000.0]


def test_a_line_becomes_ascii_without_a_change_of_meaning() -> None:
    line = '{"text":"ü☃🎉"}'
    assert as_ascii(line).isascii()
    assert json.loads(as_ascii(line)) == json.loads(line)
    assert as_ascii('{"a" : 1}') == '{"a" : 1}'
