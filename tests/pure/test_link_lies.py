"""What a peer says that cannot be true is not believed."""

from __future__ import annotations

from types import ModuleType

from tests.pure.link_pair import say, sequences, up


def test_an_ack_of_what_was_never_sent_is_not_believed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, *(f"{number}" for number in range(7)))
    pair.a.link.output(0.0)
    mine, yours = pair.b.link.generation, pair.a.link.generation
    for received, committed in (((9, 0), 0), ((3, 0), 5), ((3, 0), 3), ((8, 1), 7), ((3, 1), 0)):
        ack = link.wire.Ack(mine, yours, link.wire.Position(*received), committed)
        assert pair.a.link.hear(link.wire.encode(ack), 0.0) == []
    assert pair.a.link.counts["malformed"] == 5
    assert len(pair.a.link.held) == 7


def test_a_nak_for_what_was_never_sent_or_is_long_gone_changes_nothing(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two")
    pair.pump()
    say(pair.a, "three")
    pair.a.link.output(0.0)
    mine, yours = pair.b.link.generation, pair.a.link.generation
    for received in ((1, 0), (4, 0), (9, 9), (3, 5)):
        nak = link.wire.Nak(mine, yours, link.wire.Position(*received))
        assert pair.a.link.hear(link.wire.encode(nak), 0.0) == []
        assert pair.a.link.output(0.0) == b""


def test_an_ack_beyond_a_needless_rewind_is_followed(link: ModuleType) -> None:
    pair = up(link)
    say(pair.a, "one", "two", "three")
    pair.a.link.output(0.0)
    mine, yours = pair.b.link.generation, pair.a.link.generation
    nak = link.wire.Nak(mine, yours, link.wire.Position(1, 0))
    ack = link.wire.Ack(mine, yours, link.wire.Position(3, 0), 0)
    pair.a.link.hear(link.wire.encode(nak) + link.wire.encode(ack), 0.0)
    assert sequences(link, pair.a.link.output(0.0)) == [3]
