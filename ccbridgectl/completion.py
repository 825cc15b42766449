"""Completion scripts of bash, zsh and fish, from the table of verbs. Names and ids come from the daemon, silently."""

from __future__ import annotations

from ccbridgectl.grammar import Flag, Verb
from ccbridgectl.manual import visible
from ccbridgectl.table import GLOBALS
from ccbridged.protocol.errors import BridgeError

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """Raises BridgeError ``usage`` for another shell."""
    match shell:
        case "bash":
            return _bash()
        case "zsh":
            return _zsh()
        case "fish":
            return _fish()
        case _:
            raise BridgeError("usage", f"no completion for {shell!r}", f"there is one for {', '.join(SHELLS)}")


def _words(verb: Verb) -> str:
    """What the first operand may be, when that is not for the daemon to say."""
    match verb.name:
        case "completion":
            return " ".join(SHELLS)
        case "help":
            return " ".join(v.name for v in visible())
        case _:
            return ""


def _spellings(flags: tuple[Flag, ...]) -> str:
    return " ".join(name for flag in flags for name in flag.names)


def _valued(verb: Verb | None) -> list[str]:
    flags = (*(verb.flags if verb else ()), *GLOBALS)
    return [name for flag in flags if flag.metavar and flag.kind != "words" for name in flag.names]


def _bash_case(verb: Verb) -> str:
    lines = [f"    {'|'.join((verb.name, *verb.aliases))})"]
    lines += [f'      flags="{_spellings((*verb.flags, *GLOBALS))}"', f'      valued="{" ".join(_valued(verb))}"']
    lines += [f"      kind={verb.completes}"] if verb.completes else []
    lines += [f'      words="{_words(verb)}"'] if _words(verb) else []
    choices = [(name, flag.choices) for flag in verb.flags if flag.choices for name in flag.names]
    if choices:
        lines += [
            '      case "$prev" in',
            *(f'        {n}) words="{" ".join(c)}"; choose=1 ;;' for n, c in choices),
            "      esac",
        ]
    return "\n".join([*lines, "      ;;"])


def _bash() -> str:
    verbs = " ".join(name for verb in visible() for name in (verb.name, *verb.aliases))
    cases = "\n".join(map(_bash_case, visible()))
    return f"""\
# bash completion for ccbridgectl; made by: ccbridgectl completion bash
_ccbridgectl() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  local flags="{_spellings(GLOBALS)}" valued="{" ".join(_valued(None))}"
  local verb="" kind="" words="" choose="" operands=0 i word
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    if [[ $word == -* ]]; then
      [[ " $valued " == *" $word "* ]] && ((i++))
    elif [[ -z $verb ]]; then
      verb=$word
    else
      ((operands++))
    fi
  done
  case "$verb" in
    "") words="{verbs}" ;;
{cases}
  esac
  case "$prev" in
    --color) words="auto always never"; choose=1 ;;
  esac
  if [[ -z $choose && $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -z $choose && " $valued " == *" $prev "* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ -n $choose || $operands -eq 0 ]]; then
    [[ -n $kind && -z $choose ]] && words="$(ccbridgectl names "$kind" 2>/dev/null)"
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}}
complete -o default -F _ccbridgectl ccbridgectl
"""


def _zsh_spec(flag: Flag) -> list[str]:
    text = flag.help.replace("[", "\\[").replace("]", "\\]").replace("'", "'\\''").replace(":", "\\:")
    value = f":{flag.metavar.split()[0].replace(':', '')}:({' '.join(flag.choices)})" if flag.choices else ""
    if flag.metavar and not flag.choices:
        value = f":{flag.metavar.split()[0].replace(':', '').replace('[', '').replace(']', '')}:_files"
    return [f"'{name}[{text}]{value}'" for name in flag.names]


def _zsh_case(verb: Verb) -> str:
    specs = [spec for flag in (*verb.flags, *GLOBALS) for spec in _zsh_spec(flag)]
    if verb.completes:
        specs.append(f"'1:{verb.completes}:_ccbridgectl_names {verb.completes}'")
    elif _words(verb):
        specs.append(f"'1:word:({_words(verb)})'")
    specs.append("'*: : '")
    return f"    {'|'.join((verb.name, *verb.aliases))}) _arguments -S {' '.join(specs)} ;;"


def _zsh() -> str:
    described = "\n".join(f"    '{verb.name}:{verb.summary}'" for verb in visible())
    globals_ = " ".join(spec for flag in GLOBALS for spec in _zsh_spec(flag))
    cases = "\n".join(map(_zsh_case, visible()))
    return f"""\
#compdef ccbridgectl
# zsh completion for ccbridgectl; made by: ccbridgectl completion zsh
_ccbridgectl_names() {{
  local -a found
  found=(${{(f)"$(ccbridgectl names ${{@[-1]}} 2>/dev/null)"}})
  compadd "${{@[1,-2]}}" -a found
}}
_ccbridgectl() {{
  local curcontext=$curcontext state line
  local -a verbs
  verbs=(
{described}
  )
  _arguments -C {globals_} '1: :->verb' '*:: :->rest'
  case $state in
    verb) _describe verb verbs; return ;;
    rest) ;;
    *) return ;;
  esac
  case $line[1] in
{cases}
  esac
}}
if [ "$funcstack[1]" = "_ccbridgectl" ]; then _ccbridgectl "$@"; else compdef _ccbridgectl ccbridgectl; fi
"""


def _fish_flag(flag: Flag, condition: str) -> str:
    text = flag.help.replace("\\", "\\\\").replace("'", "\\'")
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    value = f" -x -a '{' '.join(flag.choices)}'" if flag.choices else " -r" if flag.metavar else ""
    return f"complete -c ccbridgectl{condition} {' '.join(names)}{value} -d '{text}'"


def _fish_verb(verb: Verb) -> list[str]:
    condition = f" -n '__fish_seen_subcommand_from {' '.join((verb.name, *verb.aliases))}'"
    lines = [f"complete -c ccbridgectl -n __fish_use_subcommand -f -a {verb.name} -d '{verb.summary}'"]
    if verb.completes:
        lines.append(f"complete -c ccbridgectl{condition} -f -a '(ccbridgectl names {verb.completes} 2>/dev/null)'")
    elif _words(verb):
        lines.append(f"complete -c ccbridgectl{condition} -f -a '{_words(verb)}'")
    return [*lines, *(_fish_flag(flag, condition) for flag in verb.flags)]


def _fish() -> str:
    lines = ["# fish completion for ccbridgectl; made by: ccbridgectl completion fish"]
    lines += [_fish_flag(flag, "") for flag in GLOBALS]
    for verb in visible():
        lines += _fish_verb(verb)
    return "\n".join([*lines, ""])
