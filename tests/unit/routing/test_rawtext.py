"""Raw lines, cut into words as HAProxy cuts them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.rawtext import parse_line, quote, split_file, split_list, write_line


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("option httpclose", ("option httpclose",)),
        (" a b , ,c d,", ("a b", "c d")),
        (r"acl a path /x\,y,b", ("acl a path /x,y", "b")),
        ("first\n  second,third\r\n", ("first", "second", "third")),
    ],
)
def test_a_variable_holds_lines_between_commas_or_line_breaks(text: str, lines: tuple[str, ...]) -> None:
    """A comma of a line's own has a backslash."""
    assert split_list(text) == lines


def test_a_file_holds_a_line_on_each_line() -> None:
    """Commas are its own, and blank lines nothing."""
    assert split_file("a b,c\n\n  d\r\n") == ("a b,c", "d")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ("a", "b", "c")),
        ("a # b", ("a",)),
        ("# a", ()),
        (r"a\ b \# \\ c\"d", ("a b", "#", "\\", 'c"d')),
        (r"^/x\.(.*) \1 \d", (r"^/x\.(.*)", r"\1", r"\d")),
        ("""'a "b" $c' "d 'e'" f'g'"h" ''""", ('a "b" $c', "d 'e'", "fgh", "")),
        (r'"a\n\$b\x20" $c', ("a\n$b ", "$c")),
    ],
)
def test_words_are_cut_as_haproxy_cuts_them(text: str, words: tuple[str, ...]) -> None:
    """Quotes, backslashes and comments, as its manual has them."""
    assert parse_line(text) == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('http-request set-header X "${SECRET}"', "the environment cannot be read here"),
        ('x "$SECRET"', "the environment cannot be read here"),
        ("a 'b", "a quote ' is not closed"),
        ('a "b', 'a quote " is not closed'),
        ("a \\", "it ends in a backslash"),
        (r"a \x00", r"a character is written as \x20 to \x7e"),
        (r"a \x0a", r"a character is written as \x20 to \x7e"),
        ("a\x00b", "it holds a control character"),
        ("a\nb", "it holds a control character"),
        ("a\x7f", "it holds a control character"),
        ("a\udc80", "it holds a control character"),
        ("a" * 2001, "it is longer than 2000 characters"),
        ("a " * 61, "it has more than 60 words"),
    ],
)
def test_a_line_that_could_mislead_is_refused(text: str, reason: str) -> None:
    """Before anything else looks at it."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_line(text)


@given(st.lists(st.text(st.characters(blacklist_categories=("C", "Z"), whitelist_characters=" \n\r\t"), max_size=20)))
def test_what_is_written_is_read_as_the_same_words(words: list[str]) -> None:
    """Whatever they hold."""
    if len(words) <= 60:
        assert parse_line(write_line(words)) == tuple(words)


@given(st.text())
def test_any_text_is_words_or_a_value_error(text: str) -> None:
    """And the words are written on one line, without anything that HAProxy would expand."""
    try:
        line = write_line(parse_line(text))
    except ValueError:
        return
    assert line.isprintable()
    assert parse_line(line) == parse_line(text)


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("option httpclose", "'option httpclose'"),
        ("a" * 70, f"'{'a' * 60}…'"),
        ("http-request set-header Authorization hunter2", "'http-request set-header Authorization …'"),
        ("http-request set-header X-Api-Key hunter2", "'http-request set-header X-Api-Key …'"),
        ("reqadd Cookie:\\ hunter2", "'reqadd Cookie …'"),
    ],
)
def test_a_message_shows_the_beginning_of_a_line_and_no_secret(line: str, quoted: str) -> None:
    """It is for a log that many read."""
    assert quote(line) == quoted
