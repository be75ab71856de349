"""Words of a ``server`` line that a container may choose itself, as EXTRA_ROUTE_SETTINGS and HEALTH_CHECK carry them.

Only words whose values have a grammar of their own are taken, so that nothing here can name a file, another host or
another backend; the manual's section 5.2 has them all.
"""

import re
from collections.abc import Callable, Mapping

from proxy_agent.routing.values import parse_duration

_LONGEST_QUOTE = 40
_MOST = 1_000_000
_HEAVIEST = 256
_SHORTEST_INTERVAL = 100
"""In milliseconds: a check more often is a load on everybody."""
_PORTS = 65535
_SYSTEM_CA = "@system-ca"
_SNI = (
    r"(?:(?:req\.)?hdr\(host\)(?:,host_only|,lower|,field\(1,:\))*"
    r"|ssl_fc_sni|var\(txn\.host\)|str\([A-Za-z0-9._-]{1,253}\))"
)
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_VERSION = r"TLSv1\.[0-3]"
_CIPHERS = r"[A-Za-z0-9_@=+!:-]{1,1000}"
_FILES = frozenset({"crt", "crl-file", "ca-verify-file"})

Parser = Callable[[str], str]


def _whole(lowest: int, highest: int) -> Parser:
    def parse(text: str) -> str:
        if not re.fullmatch(r"[0-9]{1,7}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"takes a whole number from {lowest} to {highest}")
        return text

    return parse


def _time(shortest_ms: int = 1) -> Parser:
    def parse(text: str) -> str:
        try:
            parse_duration(text, shortest_ms)
        except ValueError:
            raise ValueError(
                f"takes a length of time such as 2s or 500ms, {shortest_ms}ms at least and 24d at most"
            ) from None
        return text

    return parse


def _one_of(*accepted: str) -> Parser:
    def parse(text: str) -> str:
        if text not in accepted:
            raise ValueError(f"takes {' or '.join(accepted)}")
        return text

    return parse


def _some_of(*accepted: str) -> Parser:
    def parse(text: str) -> str:
        if not set(text.split(",")) <= set(accepted):
            raise ValueError(f"takes one or more of {', '.join(accepted)}, with commas")
        return text

    return parse


def _like(pattern: str, form: str) -> Parser:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"takes {form}")
        return text

    return parse


def _system_ca(text: str) -> str:
    if text != _SYSTEM_CA:
        raise ValueError(f"names a file, which a container may not; {_SYSTEM_CA} is the one that can be used")
    return text


