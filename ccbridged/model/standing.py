"""What state an instance is in, why and since when; and the clients that wait for it to be in another."""

from __future__ import annotations

import json

from ccbridged.model.effects import Effect, Fail, Json, Reply, SaveEvent, Say
from ccbridged.model.memory import Moment
from ccbridged.model.states import NEXT
from ccbridged.protocol.errors import BridgeError


class Standing:
    """``since``: wall time. Clients wait for it to be ``up``, ``down`` or ``gone``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "stopped"
        self.reason = ""
        self.since = 0.0
        self._told = self.state
        self._goals: dict[str, str] = {}

    def become(self, event: str, at: Moment, reason: str = "") -> None:
        """``reason`` "": of a new state there is none, of the same it stays."""
        after = NEXT[self.state, event]
        if after != self.state:
            self.state, self.since = after, at.wall
            self.reason = reason
        else:
            self.reason = reason or self.reason

    def says(self, state: str, reason: str) -> bool:
        return (self.state, self.reason) == (state, reason)

    def wait(self, client: str, goal: str) -> None:
        self._goals[client] = goal

    def leave(self, client: str) -> None:
        self._goals.pop(client, None)

    def tell(self) -> list[Effect]:
        """What has changed, to the log; and to those who waited for it to be up."""
        effects: list[Effect] = []
        if self.state != self._told:
            why = f", {self.reason}" if self.reason else ""
            effects.append(Say("info", f"{self.name}: {self._told} → {self.state}{why}"))
            body = {"state": self.state, "was": self._told, "reason": self.reason}
            effects.append(SaveEvent(self.name, "", "instance", json.dumps(body)))
            self._told = self.state
        return [*effects, *(self._reply("up") if self.state in ("ready", "busy") else [])]

    def lose(self, error: BridgeError, at: Moment) -> list[Effect]:
        """It is not there, and is tried again."""
        self.become("lose", at, error.message)
        hint = f"it is tried again until it works; stop that with: ccbridgectl stop {self.name}"
        return self.fail("up", BridgeError(error.code, error.message, error.hint or hint))

    def give_up(self, error: BridgeError, at: Moment) -> list[Effect]:
        """It is not tried again."""
        self.become("fail", at, error.message)
        hint = error.hint or f"mend it, then: ccbridgectl start {self.name}"
        told = Say("error", f"{self.name}: {error.message}; {hint}")
        return [told, *self.fail("up", BridgeError(error.code, error.message, hint))]

    def stop(self, at: Moment, reason: str) -> list[Effect]:
        """Those who wait for it to be up need not."""
        self.become("stop", at, reason)
        error = BridgeError("not-running", f"{self.name} was stopped", f"start it: ccbridgectl start {self.name}")
        return self.fail("up", error)

    def down(self, error: BridgeError | None) -> list[Effect]:
        """What was ordered to stop has done so, or ``error`` says why not."""
        if error is None:
            return self._reply("down")
        self.reason = error.message
        return [*self.fail("down", error), *self.fail("up", error), *self.fail("gone", error)]

    def vanish(self, left: str, refusal: BridgeError | None) -> list[Effect]:
        """It is gone. ``left``: what could not be taken away. ``refusal``: why it never was there."""
        self.state, self.reason = "removed", left
        told = [*self._reply("gone"), *self._reply("down")]
        others = refusal or BridgeError("no-such-instance", f"{self.name} was removed")
        return [*told, *self.fail("", others)]

    def fail(self, goal: str, error: BridgeError) -> list[Effect]:
        """Those who wait for ``goal``; "": all."""
        return [Fail(client, error) for client in self._taken(goal)]

    def told(self) -> Json:
        return {"name": self.name, "state": self.state, "reason": self.reason}

    def _reply(self, goal: str) -> list[Effect]:
        return [Reply(client, self.told()) for client in self._taken(goal)]

    def _taken(self, goal: str) -> list[str]:
        taken = [client for client, wanted in self._goals.items() if goal in ("", wanted)]
        for client in taken:
            del self._goals[client]
        return taken
