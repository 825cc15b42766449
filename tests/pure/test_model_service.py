"""Every verb: what it answers, and how it is refused. The JSON is a promise to scripts."""

from __future__ import annotations

import pytest

from ccbridged.model import effects as fx
from ccbridged.model.config import Config, SessionConfig
from ccbridged.model.service import ANSWERS
from ccbridged.protocol.calls import VERBS
from ccbridged.protocol.errors import BridgeError
from tests.pure.bridge_kit import EPOCH, World


@pytest.fixture
def world() -> World:
    """With one instance that is ready."""
    world = World()
    world.add()
    return world


def refused(world: World, verb: str, **fields: object) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        world.say(verb, **fields)
    assert caught.value.message
    assert caught.value.hint
    return caught.value


def test_every_verb_has_an_answer_and_no_answer_lacks_a_verb() -> None:
    assert set(ANSWERS) == set(VERBS)


def test_ping(world: World) -> None:
    assert world.say("ping") == {"v": 1}


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        *((verb, {"name": "api"}) for verb in ("start", "stop", "restart", "remove", "interrupt", "queue", "history")),
        *((verb, {"name": "api"}) for verb in ("status", "events", "logs", "approvals")),
        ("send", {"name": "api", "id": "a", "prompt": "hi"}),
    ],
)
def test_an_instance_that_is_not_there_is_said_to_be_so(world: World, verb: str, fields: dict[str, object]) -> None:
    fault = refused(world, verb, **fields)
    assert (fault.code, fault.exit_status) == ("no-such-instance", 4)
    assert (fault.message, fault.hint) == ("there is no instance 'api'", "see: ccbridgectl list")


@pytest.mark.parametrize(
    ("verb", "fields"),
    [("wait", {}), ("result", {}), ("cancel", {})],
)
def test_a_request_that_is_not_there_is_said_to_be_so(world: World, verb: str, fields: dict[str, object]) -> None:
    fault = refused(world, verb, id="none", **fields)
    assert (fault.code, fault.exit_status) == ("no-such-request", 4)


def test_a_unique_beginning_of_a_name_or_id_is_enough(world: World) -> None:
    world.add("api")
    world.send("hi", id="abc")
    assert world.say("status", name="w")["name"] == "web"
    client = world.ask("result", id="a")
    assert world.answer(client) == fx.Recall(client, "abc")
    world.add("web2")
    assert refused(world, "stop", name="w").message == "instance 'w' could be any of: web, web2"
    assert world.say("status", name="web")["name"] == "web"


# Instances.


def test_status_counts_the_states(world: World) -> None:
    world.add("api")
    world.say("stop", name="api")
    assert world.say("status") == {"instances": {"ready": 1, "stopped": 1}, "health": []}


def test_list_has_a_row_for_each_by_name_and_can_be_filtered(world: World) -> None:
    world.add("api")
    assert [row["name"] for row in world.say("list")] == ["api", "web"]
    world.say("stop", name="api")
    assert [row["name"] for row in world.say("list", state="stopped")] == ["api"]


def test_add_says_what_it_is(world: World) -> None:
    world.say(
        "add",
        name="api",
        runtime="docker",
        image="x",
        transport="fifo",
        driver="claude",
        program=["cc"],
        args=["-d"],
        workdir="/srv",
        env={"B": "2", "A": 1},
        docker={"memory": "1g"},
    )
    spec = world.instance("api").spec
    assert spec == fx.Spec(
        name="api",
        runtime="docker",
        image="x",
        transport="fifo",
        program=("cc",),
        args=("-d",),
        workdir="/srv",
        env_names=("A", "B"),
        docker={"memory": "1g"},
    )
    assert world.asked_for(fx.KeepEnv)[-1] == fx.KeepEnv("api", {"B": "2", "A": "1"})


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"name": "web"}, "exists", "there is an instance web already"),
        ({"name": "Web"}, "usage", "'Web' is not an instance's name"),
        ({"name": "x" * 64}, "usage", "is not an instance's name"),
        ({"name": "../x"}, "usage", "is not an instance's name"),
        ({"runtime": "vm"}, "usage", "it is not clear where api should run"),
        ({"runtime": "docker"}, "usage", "it is not clear where api should run"),
        ({"runtime": "docker", "image": "x", "container": "y"}, "usage", "it is not clear where api should run"),
        ({"image": "x"}, "usage", "it is not clear where api should run"),
        ({"env": {"A=B": "x"}}, "usage", "'A=B' is not a variable's name"),
        ({"driver": "tmux"}, "refused", "the driver tmux is not available yet"),
        ({"transport": "exec"}, "refused", "the transport exec is not available yet"),
    ],
)
def test_an_add_that_cannot_be_done_changes_nothing(
    world: World, fields: dict[str, object], code: str, words: str
) -> None:
    fault = refused(world, "add", **{"name": "api", "runtime": "process", **fields})
    assert (fault.code, words in fault.message) == (code, True)
    assert set(world.bridge.instances) == {"web"}


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_verbs_that_wait_and_verbs_that_do_not_answer_alike(world: World, verb: str) -> None:
    waited = world.say(verb, name="web")
    assert set(waited) == {"name", "state", "reason"}
    world.say("start", name="web")
    told = world.say(verb, name="web", wait=False)
    assert told.pop("v") == 1
    assert set(told) == {"name", "state", "reason"}


