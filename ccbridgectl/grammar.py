"""Arguments to a checked ``Given``, by the table of verbs; as docker and gh read theirs.

``--flag value``, ``--flag=value``, ``-n 5``, ``-n5``, ``-fn5``; flags anywhere, ``--`` ends them. No abbreviations: a
script must not change its meaning when a flag is added. Not argparse, which costs as much as a whole short call.
"""

from __future__ import annotations

from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Flag:
    """``names``: all spellings, the key last. ``metavar``: "" for one without a value.

    ``kind``: text, count (a natural number), seconds (above 0), many (may be repeated), pair (two values),
    words (all up to the next flag).
    """

    __slots__ = ("choices", "help", "key", "kind", "metavar", "names")

    def __init__(self, names: str, metavar: str, help_: str, kind: str = "text", choices: tuple[str, ...] = ()) -> None:
        self.names = tuple(names.split())
        self.key = self.names[-1].lstrip("-")
        self.metavar = metavar
        self.help = help_
        self.kind = kind
        self.choices = choices


class Verb:
    """``operands``: as in the usage line; ``words``: how many there are, least and most. ``rest``: what follows ``--``,
    if that is no operand. ``runs``: module and function. ``completes``: what the operand is, for completion."""

    __slots__ = ("aliases", "completes", "flags", "least", "most", "name", "operands", "rest", "runs", "summary")

    def __init__(
        self,
        names: str,
        operands: str,
        words: tuple[int, int],
        summary: str,
        runs: str,
        *,
        flags: tuple[Flag, ...] = (),
        rest: str = "",
        completes: str = "",
    ) -> None:
        self.name, *self.aliases = names.split()
        self.operands = operands
        self.least, self.most = words
        self.summary = summary
        self.runs = runs
        self.flags = flags
        self.rest = rest
        self.completes = completes


class Given:
    """A checked command line: the verb, its words, what followed ``--`` where that is apart, and its flags' values."""

    __slots__ = ("rest", "values", "verb", "words")

    def __init__(self, verb: str, words: list[str], rest: list[str], values: dict[str, list[str]]) -> None:
        self.verb = verb
        self.words = words
        self.rest = rest
        self.values = values

    def has(self, key: str) -> bool:
        return key in self.values

    def text(self, key: str, default: str = "") -> str:
        """The last value given: a later flag overrides an earlier one."""
        return self.values[key][-1] if key in self.values else default

    def many(self, key: str) -> list[str]:
        return self.values.get(key, [])

    def count(self, key: str) -> int:
        return int(self.text(key, "0"))

    def seconds(self, key: str) -> float:
        return float(self.text(key, "0"))

    def word(self, index: int = 0) -> str:
        return self.words[index] if index < len(self.words) else ""


