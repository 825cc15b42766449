"""What must be durable of a link before anything is said or acknowledged, and how much is held for an agent."""

from __future__ import annotations

import pytest

from ccbridged.model.effects import Commit, Flush, Hold, Release, SaveLink, SaveLog, Say
from ccbridged.model.mail import MAX_HELD, MAX_HELD_SIZE, Mail
from ccbridged.protocol.link import Link, LinkState, Message, PeerReset, RolledBack, Up, Violation
from ccbridged.protocol.messages import Feed, encode

FEED = Feed("main", 1, "hello")


class Ends:
    """A mail and the link of an agent, with nothing between them."""

    def __init__(self, *, message_limit: int = 1 << 20) -> None:
        self.mail = Mail("web", journal="daemon", epoch=1, message_limit=message_limit)
        self.agent = Link(journal="agent", epoch=1, digest="d1")

    def meet(self) -> list[object]:
        self.mail.connect(61440, 0.0)
        self.agent.connect(0.0, 61440)
        return self.exchange()

    def exchange(self) -> list[object]:
        """What the mail's owner is told, until both are silent."""
        events: list[object] = []
        while True:
            told, said = self.mail.link.output(0.0), self.agent.output(0.0)
            for event in self.agent.hear(told, 0.0):
                if isinstance(event, Message):
                    self.agent.commit(event.seq)
            events += self.mail.hear(said, 0.0)
            if not told and not said:
                return events


def test_a_message_is_held_before_it_is_said() -> None:
    mail = Mail("web", journal="daemon", epoch=1)
    log = SaveLog("web", "agent", "a line")
    assert mail.post([log, FEED]) == [log]
    state = LinkState(next_seq=2)
    assert mail.collect() == [Hold("web", 1, encode(FEED)), SaveLink("web", state), Flush("web")]
    assert mail.collect() == []


def test_a_link_that_works_is_saved_before_it_says_so() -> None:
    ends = Ends()
    assert ends.meet() == [Up("agent", "d1")]
    saved, flush = ends.mail.collect()
    assert isinstance(saved, SaveLink)
    assert (saved.state.peer_journal, saved.state.peer_generation) == ("agent", ends.agent.generation)
    assert flush == Flush("web")


def test_what_was_heard_is_saved_as_committed_before_the_commit() -> None:
    ends = Ends()
    ends.meet()
    ends.mail.collect()
    ends.agent.send("[]")
    assert ends.exchange() == [Message(1, "[]")]
    saved, commit, flush = ends.mail.collect()
    assert isinstance(saved, SaveLink)
    assert saved.state.committed == 1
    assert ends.mail.link.state.committed == 0
    assert (commit, flush) == (Commit("web", 1), Flush("web"))


def test_a_receipt_lets_go_of_what_was_held_and_is_nobody_elses_business() -> None:
    ends = Ends()
    ends.meet()
    ends.mail.post([FEED, FEED])
    ends.mail.collect()
    assert ends.exchange() == []
    assert ends.mail.collect() == [Release("web", 2), Flush("web")]
    assert ends.mail.link.held == ()


def test_a_lost_journal_lets_go_of_everything_and_counts_anew() -> None:
    ends = Ends()
    ends.meet()
    ends.agent.send("[]")
    ends.exchange()
    ends.mail.link.commit(1)
    ends.mail.collect()
    ends.mail.disconnect()
    ends.mail.post([FEED])
    ends.agent = Link(journal="another", epoch=1)
    assert ends.meet() == [PeerReset("agent", "another"), Up("another", "")]
    effects = ends.mail.collect()
    assert effects[:2] == [Hold("web", 1, encode(FEED)), Release("web", 1)]
    assert not [effect for effect in effects if isinstance(effect, Commit)]
    ends.agent.send('["x"]')
    assert ends.exchange() == [Message(1, '["x"]')]
    assert Commit("web", 1) in ends.mail.collect()


def test_a_message_that_is_too_long_is_not_sent_and_said_so() -> None:
    mail = Mail("web", journal="daemon", epoch=1, message_limit=100)
    long = Feed("main", 1, "x" * 200)
    assert (mail.fits(FEED), mail.fits(long)) == (True, False)
    (said,) = mail.post([long])
    assert isinstance(said, Say)
    assert (said.level, "exceeds the link's limit of 100" in said.text) == ("error", True)
    assert mail.collect() == []


def test_a_link_that_was_ended_for_good_can_be_tried_again() -> None:
    ends = Ends(message_limit=100)
    ends.meet()
    ends.agent.send("[" + "1" * 200 + "]")
    events = ends.exchange()
    assert [type(event) for event in events] == [Violation]
    assert ends.meet() == []
    generation = ends.mail.link.generation
    ends.mail.renew()
    ends.agent = Link(journal="agent", epoch=2, state=ends.agent.state, held=[(1, "[]")])
    assert ends.meet() == [Up("agent", ""), Message(1, "[]")]
    assert ends.mail.link.generation > generation


def test_a_database_put_back_is_found_out() -> None:
    ends = Ends()
    ends.meet()
    ends.mail.post([FEED])
    ends.exchange()
    old = Mail("web", journal="daemon", epoch=2, state=LinkState(peer_journal="agent"))
    ends.mail = old
    assert [type(event) for event in ends.meet()] == [RolledBack]


def test_an_agent_that_takes_nothing_is_told_no_more_than_so_many_messages() -> None:
    mail = Mail("web", journal="daemon", epoch=1)
    assert mail.post([FEED] * MAX_HELD) == []
    assert mail.flooded == ""
    (said,) = mail.post([FEED, FEED])
    assert isinstance(said, Say)
    assert mail.flooded == f"the agent takes nothing: {MAX_HELD} messages wait for its receipt"
    assert len(mail.link.held) == MAX_HELD
    assert mail.post([FEED]) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_an_agent_that_takes_nothing_is_told_no_more_than_so_much(restarted: bool) -> None:
    size = 32 * 1024 * 1024
    mail = Mail("web", journal="daemon", epoch=1)
    mail.post([Feed("main", 1, "x" * size)] * (MAX_HELD_SIZE // size - 1))
    if restarted:
        state, held = mail.link.state, mail.link.held
        mail = Mail("web", journal="daemon", epoch=2, state=state, held=held)
    assert not mail.flooded
    mail.post([Feed("main", 1, "x" * size)])
    assert mail.flooded


def test_what_the_agent_takes_makes_room_again() -> None:
    ends = Ends()
    ends.mail.post([FEED] * MAX_HELD)
    ends.mail.post([FEED])
    assert ends.mail.flooded
    ends.mail.renew()
    ends.meet()
    assert ends.mail.post([FEED] * MAX_HELD) == []
    assert not ends.mail.flooded


def test_an_agent_that_takes_nothing_is_warned_of_once() -> None:
    ends = Ends()
    ends.mail.warn_age = 5.0
    ends.meet()
    ends.mail.post([FEED])
    ends.mail.collect()
    ends.mail.link.output(10.0)
    late = ends.mail.link.oldest_unacked_since()
    assert late is not None
    warnings = []
    for _ in range(20):
        assert ends.mail.deadline is not None
        ends.mail.tick(min(ends.mail.deadline, late + 5.0))
        ends.mail.link.output(late + 5.0)
        warnings += [effect for effect in ends.mail.collect() if isinstance(effect, Say)]
    assert [warning.level for warning in warnings] == ["warning"]
