"""Documents of the daemon to lines: what is missing or unknown is left out, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridgectl import layout
from ccbridgectl.document import Json

KEYS = (
    "name",
    "state",
    "reason",
    "since",
    "agent",
    "health",
    "queued",
    "program",
    "daemon",
    "instances",
    "result",
    "prompt",
)
WILD: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from(KEYS),
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.integers()) | st.just({}),
)


@given(WILD)
def test_no_document_is_so_strange_that_it_cannot_be_shown(body: Json) -> None:
    lines = [
        *layout.daemon_lines(body),
        *layout.instance_lines(body, 0.0),
        *layout.list_lines([body], 0.0),
        *layout.queue_lines([body], 0.0),
        *layout.approval_lines([body], 0.0),
        *layout.health_lines([body], 0.0),
        layout.event_line(body),
    ]
    assert not [line for line in lines if "\n" in line]
    assert layout.history_lines(body)


def test_an_older_agent_is_named() -> None:
    lines = layout.instance_lines({"name": "web", "agent": {"pid": 7, "digest": "d" * 64, "current": False}}, 0.0)
    assert "agent  pid 7, dddddddddddd, older than the daemon: restart the instance" in lines


def test_the_health_of_an_instance_may_be_one_check_or_several() -> None:
    check: Json = {"name": "program", "ok": True, "checked_at": 40.0}
    assert layout.instance_lines({"health": check}, 100.0) == ["health  program, well, 1 min ago"]
    assert len(layout.instance_lines({"health": [check, check]}, 100.0)) == 2


def test_health_has_a_line_for_each_instance_of_what_each_has_its_own_of() -> None:
    store: Json = {"name": "store", "ok": True, "checked_at": 40.0, "detail": "fine"}
    agents: Json = {
        **store,
        "name": "agent",
        "instances": {"web": {"ok": False, "detail": "mute"}, "api": {"ok": True}},
    }
    lines = [line.split() for line in layout.health_lines([store, agents], 40.0)]
    assert [line[:3] for line in lines] == [
        ["COMPONENT", "INSTANCE", "OK"],
        ["store", "-", "yes"],
        ["agent", "web", "no"],
        ["agent", "api", "yes"],
    ]


def test_nothing_to_list_is_a_head_without_lines() -> None:
    assert len(layout.list_lines([], 0.0)) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "result", "state": "failed", "error": "no\nway"}, "failed no way"),
        ({"type": "output", "message": {"type": "system", "subtype": "init"}}, "system/init"),
        (
            {"type": "output", "message": {"type": "assistant", "message": {"content": [{"text": "hi"}]}}},
            "assistant hi",
        ),
        ({"type": "approval", "id": "41c0", "tool": "Bash"}, "41c0 Bash"),
        ({"type": "program", "program": "exited", "code": 0}, "exited 0"),
        ({"type": "recovery", "done": "restart-agent", "seen": "it is mute"}, "restart-agent: it is mute"),
        (
            {"type": "recovery", "done": "restart-agent", "came": "ready again", "after_s": 2.51},
            "restart-agent: ready again after 2.5 s",
        ),
        (
            {"type": "container", "container": "box", "did": "die", "exit_code": 137},
            "box: die with status 137",
        ),
        ({"type": "container", "container": "crate", "did": "rename", "was": "box"}, "crate: rename from box"),
        ({"type": "of-a-later-version"}, ""),
    ],
)
def test_an_event_is_told_in_a_few_words(body: Json, said: str) -> None:
    assert layout.event_line({"seq": 1, "at": 0, **body}).endswith(said)
