"""Rules 2 to 5, by example: stale frames, un-echoed hellos, the handshake, zombies."""

from __future__ import annotations

import itertools
from types import ModuleType

from tests.pure.link_pair import PAGE, LinkPair, frames, kinds, say, up


def test_rule_2_frames_of_an_earlier_connection_are_counted_and_dropped(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two")
    old = pair.a.link.output(0.0)
    pair.a.connect(0.0)
    pair.turn()
    pair.turn()
    pair.turn()
    assert pair.b.link.up
    before = pair.b.link.counts["stale"]
    assert pair.b.link.hear(old, 0.0) == []
    assert pair.b.link.counts["stale"] == before + 2


def test_rule_2_an_old_ack_frees_nothing(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    generation, peer = pair.a.link.generation, pair.b.link.generation
    pair.b.connect(0.0)
    pair.turn()
    pair.turn()
    pair.turn()
    pair.a.link.hear(link.wire.encode(link.wire.Ack(peer, generation, link.wire.Position(2, 0), 1)), 0.0)
    assert pair.events(pair.a, "Acked") == []
    pair.pump()
    pair.check_all_arrived()


def test_rule_2_a_frame_to_an_earlier_connection_of_this_end_is_dropped(link: ModuleType) -> None:
    pair = up(link)
    say(pair.b, "one")
    old = pair.b.link.output(0.0)
    pair.a.connect(0.0)
    for _ in range(3):
        pair.turn()
    assert pair.a.link.up
    before = pair.a.link.counts["stale"]
    assert pair.a.link.hear(old, 0.0) == []
    assert pair.a.link.counts["stale"] == before + 1


def test_rule_2_two_ends_that_settled_on_different_connections_find_out(link: ModuleType) -> None:
    """Both up, each on a generation that the other has left: their pings must bring them together again."""
    pair = up(link)
    old_hello = frames(link, bytes(pair.b.out.history))[-1]
    assert old_hello.settled
    pair.restart(pair.b)
    pair.pump()
    stranger = old_hello._replace(journal="gone", peer=0, settled=True)
    for hello in (stranger, old_hello):
        pair.a.link.hear(link.wire.encode(hello), 0.0)
    pair.a.link.output(0.0)
    say(pair.a, "one")
    say(pair.b, "two")
    pair.settle(patience=5.0)
    pair.check_all_arrived()


def test_rule_3_a_hello_that_does_not_echo_this_generation_is_not_acted_on(link: ModuleType) -> None:
    pair = LinkPair(link)
    say(pair.a, "one", "two")
    stale = link.wire.Hello(7, 1, "b1", "a1", "a1", 2, 2, 0, 1, False, link.wire.VERSION, "")
    assert pair.a.link.hear(link.wire.encode(stale), 0.0) == []
    assert len(pair.a.link.held) == 2
    assert not pair.a.link.up
    (answer,) = frames(link, pair.a.link.output(0.0))
    assert (answer.heard, answer.peer) == ("b1", 7)


def test_rule_3_a_stale_hello_does_not_make_anyone_incompatible(link: ModuleType) -> None:
    pair = LinkPair(link)
    older = link.wire.Hello(7, 0, "b1", "", "", 0, 0, 0, 1, False, link.wire.VERSION + 1, "")
    assert pair.a.link.hear(link.wire.encode(older), 0.0) == []
    pair.pump()
    assert pair.a.link.up


def test_a_peer_of_another_version_is_named_and_not_talked_to(link: ModuleType) -> None:
    pair = LinkPair(link)
    other = link.wire.Hello(7, pair.a.link.generation, "b1", "a1", "", 0, 0, 0, 1, False, link.wire.VERSION + 1, "")
    events = pair.a.link.hear(link.wire.encode(other), 0.0)
    assert events == [link.Incompatible(link.wire.VERSION + 1, link.wire.VERSION)]
    pair.a.connect(1.0)
    assert pair.a.link.deadline is None
    assert pair.a.link.output(1.0) == b""


def test_rule_4_two_ends_answering_old_hellos_fall_silent(link: ModuleType) -> None:
    pair = up(link)
    for _ in range(3):
        pair.a.connect(pair.now)
        pair.turn()
        pair.b.connect(pair.now)
        pair.turn()
    for end in pair.ends:
        end.out.replay(0, 1 << 20)
    pair.pump()
    assert pair.settle() <= 1.0
    assert pair.a.link.up
    assert pair.b.link.up


def test_rule_4_a_handshake_takes_three_hellos_from_each_end_at_most(link: ModuleType) -> None:
    pair = up(link)
    for end in pair.ends:
        assert kinds(link, bytes(end.out.history)).count("hello") <= 3


def test_rule_4_a_settled_hello_is_not_answered(link: ModuleType) -> None:
    pair = up(link)
    hello = frames(link, bytes(pair.b.out.history))[-1]
    assert hello.settled
    pair.a.link.hear(link.wire.encode(hello), 0.0)
    assert pair.a.link.output(0.0) == b""
    pair.a.link.hear(link.wire.encode(hello._replace(settled=False)), 0.0)
    assert kinds(link, pair.a.link.output(0.0)) == ["hello"]


def test_rule_4_an_unanswered_hello_is_repeated_ever_more_rarely(link: ModuleType) -> None:
    alone = link.Link(journal="j", epoch=1)
    alone.connect(0.0, 4096)
    assert alone.output(0.0).startswith(b"\n")
    times = []
    for _ in range(12):
        times.append(alone.deadline)
        assert alone.output(times[-1]) == b""
        alone.tick(times[-1] - 0.001)
        assert alone.output(times[-1]) == b""
        alone.tick(times[-1])
        assert kinds(link, alone.output(times[-1])) == ["hello"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[:3] == [1.0, 2.0, 4.0]
    assert gaps[-1] == 30.0


def test_rule_4_a_lost_hello_only_delays(link: ModuleType) -> None:
    for number in range(6):
        pair = LinkPair(link)
        say(pair.a, "one")
        say(pair.b, "two")
        for turn in range(6):
            pair.turn()
            if turn == number:
                pair.lose_pipes()
        pair.settle(patience=5.0)
        pair.check_all_arrived()


def test_the_bytes_of_this_end_itself_are_no_peer(link: ModuleType) -> None:
    alone = link.Link(journal="j", epoch=1)
    alone.connect(0.0, 4096)
    for _ in range(4):
        assert alone.hear(alone.output(0.0), 0.0) == []
        alone.tick(alone.deadline)
    assert not alone.up


def test_rule_5_a_zombie_is_fenced_by_a_peer_that_knows_its_successor(link: ModuleType) -> None:
    pair = up(link)
    zombie = pair.b.link
    pair.restart(pair.b)
    pair.pump()
    assert pair.a.link.up
    zombie.connect(0.0, 4096)
    pair.a.link.hear(zombie.output(0.0), 0.0)
    (event,) = zombie.hear(pair.a.link.output(0.0), 0.0)
    assert isinstance(event, link.Fenced)
    assert str(pair.b.link.generation) in event.reason
    zombie.connect(1.0, 4096)
    zombie.send("of no use")
    assert zombie.output(1.0) == b""
    assert zombie.hear(b"anything\n", 1.0) == []


def test_rule_5_what_a_zombie_says_is_not_heard(link: ModuleType) -> None:
    pair = up(link)
    zombie = pair.b.link
    pair.restart(pair.b)
    pair.pump()
    zombie.send("from the grave")
    assert pair.a.link.hear(zombie.output(0.0), 0.0) == []


def test_rule_5_each_life_and_each_connection_has_a_higher_generation(link: ModuleType) -> None:
    generations = []
    for epoch in (1, 2):
        life = link.Link(journal="j", epoch=epoch)
        for _ in range(3):
            life.connect(0.0, 4096)
            generations.append(life.generation)
    assert generations == sorted(set(generations))
    assert link.Link(journal="k", epoch=2).generation not in generations


def test_rule_5_the_lives_of_an_old_copy_are_not_taken_for_those_of_its_origin(link: ModuleType) -> None:
    """Both are the second life of one journal, on their first connection: the copy is fenced, or heard as another."""
    outcomes = []
    for moment in range(1, 9):
        pair = up(link, window=4096)
        old = pair.a.disk.copy()
        pair.restart(pair.a)
        pair.pump()
        say(pair.a, "a" * 8000)
        pair.a.write(PAGE, pair.now)
        pair.b.read(PAGE, pair.now)
        pair.a.disk = old
        pair.now = float(moment)
        pair.restart(pair.a)
        say(pair.a, "b" * 8000)
        pair.settle()
        fenced = bool(pair.events(pair.a, "Fenced"))
        assert pair.b.disk.heard_from("a1") == ([] if fenced else ["b" * 8000])
        outcomes.append(fenced)
    assert set(outcomes) == {True, False}


def test_rule_5_the_lives_of_a_new_journal_are_not_taken_for_those_of_the_old(link: ModuleType) -> None:
    old, new = link.Link(journal="j", epoch=1), link.Link(journal="k", epoch=1)
    old.connect(0.0, 4096)
    new.connect(0.0, 4096)
    assert old.generation != new.generation


def test_rule_5_the_peers_generation_is_remembered_over_a_restart(link: ModuleType) -> None:
    pair = up(link)
    zombie = pair.b.link
    pair.restart(pair.b)
    pair.pump()
    pair.a.save()
    pair.restart(pair.a)
    (event,) = zombie.hear(pair.a.link.output(0.0), 0.0)
    assert isinstance(event, link.Fenced)
