"""Requests and their queue: order, bounds, what is saved of each change, and what survives a journey through JSON."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from ccbridged.model.effects import DropRequest, ForgetRequest, SaveEvent, SaveRequest
from ccbridged.model.requests import FINAL, TRANSITIONS, Outcome
from ccbridged.protocol.errors import BridgeError
from tests.pure.model_kit import EPOCH, at, request


def queue_of(model: ModuleType, *ids: str, max_queue: int = 100, max_history: int = 100) -> Any:
    queue = model.requests.Queue(max_queue=max_queue, max_history=max_history)
    for id_ in ids:
        queue.add(request(id_))
    return queue


def waiting(queue: Any) -> list[str]:
    return [one.id for one in queue.waiting]


def again(model: ModuleType, queue: Any, now: float = 0.0) -> Any:
    """The queue of the next daemon, which reads what was saved in whatever order."""
    other = model.requests.Queue(max_queue=100, max_history=100)
    saved = [json.dumps(one.body()) for one in (*queue.waiting[::-1], queue.current) if one]
    other.load(
        [model.requests.from_body(json.loads(body), "p") for body in saved],
        queue.ended.items(),
        queue.spent.items(),
        at(now),
    )
    return other


def test_every_state_that_is_not_final_leads_to_others_and_no_final_one_does() -> None:
    assert {state for states in TRANSITIONS.values() for state in states} == {*TRANSITIONS, *FINAL}
    assert not set(TRANSITIONS) & set(FINAL)


def test_a_new_request_is_saved_with_its_prompt_and_told_with_its_place(model: ModuleType) -> None:
    queue = queue_of(model, "r1")
    saved, told = queue.add(request("r2"))
    assert isinstance(saved, SaveRequest)
    assert (saved.id, saved.instance, saved.open, saved.prompt) == ("r2", "web", True, "prompt of r2")
    assert (saved.body["state"], saved.body["place"]) == ("queued", 1)
    assert "prompt" not in saved.body
    assert told == SaveEvent("web", "r2", "request", json.dumps({"id": "r2", "state": "queued", "position": 1}))
    queue.deliver("u1", EPOCH)
    (_, told) = queue.add(request("r3"))
    assert isinstance(told, SaveEvent)
    assert json.loads(told.body)["position"] == 2


def test_a_full_queue_takes_no_more(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2", max_queue=2)
    with pytest.raises(BridgeError, match="2 wait") as caught:
        queue.add(request("r3"))
    assert caught.value.code == "busy"
    assert waiting(queue) == ["r1", "r2"]
    queue.deliver("u1", EPOCH)
    queue.add(request("r3"))
    queue.requeue()
    assert waiting(queue) == ["r1", "r2", "r3"]


def test_each_change_is_saved_and_told(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2")
    delivered, saves = queue.deliver("u1", EPOCH + 1)
    changes = [saves, queue.run(), queue.requeue(), queue.deliver("u2", EPOCH + 2)[1]]
    told = []
    for saved, event in changes:
        assert isinstance(saved, SaveRequest)
        assert isinstance(event, SaveEvent)
        assert (saved.id, saved.open, saved.prompt, event.type, event.request) == ("r1", True, None, "state", "r1")
        body = json.loads(event.body)
        assert body == {"id": "r1", "state": saved.body["state"], "attempt": saved.body["attempts"]}
        told.append((body["state"], body["attempt"], saved.body["attempt"]))
    assert told == [("delivered", 1, "u1"), ("running", 1, "u1"), ("queued", 1, ""), ("delivered", 2, "u2")]
    assert (delivered.delivered_at, queue.current.delivered_at) == (EPOCH + 1, EPOCH + 2)


def test_what_is_asked_to_end_stays_in_flight_until_it_has(model: ModuleType) -> None:
    queue = queue_of(model, "r1")
    queue.deliver("u1", EPOCH)
    (saved,) = queue.ask_end("cancelled")
    assert isinstance(saved, SaveRequest)
    assert (saved.open, saved.body["state"], saved.body["ending"]) == (True, "delivered", "cancelled")
    assert again(model, queue).current.ending == "cancelled"
    queue.requeue()
    assert queue.waiting[0].ending == ""


def test_the_end_of_one_that_waits_leaves_the_one_in_flight_alone(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2", "r3")
    queue.deliver("u1", EPOCH)
    saved, event = queue.end("r2", Outcome("cancelled", error="why"), EPOCH + 2)
    assert isinstance(saved, SaveRequest)
    assert (saved.open, saved.body["state"], saved.body["finished"]) == (False, "cancelled", EPOCH + 2)
    assert isinstance(event, SaveEvent)
    assert (event.type, json.loads(event.body)) == ("result", saved.body["result"])
    assert json.loads(event.body)["duration_ms"] == 2000
    assert (queue.current.id, waiting(queue), queue.ended) == ("r1", ["r3"], {"r2": "cancelled"})
    queue.end("r1", Outcome("succeeded", "text"), EPOCH + 3)
    assert (queue.current, list(queue.ended)) == (None, ["r2", "r1"])
    assert [queue.state(id_) for id_ in ("r1", "r2", "r3")] == ["succeeded", "cancelled", "queued"]
    assert queue.ids() == ["r3", "r2", "r1"]
    with pytest.raises(KeyError):
        queue.state("r4")


def test_no_duration_is_negative(model: ModuleType) -> None:
    queue = queue_of(model, "r1")
    saved, _ = queue.end("r1", Outcome("cancelled"), EPOCH - 100)
    assert isinstance(saved, SaveRequest)
    assert saved.body["result"]["duration_ms"] == 0  # type: ignore[index]


def test_the_oldest_end_falls_out_of_the_history(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2", "r3", max_history=2)
    ends = [queue.end(id_, Outcome("cancelled"), EPOCH)[2:] for id_ in ("r1", "r2", "r3")]
    assert ends == [[], [], [DropRequest("r1", "cancelled")]]
    assert list(queue.ended) == ["r2", "r3"]
    nothing = queue_of(model, "r1", max_history=0)
    assert nothing.end("r1", Outcome("cancelled"), EPOCH)[2:] == [DropRequest("r1", "cancelled")]


def test_an_id_is_known_long_after_its_answer_is_gone(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2", max_history=1)
    queue.end("r1", Outcome("uncertain"), EPOCH)
    queue.end("r2", Outcome("succeeded"), EPOCH)
    other = again(model, queue)
    assert [other.knows(id_) for id_ in ("r1", "r2", "r3")] == [True, True, False]
    assert other.ids() == ["r2"]
    assert other.spent_fault("r2") is None
    fault = other.spent_fault("r1")
    assert (fault.code, fault.message) == (
        "no-such-request",
        "request r1 has ended (uncertain), and its answer is no longer kept",
    )


def test_a_history_that_became_shorter_is_trimmed_when_it_is_read_and_in_the_end_ids_are_forgotten(
    model: ModuleType,
) -> None:
    queue = model.requests.Queue(max_queue=1, max_history=1)
    spent = [(f"s{n}", "failed") for n in range(model.requests.MAX_SPENT)]
    saves = queue.load([], [("r1", "failed"), ("r2", "failed")], spent, at(0.0))
    assert saves == [DropRequest("r1", "failed"), ForgetRequest("s0")]
    assert (list(queue.ended), queue.knows("s0"), queue.knows("s1")) == (["r2"], False, True)


@pytest.mark.parametrize(("position", "order"), [(0, "r3 r1 r2"), (1, "r1 r3 r2"), (9, "r1 r2 r3"), (-1, "r3 r1 r2")])
def test_those_that_wait_can_be_put_in_another_order_that_lasts(model: ModuleType, position: int, order: str) -> None:
    queue = queue_of(model, "r0", "r1", "r2", "r3")
    queue.deliver("u", EPOCH)
    saves = queue.move("r3", position)
    assert waiting(queue) == order.split()
    places = [int(str(saved.body["place"])) for saved in saves if isinstance(saved, SaveRequest)]
    assert places == sorted(places)
    assert len(set(places)) == 3
    assert waiting(again(model, queue)) == order.split()
    queue.requeue()
    assert waiting(again(model, queue)) == ["r0", *order.split()]
    queue.add(request("r4"))
    assert waiting(again(model, queue))[-1] == "r4"


def test_one_that_follows_the_one_in_flight_stays_behind_it(model: ModuleType) -> None:
    queue = queue_of(model, "r1")
    queue.deliver("u", EPOCH)
    queue.add(request("r2"))
    queue.requeue()
    assert waiting(again(model, queue)) == ["r1", "r2"]


def test_a_request_survives_a_journey_through_json(model: ModuleType) -> None:
    queue = queue_of(model)
    queue.add(model.requests.Request("r1", "web", "prompt of r1", EPOCH, timeout=60.0, retry_uncertain=True))
    queue.deliver("u1", EPOCH + 1)
    queue.run()
    queue.ask_end("timed_out")
    body = json.loads(json.dumps(queue.current.body()))
    assert model.requests.from_body({**body, "finished": 1.0, "result": {}}, "prompt of r1") == queue.current


@pytest.mark.parametrize(("wall", "left"), [(10.0, 50.0), (100.0, -40.0), (-1000.0, 60.0)])
def test_a_limit_goes_on_while_no_daemon_is_there(model: ModuleType, wall: float, left: float) -> None:
    queue = model.requests.Queue(max_queue=1, max_history=1)
    moment = at(7.0)._replace(wall=EPOCH + wall)
    queue.load([request("r1", timeout=60.0), request("r2", place=1)], [], [], moment)
    assert [one.expires for one in queue.waiting] == [7.0 + left, None]


def test_what_waits_is_told_in_order(model: ModuleType) -> None:
    queue = queue_of(model, "r1", "r2", "r3")
    queue.deliver("u", EPOCH)
    assert queue.told() == [
        {"id": "r2", "state": "queued", "position": 0, "created": EPOCH, "prompt": "prompt of r2"},
        {"id": "r3", "state": "queued", "position": 1, "created": EPOCH, "prompt": "prompt of r3"},
    ]
