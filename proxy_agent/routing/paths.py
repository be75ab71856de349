"""Path patterns: those of ``VIRTUAL_HOST`` entries, and ``VIRTUAL_PATH``, which is an nginx location."""

import re
from dataclasses import dataclass
from enum import IntEnum

from proxy_agent.routing.expressions import glob, literal, parse_expression

_LONGEST = 1024
_PATH = re.compile(r"/[A-Za-z0-9/._~!$&()*+,;=:@%-]*")
_DEST = re.compile(r"/(?:[A-Za-z0-9/._~+@:=&,;!*-]|%[0-9A-Fa-f]{2})*")
_SAFE = "letters, digits and /._~!$&()+,;=:@%-, other characters percent-encoded"


class PathKind(IntEnum):
    """Kinds of pattern, the one that is asked first coming first; prefixes and globs compete by length."""

    EXACT = 0
    FIRST = 1
    EXPRESSION = 2
    PREFIX = 3
    GLOB = 4
    ALL = 5


@dataclass(frozen=True, order=True)
class PathPattern:
    """Which paths a route is for; the query is no part of it."""

    kind: PathKind
    text: str = ""
    ignore_case: bool = False
    """As in VIRTUAL_HOST; the text is lower case then."""

    @property
    def rank(self) -> tuple[int, int, int, str, bool]:
        """Sorts the more specific pattern first; no two have the same."""
        kind = PathKind.PREFIX if self.kind is PathKind.GLOB else self.kind
        head = self.text.partition("*")[0]
        return kind, -len(head), -len(self.text.replace("*", "")), str(self), self.ignore_case

    @property
    def expression_needed(self) -> bool:
        """Whether no map can look it up."""
        return self.kind in (PathKind.GLOB, PathKind.EXPRESSION)

    @property
    def expression(self) -> str:
        """A prefix, a glob or an expression as HAProxy matches it."""
        match self.kind:
            case PathKind.EXPRESSION:
                return self.text
            case PathKind.GLOB:
                return glob(self.text)
            case _:
                return f"^{literal(self.text)}"

    @property
    def replaceable(self) -> bool:
        """Whether it has a beginning that VIRTUAL_DEST can replace."""
        return self.kind in (PathKind.EXACT, PathKind.FIRST, PathKind.PREFIX, PathKind.ALL)

    def __str__(self) -> str:
        marks = {PathKind.EXACT: "", PathKind.FIRST: "^~", PathKind.EXPRESSION: "~*" if self.ignore_case else "~"}
        return f"{marks.get(self.kind, '')}{self.text}{'*' if self.kind is PathKind.PREFIX else ''}"


ALL_PATHS = PathPattern(PathKind.ALL)


def parse_item_path(text: str) -> PathPattern:
    """The path of a VIRTUAL_HOST entry: the whole path, ``*`` for any run; raises ValueError.

    >>> parse_item_path("/Shop/*")
    PathPattern(kind=<PathKind.PREFIX: 3>, text='/shop/', ignore_case=True)
    """
    if not text:
        return ALL_PATHS
    pattern = re.sub(r"\*+", "*", _checked(text).lower())
    if "*" not in pattern:
        return PathPattern(PathKind.EXACT, pattern, ignore_case=True)
    if pattern.endswith("*") and "*" not in pattern[:-1]:
        return PathPattern(PathKind.PREFIX, pattern[:-1], ignore_case=True)
    return PathPattern(PathKind.GLOB, pattern, ignore_case=True)


def parse_virtual_path(text: str) -> PathPattern:
    """Read VIRTUAL_PATH: a prefix, ``= /x``, ``^~ /x``, ``~ re`` or ``~* re``; raises ValueError.

    >>> parse_virtual_path("~* [.]php$")
    PathPattern(kind=<PathKind.EXPRESSION: 2>, text='[.]php$', ignore_case=True)
    """
    for mark, kind in (("=", PathKind.EXACT), ("^~", PathKind.FIRST)):
        if text.startswith(mark):
            return PathPattern(kind, _literal(text.removeprefix(mark).strip()))
    if text.startswith("~"):
        ignore_case = text.startswith("~*")
        return PathPattern(PathKind.EXPRESSION, parse_expression(text[1 + ignore_case :].strip()), ignore_case)
    prefix = _literal(text)
    return ALL_PATHS if prefix == "/" else PathPattern(PathKind.PREFIX, prefix)


def parse_destination(text: str) -> str:
    """Read VIRTUAL_DEST: the path that takes the place of the matched beginning; raises ValueError."""
    if len(text) > _LONGEST or not _DEST.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a path: write '/' or '/sub/path', of {_SAFE}")
    return text


def _checked(text: str) -> str:
    if len(text) > _LONGEST or not _PATH.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a path: write '/' and then {_SAFE}")
    return text


def _literal(text: str) -> str:
    if "*" in text:
        raise ValueError(f"{text[:40]!r} holds '*': write a prefix such as /api, or ~ and a regular expression")
    return _checked(text)
