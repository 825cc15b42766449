"""A unique beginning of a name is enough; an ambiguous one lists whom it could mean."""

from __future__ import annotations

import pytest

from ccbridged.model.naming import pick
from ccbridged.protocol.errors import BridgeError


def picked(word: str, *known: str) -> str:
    return pick(word, known, "no-such-instance", "instance", "see: ccbridgectl list")


def test_a_whole_name_is_meant_even_where_others_begin_with_it() -> None:
    assert picked("web", "web", "web2", "api") == "web"


def test_a_unique_beginning_is_enough() -> None:
    assert picked("w", "web", "api") == "web"


def test_an_ambiguous_beginning_lists_the_candidates_in_order() -> None:
    with pytest.raises(BridgeError) as caught:
        picked("web", "web-b", "web-a", "api")
    assert caught.value.as_json() == {
        "v": 1,
        "error": {
            "code": "no-such-instance",
            "message": "instance 'web' could be any of: web-a, web-b",
            "hint": "give more of it",
        },
    }
    assert caught.value.exit_status == 4


def test_of_many_candidates_ten_are_listed() -> None:
    with pytest.raises(BridgeError) as caught:
        picked("w", *(f"w{n:02}" for n in range(12)))
    assert caught.value.message.endswith("w08, w09, …")


@pytest.mark.parametrize("word", ["x", "webb", ""])
def test_what_is_not_there_is_said_with_where_to_look(word: str) -> None:
    with pytest.raises(BridgeError) as caught:
        picked(word, "web")
    assert caught.value.message == f"there is no instance {word!r}"
    assert caught.value.hint == "see: ccbridgectl list"
