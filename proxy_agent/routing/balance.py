"""``BALANCE`` and ``COOKIE``: which server of a backend takes a request, and whether a client stays with it."""

import re

from proxy_agent.routing.values import parse_duration, quoted

_ALONE = frozenset({"roundrobin", "leastconn", "first", "source", "random"})
_TOKEN = r"[A-Za-z0-9_-]{1,64}"
_SHAPES = (
    re.compile(r"random\([1-9][0-9]{0,2}\)"),
    re.compile(r"uri(?: (?:whole|path-only|(?:len|depth) [1-9][0-9]{0,3}))*"),
    re.compile(rf"url_param {_TOKEN}"),
    re.compile(rf"hdr\({_TOKEN}\)(?: use_domain_only)?"),
    re.compile(rf"rdp-cookie(?:\({_TOKEN}\))?"),
    # Of the request alone: other samples could read files or the environment.
    re.compile(rf"hash (?:src|path|pathq|url|(?:req\.hdr|req\.cook|url_param)\({_TOKEN}\))(?:,lower)?"),
)
_SPELLED_OTHERWISE = {
    # The same algorithm; the static one alone cannot gain servers while it runs.
    "static-rr": "roundrobin",
    "least_conn": "leastconn",
    "ip_hash": "source",
    "hash $remote_addr": "source",
    "hash $request_uri": "uri",
    "random two": "random(2)",
    "round_robin": "roundrobin",
}
_HASHES = re.compile(r"source|uri|url_param|hdr|rdp-cookie|hash")

_COOKIE_MODES = frozenset({"rewrite", "insert", "prefix"})
_COOKIE_WORDS = frozenset({*_COOKIE_MODES, "indirect", "nocache", "postonly", "preserve", "httponly", "secure"})
_COOKIE_VALUES = re.compile(r"[A-Za-z0-9._=-]{1,200}")


def parse_balance(text: str) -> str:
    """The algorithm in HAProxy's words, also from nginx's; raises ValueError naming those that are known.

    >>> parse_balance("least_conn"), parse_balance("hdr(X-User)")
    ('leastconn', 'hdr(X-User)')
    """
    words = " ".join(text.removesuffix(";").split())
    words = words.removesuffix(" consistent")
    words = _SPELLED_OTHERWISE.get(words.lower(), words)
    if words in _ALONE or any(shape.fullmatch(words) for shape in _SHAPES):
        return words
    raise ValueError(
        f"{quoted(text)} is not used: write {', '.join(sorted(_ALONE))}, random(N), uri, url_param NAME, hdr(NAME), "
        "rdp-cookie or hash with src, path, pathq, url, req.hdr(NAME), req.cook(NAME) or url_param(NAME)"
    )


def is_hash(balance: str) -> bool:
    """Whether *balance* maps requests to servers: consistent hashing lets servers come and go without a reload."""
    return bool(_HASHES.match(balance))


def parse_cookie(text: str) -> str:
    """What follows ``cookie`` in a backend (configuration manual, 4.2); raises ValueError naming the word at fault.

    >>> parse_cookie("SRV  insert indirect nocache")
    'SRV insert indirect nocache'
    """
    name, *words = text.split() or [""]
    if not re.fullmatch(_TOKEN, name):
        raise ValueError(f"{quoted(name)} is not the name of a cookie: write NAME insert indirect nocache")
    if len(_COOKIE_MODES.intersection(words)) > 1:
        raise ValueError(f"{quoted(text)} says two of {', '.join(sorted(_COOKIE_MODES))}: write one")
    kept = [name]
    rest = iter(words)
    for word in rest:
        if word in _COOKIE_WORDS:
            kept.append(word)
        elif word in ("domain", "maxidle", "maxlife", "attr"):
            kept += [word, _cookie_value(word, next(rest, ""))]
        else:
            raise ValueError(f"{quoted(word)} is not a word for a cookie: write {', '.join(sorted(_COOKIE_WORDS))}")
    return " ".join(_agreeing(kept))


def _cookie_value(word: str, value: str) -> str:
    if word in ("maxidle", "maxlife"):
        return parse_duration(value)
    if not _COOKIE_VALUES.fullmatch(value):
        raise ValueError(f"{quoted(value)} cannot follow {word}")
    return value


def _agreeing(words: list[str]) -> list[str]:
    """HAProxy refuses a whole configuration for some words without the mode that they belong to."""
    if "insert" not in words:
        unfit = {"postonly", "maxidle", "maxlife", "preserve"}.intersection(words)
        if "prefix" in words or "rewrite" in words:
            unfit |= {"indirect"}.intersection(words)
        if unfit:
            raise ValueError(f"{', '.join(sorted(unfit))} needs insert")
    return words
