r"""``HTTP_CHECK``, ``OPTION`` and ``KEEPALIVE``: how HAProxy speaks to a backend's servers.

::

    HTTP_CHECK = [ method ] path [ version [ "\r\n" header ": " value ]* ]      "\ " is a blank in a header
"""

import re
from dataclasses import dataclass, field

from proxy_agent.routing.values import parse_list, quoted

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT"})
_PATH = re.compile(r"/[!-~]{0,500}")
_VERSION = re.compile(r"HTTP/1\.[01]", re.IGNORECASE)
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([ -~]{0,200})")
_UNQUOTABLE = frozenset("'\"\\")

_OPTIONS = frozenset(
    {
        *("abortonclose", "allbackups", "checkcache", "http-buffer-request", "http-keep-alive", "http-no-delay"),
        *("http-pretend-keepalive", "http-server-close", "httpclose", "log-health-checks", "nolinger", "persist"),
        *("prefer-last-server", "redispatch", "srvtcpka", "tcp-smart-connect"),
    }
)
_SPELLED_OTHERWISE = {"forceclose": "httpclose", "redisp": "redispatch", "tcpka": "srvtcpka"}
_OURS = {
    "forwardfor": "X-Forwarded-For is always set",
    "httplog": "the proxy's ACCESS_LOG decides about the log",
    "http-tunnel": "HAProxy has no such option any more",
    "http-use-htx": "it is always on",
    "dontlognull": "it is the proxy's to set",
    "httpchk": "write HTTP_CHECK",
}


@dataclass(frozen=True, order=True)
class HttpCheck:
    """What a health check asks; any answer but 2xx and 3xx means that the server is down."""

    method: str
    path: str
    version: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())

    def naming(self, host: str) -> "HttpCheck":
        """The same with a Host header where HTTP/1.1 needs one (RFC 9112 section 3.2) and none is given."""
        if self.version != "HTTP/1.1" or any(name.lower() == "host" for name, _ in self.headers):
            return self
        return HttpCheck(self.method, self.path, self.version, (("Host", host), *self.headers))


def parse_http_check(text: str) -> HttpCheck:
    r"""Read HTTP_CHECK; raises ValueError quoting what is wrong and naming the form.

    >>> parse_http_check(r"GET /health HTTP/1.1\r\nHost:\ app.test")
    HttpCheck(method='GET', path='/health', version='HTTP/1.1', headers=(('Host', 'app.test'),))
    >>> parse_http_check("/health").method
    'GET'
    """
    line, *headers = text.replace("\\r", "").split("\\n")
    words = re.split(r"(?<!\\)\s+", line.strip())
    method = "GET" if words[0].startswith("/") else words.pop(0).upper()
    path, version = (words.pop(0) if words else "/"), (words.pop(0) if words else "")
    if method not in _METHODS or words:
        raise ValueError(f"{quoted(text)} is not a request: write GET /path, or GET /path HTTP/1.1\\r\\nHost:\\ name")
    if not _PATH.fullmatch(path) or _UNQUOTABLE.intersection(path):
        raise ValueError(f"{quoted(path)} is not a path: it begins with '/' and holds neither blanks nor quotes")
    if version and not _VERSION.fullmatch(version):
        raise ValueError(f"{quoted(version)} is not used: write HTTP/1.0 or HTTP/1.1")
    return HttpCheck(method, path, version.upper(), tuple(_header(item) for item in headers if item.strip()))


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text.replace("\\ ", " ").strip())
    if not match or _UNQUOTABLE.intersection(match[2]):
        raise ValueError(f"{quoted(text)} is not a header: write Name:\\ value without quotes")
    # "%" would begin a variable of HAProxy's.
    return match[1], match[2].replace("%", "%%")


def parse_options(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read OPTION: what may follow ``option`` in a backend, sorted, and a reason for each word that may not.

    >>> parse_options("httpclose, forwardfor")
    (('httpclose',), ("'forwardfor' is not needed: X-Forwarded-For is always set",))
    """
    kept: set[str] = set()
    doubts: list[str] = []
    for item in parse_list(text):
        word = " ".join(item.split()).removeprefix("option ")
        word = _SPELLED_OTHERWISE.get(word, word)
        name = word.removeprefix("no ")
        if name in _OPTIONS:
            kept.add(word)
        elif reason := _OURS.get(name.partition(" ")[0]):
            doubts.append(f"{quoted(item)} is not needed: {reason}")
        else:
            doubts.append(f"{quoted(item)} is not used: write some of {', '.join(sorted(_OPTIONS))}")
    return tuple(sorted(kept)), tuple(doubts)


def parse_keepalive(text: str) -> int | None:
    """KEEPALIVE: the most idle connections kept to a server, None for as many as it likes ("auto"), 0 for none.

    >>> parse_keepalive("auto"), parse_keepalive("disabled"), parse_keepalive("16")
    (None, 0, 16)
    """
    word = text.lower()
    if word in ("auto", "disabled"):
        return None if word == "auto" else 0
    if not re.fullmatch(r"[0-9]{1,6}", word):
        raise ValueError(f"{quoted(text)} is not used: write auto, disabled or a number of connections")
    return int(word)
