"""DEFAULT_ROOT: the answer to a path that nobody serves, of a host that somebody does."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from proxy_agent.routing.values import haproxy_word

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_VARIABLES = {"scheme": "%[ssl_fc,iif(https,http)]", "host": "%[var(txn.host)]", "request_uri": "%[pathq]"}
_URL = re.compile(r"(?:https?://|\$scheme://|/)[!#-&(-\[\]-~]{0,500}")
"""Printable, without quotes, blanks and backslashes."""
_STATUSES = range(200, 600)


@dataclass(frozen=True)
class DefaultRoot:
    """A status, perhaps with where to go instead."""

    status: int | None
    """None where such paths are not answered at all."""
    location: str = ""
    """A format of HAProxy's, quoted; empty for an answer of our own."""

    @property
    def text(self) -> str:
        """The body of an answer of our own."""
        phrases = {status.value: f"{status.phrase}." for status in HTTPStatus}
        phrases[HTTPStatus.NOT_FOUND] = "Nothing is served under this path."
        return phrases.get(self.status or 0, "Nothing here.")


def parse_default_root(text: object) -> DefaultRoot:
    """``STATUS``, ``3xx URL`` or ``none``; raises ValueError quoting it.

    >>> parse_default_root("301 https://www.example.com$request_uri").location
    "'https://www.example.com%[pathq]'"
    """
    status, _, url = str(text).strip().partition(" ")
    if status.lower() == "none" and not url:
        return DefaultRoot(None)
    number = int(status) if re.fullmatch(r"\d{3}", status) else 0
    if not url and number in _STATUSES and number not in _REDIRECTS:
        return DefaultRoot(number)
    if number not in _REDIRECTS or not _URL.fullmatch(url := url.strip()):
        raise ValueError(
            f"{str(text)[:40]!r} is no answer: write 404, none, or 301 https://www.example.com$request_uri"
        )
    return DefaultRoot(number, haproxy_word(re.sub(r"\$(\w+)", _variable, url.replace("%", "%%"))))


def _variable(match: re.Match[str]) -> str:
    if match[1] not in _VARIABLES:
        raise ValueError(f"'${match[1][:40]}' is not known here: write $scheme, $host or $request_uri")
    return _VARIABLES[match[1]]
