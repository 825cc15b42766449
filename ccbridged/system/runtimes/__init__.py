"""Where an instance's agent runs, and how it is started and stopped: one class per place, all of them blocking.

Every call is made in the worker's thread; what is learnt is returned as facts, what is wrong raised as BridgeError.
"""

from __future__ import annotations

from typing import Protocol

from ccbridged.model.effects import Json, Spec


class Runtime(Protocol):
    """``facts``: what earlier calls returned for this instance, one over the other."""

    def launch(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        """An agent runs when this returns; one that runs already is as good. ``container``: start that too."""
        ...

    def halt(self, spec: Spec, facts: Json, *, container: bool) -> Json:
        """No agent runs when this returns. ``container``: stop that too."""
        ...

    def remove(self, spec: Spec, facts: Json) -> Json:
        """Halt it, and take away all that was made for it."""
        ...
