"""Rules 6 and 7, by example: a journal that was lost, or replaced by an old copy."""

from __future__ import annotations

from types import ModuleType

from tests.pure.link_pair import PAGE, LinkPair, frames, say, up


def test_rule_6_a_peer_that_lost_its_state_is_announced_and_nothing_is_replayed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.pump()
    say(pair.a, "two", "three")
    pair.wipe(pair.b)
    pair.pump()
    assert pair.events(pair.a, "PeerReset") == [link.PeerReset("b1", "b2")]
    assert pair.a.link.held == ()
    assert pair.b.disk.received == {}
    say(pair.a, "four")
    say(pair.b, "five")
    pair.pump()
    pair.check_all_arrived()
    assert pair.b.disk.received == {"a1": ["four"]}
    assert pair.a.disk.received == {"b2": ["five"]}
    assert pair.events(pair.b, "RolledBack", "Fenced") == []


def test_rule_6_a_new_peer_is_greeted_under_a_new_generation(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.wipe(pair.b)
    before = pair.a.link.generation
    pair.pump()
    assert pair.a.link.generation > before
    assert pair.events(pair.a, "PeerReset", "Up")[-2:] == [link.PeerReset("b1", "b2"), link.Up("b2", "digest of b")]


def test_rule_6_both_ends_may_lose_their_state(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    say(pair.b, "two")
    pair.pump()
    pair.wipe(pair.a)
    pair.wipe(pair.b)
    say(pair.a, "three")
    say(pair.b, "four")
    pair.pump()
    pair.check_all_arrived()
    assert pair.a.disk.received == {"b2": ["four"]}


def test_rule_6_each_end_may_meet_a_stranger(link: ModuleType) -> None:
    """Two ends that both knew another: each lets go of what the other never was owed."""
    pair, other = up(link), LinkPair(link)
    other.wipe(other.a)
    other.wipe(other.b)
    for where in (pair, other):
        say(where.a, "one")
        say(where.b, "two")
        where.pump()
        say(where.a, "unheard")
        say(where.b, "unheard")
    pair.b.disk = other.b.disk
    pair.restart(pair.b)
    pair.restart(pair.a)
    pair.pump()
    assert pair.events(pair.a, "PeerReset") == [link.PeerReset("b1", "b2")]
    assert pair.events(pair.b, "PeerReset") == [link.PeerReset("a2", "a1")]
    say(pair.a, "three")
    pair.pump()
    assert pair.b.disk.received["a1"] == ["three"]


def test_rule_6_an_echo_from_before_the_peer_was_replaced_does_not_bring_it_back(link: ModuleType) -> None:
    pair = LinkPair(link)
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    pair.b.write(PAGE, 0.0)
    (echo,) = frames(link, pair.a.into.read(PAGE))
    assert echo.peer == pair.a.link.generation
    pair.wipe(pair.b)
    pair.pump()
    say(pair.a, "one")
    pair.a.link.hear(link.wire.encode(echo), 0.0)
    assert [text for _, text in pair.a.link.held] == ["one"]
    pair.settle()
    pair.check_all_arrived()
    assert pair.b.disk.received == {"a1": ["one"]}


def test_rule_6_a_crash_before_the_reset_is_saved_repeats_it(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    before = pair.a.disk.copy()
    pair.wipe(pair.b)
    while not pair.events(pair.a, "PeerReset"):
        pair.turn()
    before.epoch = pair.a.disk.epoch
    pair.a.disk = before
    pair.restart(pair.a)
    pair.pump()
    say(pair.a, "two")
    pair.pump()
    assert pair.b.disk.received == {"a1": ["two"]}


def test_rule_6_a_commit_for_the_former_peer_is_not_taken_for_one_of_the_new(link: ModuleType) -> None:
    pair = up(link)
    say(pair.b, "one", "two")
    pair.b.write(PAGE, 0.0)
    pair.a.read(PAGE, 0.0)
    pair.wipe(pair.b)
    say(pair.b, "three")
    for _ in range(12):
        for end in pair.ends:
            end.write(PAGE, 0.0)
            end.read(PAGE, 0.0)
    assert pair.a.inbox == [(1, "three")]
    pair.a.link.commit(2)
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    assert pair.events(pair.b, "Acked") == []
    pair.pump()
    pair.check_all_arrived()


def test_rule_7_a_journal_that_forgot_what_it_committed_is_refused(link: ModuleType) -> None:
    pair = up(link)
    say(pair.b, "one")
    pair.pump()
    old = pair.a.disk.copy()
    say(pair.b, "two", "three")
    pair.pump()
    pair.a.disk = old
    pair.restart(pair.a)
    pair.pump()
    (event,) = pair.events(pair.a, "RolledBack")
    assert "3" in event.reason
    assert not pair.a.link.up
    assert pair.a.link.deadline is None
    pair.a.connect(1.0)
    assert pair.a.link.output(1.0) == b""


def test_rule_7_a_journal_that_forgot_what_it_sent_is_refused(link: ModuleType) -> None:
    pair = up(link)
    old = pair.a.disk.copy()
    say(pair.a, "one", "two")
    pair.pump()
    pair.a.disk = old
    pair.restart(pair.a)
    pair.pump()
    assert len(pair.events(pair.a, "RolledBack")) == 1
    assert pair.b.disk.received == {"a1": ["one", "two"]}


def test_rule_7_new_messages_do_not_hide_that_older_ones_are_forgotten(link: ModuleType) -> None:
    pair = up(link)
    old = pair.a.disk.copy()
    say(pair.a, "one", "two")
    pair.pump()
    pair.a.disk = old
    pair.restart(pair.a)
    say(pair.a, "other one", "other two", "other three")
    pair.pump()
    assert len(pair.events(pair.a, "RolledBack")) == 1
    assert pair.b.disk.received == {"a1": ["one", "two"]}


def test_rule_7_what_was_delivered_and_not_committed_is_not_forgotten_either(link: ModuleType) -> None:
    pair = up(link)
    old = pair.a.disk.copy()
    say(pair.a, "one", "two")
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    pair.a.disk = old
    pair.restart(pair.a)
    say(pair.a, "other one", "other two", "other three")
    pair.pump()
    assert len(pair.events(pair.a, "RolledBack")) == 1


def test_rule_7_what_is_forgotten_is_told_whichever_generation_is_the_higher(link: ModuleType) -> None:
    """Two second lives of one journal: by chance the generation of the old copy's is below that of the real one's."""
    below = []
    for moment in range(1, 9):
        pair = up(link)
        old = pair.a.disk.copy()
        pair.restart(pair.a)
        say(pair.a, "one")
        pair.pump()
        real = pair.a.link.generation
        pair.a.disk = old
        pair.now = float(moment)
        pair.restart(pair.a)
        below.append(pair.a.link.generation < real)
        pair.settle()
        assert len(pair.events(pair.a, "RolledBack")) == 1
    assert set(below) == {True, False}


def test_rule_5_who_was_up_and_lacks_what_a_later_life_did_is_a_zombie_not_rolled_back(link: ModuleType) -> None:
    pair = up(link)
    zombie = pair.a.link
    pair.restart(pair.a)
    say(pair.a, "one")
    pair.pump()
    zombie.connect(0.0, 4096)
    pair.b.link.hear(zombie.output(0.0), 0.0)
    (event,) = zombie.hear(pair.b.link.output(0.0), 0.0)
    assert isinstance(event, link.Fenced)


def test_rule_7_a_copy_of_several_lives_ago_is_refused(link: ModuleType) -> None:
    pair = up(link)
    old = pair.a.disk.copy()
    for _ in range(3):
        pair.restart(pair.a)
        pair.pump()
    pair.a.disk = old
    pair.restart(pair.a)
    pair.pump()
    assert len(pair.events(pair.a, "Fenced")) == 1
    assert not pair.a.link.up


def test_rule_7_a_journal_of_before_the_first_contact_is_refused_if_anything_was_committed_since(
    link: ModuleType,
) -> None:
    pair = LinkPair(link)
    old = pair.a.disk.copy()
    pair.pump()
    say(pair.b, "one")
    pair.pump()
    pair.a.disk = old
    pair.restart(pair.a)
    pair.pump()
    assert len(pair.events(pair.a, "RolledBack")) == 1


def test_rule_7_a_peer_that_comes_back_after_another_had_its_place_is_not_rolled_back(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.pump()
    away = pair.b.disk.copy()
    pair.wipe(pair.b)
    pair.pump()
    say(pair.a, "two")
    pair.pump()
    pair.b.disk = away
    pair.restart(pair.b)
    pair.pump()
    say(pair.a, "three")
    pair.pump()
    assert pair.b.disk.received == {"a1": ["one", "three"]}
    assert pair.halted() == []
    assert [event.new_journal for event in pair.events(pair.a, "PeerReset")] == ["b2", "b1"]