# Requests.


def test_send_is_followed_to_its_result(world: World) -> None:
    client = world.ask("send", name="web", id="one", prompt="hi", since=7)
    assert world.answer(client) == fx.Follow(client, request="one", since=7, until="result")
    assert [event["state"] for event in world.disk.told("request", "one")] == ["queued"]
    assert [event["state"] for event in world.disk.told("state", "one")] == ["delivered", "running"]
    (result,) = world.disk.told("result", "one")
    assert result == {
        "id": "one",
        "state": "succeeded",
        "text": "echo: hi",
        "session_id": world.program().session,
        "cost_usd": 0.01,
        "usage": {"output_tokens": 3},
        "duration_ms": 0,
        "attempts": 1,
        "error": None,
    }


def test_send_without_following_tells_only_that_it_is_queued(world: World) -> None:
    client = world.ask("send", name="web", id="one", prompt="hi", follow=False)
    assert world.answer(client) == fx.Follow(client, request="one", only="request", until="end")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_request_that_is_sent_again_is_followed_and_not_run_again(world: World, restarted: bool) -> None:
    for prompt in ("hi", "[[hang]]"):
        id_ = f"id-{len(prompt)}"
        world.send(prompt, id=id_)
        if restarted:
            world.restart()
        again = world.ask("send", name="web", id=id_, prompt=prompt)
        assert world.answer(again) == fx.Follow(again, request=id_, until="result")
    assert world.ran() == ["hi", "[[hang]]"]


def test_a_request_that_is_sent_again_is_followed_although_it_could_not_be_sent_now(world: World) -> None:
    world.send("hi", id="one")
    world.say("stop", name="web")
    assert isinstance(world.say("send", name="web", id="one", prompt="hi"), fx.Follow)


def test_an_id_belongs_to_one_instance(world: World) -> None:
    world.add("api")
    world.send("hi", id="one")
    fault = refused(world, "send", name="api", id="one", prompt="hi")
    assert (fault.code, fault.exit_status, fault.message) == ("exists", 75, "request one is one of web")


def test_an_id_whose_answer_is_gone_is_neither_run_again_nor_waited_for(world: World) -> None:
    world.take(fx.Reloaded(Config(session=SessionConfig(max_history=0, idle_timeout=0.0))))
    world.send("once", id="one")
    gone = "request one has ended (succeeded), and its answer is no longer kept"
    for fault in (refused(world, "send", name="web", id="one", prompt="once"), refused(world, "result", id="one")):
        assert (fault.exit_status, fault.message) == (4, gone)
    world.restart()
    assert refused(world, "wait", id="one").message == gone
    assert world.ran() == ["once"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        *(({"id": id_}, "an id is at most 128 printable characters") for id_ in ("", "a b", "a\n", "x" * 129)),
        ({"prompt": " \n"}, "the prompt is empty"),
        ({"timeout": -1}, "a timeout cannot be negative"),
    ],
)
def test_what_cannot_be_sent_is_said(world: World, fields: dict[str, object], words: str) -> None:
    fault = refused(world, "send", **{"name": "web", "id": "one", "prompt": "hi", **fields})
    assert (fault.code, fault.exit_status) == ("usage", 2)
    assert words in fault.message
    assert world.disk.requests == {}


