"""Rules 1 and 8 to 10, by example: noise, commits, gaps, the window; and any text of any size."""

from __future__ import annotations

import tracemalloc
from types import ModuleType

import pytest

from tests.pure.link_pair import PAGE, LinkPair, kinds, say, sequences, up


def test_messages_arrive_in_order_and_are_let_go_of_once_committed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "")
    say(pair.b, "three")
    pair.pump()
    pair.check_all_arrived()
    assert pair.b.disk.received == {"a1": ["one", "two", ""]}
    assert pair.events(pair.a, "Up") == [link.Up("b1", "digest of b")]
    assert pair.events(pair.a, "Acked") == [link.Acked(3)]


def test_an_idle_link_has_no_deadline_and_nothing_to_say(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    assert pair.settle() == 0
    assert pair.a.link.deadline is None
    assert pair.b.link.deadline is None
    pair.advance(1000)
    assert pair.a.link.output(pair.now) == b""
    assert pair.a.link.oldest_unacked_since() is None


def test_a_link_without_a_connection_is_silent_and_deaf(link: ModuleType) -> None:
    alone = link.Link(journal="j", epoch=1)
    alone.send("one")
    assert alone.output(0.0) == b""
    assert alone.hear(b"noise\n", 0.0) == []
    assert alone.deadline is None
    alone.tick(5.0)
    assert not alone.up
    assert alone.counts == {"stale": 0, "malformed": 0, "overlong": 0}


def test_what_is_sent_before_the_peer_is_there_arrives_later(link: ModuleType) -> None:
    pair = LinkPair(link)
    say(pair.a, "early")
    pair.pump()
    pair.check_all_arrived()
    assert pair.b.disk.received == {"a1": ["early"]}


def test_the_age_of_the_oldest_unacknowledged_frame_is_known(link: ModuleType) -> None:
    pair = up(link)
    assert pair.a.link.oldest_unacked_since() is None
    pair.now = 7.0
    say(pair.a, "one")
    pair.a.write(PAGE, pair.now)
    assert pair.a.link.oldest_unacked_since() == 7.0
    pair.advance(3.0)
    assert pair.a.link.oldest_unacked_since() == 7.0


def test_rule_1_a_frame_torn_at_any_byte_costs_nothing_but_itself(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "x" * 20, 'y"y')
    whole = pair.a.link.output(0.0)
    for cut in range(len(whole)):
        torn = up(link)
        say(torn.a, "x" * 20, 'y"y')
        torn.a.write(cut, torn.now)
        torn.restart(torn.a)
        torn.pump()
        torn.check_all_arrived()
        assert torn.b.disk.received == {"a1": ["x" * 20, 'y"y']}


def test_rule_1_what_is_no_frame_is_counted_and_skipped(link: ModuleType) -> None:
    pair = up(link)
    nonsense = [b"{}", b"garbage \xff\x00", b"[" * 5000, b'{"data":[1,2,3,4,5],"m":"x","c":"00000000"}']
    assert pair.a.link.hear(b"\n".join(nonsense) + b"\n\n\n", 0.0) == []
    assert pair.a.link.counts == {"stale": 0, "malformed": 4, "overlong": 0}
    say(pair.b, "still")
    pair.pump()
    pair.check_all_arrived()


def test_rule_1_a_line_spliced_from_two_frames_is_no_frame(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "first text", "other text")
    first, other = pair.a.link.output(0.0).splitlines(keepends=True)
    assert pair.b.link.hear(first[:-20] + other[-20:], 0.0) == []
    assert pair.b.link.counts["malformed"] == 1


def test_rule_1_the_torn_end_of_a_connection_goes_with_it(link: ModuleType) -> None:
    pair = up(link)
    pair.a.link.hear(b'{"data":[1,', 0.0)
    pair.restart(pair.b)
    pair.a.connect(0.0)
    pair.pump()
    assert pair.a.link.up
    assert pair.a.link.counts["malformed"] == 0


def test_rule_1_memory_is_bounded_whatever_arrives(link: ModuleType) -> None:
    pair = up(link)
    flood = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(200):
            pair.a.link.hear(flood, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * link.wire.FRAME_LIMIT
    pair.a.link.hear(b"\n", 0.0)
    assert pair.a.link.counts == {"stale": 0, "malformed": 0, "overlong": 1}
    say(pair.b, "still")
    pair.pump()
    pair.check_all_arrived()


def test_rule_8_nothing_is_acknowledged_before_it_is_committed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    pair.b.write(PAGE, 0.0)
    pair.a.read(PAGE, 0.0)
    pair.advance(1.0)
    for end in (pair.a, pair.b, pair.a):
        end.write(PAGE, pair.now)
        end.read(PAGE, pair.now)
    assert pair.a.link.held == ((1, "one"),)
    pair.b.crash()
    pair.b.start(pair.now)
    pair.pump()
    assert pair.b.disk.received == {"a1": ["one"]}
    pair.check_all_arrived()


def test_rule_8_a_full_disk_stops_the_stream_and_loses_nothing(link: ModuleType) -> None:
    pair = up(link, window=4096)
    say(pair.a, *(f"{number}" + "x" * 500 for number in range(40)))
    pair.b.full_disk = True
    pair.pump()
    assert len(pair.a.link.held) == 40
    assert len(pair.a.out.content) <= 4096
    pair.settle()
    pair.check_all_arrived()


def test_rule_9_a_duplicate_is_dropped_and_acknowledged_again(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.a.save()
    data = pair.a.link.output(0.0)
    events = pair.b.link.hear(data, 0.0)
    assert events == [link.Message(1, "one")]
    pair.b.link.commit(1)
    first = pair.b.link.output(0.0)
    assert pair.b.link.hear(data, 0.0) == []
    assert pair.b.link.output(0.0) == first
    assert kinds(link, first) == ["ack"]


def test_rule_9_a_gap_is_one_nak_however_many_frames_follow_it(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "three", "four")
    _, *rest = pair.a.link.output(0.0).splitlines(keepends=True)
    assert pair.b.link.hear(b"".join(rest[:2]), 0.0) == []
    assert kinds(link, pair.b.link.output(0.0)) == ["nak"]
    assert pair.b.link.hear(rest[2], 0.0) == []
    assert pair.b.link.output(0.0) == b""


def test_rule_9_a_nak_rewinds_to_what_is_missing(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "three")
    one, _, three = pair.a.link.output(0.0).splitlines(keepends=True)
    pair.b.link.hear(one + three, 0.0)
    pair.a.link.hear(pair.b.link.output(0.0), 0.0)
    again = pair.a.link.output(0.0)
    assert sequences(link, again) == [2, 3]
    assert pair.b.link.hear(again, 0.0) == [link.Message(2, "two"), link.Message(3, "three")]


def test_rule_9_a_second_gap_is_naked_again_after_progress(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "three", "four")
    one, two, _, four = pair.a.link.output(0.0).splitlines(keepends=True)
    pair.b.link.hear(two, 0.0)
    assert kinds(link, pair.b.link.output(0.0)) == ["nak"]
    pair.b.link.hear(one + two + four, 0.0)
    assert "nak" in kinds(link, pair.b.link.output(0.0))


def test_rule_9_a_ping_finds_a_lost_tail(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two")
    pair.a.write(PAGE, 0.0)
    pair.lose_pipes()
    assert 0 < pair.settle() <= 1.0
    pair.check_all_arrived()


def test_rule_9_a_ping_finds_a_lost_ack(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    pair.b.commit(1)
    pair.b.write(PAGE, 0.0)
    pair.lose_pipes()
    assert 0 < pair.settle() <= 1.0
    pair.check_all_arrived()


def test_rule_9_nothing_is_sent_again_because_time_has_passed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    written = pair.a.link.output(0.0)
    assert kinds(link, written) == ["data"]
    asked = []
    while pair.now < 300:
        pair.now = pair.a.link.deadline
        pair.a.link.tick(pair.now)
        asked += kinds(link, pair.a.link.output(pair.now))
    assert set(asked) == {"ping"}
    assert len(asked) < 20


def test_rule_9_progress_makes_pings_prompt_again(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one")
    pair.a.write(PAGE, 0.0)
    pair.b.full_disk = True
    for _ in range(6):
        pair.now = pair.a.link.deadline
        pair.advance(0)
    pair.b.full_disk = False
    pair.pump()
    say(pair.a, "two")
    pair.a.write(PAGE, pair.now)
    assert pair.a.link.deadline == pair.now + 0.25
    pair.now += 0.25
    pair.advance(0)
    assert pair.a.link.deadline == pair.now + 0.5


def test_rule_9_a_new_connection_goes_back_to_what_was_not_delivered(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "three")
    lines = pair.a.link.output(0.0).splitlines(keepends=True)
    pair.b.read(0, 0.0)
    pair.b.inbox += [(event.seq, event.text) for event in pair.b.link.hear(lines[0], 0.0)]
    pair.a.connect(0.0)
    pair.turn()
    pair.turn()
    pair.turn()
    pair.pump()
    pair.check_all_arrived()
    assert sequences(link, bytes(pair.a.out.history)) == [2, 3]


def test_rule_9_uncommitted_messages_of_a_former_connection_do_not_block_the_window(link: ModuleType) -> None:
    pair = up(link, window=4096)
    say(pair.a, *(f"{number}" + "x" * 900 for number in range(12)))
    for _ in range(20):
        for end in pair.ends:
            end.write(PAGE, 0.0)
            end.read(PAGE, 0.0)
    assert len(pair.b.inbox) == 12
    pair.a.connect(0.0)
    for _ in range(20):
        for end in pair.ends:
            end.write(PAGE, 0.0)
            end.read(PAGE, 0.0)
    pair.b.commit(12)
    pair.pump()
    pair.check_all_arrived()


def test_rule_9_a_fragment_of_a_former_connection_is_no_beginning(link: ModuleType) -> None:
    """The head of a message that its sender has forgotten must not meet the tail of the one that took its number."""
    pair = up(link, window=4096)
    old = pair.a.disk.copy()
    say(pair.a, "a" * 8000)
    pair.a.write(PAGE, 0.0)
    pair.b.read(PAGE, 0.0)
    pair.a.disk = old
    pair.restart(pair.a)
    say(pair.a, "b" * 8000)
    pair.pump()
    pair.check_all_arrived()
    assert pair.b.disk.received == {"a1": ["b" * 8000]}


def test_rule_10_no_more_is_in_flight_than_the_window_though_nobody_reads(link: ModuleType) -> None:
    for window, character in ((4096, "x"), (4096, "\\"), (4096, "\0"), (61440, "x"), (61440, "\0")):
        pair = up(link, window)
        say(pair.a, *(character * size for size in (10, 3000, 50_000, 200_000)))
        written = b"".join(pair.a.link.output(0.0) for _ in range(50))
        assert window * 0.8 < len(written) <= window


def test_rule_10_a_message_larger_than_the_window_goes_through_the_smallest_pipe(link: ModuleType) -> None:
    for window in (1024, 4096):
        pair = up(link, window)
        text = "".join(f"{number}\\" for number in range(20_000))
        say(pair.a, text)
        say(pair.b, text[::-1])
        assert pair.settle() == 0
        pair.check_all_arrived()


def test_rule_10_both_pipes_may_be_full_at_once(link: ModuleType) -> None:
    pair = up(link, 4096)
    for end in pair.ends:
        say(end, *("x" * 700 for _ in range(30)))
        for _ in range(10):
            end.write(1 << 20, 0.0)
    pair.settle()
    pair.check_all_arrived()


def test_rule_10_a_peer_that_reads_a_byte_at_a_time_gets_everything(link: ModuleType) -> None:
    pair = LinkPair(link, 4096)
    say(pair.a, "one", "x" * 3000, "three")
    for _ in range(20_000):
        pair.turn(size=1)
    pair.check_all_arrived()


def test_a_message_beyond_the_limit_is_refused_where_it_is_sent(link: ModuleType) -> None:
    small = link.Link(journal="j", epoch=1, message_limit=10)
    with pytest.raises(ValueError, match="11 characters exceeds the link's limit of 10"):
        small.send("x" * 11)
    assert small.send("x" * 10) == 1


def test_a_message_that_is_not_ascii_is_refused_where_it_is_sent(link: ModuleType) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        link.Link(journal="j", epoch=1).send("naïve")


def test_a_peer_that_sends_beyond_the_limit_is_not_listened_to_any_more(link: ModuleType) -> None:
    pair = LinkPair(link, message_limit=1000)
    pair.a.message_limit = 5000
    pair.restart(pair.a)
    pair.pump()
    say(pair.a, "x" * 1001)
    pair.pump()
    (event,) = pair.events(pair.b, "Violation")
    assert event.reason == "a message of 1001 characters; the limit is 1000"
    assert not pair.b.link.up
    assert pair.b.link.deadline is None


def test_the_largest_message_goes_through(link: ModuleType) -> None:
    pair = LinkPair(link, message_limit=link.MESSAGE_LIMIT)
    pair.pump()
    say(pair.a, '{"text":"' + "0123456789abcde\\" * (link.MESSAGE_LIMIT // 16 - 1) + '"}')
    tracemalloc.start()
    try:
        pair.pump()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * link.MESSAGE_LIMIT
    (got,) = pair.b.disk.received["a1"]
    assert got == pair.a.disk.sent[0]


def test_every_ascii_character_survives_however_it_is_cut(link: ModuleType) -> None:
    every = "".join(map(chr, range(128)))
    texts = [every * 40, '"' * 5000, "\\" * 5000, "\0" * 5000, "plain" * 1000, '\\u0041\\ud800"\n']
    for window in (1024, 4096):
        pair = up(link, window)
        say(pair.a, *texts)
        pair.pump()
        assert pair.b.disk.received == {"a1": texts}


def test_messages_may_come_in_the_smallest_fragments(link: ModuleType) -> None:
    pair = up(link)
    mine, yours = pair.a.link.generation, pair.b.link.generation
    lines = [link.wire.encode(link.wire.Data(mine, yours, 1, at, 5, "smith"[at])) for at in range(5)]
    assert pair.b.link.hear(b"".join(lines), 0.0) == [link.Message(1, "smith")]
