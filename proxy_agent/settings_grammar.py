"""The grammars of the HAProxy container's settings: text in, values that carry none of HAProxy's syntax out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Generic, TypeVar

from proxy_agent.routing.values import haproxy_word, parse_duration
from proxy_agent.tls.names import parse_dns_name

T = TypeVar("T")
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

EVERYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_MOST_ITEMS = 50
_HIGHEST_PORT = 65535

_SECOND_MS = 1000

DEFAULT_TIMEOUTS: Mapping[str, str] = {
    "connect": "5s",
    "client": "60s",
    "client-hs": "10s",
    "server": "60s",
    "queue": "30s",
    "http-request": "10s",
    "http-keep-alive": "30s",
    "tunnel": "1h",
}
_FURTHER_TIMEOUTS = frozenset({"check", "client-fin", "server-fin", "tarpit"})

OURS = frozenset({"httplog", "forwardfor", "http-server-name"})
"""Options of dockercloud/haproxy's users that are met in another way."""
OPTIONS = frozenset(
    {
        *("abortonclose", "allbackups", "checkcache", "clitcpka", "contstats", "dontlog-normal", "dontlognull"),
        *("http-buffer-request", "http-ignore-probes", "http-keep-alive", "http-no-delay", "http-pretend-keepalive"),
        *("http-server-close", "httpclose", "idle-close-on-response", "independent-streams", "log-health-checks"),
        *("log-separate-errors", "logasap", "nolinger", "persist", "prefer-last-server", "redispatch", "socket-stats"),
        *("splice-auto", "splice-request", "splice-response", "srvtcpka", "tcp-smart-accept", "tcp-smart-connect"),
        "tcpka",
    }
)
"""What HAProxy 3.0 takes in a section of defaults without further words, and harms nobody."""


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value of which a part may have been left out or taken in another sense."""

    value: T
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostPort:
    """A name or an address with a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Login:
    """A user and a password, which neither a log nor a traceback shows."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Login(…)"

    @property
    def quoted_password(self) -> str:
        """As one word of HAProxy's."""
        return haproxy_word(self.password)


def items(text: str) -> tuple[str, ...]:
    """A plain list: separated by commas, blanks around items and empty items dropped; raises ValueError if too long."""
    found = tuple(item.strip() for item in text.split(",") if item.strip())
    if len(found) > _MOST_ITEMS:
        raise ValueError(f"more than {_MOST_ITEMS} items")
    return found


def parse_switch(text: str) -> bool | None:
    """Yes or no in any of the usual words; None for any other text.

    >>> parse_switch("Off")
    False
    """
    return text.lower() in _YES if text.lower() in _YES | _NO else None


def parse_span(text: str) -> tuple[str, bool]:
    """A duration of HAProxy's (manual, 2.5), and whether it is doubtful: a bare number of milliseconds below 1000.

    >>> parse_span("5000"), parse_span("5")
    (('5000ms', False), ('5ms', True))
    """
    bare = text.strip().isdecimal()
    return parse_duration(text), bare and int(text) < _SECOND_MS


def parse_timeouts(text: object) -> Reading[Mapping[str, str]]:
    """``name duration``, separated by commas, over the defaults; raises ValueError quoting the item.

    >>> parse_timeouts("client 2m").value["client"]
    '2m'
    """
    timeouts, doubts = dict(DEFAULT_TIMEOUTS), list[str]()
    for item in items(str(text)):
        name, _, span = item.removeprefix("timeout ").strip().partition(" ")
        if name not in DEFAULT_TIMEOUTS and name not in _FURTHER_TIMEOUTS:
            known = ", ".join(sorted({*DEFAULT_TIMEOUTS, *_FURTHER_TIMEOUTS}))
            raise ValueError(f"{item[:40]!r} names no timeout: write one of {known}, then a length of time")
        timeouts[name], doubtful = parse_span(span)
        if doubtful:
            doubts.append(f"{item!r} means milliseconds: write '{name} {span.strip()}s' for seconds")
    return Reading(dict(sorted(timeouts.items())), tuple(doubts))


def parse_options(text: object) -> Reading[tuple[str, ...]]:
    """HAProxy's ``option`` words, separated by commas; what is not on the list is left out with a doubt.

    >>> parse_options("httplog, nolinger").value
    ('nolinger',)
    """
    options, doubts = set[str](), list[str]()
    for item in items(str(text)):
        name = item.removeprefix("option ").strip()
        if name in OPTIONS or re.fullmatch(r"redispatch -?\d{1,3}", name):
            options.add(name)
        elif name.partition(" ")[0] not in OURS:
            doubts.append(
                f"{name[:40]!r} is left out: it is none of the options that HAProxy 3.0 takes for all services"
            )
    return Reading(tuple(sorted(options)), tuple(doubts))


