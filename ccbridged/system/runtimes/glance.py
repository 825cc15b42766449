"""What is asked of a place's own shell about what Claude Code and the agent need there, and how the answer is read.

One call for all of it. The answer is as trustworthy as the container is: it is bounded, and every value is text to be
shown, or is checked.
"""

from __future__ import annotations

import time

from ccbridged.model.sighting import PYTHON, Inside

LIMIT = 16 * 1024
"""Bytes of an answer."""
_VALUE = 300
"""Characters of a value."""
MODULES = (
    "argparse binascii collections ctypes enum errno fcntl gc hashlib json os platform pwd select selectors signal stat"
    " sys time typing zipimport zlib"
)
"""What the agent uses of the standard library."""

_IMPORTS = """
import sys
version = "%d.%d.%d" % tuple(sys.version_info[:3])
missing = []
if sys.version_info >= {least}:
    for name in sys.argv[1:]:
        try:
            __import__(name)
        except Exception:
            missing.append(name)
print(version + " " + " ".join(missing))
"""

_SCRIPT = """
limited() {
    if command -v timeout >/dev/null 2>&1; then timeout -s KILL 5 "$@"; else "$@"; fi </dev/null
}
say() { printf '%s %s %s\\n' ccbridge "$1" "$2"; }
program=$1 imports=$2 modules=$3 login=$4 link=$5
say uid "$(id -u 2>/dev/null)"
say home "$HOME"
say config "$CLAUDE_CONFIG_DIR"
say clock "$(date +%s 2>/dev/null)"
for manager in apt-get apk dnf microdnf yum zypper pacman; do
    if command -v $manager >/dev/null 2>&1; then say installer $manager; break; fi
done
place=${CLAUDE_CONFIG_DIR:-$HOME}
say free "$(df -Pk "${place:-/}" 2>/dev/null | tail -n 1)"
if command -v python3 >/dev/null 2>&1; then
    say python "$(limited python3 -I -c "$imports" $modules 2>/dev/null | head -c 2000)"
fi
if [ "$link" ]; then say link "$(ls -di "$link" 2>/dev/null)"; fi
found=$(command -v -- "$program" 2>/dev/null)
case $found in /*|./*) say program "$found" ;; esac
case $found in */claude)
    say claude "$(limited "$found" --version 2>/dev/null | head -c 300)"
    if [ "$login" ] && limited "$found" auth status --help 2>/dev/null | grep -q 'claude auth status'; then
        say login "$(limited "$found" auth status 2>/dev/null | head -c 2000 | tr -d ' \\n')"
    fi ;;
esac
say end .
"""


def command(program: str, *, link: str = "", login: bool) -> list[str]:
    """``link``: where the link directory is mounted. ``login``: ask Claude Code too whether it is logged in; an older
    one has no such question, and is not asked."""
    imports = _IMPORTS.format(least=PYTHON)
    return ["sh", "-c", _SCRIPT, "sh", program, imports, MODULES, "login" if login else "", link]


def read(output: str) -> dict[str, str]:
    """What was answered, by name; ``end`` is there if nothing is missing."""
    told: dict[str, str] = {}
    for line in output.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if mark == "ccbridge":
            told.setdefault(name, value.strip()[:_VALUE])
    return told


def inode(told: dict[str, str]) -> int:
    """Of the link directory, as it is seen in there; 0 where it cannot be told."""
    return _number((told.get("link", "").split() or [""])[0], 0)


def inside(told: dict[str, str], took: float) -> Inside:
    """What was answered just now. ``took``: seconds between the question and now."""
    if "end" not in told:
        return Inside(fault="its shell did not answer what it was asked")
    version, *missing = told.get("python", "").split() or [""]
    return Inside(
        uid=_number(told.get("uid", ""), -1),
        home=told.get("home", ""),
        config_dir=told.get("config", ""),
        program=told.get("program", ""),
        claude=told.get("claude", "").partition(" ")[0],
        python=version,
        missing=tuple(missing),
        login=_login(told.get("login", "")),
        ahead=_ahead(_number(told.get("clock", ""), 0), took),
        free=_free(told.get("free", "")),
        installer=told.get("installer", ""),
    )


def _ahead(clock: int, took: float) -> float | None:
    """The whole second of its clock was one of those that passed since the question; only more than that counts."""
    if not clock:
        return None
    now = time.time()
    return clock - now if clock > now else min(clock - (now - took - 1), 0.0)


def _free(row: str) -> int | None:
    """Of a line of ``df -Pk``."""
    cells = row.split()
    kib = _number(cells[3], -1) if len(cells) >= 6 else -1
    return kib * 1024 if kib >= 0 else None


def _login(document: str) -> str:
    return {'"loggedIn":true': "yes", '"loggedIn":false': "no"}.get(document[1:].partition(",")[0], "")


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else otherwise
