r"""``VIRTUAL_HOST``: the hosts, and paths below them, that a container answers for.

::

    value  = item *( "," item )           blanks around items trimmed, empty items ignored
    item   = "~" expression               on the host alone; "\," is a comma in it
           / [ scheme "://" ] [ host ] [ ":" port ] [ path ]
    scheme = "http" / "https" / "ws" / "wss"      any case; none means both listeners
    host   = DNS name / IPv4 / "[" IPv6 "]" / pattern with "*" / "." DNS name
    path   = "/" …                        the whole path, "*" for any run of characters
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.hosts import HostKind, HostPattern, parse_host
from proxy_agent.routing.paths import PathKind, PathPattern, parse_item_path
from proxy_agent.routing.ports import parse_port

_LONGEST_VALUE = 8192
_SCHEMES = ("http", "https", "ws", "wss")


@dataclass(frozen=True)
class VirtualHost:
    """One entry of ``VIRTUAL_HOST``."""

    host: HostPattern
    scheme: str | None
    """``http``, ``https``, ``ws`` or ``wss`` where the entry says so, else None: both, redirected once covered."""
    port: int | None
    path: PathPattern

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts by host, path, scheme and port."""
        return self.host.rank, self.path.rank, self.scheme or "", self.port or 0


def parse_virtual_hosts(value: str) -> tuple[tuple[VirtualHost, ...], tuple[Skipped, ...]]:
    """Read a whole ``VIRTUAL_HOST``: the entries that can be served, and what is not as it was written, with reasons.

    A list that names a host both as ``https://app.example.com`` and without a scheme means plain HTTP by the latter:
    the two listeners are spelled out, so nothing is redirected (the dialect of dockercloud/haproxy).
    """
    if len(value) > _LONGEST_VALUE:
        return (), (Skipped("VIRTUAL_HOST", f"longer than {_LONGEST_VALUE} characters"),)
    entries: set[VirtualHost] = set()
    skipped: set[Skipped] = set()
    for item in filter(None, (part.strip() for part in re.split(r"(?<!\\),", value))):
        try:
            entries.update(parse_virtual_host(item))
        except ValueError as error:
            skipped.add(Skipped("VIRTUAL_HOST", str(error)))
        else:
            skipped.update(Skipped("VIRTUAL_HOST", doubt) for doubt in _doubts(item))
    spelled_out = {entry.host for entry in entries if entry.scheme == "https"}
    entries = {
        replace(entry, scheme="http") if _bare(entry) and entry.host in spelled_out else entry for entry in entries
    }
    return tuple(sorted(entries, key=lambda entry: entry.rank)), tuple(sorted(skipped))


def parse_virtual_host(item: str) -> tuple[VirtualHost, ...]:
    """Read one entry, which ``.example.com`` makes two; raises ValueError quoting it and naming the accepted form.

    >>> [(str(entry.host), entry.scheme, entry.port, str(entry.path)) for entry in parse_virtual_host("HTTPS://A.b:8/C")]
    [('a.b', 'https', 8, '/c')]
    >>> parse_virtual_host("tcp://a.test")
    Traceback (most recent call last):
    ValueError: 'tcp://a.test' has an unknown scheme: write http://, https://, ws:// or wss://, or none for both
    """
    item = item.replace("\\,", ",")
    if item.startswith("~"):
        return (VirtualHost(parse_host(item), None, None, parse_item_path("")),)
    scheme, separator, rest = _without_scheme(item)
    if separator and scheme.lower() not in _SCHEMES:
        raise ValueError(
            f"{item[:100]!r} has an unknown scheme: write http://, https://, ws:// or wss://, or none for both"
        )
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    _check_authority(item, authority, separator)
    if any(character.isspace() for character in rest):
        raise ValueError(f"{item[:100]!r} holds a blank: separate hosts with commas")
    host, port = _host_and_port(item, authority)
    pattern = parse_item_path(f"{slash}{path.partition(';')[0]}")
    hosts = (host[1:], f"*{host}") if host.startswith(".") else (host,)
    return tuple(VirtualHost(parse_host(text), scheme.lower() or None, port, pattern) for text in hosts)


def _without_scheme(item: str) -> tuple[str, str, str]:
    """Scheme, separator and rest; ``://`` in a query is none."""
    scheme, separator, rest = item.partition("://")
    return ("", "", item) if re.search(r"[/?#]", scheme) or not separator else (scheme, separator, rest)


def _check_authority(item: str, authority: str, separator: str) -> None:
    if separator and not authority:
        raise ValueError(f"{item[:100]!r} names no host: write one after the scheme, or the path alone")
    if any(character.isspace() or character == ";" for character in authority):
        raise ValueError(f"{item[:100]!r} holds a blank or a semicolon: separate hosts with commas")
    if "@" in authority:
        raise ValueError(f"{item[:100]!r} names a user: write the host alone")
    if authority.partition(":")[0].lower() in _SCHEMES and ":" in authority:
        raise ValueError(f"{item[:100]!r} lacks '//' after its scheme")


def _host_and_port(item: str, authority: str) -> tuple[str, int | None]:
    if _is_ipv6(authority):
        return f"[{authority}]", None
    host, colon, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    if not colon:
        return authority, None
    if ":" in host and not host.startswith("["):
        raise ValueError(f"{item[:100]!r} holds more than one ':': write an IPv6 address in brackets")
    try:
        return host, parse_port(port)
    except ValueError as error:
        raise ValueError(f"{item[:100]!r} ends its host with ':', but {error}") from None


def _is_ipv6(text: str) -> bool:
    try:
        return bool(IPv6Address(text))
    except ValueError:
        return False


def _doubts(item: str) -> Iterator[str]:
    """What is served otherwise than its author may think."""
    if item.startswith("~"):
        return
    if re.search(r"[?#]|/.*;", _without_scheme(item)[2]):
        yield f"{item[:100]!r} is served without what follows '?', '#' or ';': routes end with the path"
    for entry in parse_virtual_host(item)[:1]:
        if entry.path.kind is PathKind.EXACT and entry.path.text == "/":
            yield f"{item[:100]!r} is the root page alone: drop the slash for the whole site"


def _bare(entry: VirtualHost) -> bool:
    return entry.scheme is None and entry.port is None and entry.host.kind is not HostKind.EXPRESSION
