"""ccbridged keeps every containerised Claude Code reachable.

protocol (what travels), model (what we know and decide), system (what we touch), daemon.py (where they meet).
This module imports nothing: the client and the packed agent load it too.
"""

__version__ = "0.1.0"
