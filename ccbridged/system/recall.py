"""Everything that the store knows, as the model wants it at the start."""

from __future__ import annotations

from ccbridged.model.bridge import Known
from ccbridged.model.requests import from_body
from ccbridged.system.store import Store


def known(store: Store) -> list[Known]:
    return [
        Known(
            body,
            [from_body(kept.body, kept.prompt or "") for kept in store.open_requests(name)],
            store.final_states(name),
            store.spent_states(name),
            store.link(name),
            store.held(name),
        )
        for name, body in store.instances()
    ]
