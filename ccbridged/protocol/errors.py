"""Errors with the code that travels and the exit status it becomes.

One table, because the daemon, the client and a script must agree on what a failure is called.
"""

EXIT_STATUS = {
    "failed": 1,
    "usage": 2,
    "not-running": 3,
    "no-such-instance": 4,
    "no-such-request": 4,
    "no-such-approval": 4,
    "not-permitted": 5,
    "cancelled": 6,
    "uncertain": 7,
    "no-daemon": 69,
    "unavailable": 69,
    "busy": 75,
    "exists": 75,
    "store": 75,
    "too-large": 2,
    "bad-config": 78,
    "refused": 78,
    "timed-out": 124,
    "interrupted": 130,
}


def exit_status(state: str) -> int:
    """The status that ``send`` and ``wait`` end with, for the final state of a request."""
    return 0 if state == "succeeded" else EXIT_STATUS[state.replace("_", "-")]


class BridgeError(Exception):
    """Something a person or a script can act on: ``code`` (a key of EXIT_STATUS), one sentence, and what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS.get(self.code, 1)

    def as_json(self) -> dict[str, object]:
        """The error object of the client contract: ``{"v":1,"error":{code,message,hint}}``."""
        return {"v": 1, "error": {"code": self.code, "message": self.message, "hint": self.hint}}


class PeerError(Exception):
    """The other end broke the protocol. The link is dropped; the process goes on."""


class MessageTooLarge(ValueError):
    """A message beyond the link's limit; ``size`` and ``limit`` in characters of its JSON text."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a message of {size} characters exceeds the link's limit of {limit}")
        self.size = size
        self.limit = limit
