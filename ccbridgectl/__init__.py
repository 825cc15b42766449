"""ccbridgectl: what people type; ``ccbridgectl.client`` is for scripts. It imports nothing: every call pays for it."""
