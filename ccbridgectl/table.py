"""Every verb and flag, stated once: what is parsed, completed, and told by --help and the man page."""

from __future__ import annotations

from ccbridgectl.grammar import Flag, Verb

GLOBALS = (
    Flag(
        "--runtime-dir", "DIR", "where the daemon's control FIFO is (default: $CCBRIDGED_RUNTIME_DIR, then the usual)"
    ),
    Flag("--json", "", "print JSON, and errors as JSON too, on stdout"),
    Flag("--color", "WHEN", "auto, always or never (default auto)", choices=("auto", "always", "never")),
    Flag("-h --help", "", "explain the verb, or the whole tool"),
    Flag("--version", "", "print the version"),
)

_WAIT = Flag("--no-wait", "", "return at once instead of when it is done")
_CONTAINER = Flag("--container", "", "its container too")
_FOLLOW = Flag("-f --follow", "", "go on with what is new, until Ctrl-C")

_ADD = (
    Flag("--container", "C", "a container that exists, by name or id"),
    Flag("--image", "I", "make a container from this image"),
    Flag("--process", "", "a child process on this host, no container"),
    Flag(
        "--transport",
        "T",
        "auto, fifo, stream, socket, files or exec",
        choices=("auto", "fifo", "stream", "socket", "files", "exec"),
    ),
    Flag("--driver", "D", "claude or tmux", choices=("claude", "tmux")),
    Flag("--program", "ARG...", "the program and its arguments, up to the next flag (default: claude)", "words"),
    Flag("--workdir", "DIR", "where the program starts (with --process: here)"),
    Flag("-e --env", "K[=V]", "a variable for the program; K alone takes it from your environment", "many"),
    Flag("--env-file", "F", "a file of such lines; # begins a comment", "many"),
    Flag("-v --volume", "SRC:DST", "with --image: mount, as docker does", "many"),
    Flag("--network", "NET", "with --image: the container's network"),
    Flag("-u --user", "USER", "with --image: the user inside, NAME or UID[:GID]"),
    Flag("-m --memory", "SIZE", "with --image: limit, such as 2g"),
    Flag("--cpus", "N", "with --image: limit, such as 1.5"),
    _WAIT,
)

_SEND = (
    Flag("--file", "F", "read the prompt from a file"),
    Flag("--id", "ID", "the request's id; the same id again gets the same answer and runs nothing twice"),
    Flag("--no-wait", "", "print the id and return as soon as the prompt is safely queued"),
    Flag("--timeout", "S", "end the request after so many seconds, whatever it is doing", "seconds"),
    Flag("--retry-uncertain", "", "if Claude dies in the middle, run the prompt again (it may then run twice)"),
)

_VERBS = (
    Verb("status", "[NAME]", (0, 1), "the daemon, or one instance", "views:status", completes="instances"),
    Verb(
        "list ls ps",
        "",
        (0, 0),
        "a line per instance",
        "views:list_",
        flags=(
            Flag("-q --quiet", "", "names only"),
            Flag("--filter", "state=S", "only instances in this state", "many"),
        ),
    ),
    Verb(
        "add",
        "NAME",
        (1, 1),
        "create an instance, start it, wait until it is ready",
        "instances:add",
        flags=_ADD,
        rest="ARGS",
    ),
    Verb(
        "remove rm",
        "NAME",
        (1, 1),
        "stop an instance and take away what was made for it",
        "instances:remove",
        flags=(Flag("-y --yes", "", "do not ask"),),
        completes="instances",
    ),
    Verb(
        "start",
        "NAME",
        (1, 1),
        "start an instance",
        "instances:start",
        flags=(_CONTAINER, _WAIT),
        completes="instances",
    ),
    Verb(
        "stop", "NAME", (1, 1), "stop an instance", "instances:stop", flags=(_CONTAINER, _WAIT), completes="instances"
    ),
    Verb(
        "restart",
        "NAME",
        (1, 1),
        "stop and start",
        "instances:restart",
        flags=(_CONTAINER, _WAIT),
        completes="instances",
    ),
    Verb(
        "send",
        "NAME [PROMPT | -]",
        (1, 2),
        "send a prompt, stream the answer",
        "requests:send",
        flags=_SEND,
        completes="instances",
    ),
    Verb("wait", "ID", (1, 1), "block until a request ends, print its answer", "requests:wait", completes="requests"),
    Verb("result", "ID", (1, 1), "print the answer of an ended request again", "requests:result", completes="requests"),
    Verb(
        "cancel",
        "ID",
        (1, 1),
        "take a request out of the queue, or interrupt it",
        "requests:cancel",
        completes="requests",
    ),
    Verb(
        "queue",
        "NAME",
        (1, 1),
        "what waits for an instance, and its order",
        "requests:queue",
        flags=(
            Flag("--move", "ID N", "put request ID at place N of those that wait, 0 being the next", "pair"),
            Flag("--drop", "ID", "take request ID out of the queue"),
        ),
        completes="instances",
    ),
    Verb("interrupt", "NAME", (1, 1), "stop the running turn", "requests:interrupt", completes="instances"),
    Verb(
        "history",
        "NAME",
        (1, 1),
        "requests and answers, oldest first",
        "views:history",
        flags=(Flag("-n", "N", "only the last N", "count"),),
        completes="instances",
    ),
    Verb(
        "events",
        "[NAME]",
        (0, 1),
        "the durable event log",
        "streams:events",
        flags=(Flag("--since", "SEQ", "only events after this number", "count"), _FOLLOW),
        completes="instances",
    ),
    Verb(
        "logs",
        "NAME",
        (1, 1),
        "stderr of the agent and of the program",
        "streams:logs",
        flags=(_FOLLOW, Flag("-n", "N", "only the last N lines", "count")),
        completes="instances",
    ),
    Verb("approvals", "[NAME]", (0, 1), "permission questions that wait", "views:approvals", completes="instances"),
    Verb(
        "approve",
        "ID",
        (1, 1),
        "allow what is asked",
        "instances:approve",
        flags=(
            Flag("--session", "", "and the like for the rest of this session"),
            Flag("--always", "", "and the like for ever"),
        ),
        completes="approvals",
    ),
    Verb(
        "deny",
        "ID",
        (1, 1),
        "refuse what is asked",
        "instances:deny",
        flags=(Flag("--reason", "TEXT", "told to Claude"),),
        completes="approvals",
    ),
    Verb(
        "health",
        "",
        (0, 0),
        "every component; exit 0 only if all are well",
        "views:health",
        flags=(Flag("--component", "C", "docker_daemon, fifo_pipes, container, agent, program or store"),),
    ),
    Verb(
        "discover",
        "",
        (0, 0),
        "containers that could be instances, and what each lacks",
        "checkup:discover",
        flags=(Flag("--add", "", "add those that lack nothing and are no instance yet"),),
    ),
    Verb("doctor", "", (0, 0), "everything that commonly goes wrong, and what mends it", ""),
    Verb("completion", "bash|zsh|fish", (1, 1), "print the completion script of a shell", ""),
    Verb("help", "[VERB]", (0, 1), "explain a verb, or the whole tool", ""),
    Verb("names", "KIND", (1, 1), "", "streams:names"),
)

VERBS: dict[str, Verb] = {name: verb for verb in _VERBS for name in (verb.name, *verb.aliases)}
"""By name and alias. One without a summary is hidden."""
