"""Names and ids as people give them: a unique beginning is enough."""

from __future__ import annotations

from collections.abc import Iterable

from ccbridged.protocol.errors import BridgeError


def pick(word: str, known: Iterable[str], code: str, what: str, hint: str) -> str:
    """The one that is meant by a name or a unique prefix. Raises BridgeError ``code``, with the candidates."""
    candidates = sorted(name for name in known if name.startswith(word))
    if word in candidates:
        return word
    if len(candidates) == 1 and word:
        return candidates[0]
    if candidates and word:
        many = ", ".join(candidates[:10]) + (", …" if len(candidates) > 10 else "")
        raise BridgeError(code, f"{what} {word!r} could be any of: {many}", "give more of it")
    raise BridgeError(code, f"there is no {what} {word!r}", hint)
