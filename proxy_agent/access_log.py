"""What a line of the access log holds: HAProxy's own format, JSON, or the variables of nginx-proxy's users."""

import re
from collections.abc import Iterator, Mapping

JSON = (
    "%{+json}o %(time)[accept_date,utime(%Y-%m-%dT%H:%M:%SZ)] %(client)ci %(frontend)ft %(backend)b %(server)s "
    "%(method)HM %(host)[var(txn.host)] %(path)HU %(version)HV %(status)ST %(bytes)B %(milliseconds)Ta %(ending)tsc"
)
"""Encoded by HAProxy, so that nothing a client sends ends a value."""

_VARIABLES: Mapping[str, str] = {
    "host": "%[var(txn.host)]",
    "remote_addr": "%ci",
    "request": "%HM %HU %HV",
    "request_method": "%HM",
    "request_uri": "%HU",
    "server_protocol": "%HV",
    "scheme": "%[ssl_fc,iif(https,http)]",
    "status": "%ST",
    "body_bytes_sent": "%B",
    "http_referer": "%[var(txn.referer)]",
    "http_user_agent": "%[var(txn.agent)]",
    "upstream_addr": "%si:%sp",
    "request_time": "%Ta",
    "request_id": "%[uuid()]",
    "time_iso8601": "%[accept_date,utime(%Y-%m-%dT%H:%M:%SZ)]",
    "time_local": "%T",
}
_ALIASES = frozenset(
    {
        *("B", "CC", "CS", "H", "HM", "HP", "HPO", "HQ", "HU", "HV", "ID", "ST", "T", "Ta", "Tc", "Td", "Th", "Ti"),
        *("Tl", "Tq", "Tr", "TR", "Ts", "Tt", "Tu", "Tw", "U", "ac", "b", "bc", "bi", "bp", "bq", "ci", "cp", "f"),
        *("fc", "fi", "fp", "ft", "hr", "hrl", "hs", "hsl", "lc", "ms", "o", "pid", "r", "rc", "rt", "s", "sc", "si"),
        *("sp", "sq", "sslc", "sslv", "t", "tr", "trg", "trl", "ts", "tsc"),
    }
)
"""HAProxy's variables (manual, 8.2.6)."""
_TOKEN = re.compile(r"%%|%(?:\{[+\w,-]{1,20}\})?(?:\(\w{1,40}\))?(?:(?P<alias>[A-Za-z]+)|\[(?P<expression>[^][]*)\])?")
_EXPRESSION = re.compile(r"[A-Za-z0-9_.,:()%/ -]{1,200}")
_LONGEST = 1000


def parse_format(text: object) -> str:
    """A format for ``log-format``; raises ValueError quoting what it cannot hold.

    >>> parse_format('$remote_addr "$request" $status')
    '%ci "%HM %HU %HV" %ST'
    """
    line = str(text)
    if len(line) > _LONGEST or not line.isprintable():
        raise ValueError(f"a format is one printable line of at most {_LONGEST} characters")
    if "%" not in line:
        return re.sub(r"\$(\{)?(\w+)(?(1)\})", _variable, line)
    for problem in _problems(line):
        raise ValueError(problem)
    return line


def _variable(match: re.Match[str]) -> str:
    if match[2] not in _VARIABLES:
        raise ValueError(f"'${match[2][:40]}' has no counterpart: write one of ${', $'.join(sorted(_VARIABLES))}")
    return _VARIABLES[match[2]]


def _problems(line: str) -> Iterator[str]:
    for match in _TOKEN.finditer(line):
        alias, expression = match["alias"], match["expression"]
        if match[0] != "%%" and alias not in _ALIASES and not _EXPRESSION.fullmatch(expression or ""):
            yield f"{match[0][:40]!r} is none of HAProxy's variables: see section 8.2.6 of its manual"