_ALPN = _some_of("h2", "http/1.1", "http/1.0")
_FLAGS = frozenset(
    {
        *("check", "no-check", "check-ssl", "no-check-ssl", "check-send-proxy", "no-check-send-proxy"),
        *("send-proxy", "no-send-proxy", "send-proxy-v2", "no-send-proxy-v2", "send-proxy-v2-ssl"),
        *("send-proxy-v2-ssl-cn", "ssl", "no-ssl", "no-ssl-reuse", "no-tls-tickets", "backup"),
    }
)
_WITH_VALUE: Mapping[str, Parser] = {
    "weight": _whole(0, _HEAVIEST),
    **dict.fromkeys(("maxconn", "minconn", "maxqueue", "pool-low-conn", "pool-max-conn"), _whole(0, _MOST)),
    "max-reuse": _whole(0, _MOST),
    **dict.fromkeys(("rise", "fall", "error-limit"), _whole(1, 10_000)),
    "port": _whole(1, _PORTS),
    **dict.fromkeys(("inter", "fastinter", "downinter"), _time(_SHORTEST_INTERVAL)),
    **dict.fromkeys(("slowstart", "pool-purge-delay"), _time()),
    "observe": _one_of("layer4", "layer7"),
    "on-error": _one_of("fastinter", "fail-check", "sudden-death", "mark-down"),
    "on-marked-down": _one_of("shutdown-sessions"),
    "on-marked-up": _one_of("shutdown-backup-sessions"),
    "verify": _one_of("none", "required"),
    "verifyhost": _like(_NAME, "a host name"),
    "sni": _like(_SNI, "req.hdr(host), ssl_fc_sni or str(NAME)"),
    "check-sni": _like(_NAME, "a host name"),
    **dict.fromkeys(("alpn", "check-alpn"), _ALPN),
    "proto": _one_of("h1", "h2"),
    "ws": _one_of("auto", "h1", "h2"),
    **dict.fromkeys(("ssl-min-ver", "ssl-max-ver"), _like(_VERSION, "TLSv1.0 to TLSv1.3")),
    "ciphers": _like(_CIPHERS, "names of ciphers with colons"),
    "ciphersuites": _like(_CIPHERS, "names of cipher suites with colons"),
    "proxy-v2-options": _some_of(
        "ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id"
    ),
    "ca-file": _system_ca,
}
_HINTS = {
    "cookie": "COOKIE is for that",
    "disabled": "the label proxy.enable=false is for that",
    "source": "the address that HAProxy calls from is not a container's to choose",
    "addr": "the address that is checked is the container's own",
    "track": "it would name another backend",
    "check-proto": "HAProxy refuses it for some kinds of check",
    **dict.fromkeys(_FILES, "it names a file, which a container may not"),
}
_TAKE_ONE = frozenset(
    {*_WITH_VALUE, *_FILES, "check-proto", "cookie", "source", "addr", "track", "id", "guid", "redir", "init-addr"}
)
"""What is followed by a value, so that a refused word takes it along."""


_MOST_REASONS = 10


def read_server_words(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of *text* that can be used, each with its value, and a reason for each that cannot.

    A word that is given twice counts as it was given last.

    >>> read_server_words("inter 2s crt /a.pem check")
    (('inter 2s', 'check'), ("'crt /a.pem' is not used: it names a file, which a container may not",))
    """
    taken: dict[str, str] = {}
    reasons: list[str] = []
    words = iter(text.split())
    for word in words:
        value = next(words, "") if word in _TAKE_ONE else ""
        try:
            taken.pop(word, None)
            taken[word] = _checked(word, value)
        except ValueError as error:
            quoted = f"{word} {value}".strip()[:_LONGEST_QUOTE]
            reasons.append(f"{quoted!r} is not used: {error}")
    for word, reason in _unusable_together(taken):
        reasons.append(f"{taken.pop(word)!r} is not used: {reason}")
    # Each once, and not as many as somebody may write wrong words.
    return tuple(taken.values()), tuple(dict.fromkeys(reasons))[:_MOST_REASONS]


def parse_server_words(text: str) -> tuple[str, ...]:
    """The words of *text*, each with its value; raises ValueError for the first that cannot be used."""
    words, reasons = read_server_words(text)
    if reasons:
        raise ValueError(reasons[0])
    return words


def _checked(word: str, value: str) -> str:
    if word in _WITH_VALUE:
        try:
            return f"{word} {_WITH_VALUE[word](value)}"
        except ValueError as error:
            raise ValueError(f"{word} {error}") from None
    if word in _FLAGS:
        return word
    raise ValueError(_HINTS.get(word, "no container may set that word of a server line"))


def _unusable_together(taken: Mapping[str, str]) -> list[tuple[str, str]]:
    """HAProxy refuses to check certificates without knowing by which CAs."""
    unusable: list[tuple[str, str]] = []
    verify = taken.get("verify", "")
    if verify == "verify required" and "ca-file" not in taken:
        unusable.append(("verify", f"it needs ca-file {_SYSTEM_CA} beside it"))
        verify = ""
    if not verify and "ca-file" not in taken:
        unusable += [
            (word, f"it needs verify none, or verify required ca-file {_SYSTEM_CA}, beside it")
            for word in ("ssl", "check-ssl")
            if word in taken
        ]
    return unusable
