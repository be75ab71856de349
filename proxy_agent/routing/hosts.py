"""Host patterns: a name, ``*.name``, names with ``*`` anywhere, ``~expression``, or any host."""

import re
from dataclasses import dataclass
from enum import IntEnum

from proxy_agent.routing.expressions import glob, parse_expression
from proxy_agent.tls.names import parse_identifier

_MOST_LABELS = 10
"""Of the name after ``*.``: each length in use costs every request that no exact host answers one look-up."""
_GLOB = re.compile(r"[a-z0-9._*-]{1,253}")


class HostKind(IntEnum):
    """Kinds of pattern, the one that is asked first coming first."""

    EXACT = 0
    BELOW = 1
    GLOB = 2
    EXPRESSION = 3
    ANY = 4


@dataclass(frozen=True, order=True)
class HostPattern:
    """Which hosts an entry is for."""

    kind: HostKind
    text: str
    """As in a Host header, lower case, IPv6 in brackets; ``*.example.com``; ``*`` for any, empty for none too."""

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sorts the more specific pattern first; no two have the same."""
        return self.kind, -len(self.text.replace("*", "")), self.text

    @property
    def labels(self) -> int:
        """How many labels the name after ``*.`` has."""
        return self.text.count(".")

    @property
    def expression_needed(self) -> bool:
        """Whether no map can look it up."""
        return self.kind in (HostKind.GLOB, HostKind.EXPRESSION)

    @property
    def expression(self) -> str:
        """A glob or an expression as HAProxy matches it, without regard to case."""
        return self.text[1:] if self.kind is HostKind.EXPRESSION else glob(self.text)

    def __str__(self) -> str:
        return self.text or "any host"


def parse_host(text: str) -> HostPattern:
    """Read one pattern; raises ValueError quoting it and naming the accepted form.

    >>> parse_host("*.Example.com")
    HostPattern(kind=<HostKind.BELOW: 1>, text='*.example.com')
    >>> parse_host("")
    HostPattern(kind=<HostKind.ANY: 4>, text='')
    """
    if text.startswith("~"):
        return HostPattern(HostKind.EXPRESSION, f"~{parse_expression(text[1:])}")
    if text in {"", "*"}:
        return HostPattern(HostKind.ANY, text)
    if text.startswith("*.") and "*" not in text[1:]:
        name = _name(text[2:])
        if name.startswith("[") or name.count(".") >= _MOST_LABELS:
            raise ValueError(f"{text[:100]!r} is no pattern that is served: write '*.' before a name of few parts")
        return HostPattern(HostKind.BELOW, f"*.{name}")
    if "*" in text:
        return _glob(text)
    return HostPattern(HostKind.EXACT, _name(text))


def _glob(text: str) -> HostPattern:
    pattern = re.sub(r"\*+", "*", text.lower())
    if not _GLOB.fullmatch(pattern):
        raise ValueError(
            f"{text[:100]!r} is no host pattern: write letters, digits, '.', '-', '_' and '*' (Unicode as xn--)"
        )
    return HostPattern(HostKind.ANY if pattern == "*" else HostKind.GLOB, pattern)


def _name(text: str) -> str:
    """A name or an address; unlike a certificate, a Host header may hold an underscore."""
    if text.isascii() and "_" in text:
        try:
            parse_identifier(text.replace("_", "x"))
        except ValueError:
            raise ValueError(f"{text[:100]!r} is not a host name") from None
        return text.lower()
    identifier = parse_identifier(text)
    if isinstance(identifier, str):
        return str(identifier)
    return str(identifier) if identifier.version == 4 else f"[{identifier}]"  # noqa: PLR2004
