"""proxy_agent.routing.virtual_host."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_agent.routing.expressions import glob
from proxy_agent.routing.hosts import parse_host
from proxy_agent.routing.virtual_host import parse_virtual_host, parse_virtual_hosts

HOST = re.compile(r"[a-z0-9.*_-]{0,253}|\[[0-9a-f:.]{2,45}\]|~[!-&(-~]{1,256}")
"""What a host looks like: one word without a quote."""
PATH = re.compile(r"(/[a-z0-9/._~!$&()*+,;=:@%-]*)?")


def hosts(value: str) -> list[tuple[str, str | None]]:
    """The entries of a whole value, which has no fault."""
    entries, skipped = parse_virtual_hosts(value)
    assert skipped == ()
    return [(entry.host.text, entry.scheme) for entry in entries]


def parsed(item: str) -> list[tuple[str, str | None, int | None, str]]:
    """Host, scheme, port and path of one entry."""
    return [(entry.host.text, entry.scheme, entry.port, str(entry.path)) for entry in parse_virtual_host(item)]


@given(st.text() | st.text(alphabet="aA1.-*:/[]%,; \t\n#\"'\\{}hptwsü。~^$()?=_@", max_size=30))
@example("a.test\n    server evil 192.0.2.1")
@example("https://a.test,http://b.test x")
@example("://,https://,[::],[fe80::1%eth0]")
@example("https://https://a.test")
@example("a.test\0")
@example("~[[a]")
@example("a.test/'x")
def test_any_text_becomes_safe_entries_or_reasons(value: str) -> None:
    """Whatever a container asks for, what comes out are words for maps, or a reason that quotes what went in."""
    entries, skipped = parse_virtual_hosts(value)
    for entry in entries:
        assert HOST.fullmatch(entry.host.text), entry
        assert PATH.fullmatch(entry.path.text), entry
        assert entry.scheme in (None, "http", "https", "ws", "wss")
        assert entry.port is None or 0 < entry.port < 65536
    items = {item.strip() for item in re.split(r"(?<!\\),", value)} - {""}
    assert bool(entries or skipped) is bool(items), "nothing is dropped without a word"
    assert all(reason.what == "VIRTUAL_HOST" for reason in skipped)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.test", [("a.test", None)]),
        ("a.test,b.test", [("a.test", None), ("b.test", None)]),
        (" b.test ,\n a.test ,, ", [("a.test", None), ("b.test", None)]),
        ("A.Test,a.test", [("a.test", None)]),
        ("http://a.test", [("a.test", "http")]),
        ("HTTPS://a.test", [("a.test", "https")]),
        ("http://a.test,https://a.test", [("a.test", "http"), ("a.test", "https")]),
        ("192.0.2.1", [("192.0.2.1", None)]),
        ("[2001:DB8::1]", [("[2001:db8::1]", None)]),
        ("2001:db8::1", [("[2001:db8::1]", None)]),
        ("bücher.test", [("xn--bcher-kva.test", None)]),
        ("", []),
        (" , ", []),
    ],
)
def test_entries_are_sorted_and_canonical(value: str, expected: list[tuple[str, str | None]]) -> None:
    """Blanks, case, order and repetitions are spellings of one list."""
    assert hosts(value) == expected


def test_a_host_with_and_without_scheme_means_plain_http_by_the_latter() -> None:
    """The dialect of dockercloud/haproxy spells both listeners out, and asks for no redirect."""
    assert hosts("https://a.test, a.test") == [("a.test", "http"), ("a.test", "https")]
    assert hosts("https://a.test, b.test") == [("a.test", "https"), ("b.test", None)], "other hosts are not meant"
    assert hosts("http://a.test, a.test") == [("a.test", None), ("a.test", "http")]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("*.a.test", [("*.a.test", None, None, "")]),
        (".a.test", [("a.test", None, None, ""), ("*.a.test", None, None, "")]),
        ("www.a.*", [("www.a.*", None, None, "")]),
        ("w**w.A.test", [("w*w.a.test", None, None, "")]),
        ("*", [("*", None, None, "")]),
        ("**", [("*", None, None, "")]),
        ("a_b.test", [("a_b.test", None, None, "")]),
        ("_dmarc.test", [("_dmarc.test", None, None, "")]),
        ("/Path", [("", None, None, "/path")]),
        ("a.test:8080", [("a.test", None, 8080, "")]),
        ("WSS://a.test:8443/Chat/*", [("a.test", "wss", 8443, "/chat/*")]),
        ("ws://a.test", [("a.test", "ws", None, "")]),
        (":8080/x", [("", None, 8080, "/x")]),
        ("192.0.2.1:81/x", [("192.0.2.1", None, 81, "/x")]),
        ("[2001:db8::1]:81", [("[2001:db8::1]", None, 81, "")]),
        ("a.test/*.js", [("a.test", None, None, "/*.js")]),
        ("a.test/x?u=http://y", [("a.test", None, None, "/x")]),
        ("a.test/x;v=1", [("a.test", None, None, "/x")]),
        ("a.test/x\\,y", [("a.test", None, None, "/x,y")]),
        (r"~^(www|api)\.a\.test$", [(r"~^(www|api)\.a\.test$", None, None, "")]),
    ],
)
def test_the_whole_grammar(item: str, expected: list[tuple[str, str | None, int | None, str]]) -> None:
    """Patterns, ports and paths, in one canonical spelling."""
    assert parsed(item) == expected


def test_a_comma_may_stand_in_an_expression() -> None:
    """A backslash before it keeps it from parting entries."""
    assert hosts(r"~^a{1\,3}$,b.test") == [("b.test", None), ("~^a{1,3}$", None)]


@pytest.mark.parametrize(
    ("item", "doubt"),
    [
        ("a.test/x?y", "is served without what follows '?', '#' or ';'"),
        ("a.test/", "is the root page alone: drop the slash for the whole site"),
    ],
)
def test_what_is_served_otherwise_than_written_is_said(item: str, doubt: str) -> None:
    """It is served all the same."""
    entries, (reason,) = parse_virtual_hosts(item)
    assert len(entries) == 1
    assert doubt in reason.reason


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("ftp://a.test", "unknown scheme: write http://, https://, ws:// or wss://, or none for both"),
        ("://a.test", "unknown scheme"),
        ("https://http://a.test", "lacks '//' after its scheme"),
        ("https:a.test", "lacks '//' after its scheme"),
        ("a.test b.test", "separate hosts with commas"),
        ("a.test;b.test", "separate hosts with commas"),
        ("a.test/x y", "separate hosts with commas"),
        ("a.test:", "'' is not a port: write one number from 1 to 65535"),
        ("a.test:abc", "'abc' is not a port"),
        ("a.test:99999", "'99999' is not a port"),
        ("a.test:80:81", "write an IPv6 address in brackets"),
        ("user@a.test", "names a user: write the host alone"),
        ("u:p@a.test", "names a user: write the host alone"),
        ("http:///x", "names no host: write one after the scheme, or the path alone"),
        ("https://", "names no host"),
        ("w*.a(b.test", "is no host pattern"),
        ("*.a.b.c.d.e.f.g.h.i.j.k", "before a name of few parts"),
        ("a.test/ü", "other characters percent-encoded"),
        ("~(", "is not a regular expression"),
        ("~" + "a" * 257, "1 to 256 characters"),
        ("~^a b$", "write \\s or . instead"),
        (r"~(a)\1", "goes beyond what is accepted"),
        ("~" + "[ab]" * 24 + r"{999}", "counts too far"),
        ("~}", "goes beyond what is accepted"),
        ("[::1%eth0]", "names a network interface"),
    ],
)
def test_a_refused_entry_is_told_what_to_write(item: str, fault: str) -> None:
    """The reason quotes the entry and names the accepted form."""
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_virtual_host(item)


def test_a_bad_entry_costs_that_entry() -> None:
    """The good ones beside it are served."""
    entries, skipped = parse_virtual_hosts("a.test,ftp://x.test,b c.test,d.test")
    assert [entry.host.text for entry in entries] == ["a.test", "d.test"]
    assert [reason.reason for reason in skipped] == [
        "'b c.test' holds a blank or a semicolon: separate hosts with commas",
        "'ftp://x.test' has an unknown scheme: write http://, https://, ws:// or wss://, or none for both",
    ]


def test_a_value_without_end_is_not_read() -> None:
    """A container cannot keep the agent busy, nor fill its log."""
    entries, skipped = parse_virtual_hosts("a.test," * 2000)
    assert entries == ()
    assert [str(reason) for reason in skipped] == ["VIRTUAL_HOST: longer than 8192 characters"]


@pytest.mark.parametrize(
    "expression",
    ["(a+)+", "(a|b)*", "(?:x{1,20})+y", "a*b*c*d*", "a+b+c+d{2,}", "((a?b*)c)+", r"(\d+\.)*x", "a{1,50}b*c*d*"],
)
def test_an_expression_that_could_take_for_ever_is_refused(expression: str) -> None:
    """A request that it is held against would keep all others waiting."""
    with pytest.raises(ValueError, match=r"repeats a group that holds|more than 3 open-ended"):
        parse_host(f"~{expression}")


@pytest.mark.parametrize(
    "expression", ["^(www|api)[0-9]+[.]a$", r"^(.+\.)?a$", "^.*-.*$", "(ab)+", "[(+*]+|x", "a{3}(?=b+)"]
)
def test_ordinary_expressions_are_taken(expression: str) -> None:
    """Repetitions of characters, optional groups, alternatives."""
    assert parse_host(f"~{expression}").text == f"~{expression}"


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_a_glob_finds_what_stars_mean(pattern: str, text: str) -> None:
    """Though it never goes back: the same as with every run tried."""
    every_run = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text)
    assert bool(re.search(glob(pattern), text)) == bool(every_run)