def parse_networks(text: object) -> tuple[Network, ...]:
    """Networks and addresses, separated by commas; raises ValueError quoting the item.

    >>> parse_networks("10.0.0.1/8")
    (IPv4Network('10.0.0.0/8'),)
    """
    return tuple(dict.fromkeys(map(_network, items(str(text)))))


def parse_trusted(text: object) -> tuple[Network, ...]:
    """Peers whose forwarded headers count: nobody for no, everybody for yes, else networks; raises ValueError."""
    switch = parse_switch(str(text).strip())
    if switch is not None:
        return EVERYWHERE if switch else ()
    return parse_networks(text)


def _network(text: str) -> Network:
    try:
        # A zone may hold any character (RFC 4007 section 11.2).
        return ip_network(text if "%" not in text else "", strict=False)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no network: write 10.0.0.0/8 or 2001:db8::/32") from None


def parse_resolvers(text: object) -> tuple[HostPort, ...]:
    """DNS servers: addresses, with a port where it is not 53, separated by blanks; raises ValueError.

    >>> [str(server) for server in parse_resolvers("192.0.2.53 [2001:db8::53]:5353")]
    ['192.0.2.53:53', '2001:db8::53:5353']
    """
    found = tuple(parse_host_port(item, 53) for item in str(text).replace(",", " ").split())
    if not 0 < len(found) <= _MOST_ITEMS or any(not is_address(each.host) for each in found):
        raise ValueError("DNS servers are written as addresses: 127.0.0.11 192.0.2.53:5353")
    return found


def parse_host_port(text: object, default: int) -> HostPort:
    """``host``, ``host:port``, ``[IPv6]:port``; raises ValueError quoting it.

    >>> str(parse_host_port("logs.example.com", 514))
    'logs.example.com:514'
    """
    match = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?|([^:]*)(?::(\d{1,5}))?", str(text).strip())
    bare, port = (match[1] or match[3], match[2] or match[4]) if match else (str(text).strip(), None)
    number = int(port or default)
    if not 0 < number <= _HIGHEST_PORT:
        raise ValueError(f"{str(text)[:60]!r} has no port from 1 to {_HIGHEST_PORT}")
    if is_address(bare):
        return HostPort(str(ip_address(bare)), number)
    try:
        parse_dns_name("" if match and match[1] else bare.replace("_", "-"))
    except ValueError:
        raise ValueError(f"{str(text)[:60]!r} is no host: write name, name:port or an address") from None
    return HostPort(bare, number)


def is_address(text: str) -> bool:
    """Whether *text* is an IP address that needs no zone."""
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def parse_login(text: object) -> Login:
    """``user:password``, both given; raises ValueError without quoting it."""
    user, _, password = str(text).partition(":")
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", user) or not password or not password.isprintable():
        raise ValueError("a login is user:password; the user has letters, digits and '_.@-'")
    return Login(user, password)


def parse_reload_timeout(text: object) -> str:
    """How long a replaced worker may live: seconds, -1 for one, 0 for our default; raises ValueError.

    >>> parse_reload_timeout("0")
    '1h'
    """
    if not re.fullmatch(r"-1|\d{1,6}", str(text)):
        raise ValueError(f"{str(text)[:40]!r} is no number of seconds: write 30, -1 (at once) or 0 (1h)")
    return {"0": "1h", "-1": "1s"}.get(str(text), f"{int(str(text))}s")


def parse_path(text: object) -> str:
    """A path of a request, literally; raises ValueError quoting it."""
    if not re.fullmatch(r"/[A-Za-z0-9_.~/-]{0,200}", str(text)):
        raise ValueError(f"{str(text)[:40]!r} is no path: write /name, of letters, digits and '_.~-/'")
    return str(text)


def parse_services(text: object) -> tuple[str, ...]:
    """``project:service``, separated by commas, as ``project/service``; raises ValueError quoting the item."""
    return tuple(sorted(set(_services(str(text)))))


def _services(text: str) -> Iterator[str]:
    for item in items(text):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+", item):
            raise ValueError(f"{item[:40]!r} is no service: write project:service")
        yield item.replace(":", "/")
