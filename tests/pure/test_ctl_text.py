"""Text made harmless, columns and ages."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridgectl.text import age, columns, nearest, one_line, shown, size, width

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text())
def test_no_control_and_no_bidi_character_is_left(text: str) -> None:
    left = shown(text)
    assert not [char for char in left if unicodedata.category(char) == "Cc" and char not in "\n\t"]
    assert not BIDI & set(left)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc"], exclude_characters="".join(BIDI))))
def test_everything_else_stays_as_it_was(text: str) -> None:
    assert shown(text + "\n\t") == text + "\n\t"


@given(st.text(), st.integers(2, 30))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert "\n" not in line
    assert width(line) <= limit


def test_what_is_cut_says_so() -> None:
    assert one_line("a\n  b\tc", 20) == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("日本語", 5) == "日本…"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([("A", "BB", "C"), ("日本", "b", "")]) == ["A     BB  C", "日本  b"]
    assert columns([]) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (59.4, "59 s"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172800, "2 d"),
        (-5, "0 s"),
    ],
)
def test_an_age_is_in_its_largest_unit(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_sizes_and_near_misses() -> None:
    assert [size(n) for n in (0, 1023, 2048, 3 * 1024**3)] == ["0 B", "1023 B", "2 KiB", "3.0 GiB"]
    assert nearest("stauts", ["status", "stop"]) == "status"
    assert nearest("xyz", ["status", "stop"]) == ""
