"""The agent's front door, in words that any Python understands: the container's python3 may be of any age.

Nothing newer is imported before this file has seen that it can be. It is also the packed agent's ``__main__``, and
``agent.pyz tmux ...`` runs the driver that an agent may have as its child.
"""

import sys

NEEDED = ("ctypes", "fcntl", "hashlib", "json", "selectors", "typing")


def lacking():  # type: ignore[no-untyped-def]
    """What this Python lacks, as a sentence; "" when it will do."""
    have = ".".join(str(number) for number in sys.version_info[:3])
    where = sys.executable or "python"
    need = "the agent needs Python >= 3.10 with the standard library (python3, not python3-minimal)"
    if tuple(sys.version_info[:2]) < (3, 10):
        return "%s; %s is %s" % (need, where, have)  # noqa: UP031
    for name in NEEDED:
        try:
            __import__(name)
        except ImportError:
            return "%s; %s (%s) has no module %s" % (need, where, have, name)  # noqa: UP031
    return ""


def main():  # type: ignore[no-untyped-def]
    """The exit status: 78 where this Python will not do."""
    fault = lacking()  # type: ignore[no-untyped-call]
    if fault:
        sys.stderr.write("ccbridge agent: " + fault + "\n")
        return 78
    if sys.argv[1:2] == ["tmux"]:
        return __import__("agent.tmux").tmux.main(sys.argv[2:])
    from agent.main import main as serve

    return serve(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[no-untyped-call]
