"""What the manual says of each verb beyond the table: a paragraph, and examples that work as they stand."""

from __future__ import annotations

SUMMARY = "Send prompts to containerised Claude Code instances, and look after those, through the ccbridged daemon."

EXIT = (
    ("0", "done; for send and wait: succeeded"),
    (
        "1",
        "the program reported failure; health, doctor: something is not well; discover --add: one could not be added",
    ),
    ("2", "wrong usage"),
    ("3", "the instance is not running"),
    ("4", "no such instance, request or approval"),
    ("5", "not permitted"),
    ("6", "cancelled, interrupted or denied"),
    ("7", "uncertain: it may have run; nothing was repeated"),
    ("69", "no daemon"),
    ("75", "busy: queue full, already held"),
    ("78", "bad configuration"),
    ("124", "timed out"),
    ("130", "Ctrl-C"),
)

ENVIRONMENT = (
    ("CCBRIDGED_RUNTIME_DIR", "where the daemon's control FIFO is, unless --runtime-dir says so"),
    ("XDG_RUNTIME_DIR", "the user service's daemon is in its ccbridged; the system service's in /run/ccbridged"),
    ("NO_COLOR", "if not empty, no colour unless --color=always"),
)

NAMES = "A unique prefix of a name or id is enough."

DETAILS: dict[str, tuple[str, tuple[str, ...]]] = {
    "status": (
        "Without NAME: the daemon's version, age and size, how many instances are in each state, and what is not "
        "well. With NAME: the instance's state with its reason and age, its runtime, its transport and why that "
        "one, its agent, session and queue.",
        ("ccbridgectl status", "ccbridgectl status web --json"),
    ),
    "list": (
        "States are stopped, starting, connecting, ready, busy, recovering and failed.",
        ("ccbridgectl list", "ccbridgectl list -q --filter state=ready"),
    ),
    "add": (
        "The instance runs in a container that exists (--container), in one made for it (--image), or as a child "
        "process of this host (--process, by default in the present directory). With --image, login and sessions are "
        "kept on a volume of their own, unless a --volume is mounted on ~/.claude. ARGS are appended to the "
        "program. Values of variables are kept where only the daemon can read them, and are never shown. On "
        "success the name is printed.",
        (
            "ccbridgectl add web --container my-web",
            "ccbridgectl add api --image ccbridge/claude -v ./api:/workspace -e ANTHROPIC_API_KEY --memory 2g",
            "ccbridgectl add here --process -- --model opus",
        ),
    ),
    "remove": (
        "Stops the instance and removes its FIFOs, queue and history, and with --image what was made for it: its "
        "container and the volume with its login and its sessions. A container that ccbridged did not make is left "
        "alone. Asks first; -y answers yes, and is needed where nobody can be asked.",
        ("ccbridgectl remove web", "ccbridgectl rm -y web"),
    ),
    "start": ("Waits until the instance is ready.", ("ccbridgectl start web --container",)),
    "stop": (
        "What is queued stays queued. With --container the container is stopped too.",
        ("ccbridgectl stop web",),
    ),
    "restart": ("The conversation goes on where it was.", ("ccbridgectl restart web",)),
    "send": (
        "The prompt is one argument, a file, or standard input: with -, or when there is no PROMPT and standard "
        "input is no terminal. The answer is printed as it comes; reasons of failure go to standard error. "
        "Prompts wait in the instance's queue while it is busy. Each runs at most once: whatever is killed, it "
        "ends as succeeded, failed, cancelled, timed out or uncertain, and the exit status says which. Ctrl-C "
        "leaves the request running. With --json every event is a line: request, output (as Claude Code said it), "
        "approval, result.",
        (
            'ccbridgectl send web "Why does the build fail?"',
            "git diff | ccbridgectl send web --timeout 600 -",
            "id=$(ccbridgectl send web --no-wait --file task.md) && ccbridgectl wait $id",
        ),
    ),
    "wait": (
        "Prints the answer and ends with the same status as send. With --json only the result is printed.",
        ("ccbridgectl wait 3f2a",),
    ),
    "result": ("Does not wait.", ("ccbridgectl result 3f2a --json",)),
    "cancel": (
        "A request that waits never runs; one that runs is interrupted.",
        ("ccbridgectl cancel 3f2a",),
    ),
    "queue": (
        "",
        ("ccbridgectl queue web", "ccbridgectl queue web --move 3f2a 0", "ccbridgectl queue web --drop 3f2a"),
    ),
    "interrupt": (
        "Says which request stopped and which are still queued; those run next.",
        ("ccbridgectl interrupt web",),
    ),
    "history": ("", ("ccbridgectl history web -n 3", "ccbridgectl history web --json | jq -r '.[].id'")),
    "events": (
        "Every event has a number. A reader that stops goes on with --since and misses nothing, across restarts of "
        "everything.",
        ("ccbridgectl events -f", "ccbridgectl events web --since 120 --json"),
    ),
    "logs": ("", ("ccbridgectl logs web -n 50", "ccbridgectl logs web -f")),
    "approvals": ("", ("ccbridgectl approvals", "ccbridgectl approvals web --json")),
    "approve": (
        "The first answer wins; a later one is told so. Nothing is ever allowed because nobody answered.",
        ("ccbridgectl approve 41c0", "ccbridgectl approve 41c0 --session"),
    ),
    "deny": ("", ('ccbridgectl deny 41c0 --reason "use the staging host"',)),
    "health": (
        "Components are docker_daemon, fifo_pipes, container, agent, program and store.",
        ("ccbridgectl health", "ccbridgectl health --component store --json"),
    ),
    "discover": (
        "All containers of the engine, running or not: Claude Code in them and its version, python3 and its version, "
        "whose link directory is mounted, and for each thing that is lacking docker's flag or the command that mends "
        "it. Into a container that does not run nobody looks. With --add each that lacks nothing and is no instance "
        "yet becomes one, with the name of its link directory; what was not added is said, and why. A container that "
        "does not answer within 10 seconds is said to be so.",
        ("ccbridgectl discover", "ccbridgectl discover --add", "ccbridgectl discover --json | jq '.[].lacks'"),
    ),
    "doctor": (
        "A line for each check, and below it the command that mends what is wrong. Advice is what works and will hurt "
        "some day; it does not count for the exit status, which is 0 if nothing is wrong, 1 if something is, and 69 if "
        "there is no daemon: then it is said what can be seen without one. Claude Code is asked whether it is logged "
        "in.",
        ("ccbridgectl doctor", "ccbridgectl doctor --json | jq '.checks[] | select(.ok | not)'"),
    ),
    "completion": (
        "Completes verbs, flags, names of instances and live ids; says nothing when the daemon is down.",
        (
            "ccbridgectl completion bash > ~/.local/share/bash-completion/completions/ccbridgectl",
            'ccbridgectl completion zsh > "${fpath[1]}/_ccbridgectl"',
            "ccbridgectl completion fish > ~/.config/fish/completions/ccbridgectl.fish",
        ),
    ),
    "help": ("", ("ccbridgectl help send",)),
}
