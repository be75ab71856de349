"""DOMAINS: which certificates are wanted, and for which names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.names import Identifier, is_wildcard, parse_identifier

ACCEPTS = "certificates parted by ';', the names of each by ',': www.example.com,example.com;192.0.2.7"

_WILDCARD = "a wildcard is validated over DNS only, and here names are validated over HTTP; list its names one by one"


BY_COMMAND = "the command issue"
"""Stands among the services of a lineage that the operator asked for."""


@dataclass(frozen=True)
class Lineage:
    """One certificate with all its successors, in certbot's word."""

    name: str
    """certbot's ``--cert-name`` and the stem of every file: the first name, safe in a path and on a command line."""
    identifiers: tuple[Identifier, ...]
    """What the certificate is for, each once, in the operator's order."""
    words: tuple[str, ...] = field(default=(), repr=False)
    """Options of certbot for this one alone, which come after those of OPTIONS; there may be secrets among them."""
    email: str | None = None
    """In place of EMAIL."""
    services: tuple[str, ...] = field(default=(), compare=False)
    """Whose containers want it; none where DOMAINS does."""

    def __str__(self) -> str:
        return ", ".join(str(identifier) for identifier in self.identifiers)

    @property
    def is_discovered(self) -> bool:
        """Whether containers want it, and nobody wrote down its names as what they must be."""
        return bool(self.services) and self.services != (BY_COMMAND,)

    @property
    def title(self) -> str:
        """The names, and for whom they are."""
        return f"{self} (wanted by {', '.join(self.services)})" if self.services else str(self)


@dataclass(frozen=True)
class Wanted:
    """What DOMAINS asks for, and what in it had to be left out."""

    lineages: tuple[Lineage, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def parse_domains(text: str) -> Wanted:
    r"""Read DOMAINS; never fails as a whole: what cannot be used is skipped with its reason and the rest goes on.

    >>> for lineage in parse_domains("example.com, www.example.com; 192.0.2.7").lineages: print(lineage)
    example.com, www.example.com
    192.0.2.7
    >>> print(*parse_domains("*.example.com, exa_mple.com").skipped, sep="\n")  # doctest: +ELLIPSIS
    *.example.com: a wildcard is validated over DNS only, ...
    exa_mple.com: not a host name: 'exa_mple' holds a character other than letters, digits and '-'
    """
    lineages: dict[str, Lineage] = {}
    skipped: list[Skipped] = []
    for group in _items(text, ";"):
        identifiers = tuple(_identifiers(group, skipped))
        if not identifiers:
            continue
        lineage = Lineage(lineage_name(identifiers[0]), identifiers)
        if lineage.name in lineages:
            skipped.append(Skipped(str(lineage), f"{identifiers[0]} already begins an earlier certificate"))
        else:
            lineages[lineage.name] = lineage
    return Wanted(tuple(lineages.values()), tuple(skipped))


def lineage_name(identifier: Identifier) -> str:
    """The name of the lineage that begins with *identifier*: itself, but for the colons of IPv6.

    >>> from ipaddress import ip_address
    >>> lineage_name(ip_address("2001:db8::1"))
    'ipv6-2001-db8--1'
    """
    text = str(identifier)
    return f"ipv6-{text.replace(':', '-')}" if ":" in text else text


def parse_lineage_name(text: str) -> str:
    """Read what lineage_name() may have made; raises ValueError quoting *text*.

    >>> parse_lineage_name("../renewal")
    Traceback (most recent call last):
    ValueError: '../renewal' is not the name of a certificate: write its first name, like www.example.com
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", text):
        raise ValueError(f"{text[:40]!r} is not the name of a certificate: write its first name, like www.example.com")
    return text


def _identifiers(group: str, skipped: list[Skipped]) -> Iterator[Identifier]:
    """The usable names of one certificate, each once; adds the others to *skipped*."""
    seen: set[Identifier] = set()
    for item in _items(group, ","):
        try:
            identifier = parse_identifier(item)
        except ValueError as error:
            shown = item if item.isprintable() else repr(item)
            skipped.append(Skipped(shown, str(error).removeprefix(f"{item!r} is ")))
            continue
        if is_wildcard(identifier):
            skipped.append(Skipped(item, _WILDCARD))
        elif identifier not in seen:
            seen.add(identifier)
            yield identifier


def _items(text: str, separator: str) -> Iterator[str]:
    return (item.strip() for item in text.split(separator) if item.strip())
