"""``VIRTUAL_HOST``: the hosts that a container answers for.

::

    value  = item *( "," item )           blanks around items trimmed, empty items ignored
    item   = [ scheme "://" ] host
    scheme = "http" / "https"             any case; none means both listeners
    host   = DNS name / IPv4 / "[" IPv6 "]"
"""

from dataclasses import dataclass

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.model import Listener
from proxy_agent.tls.names import parse_identifier

_LONGEST_VALUE = 8192


@dataclass(frozen=True)
class VirtualHost:
    """One entry of ``VIRTUAL_HOST``."""

    host: str
    """As it stands in a Host header, lower case, IPv6 in brackets, without a port."""
    scheme: str | None
    """``http`` or ``https`` where the entry says so, else None: both, redirected once it has a certificate."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The listeners that know this host."""
        if self.scheme is None:
            return ("plain", "tls")
        return ("plain",) if self.scheme == "http" else ("tls",)


def parse_virtual_hosts(value: str) -> tuple[tuple[VirtualHost, ...], tuple[Skipped, ...]]:
    """Read a whole ``VIRTUAL_HOST``: the entries that can be served, and the others each with its reason.

    A list that names a host both as ``https://app.example.com`` and without a scheme means plain HTTP by the latter:
    the two listeners are spelled out, so nothing is redirected (the dialect of dockercloud/haproxy).
    """
    if len(value) > _LONGEST_VALUE:
        return (), (Skipped("VIRTUAL_HOST", f"longer than {_LONGEST_VALUE} characters"),)
    entries: set[VirtualHost] = set()
    skipped: set[Skipped] = set()
    for item in filter(None, (part.strip() for part in value.split(","))):
        try:
            entries.add(parse_virtual_host(item))
        except ValueError as error:
            skipped.add(Skipped("VIRTUAL_HOST", str(error)))
    spelled_out = {entry.host for entry in entries if entry.scheme == "https"}
    entries = {
        VirtualHost(entry.host, "http") if entry.scheme is None and entry.host in spelled_out else entry
        for entry in entries
    }
    return tuple(sorted(entries, key=_order)), tuple(sorted(skipped))


def parse_virtual_host(item: str) -> VirtualHost:
    """Read one entry; raises ValueError quoting it and naming the accepted form.

    >>> parse_virtual_host("HTTPS://App.Example.com")
    VirtualHost(host='app.example.com', scheme='https')
    >>> parse_virtual_host("ftp://app.example.com")
    Traceback (most recent call last):
    ValueError: 'ftp://app.example.com' has an unknown scheme: write http:// or https://, or none for both
    """
    scheme, separator, rest = item.rpartition("://")
    if separator and scheme.lower() not in {"http", "https"}:
        raise ValueError(f"{item!r} has an unknown scheme: write http:// or https://, or none for both")
    if any(blank in rest for blank in " \t\r\n;"):
        raise ValueError(f"{item!r} holds a blank or a semicolon: separate hosts with commas")
    try:
        identifier = parse_identifier(rest)
    except ValueError as error:
        raise ValueError(
            f"{error}; accepted is a host name or an IP address, after http:// or https:// if wanted"
        ) from None
    if isinstance(identifier, str):
        if identifier.startswith("*"):
            raise ValueError(f"{item!r} is a pattern: write each host out")
        return VirtualHost(identifier, scheme.lower() or None)
    host = str(identifier) if identifier.version == 4 else f"[{identifier}]"  # noqa: PLR2004
    return VirtualHost(host, scheme.lower() or None)


def _order(entry: VirtualHost) -> tuple[str, str]:
    return entry.host, entry.scheme or ""
