"""What a link tells its owner, and what its owner must keep for it.

Four of these end the link: after Fenced, RolledBack, Incompatible or Violation it neither says nor hears anything more.
"""

from __future__ import annotations

from typing import NamedTuple


class LinkState(NamedTuple):
    """What an end must find again after its death, besides the messages it holds.

    ``base``: what was let go of before this peer was known. Save the state with every change of it: with what is sent,
    with what is committed (``committed`` raised to it), and at ``Up`` and ``PeerReset`` before anything is written.
    """

    next_seq: int = 1
    peer_journal: str = ""
    peer_generation: int = 0
    base: int = 0
    committed: int = 0


class Message(NamedTuple):
    """The peer's message ``seq``; deliver it, make its effects durable, then ``commit(seq)``."""

    seq: int
    text: str


class Acked(NamedTuple):
    """The peer has committed everything up to ``seq``: it need not be held any longer."""

    seq: int


class Up(NamedTuple):
    """This connection works in both directions. ``journal`` and ``digest`` are the peer's."""

    journal: str
    digest: str


class PeerReset(NamedTuple):
    """The peer lost its state. What was held for it has been let go: the owner decides what becomes of it."""

    old_journal: str
    new_journal: str


class Fenced(NamedTuple):
    """A later life of *this* journal is known: this process must exit, touch nothing.

    Also where this is an old copy of it and nothing shows that: nothing was said since.
    """

    reason: str


class RolledBack(NamedTuple):
    """*This* journal has forgotten what the peer knows it did. Refuse to go on until an operator decides."""

    reason: str


class Incompatible(NamedTuple):
    """The peer speaks another version of the protocol."""

    theirs: int
    ours: int


class Violation(NamedTuple):
    """The peer broke the protocol in a way that no resend can mend."""

    reason: str


Event = Message | Acked | Up | PeerReset | Fenced | RolledBack | Incompatible | Violation
