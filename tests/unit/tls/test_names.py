"""proxy_agent.tls.names."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_agent.tls.names import DnsName, Identifier, covers, is_wildcard, parse_dns_name, parse_identifier

LABEL = st.text("ab0-", min_size=1, max_size=5).map(lambda text: f"a{text}0")
HOST = st.builds(lambda labels: DnsName(".".join([*labels, "test"])), st.lists(LABEL, min_size=1, max_size=3))


@given(text=st.text() | st.text(alphabet="aA1-.*:[]%ü。\n \0", max_size=20))
@example("a.example\n")
@example("fe80::1%eth0\nglobal")
@example("example。com")
@example("[1.2.3.4]")
@example("xn--")
@example("\u200d.example")
@example("ß.example")
@example("a." * 130)
def test_any_text_becomes_a_canonical_identifier_or_is_quoted(text: str) -> None:
    """Whatever stands there becomes a value that is one clean word and reads as itself, or is refused by quotation."""
    identifier = _parsed_or_quoted(text)
    if identifier is None:
        return
    word = str(identifier)
    assert word.isascii(), "a host name is sent in ASCII"
    assert word.isprintable(), "no control character passes"
    assert " " not in word, "no blank passes"
    assert parse_identifier(word) == identifier, "the canonical spelling is read as itself"


def _parsed_or_quoted(text: str) -> Identifier | None:
    refusal = ""
    try:
        return parse_identifier(text)
    except ValueError as error:
        refusal = str(error)
    assert repr(text[:40])[:-1] in refusal, "the reason quotes what was written"
    return None


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("WWW.Example.COM", "www.example.com"),
        ("*.example.com", "*.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("3com.example", "3com.example"),
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("[2001:DB8:0::1]", IPv6Address("2001:db8::1")),
        ("a" * 63 + ".test", "a" * 63 + ".test"),
    ],
)
def test_each_spelling_has_one_value(text: str, identifier: Identifier) -> None:
    """Case, Unicode and brackets are spellings of one canonical value."""
    assert parse_identifier(text) == identifier


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "two dots in a row, or one at an end"),
        ("a..test", "two dots in a row, or one at an end"),
        (".a.test", "two dots in a row, or one at an end"),
        ("a.test.", "two dots in a row, or one at an end"),
        ("a" * 64 + ".test", "longer than 63 characters"),
        (".".join(["a" * 60] * 5), "longer than 253 characters"),
        ("-a.test", "begins or ends with '-'"),
        ("a-.test", "begins or ends with '-'"),
        ("under_score.test", "a character other than letters, digits and '-'"),
        ("a.*.test", "'*' may only stand for the whole first part"),
        ("w*.test", "'*' may only stand for the whole first part"),
        ("*", "'*' may only stand for the whole first part"),
        ("a.test:443", "a character other than letters, digits and '-'"),
        ("256.1.1.1", "its last part is a number, and it is no IP address either"),
        ("1.2.3", "its last part is a number, and it is no IP address either"),
        ("fe80::1%eth0", "names a network interface"),
    ],
)
def test_the_reason_names_the_fault(text: str, fault: str) -> None:
    """A refused name is told what is wrong with it, not only that something is."""
    with pytest.raises(ValueError, match="is not") as refusal:
        parse_identifier(text)
    assert fault in str(refusal.value)


def test_an_address_is_no_dns_name() -> None:
    """Where only a host name will do, an address is refused."""
    with pytest.raises(ValueError, match="its last part is a number"):
        parse_dns_name("192.0.2.1")


@given(host=HOST)
def test_a_wildcard_covers_exactly_one_label(host: DnsName) -> None:
    """``*.X`` is good for one label below X: not for X, and not for two."""
    wildcard = DnsName(f"*.{host}")
    assert is_wildcard(wildcard), "it is one"
    assert covers(wildcard, DnsName(f"a.{host}")), "one label"
    assert not covers(wildcard, host), "no label"
    assert not covers(wildcard, DnsName(f"b.a.{host}")), "two labels"


@given(host=HOST)
def test_every_name_covers_itself_and_no_address(host: DnsName) -> None:
    """A certificate for a name is good for that name, and never for an address."""
    assert covers(host, host), "itself"
    assert not covers(host, IPv4Address("192.0.2.1")), "no address"
    assert not covers(IPv4Address("192.0.2.1"), host), "and the other way round"
    assert not is_wildcard(host), "a host name stands for itself alone"


def test_an_address_covers_itself_alone() -> None:
    """Addresses are compared as values."""
    assert covers(IPv6Address("2001:db8::1"), IPv6Address("2001:db8:0::1")), "two spellings of one"
    assert not covers(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")), "two addresses"
