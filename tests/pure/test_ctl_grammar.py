"""Command lines to what is meant, or to what is wrong with them."""

import pytest

from ccbridgectl.grammar import Given, Reader
from ccbridgectl.manual import page, usage, visible
from ccbridgectl.table import GLOBALS, VERBS
from ccbridged.protocol.errors import BridgeError


def read(line: str) -> Given:
    return Reader(VERBS, GLOBALS).read(line.split())


def fault(line: str) -> BridgeError:
    with pytest.raises(BridgeError) as raised:
        read(line)
    assert (raised.value.code, raised.value.exit_status) == ("usage", 2)
    return raised.value


@pytest.mark.parametrize(
    "line",
    [
        "history web -n 5",
        "history -n 5 web",
        "history web -n5",
        "history web -n=5",
        "--json history web -n 5",
        "history web -n 1 -n 5",
    ],
)
def test_a_flag_may_be_written_in_every_usual_way(line: str) -> None:
    given = read(line)
    assert (given.verb, given.words, given.count("n")) == ("history", ["web"], 5)


def test_short_flags_may_be_joined_and_the_last_may_have_its_value() -> None:
    given = read("logs web -fn5")
    assert given.has("follow")
    assert given.count("n") == 5


def test_a_value_may_look_like_a_flag_or_be_empty() -> None:
    assert read("deny 41c0 --reason --no-way").text("reason") == "--no-way"
    assert read("deny 41c0 --reason=").text("reason") == ""
    assert read("add w --process --env A=b=c").many("env") == ["A=b=c"]


def test_two_dashes_end_the_flags() -> None:
    assert read("send web -- --json").words == ["web", "--json"]
    given = read("add w --process -- --model opus -- x")
    assert (given.words, given.rest) == (["w"], ["--model", "opus", "--", "x"])


def test_a_dash_is_a_word() -> None:
    assert read("send web -").words == ["web", "-"]


def test_words_go_up_to_the_next_flag() -> None:
    given = read("add w --program claude --process")
    assert (given.many("program"), given.words) == (["claude"], ["w"])
    assert read("add --program=x w --process").many("program") == ["x"]


def test_a_pair_takes_two() -> None:
    assert read("queue web --move f00d 0").many("move") == ["f00d", "0"]
    assert "needs two values" in fault("queue web --move f00d").message


@pytest.mark.parametrize("line", ["send web x --no-wai", "send web x --tim 3", "list --quie", "logs w --foll"])
def test_a_unique_prefix_of_a_flag_is_not_enough(line: str) -> None:
    assert "unknown flag" in fault(line).message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lsit", "did you mean 'list'?"),
        ("sen web", "did you mean 'send'?"),
        ("names-of", "there is no verb"),
        ("send web x --jsn", "did you mean '--json'?"),
        ("send web x -q", "a word that begins with - goes after --"),
        ("wait", "wait needs ID: ccbridgectl wait ID"),
        ("events a b", "does not take 'b'"),
        ("events --since -1", "whole number"),
        ("events --since 99999999999999999999", "whole number"),
        ("events --since ٣", "whole number"),
        ("send w x --timeout 0", "number of seconds"),
        ("send w x --timeout nan", "number of seconds"),
        ("send w x --timeout inf", "number of seconds"),
        ("add w --program --process", "--program needs a value"),
        ("list --json=yes", "takes no value"),
    ],
)
def test_what_is_wrong_is_named(line: str, said: str) -> None:
    assert said in fault(line).message


def test_the_hint_names_the_help_that_explains() -> None:
    assert fault("send web --nope").hint == "see: ccbridgectl send --help"
    assert fault("nope").hint == "see: ccbridgectl --help"


def test_a_hidden_verb_is_not_suggested() -> None:
    assert "names" not in fault("name").message


def test_help_needs_nothing_else() -> None:
    assert read("send --help").has("help")
    assert read("").verb == ""


def test_every_verb_has_a_page_with_its_flags_and_an_example() -> None:
    for verb in visible():
        text = page(verb.name)
        assert usage(verb) in text
        assert "Examples:" in text
        for flag in (*verb.flags, *GLOBALS):
            assert all(name in text for name in flag.names)


def test_no_line_of_the_manual_is_too_long() -> None:
    texts = [page(""), *(page(verb.name) for verb in visible())]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 102


def test_the_help_of_a_verb_that_does_not_exist_is_a_fault() -> None:
    for verb in ("nope", "names"):
        with pytest.raises(BridgeError):
            page(verb)
