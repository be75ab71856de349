"""proxy_agent.routing.virtual_host."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_agent.routing.virtual_host import VirtualHost, parse_virtual_host, parse_virtual_hosts

SAFE = re.compile(r"[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\]")
"""What a host looks like in a map: one word, no quote, no blank, nothing that HAProxy's syntax knows."""


def hosts(value: str) -> list[tuple[str, str | None]]:
    """The entries of a whole value, which has no fault."""
    entries, skipped = parse_virtual_hosts(value)
    assert skipped == ()
    return [(entry.host, entry.scheme) for entry in entries]


@given(st.text() | st.text(alphabet="aA1.-*:/[]%,; \t\n#\"'\\{}hptsü。", max_size=30))
@example("a.test\n    server evil 192.0.2.1")
@example("https://a.test,http://b.test x")
@example("://,https://,[::],[fe80::1%eth0]")
@example("https://https://a.test")
@example("a.test\0")
def test_any_text_becomes_safe_hosts_or_reasons(value: str) -> None:
    """Whatever a container asks for, what comes out is a word for a map, or a reason that quotes what went in."""
    entries, skipped = parse_virtual_hosts(value)
    for entry in entries:
        assert SAFE.fullmatch(entry.host), entry
        assert entry.scheme in (None, "http", "https")
        again = f"{entry.scheme}://{entry.host}" if entry.scheme else entry.host
        assert parse_virtual_host(again) == entry, "it reads as itself"
    items = {item.strip() for item in value.split(",")} - {""}
    assert len(entries) + len(skipped) <= len(items) * 2
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


@pytest.mark.parametrize(("scheme", "listeners"), [(None, ("plain", "tls")), ("http", ("plain",)), ("https", ("tls",))])
def test_the_scheme_decides_the_listener(scheme: str | None, listeners: tuple[str, ...]) -> None:
    """No scheme means both."""
    assert VirtualHost("a.test", scheme).listeners == listeners


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("ftp://a.test", "unknown scheme: write http:// or https://, or none for both"),
        ("://a.test", "unknown scheme"),
        ("https://http://a.test", "unknown scheme"),
        ("a.test b.test", "separate hosts with commas"),
        ("a.test;b.test", "separate hosts with commas"),
        ("*.a.test", "is a pattern: write each host out"),
        ("a.test:8080", "accepted is a host name or an IP address"),
        ("a.test/path", "accepted is a host name or an IP address"),
        ("user@a.test", "accepted is a host name or an IP address"),
        ("~^a\\.test$", "accepted is a host name or an IP address"),
        ("*", "accepted is a host name or an IP address"),
        ("[::1%eth0]", "names a network interface"),
    ],
)
def test_a_refused_entry_is_told_what_to_write(item: str, fault: str) -> None:
    """The reason quotes the entry and names the accepted form."""
    with pytest.raises(ValueError, match=re.escape(fault)) as refusal:
        parse_virtual_host(item)
    assert repr(item.rpartition("://")[2])[1:-1] in str(refusal.value)


def test_a_bad_entry_costs_that_entry() -> None:
    """The good ones beside it are served."""
    entries, skipped = parse_virtual_hosts("a.test,ftp://x.test,b c.test,d.test")
    assert [entry.host for entry in entries] == ["a.test", "d.test"]
    assert [reason.reason for reason in skipped] == [
        "'b c.test' holds a blank or a semicolon: separate hosts with commas",
        "'ftp://x.test' has an unknown scheme: write http:// or https://, or none for both",
    ]


def test_a_value_without_end_is_not_read() -> None:
    """A container cannot keep the agent busy, nor fill its log."""
    entries, skipped = parse_virtual_hosts("a.test," * 2000)
    assert entries == ()
    assert [str(reason) for reason in skipped] == ["VIRTUAL_HOST: longer than 8192 characters"]