def test_a_prompt_that_does_not_fit_into_a_message_is_refused(world: World) -> None:
    world.instance().mail.link.message_limit = 1024 * 1024
    fault = refused(world, "send", name="web", id="one", prompt='"' * (400 * 1024))
    assert (fault.code, fault.exit_status) == ("too-large", 2)
    assert fault.message == "the prompt does not fit into a message of 1 MiB"
    assert "put it into a file" in fault.hint
    world.send('"' * (100 * 1024))


def test_a_request_can_be_waited_for(world: World) -> None:
    world.send("hi", id="one")
    client = world.ask("wait", id="one", since=3)
    assert world.answer(client) == fx.Follow(client, request="one", since=3, only="result", until="result")


def test_a_result_that_is_not_there_yet_is_said_to_be_so(world: World) -> None:
    world.send("[[hang]]", id="one")
    fault = refused(world, "result", id="one")
    assert (fault.code, fault.exit_status) == ("busy", 75)
    assert (fault.message, fault.hint) == ("request one is still running", "wait for it: ccbridgectl wait one")


def test_a_timeout_ends_a_request_that_runs_and_one_that_waits(world: World) -> None:
    running, waiting = world.send("[[hang]]", timeout=30), world.send("later", timeout=20)
    world.advance(20)
    assert (world.end_of(running), world.end_of(waiting)) == ("", "timed_out")
    world.advance(10)
    assert world.end_of(running) == "timed_out"
    assert world.ran() == ["[[hang]]"]


def test_a_timeout_goes_on_while_no_daemon_is_there(world: World) -> None:
    running = world.send("[[hang]]", timeout=30)
    world.kill()
    world.now += 60
    world.load()
    world.advance(0)
    assert world.end_of(running) == "timed_out"


def test_cancel_takes_out_what_waits_and_stops_what_runs(world: World) -> None:
    running, waiting = world.send("[[hang]]"), world.send("later")
    assert world.say("cancel", id=waiting) == {"v": 1, "id": waiting, "state": "cancelled"}
    assert world.say("cancel", id=running) == {"v": 1, "id": running, "state": "stopping"}
    assert (world.end_of(running), world.end_of(waiting)) == ("cancelled", "cancelled")
    fault = refused(world, "cancel", id=running)
    assert (fault.code, fault.hint) == ("no-such-request", f"see how: ccbridgectl result {running}")
    assert world.ran() == ["[[hang]]"]


def test_interrupt_says_what_it_stops_and_what_still_waits(world: World) -> None:
    running, waiting = world.send("[[hang]]"), world.send("later")
    assert world.say("interrupt", name="web") == {"v": 1, "stopped": running, "queued": [waiting]}
    assert (world.end_of(running), world.end_of(waiting)) == ("cancelled", "succeeded")
    assert world.say("interrupt", name="web") == {"v": 1, "stopped": None, "queued": []}


def test_the_queue_can_be_seen_and_put_into_another_order(world: World) -> None:
    world.send("[[hang]]")
    a, b, c = (world.send(f"prompt {n}") for n in range(3))
    assert world.say("queue", name="web") == [
        {"id": id_, "state": "queued", "position": n, "created": EPOCH + 100, "prompt": f"prompt {n}"}
        for n, id_ in enumerate((a, b, c))
    ]
    assert [row["id"] for row in world.say("queue", name="web", move=c, to=1)] == [a, c, b]
    assert [row["id"] for row in world.say("queue", name="web", drop=a)] == [c, b]
    assert [row["id"] for row in world.say("queue", name="web", move=b, to=0, drop=c)] == [b]
    assert [world.end_of(id_) for id_ in (a, b, c)] == ["cancelled", "", "cancelled"]
    world.finish()
    assert world.ran() == ["[[hang]]", "prompt 1"]


def test_only_what_waits_there_can_be_moved_or_dropped(world: World) -> None:
    world.add("api")
    running, waiting = world.send("[[hang]]"), world.send("later")
    for fields in ({"move": running}, {"drop": running}):
        fault = refused(world, "queue", name="web", **fields)
        assert (fault.code, fault.message) == ("no-such-request", f"request {running} does not wait in web")
    assert "does not wait in api" in refused(world, "queue", name="api", drop=waiting).message


