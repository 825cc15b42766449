"""What we know and decide. Pure: inputs come in with ``now`` and ``entropy``, effects come out as a list."""
