"""Names that a certificate can carry: DNS names, wildcards and IP addresses, each in one canonical spelling."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NewType

import idna

DnsName = NewType("DnsName", str)
"""A lower-case A-label name such as ``www.example.com`` or ``*.example.com``; no trailing dot, no port."""

Identifier = DnsName | IPv4Address | IPv6Address
"""What a certificate is for, in ACME's word (RFC 8555 section 9.7.7, RFC 8738)."""

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_LONGEST_NAME = 253


def parse_identifier(text: str) -> Identifier:
    """Read one name or IP address; raises ValueError quoting *text* and saying what is wrong with it.

    >>> parse_identifier("Bücher.Example")
    'xn--bcher-kva.example'
    >>> parse_identifier("[2001:DB8::1]")
    IPv6Address('2001:db8::1')
    >>> parse_identifier("exa mple.com")
    Traceback (most recent call last):
    ValueError: 'exa mple.com' is not a host name: 'exa mple' holds a character other than letters, digits and '-'
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        return parse_dns_name(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        # The zone may hold any character (RFC 4007 section 11.2) and means something on its own host only.
        raise ValueError(f"{text[:100]!r} is not an IP address others can use: it names a network interface after '%'")
    return address


def parse_dns_name(text: str) -> DnsName:
    """Read a host name or a wildcard, Unicode allowed (IDNA 2008); raises ValueError as parse_identifier does."""
    wildcard = text.startswith("*.")
    labels = _a_labels(text.removeprefix("*."), text)
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{text[:100]!r} is not a host name: {_fault(label)}")
    if labels[-1].isdigit():
        raise ValueError(
            f"{text[:100]!r} is not a host name: its last part is a number, and it is no IP address either"
        )
    name = ".".join(["*", *labels] if wildcard else labels)
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"{text[:40]!r}… is not a host name: longer than {_LONGEST_NAME} characters")
    return DnsName(name)


def _a_labels(name: str, text: str) -> list[str]:
    if name.isascii():
        return name.lower().split(".")
    try:
        return idna.encode(name, uts46=True).decode("ascii").split(".")
    except idna.IDNAError as error:
        raise ValueError(f"{text[:100]!r} is not a host name: {str(error)[:200]}") from None


def _fault(label: str) -> str:
    if not label:
        return "two dots in a row, or one at an end"
    if len(label) > 63:  # noqa: PLR2004 - RFC 1035 section 2.3.4
        return f"a part longer than 63 characters ({label[:20]}…)"
    if label.startswith("-") or label.endswith("-"):
        return f"{label!r} begins or ends with '-'"
    if "*" in label:
        return "'*' may only stand for the whole first part"
    return f"{label!r} holds a character other than letters, digits and '-'"


def is_wildcard(identifier: Identifier) -> bool:
    """Whether *identifier* stands for every name one label below it."""
    return isinstance(identifier, str) and identifier.startswith("*.")


def covers(identifier: Identifier, name: Identifier) -> bool:
    """Whether a certificate for *identifier* is good for *name*: equal, or a wildcard one label up (RFC 9525 6.3).

    >>> covers(DnsName("*.example.com"), DnsName("a.example.com"))
    True
    >>> covers(DnsName("*.example.com"), DnsName("a.b.example.com"))
    False
    """
    if identifier == name:
        return True
    if not (isinstance(identifier, str) and isinstance(name, str)):
        return False
    _, _, parent = name.partition(".")
    return is_wildcard(identifier) and identifier[2:] == parent
