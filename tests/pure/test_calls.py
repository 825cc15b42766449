"""Calls and errors: what a client may say, and what it is told when it says something else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccbridged.protocol import calls
from ccbridged.protocol.calls import Call, parse
from ccbridged.protocol.errors import EXIT_STATUS, BridgeError, MessageTooLarge

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def refusal(said: bytes) -> BridgeError:
    with pytest.raises(BridgeError) as refused:
        parse(said)
    assert refused.value.code == "usage"
    return refused.value


def test_a_call_has_every_field_of_its_verb() -> None:
    call = parse(line(v=1, verb="send", name="web", id="1", prompt="hello", timeout=2.5, since=7))
    assert call.verb == "send"
    assert (call.text("name"), call.text("prompt")) == ("web", "hello")
    assert call.number("timeout") == 2.5
    assert call.count("since") == 7
    assert call.flag("follow")
    assert not call.flag("retry_uncertain")


def test_lists_and_tables_are_handed_out_as_copies() -> None:
    call = parse(line(verb="add", name="web", runtime="process", args=["-v"], env={"A": "b"}))
    assert call.strings("args") == ["-v"]
    assert call.strings("program") == []
    assert call.table("env") == {"A": "b"}
    call.table("docker")["x"] = 1
    assert parse(line(verb="add", name="web", runtime="process")).table("docker") == {}


@pytest.mark.parametrize("verb", calls.VERBS)
def test_every_verb_parses_with_what_it_requires_and_names_what_is_missing(verb: str) -> None:
    required = {name: "x" for name, (_, default) in calls.VERBS[verb].items() if default is calls.REQUIRED}
    call = parse(line(verb=verb, **required))
    assert set(call.fields) == set(calls.VERBS[verb])
    for name in required:
        given_fields = {key: value for key, value in required.items() if key != name}
        assert refusal(line(verb=verb, **given_fields)).message == f"{verb}: {name} is missing"


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[" * 200_000, b"\xff", b"9" * 5000, b'{"verb":"ping"}{}', '{"verb":"ping"'.encode("utf-16")],
)
def test_what_is_not_json_is_refused(said: bytes) -> None:
    assert refusal(said).message == "the call is not JSON"


@pytest.mark.parametrize(
    "said", [b"[]", b"1", b"null", b'"ping"', b"{}", b'{"verb":"dance"}', b'{"verb":["ping"]}', b'{"verb":null}']
)
def test_an_unknown_verb_is_refused_with_what_to_do(said: bytes) -> None:
    refused = refusal(said)
    assert refused.message == "unknown verb"
    assert "restart ccbridged" in refused.hint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timeout": "1"}, "send: timeout is of the wrong type"),
        ({"timeout": True}, "send: timeout is of the wrong type"),
        ({"timeout": None}, "send: timeout is of the wrong type"),
        ({"since": 1.5}, "send: since is of the wrong type"),
        ({"since": False}, "send: since is of the wrong type"),
        ({"follow": 1}, "send: follow is of the wrong type"),
        ({"name": ["web"]}, "send: name is of the wrong type"),
        ({"prompt": {}}, "send: prompt is of the wrong type"),
        ({"timeout": float("nan")}, "send: timeout is not a number of use"),
        ({"timeout": float("inf")}, "send: timeout is not a number of use"),
        ({"since": 10**300}, "send: since is not a number of use"),
        ({"since": -(10**300)}, "send: since is not a number of use"),
        ({"prompt": "half \ud83d"}, "send: prompt is not text: it holds half a character"),
        ({"prompt": "nul \0"}, "send: prompt holds a NUL character"),
        ({"colour": "red"}, "send: unknown field 'colour'"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    assert refusal(line(**{"verb": "send", "name": "web", "id": "1", "prompt": "x", **fields})).message == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"args": ["-v", 1]}, "add: args is of the wrong type"),
        ({"args": "-v"}, "add: args is of the wrong type"),
        ({"args": ["a\0b"]}, "add: args holds a NUL character"),
        ({"args": ["ok", "\udcff"]}, "add: args is not text: it holds half a character"),
        ({"env": []}, "add: env is of the wrong type"),
        ({"env": {"A\0": "b"}}, "add: env holds a NUL character"),
        ({"docker": {"memory": 1e999}}, "add: docker is not a number of use"),
        ({"docker": {"a": {"b": [[[[[[[[1]]]]]]]]}}}, "add: docker is nested too deeply"),
    ],
)
def test_a_wrong_part_of_a_field_is_found(fields: dict[str, object], message: str) -> None:
    assert refusal(line(**{"verb": "add", "name": "web", "runtime": "process", **fields})).message == message


def test_a_table_may_hold_any_plain_json() -> None:
    table = {"memory": "1g", "cpus": 1.5, "privileged": False, "network": None, "volume": ["a:b"]}
    assert parse(line(verb="add", name="web", runtime="docker", docker=table)).table("docker") == table


def test_a_refusal_is_short_however_long_the_mistake() -> None:
    assert len(refusal(line(**{"verb": "ping", "x" * 100_000: 1})).message) < 200


@given(
    st.sampled_from(sorted(calls.VERBS)),
    st.dictionaries(
        st.sampled_from(sorted({f for v in calls.VERBS.values() for f in v} | {"v", "x"})), json_values, max_size=4
    ),
)
def test_any_json_is_a_call_or_refused(verb: str, fields: dict[str, object]) -> None:
    try:
        call = parse(line(**{**fields, "verb": verb}))
    except BridgeError as refused:
        assert refused.code == "usage"
    else:
        assert isinstance(call, Call)
        json.dumps(call.fields).encode()


def test_the_lines_of_an_answer_are_json_in_ascii() -> None:
    fault = BridgeError("busy", "the queue of wéb is full", "wait")
    answer = [calls.item('{"a":1}'), calls.result({"é": [1]}), calls.end(7), calls.error(fault)]
    assert [part.count(b"\n") for part in answer] == [1, 1, 1, 1]
    assert [json.loads(part) for part in answer] == [
        {"item": {"a": 1}},
        {"result": {"é": [1]}},
        {"end": 7},
        {"error": {"code": "busy", "message": "the queue of wéb is full", "hint": "wait"}},
    ]
    assert all(part.isascii() for part in answer)


def test_every_code_has_the_exit_status_of_the_contract() -> None:
    assert {code: BridgeError(code, "x").exit_status for code in EXIT_STATUS} == EXIT_STATUS
    assert BridgeError("of a later version", "x").exit_status == 1
    assert {EXIT_STATUS[code] for code in ("no-such-instance", "no-such-request", "no-such-approval")} == {4}
    assert (EXIT_STATUS["uncertain"], EXIT_STATUS["timed-out"], EXIT_STATUS["no-daemon"]) == (7, 124, 69)


def test_an_error_becomes_the_object_that_clients_print() -> None:
    fault = BridgeError("usage", "what", "how")
    assert str(fault) == "what"
    assert fault.as_json() == {"v": 1, "error": {"code": "usage", "message": "what", "hint": "how"}}


def test_a_message_too_large_says_by_how_much() -> None:
    fault = MessageTooLarge(11, 10)
    assert (fault.size, fault.limit) == (11, 10)