def test_half_of_what_was_asked_of_the_queue_is_not_done(world: World) -> None:
    world.send("[[hang]]")
    a, b = world.send("a"), world.send("b")
    refused(world, "queue", name="web", move=b, to=0, drop="none")
    assert [row["id"] for row in world.say("queue", name="web")] == [a, b]


# What was and what is.


def test_history_is_read_from_the_store(world: World) -> None:
    world.send("hi")
    client = world.ask("history", name="web", count=3)
    assert world.answer(client) == fx.RecallHistory(client, "web", 3)
    client = world.ask("history", name="web")
    assert world.answer(client) == fx.RecallHistory(client, "web", 100)


@pytest.mark.parametrize(("follow", "until"), [(False, "end"), (True, "")])
def test_events_are_followed_to_the_end_or_for_ever(world: World, follow: bool, until: str) -> None:
    client = world.ask("events", since=9, follow=follow)
    assert world.answer(client) == fx.Follow(client, since=9, until=until)
    client = world.ask("events", name="w", follow=follow)
    assert world.answer(client) == fx.Follow(client, instance="web", until=until)


def test_logs_are_the_last_lines_or_all_of_them(world: World) -> None:
    client = world.ask("logs", name="w", count=5, follow=True, since=2)
    assert world.answer(client) == fx.FollowLogs(client, "web", 2, 5, True)
    client = world.ask("logs", name="web")
    assert world.answer(client) == fx.FollowLogs(client, "web", 0, None, False)


def test_names_are_for_the_completion_of_command_lines(world: World) -> None:
    world.add("api")
    id_ = world.send("[[tool Bash ls]]")
    (approval,) = world.say("approvals")
    assert world.say("names") == ["api", "web"]
    assert world.say("names", kind="requests") == [id_]
    assert world.say("names", kind="approvals") == [approval["id"]]


# Approvals.


def test_a_question_waits_until_somebody_approves(world: World) -> None:
    id_ = world.send("[[tool Bash git push]]")
    (asked,) = world.say("approvals", name="web")
    assert asked == {
        "id": asked["id"],
        "instance": "web",
        "request": id_,
        "tool": "Bash",
        "input": {"command": "git push"},
        "asked_at": EPOCH + 100,
        "tool_use_id": "",
        "approve": f"ccbridgectl approve {asked['id']}",
    }
    world.advance(3600)
    told = world.say("approve", id=asked["id"][:4])
    assert told == {"v": 1, "id": asked["id"], "instance": "web", "tool": "Bash", "verdict": "allowed"}
    assert world.end_of(id_) == "succeeded"
    assert world.disk.told("result", id_)[0]["text"] == "tool allow"


def test_the_first_answer_wins_and_later_ones_are_told_so(world: World) -> None:
    id_ = world.send("[[tool Bash rm -r /]]")
    (asked,) = world.say("approvals")
    assert world.say("deny", id=asked["id"], reason="never")["verdict"] == "denied"
    assert world.disk.told("result", id_)[0]["text"] == "tool deny"
    fault = refused(world, "approve", id=asked["id"])
    assert (fault.code, fault.exit_status) == ("no-such-approval", 4)
    assert "it may have been answered, or withdrawn" in fault.hint


def test_a_denial_without_a_reason_has_one(world: World) -> None:
    world.send("[[tool Bash ls]]")
    world.say("deny", id=world.say("approvals")[0]["id"])
    assert any("a person said no" in getattr(message, "line", "") for message in world.agents["web"].heard)


def test_an_approval_for_the_session_takes_claudes_suggestions(world: World) -> None:
    world.send("[[hang]]")
    request = {
        "subtype": "can_use_tool",
        "tool_name": "Bash",
        "input": {"command": "ls"},
        "permission_suggestions": [{"type": "addRules", "destination": "localSettings"}],
    }
    for scope, given in (("", False), ("session", True)):
        world.program().say("control_request", request_id=f"q{scope}", request=request)
        world.run()
        world.say("approve", id=world.say("approvals")[0]["id"], scope=scope)
        assert ('"destination": "session"' in world.agents["web"].heard[-1].line) is given
    world.program().say("control_request", request_id="q", request=request)
    world.run()
    fault = refused(world, "approve", id=world.say("approvals")[0]["id"], scope="always")
    assert (fault.code, "put a rule into the configuration" in fault.hint) == ("usage", True)
