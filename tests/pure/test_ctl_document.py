"""The client's own JSON against the standard library's."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridgectl.document import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_as_the_same_everywhere(value: object) -> None:
    assert json.loads(dumps(value)) == value
    assert loads(dumps(value)) == value
    assert dumps(value) == json.dumps(value, separators=(",", ":"))
    assert dumps(value).isascii()


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u\n\t'))
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            loads(text)
    else:
        assert loads(text) == expected or math.isnan(expected)


@pytest.mark.parametrize("text", ["", " ", "{} {}", "{", '{"a" 1}', "\x0b1", "nul", "[1,]", '"\n"'])
def test_half_a_text_or_two_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_a_text_that_is_nested_too_deeply_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        loads("[" * 100_000)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError):
        dumps(math.nan)
    with pytest.raises(TypeError):
        dumps({"a": {1, 2}})