class Reader:
    """One pass over the arguments. ``globals_`` are known before the verb is."""

    def __init__(self, verbs: dict[str, Verb], globals_: Sequence[Flag]) -> None:
        self.verbs = verbs
        self.globals = globals_
        self.verb: Verb | None = None
        self.known: dict[str, Flag] = {name: flag for flag in globals_ for name in flag.names}
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.rest: list[str] = []

    def read(self, argv: Sequence[str]) -> Given:
        """Raises BridgeError ``usage``. The verb is "" where none was given."""
        left = list(reversed(argv))
        while left:
            token = left.pop()
            if token == "--":
                self._after_dashes(left[::-1])
                break
            if token.startswith("--"):
                self._long(token, left)
            elif token.startswith("-") and token != "-":
                self._short(token, left)
            else:
                self._word(token)
        if self.verb is None or self.values.keys() & {"help", "version"}:
            return Given(self.verb.name if self.verb else "", self.words, self.rest, self.values)
        self._check_words(self.verb)
        return Given(self.verb.name, self.words, self.rest, self.values)

    def _after_dashes(self, words: list[str]) -> None:
        if self.verb is None or not self.verb.rest:
            for word in words:
                self._word(word)
        else:
            self.rest = words

    def _word(self, word: str) -> None:
        if self.verb is not None:
            self.words.append(word)
        elif word in self.verbs:
            self.verb = self.verbs[word]
            self.known.update({name: flag for flag in self.verb.flags for name in flag.names})
        else:
            raise self._unknown_verb(word)

    def _long(self, token: str, left: list[str]) -> None:
        name, equals, value = token.partition("=")
        flag = self._flag(name)
        if equals and not flag.metavar:
            raise self._usage(f"{name} takes no value")
        self._take(flag, name, value if equals else None, left)

    def _short(self, token: str, left: list[str]) -> None:
        """A cluster: all but the last are without values, which the last may have attached."""
        letters = token[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            flag = self._flag(name)
            if flag.metavar:
                self._take(flag, name, letters.removeprefix("=") if letters else None, left)
                return
            self._take(flag, name, None, left)

    def _flag(self, name: str) -> Flag:
        flag = self.known.get(name)
        if flag is None:
            raise self._unknown_flag(name)
        return flag

    def _take(self, flag: Flag, name: str, value: str | None, left: list[str]) -> None:
        if not flag.metavar:
            self.values[flag.key] = []
            return
        attached = value is not None
        if value is None:
            if not left or (flag.kind == "words" and left[-1].startswith("-")):
                raise self._usage(f"{name} needs a value: {name} {flag.metavar}")
            value = left.pop()
        self.values.setdefault(flag.key, []).append(self._checked(flag, name, value))
        if flag.kind == "pair":
            if not left:
                raise self._usage(f"{name} needs two values: {name} {flag.metavar}")
            self.values[flag.key].append(left.pop())
        while flag.kind == "words" and not attached and left and not left[-1].startswith("-"):
            self.values[flag.key].append(left.pop())

    def _checked(self, flag: Flag, name: str, value: str) -> str:
        if flag.kind == "count" and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise self._usage(f"{name}: {value!r} is not a whole number from 0 up")
        if flag.kind == "seconds" and not _is_seconds(value):
            raise self._usage(f"{name}: {value!r} is not a number of seconds above 0")
        if flag.choices and value not in flag.choices:
            raise self._usage(f"{name}: {value!r} is none of {', '.join(flag.choices)}")
        return value

    def _check_words(self, verb: Verb) -> None:
        if len(self.words) < verb.least:
            missing = verb.operands.split()[len(self.words)].strip("[]")
            raise self._usage(f"{verb.name} needs {missing}: ccbridgectl {verb.name} {verb.operands}")
        if len(self.words) > verb.most:
            surplus = self.words[verb.most]
            advice = "; put a prompt of several words in quotes" if verb.name == "send" else ""
            raise self._usage(f"{verb.name} does not take {surplus!r}: ccbridgectl {verb.name} {verb.operands}{advice}")

    def _unknown_verb(self, word: str) -> BridgeError:
        from ccbridgectl.text import nearest

        meant = nearest(word, [name for name, verb in self.verbs.items() if verb.summary])
        said = f"; did you mean {meant!r}?" if meant else ""
        return BridgeError("usage", f"there is no verb {word!r}{said}", "see: ccbridgectl --help")

    def _unknown_flag(self, name: str) -> BridgeError:
        from ccbridgectl.text import nearest

        meant = nearest(name, list(self.known))
        advice = "a word that begins with - goes after --" if self.verb else "the flags of a verb go after it"
        said = f"; did you mean {meant!r}?" if meant else f"; {advice}"
        return self._usage(f"unknown flag {name!r}{said}")

    def _usage(self, message: str) -> BridgeError:
        return BridgeError("usage", message, f"see: ccbridgectl {self.verb.name + ' ' if self.verb else ''}--help")


def _is_seconds(value: str) -> bool:
    try:
        return 0 < float(value) < 1e9
    except ValueError:
        return False
