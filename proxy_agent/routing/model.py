"""What the pure core speaks of: services as Docker shows them, routes and backends as HAProxy takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.hosts import HostPattern
from proxy_agent.routing.paths import PathPattern
from proxy_agent.routing.policy import DEFAULT_POLICY, Policy
from proxy_agent.routing.rewrite import Rewrite

Address = IPv4Address | IPv6Address

Listener = Literal["plain", "tls"]
"""Where a request came in: in clear text (port 80) or through TLS (port 443)."""

Proto = Literal["http", "https", "h2c", "grpc", "grpcs", "fastcgi"]
"""How a container is spoken to."""

_TLS = " ssl verify none sni req.hdr(host),host_only"
_PROTO_PARAMETERS: Mapping[Proto, str] = {
    "http": "",
    "https": _TLS,
    "h2c": " proto h2",
    "grpc": " proto h2",
    "grpcs": f"{_TLS} alpn h2",
    "fastcgi": " proto fcgi",
}

Redirect = Literal["never", "auto", "always", "closed"]
"""Whether plain HTTP is redirected: "auto" where the host has a certificate, "closed" answers 503 there instead."""

SCHEMES = {"plain": "http", "tls": "https", "tcp": "tcp"}
"""What people call the listeners."""

NO_ROUTE = "no_route"
"""The backend that answers 503."""

Health = Literal["none", "starting", "healthy", "unhealthy"]
"""What the HEALTHCHECK of a container's image found; "none" where it has none."""

DockerHealth = Literal["use", "ignore", "require"]
"""What a HEALTHCHECK counts for: the healthy come first, it counts for nothing, or nobody else gets requests."""

ServerState = Literal["ready", "drain", "maint", "gone"]
"""HAProxy's words: "drain" gets no new requests but those of sticky sessions, "maint" none at all.

"gone" stands for a container that ended, whose service is expected back: it is no server any more.
"""


@dataclass(frozen=True)
class Container:
    """One running container, reduced to what routing needs; everything in it is text of a stranger."""

    name: str
    settings: Mapping[str, str]
    """Environment variables and labels that carry a setting of ours, under the names they were given."""
    exposed_ports: tuple[int, ...]
    """TCP ports, ascending."""
    address: Address | None
    """Where HAProxy reaches it; None where the two share no network."""
    unreachable: str = ""
    """Why there is no address."""
    created: int = 0
    """When it was made, in seconds since 1970: where containers of one pool disagree, the newest decides."""
    network: str = ""
    """The network that the address is on."""
    on_host: bool = False
    """Whether it shares the host's network, where nothing says which port is its own."""
    health: Health = "none"
    paused: bool = False
    leaving: bool = False
    """Whether it was told to stop and has not ended yet."""
    gone_at: datetime | None = None
    """When it was first missed; None while it is there."""
    inspected: bool = True
    """Whether Docker told its settings; if not, ``unreachable`` says why."""

    def __hash__(self) -> int:
        """By what tells it apart: what was decided for it is remembered."""
        return hash((self.name, self.address, self.created))


@dataclass(frozen=True)
class Service:
    """The containers that are copies of one thing: one service of one compose project, or one lone container."""

    name: str
    containers: tuple[Container, ...]


@dataclass(frozen=True, order=True)
class Server:
    """A ``server`` line: one container's port."""

    name: str
    address: Address
    port: int
    proto: Proto = "http"
    words: tuple[str, ...] = ()
    """How it is checked and used, in HAProxy's words."""
    state: ServerState = "ready"
    spare: bool = False
    """Whether it is let in where no other server of its pool is ready."""
    network: str = ""
    """Where its address is, for people to read."""

    @property
    def place(self) -> str:
        """Where it is and how it stands, for people to read."""
        standing = {"drain": " (draining)", "maint": " (out of rotation)"}.get(self.state, "")
        return f"{self.address}:{self.port}{standing}"

    @property
    def parameters(self) -> str:
        """What follows the name in a ``server`` line."""
        return " ".join((f"{self.address}:{self.port}{_PROTO_PARAMETERS[self.proto]}", *self.words))


@dataclass(frozen=True)
class Reach:
    """How a route reaches its containers, where that is not left to VIRTUAL_PORT and VIRTUAL_PROTO."""

    port: int | None = None
    """None for the exposed one."""
    proto: Proto = "http"
    from_route: bool = False
    """Whether the route itself decides."""


@dataclass(frozen=True)
class Backend:
    """A ``backend`` section; its servers may be none, which answers 503."""

    name: str
    title: str
    """The services it stands for, for people who read the configuration."""
    servers: tuple[Server, ...]
    rewrite: Rewrite | None = None
    policy: Policy = DEFAULT_POLICY
    scripts: str = ""
    """The folder that FastCGI servers have their scripts in; '' where there are none."""
    tcp: bool = False
    """Whether it passes on bytes, not requests."""
    extra: tuple[str, ...] = ()
    """Raw lines that its containers bring along."""


@dataclass(frozen=True, order=True)
class TcpPort:
    """A port that is passed on as it comes."""

    number: int
    tls: bool
    """Whether TLS is taken off first."""
    backend: str


@dataclass(frozen=True)
class Place:
    """What a rule is for; two rules of one place compete."""

    listener: Listener
    host: HostPattern
    path: PathPattern
    port: int | None = None
    """None for the usual port of the listener."""
    upgrade: bool = False
    """Whether it is for websockets alone."""

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts as requests are matched, within one listener and one weight; no two places have the same."""
        return self.listener, self.port or 0, self.host.rank, self.path.rank, not self.upgrade

    def __str__(self) -> str:
        schemes = {("plain", False): "http", ("plain", True): "ws", ("tls", False): "https", ("tls", True): "wss"}
        port = f":{self.port}" if self.port else ""
        return f"{schemes[self.listener, self.upgrade]}://{self.host.text}{port}{self.path}"


@dataclass(frozen=True)
class Rule:
    """One line of the flat list that a request is held against: the first that matches decides."""

    place: Place
    weight: int
    backend: str
    redirect: Redirect = "never"
    tls_port: int | None = None
    """Where a redirect leads; None for the usual port."""
    code: int = 301
    """The status of a redirect of anything but GET and HEAD."""
    pinned: bool = False
    """On the TLS listener: whether plain HTTP is redirected or closed, so that browsers may insist on https."""
    implicit: bool = False
    """Whether paths of its host that nobody serves are answered with 404, as where VIRTUAL_PATH is set."""


@dataclass(frozen=True, order=True)
class Route:
    """From a host and a path on one listener to a backend, for people to read."""

    listener: Listener | Literal["tcp"]
    host: str
    backend: str
    redirect: bool = False
    """On the plain listener: answer with a redirect to https instead."""


@dataclass(frozen=True)
class Routing:
    """All that discovery decides, sorted; equal worlds give equal values."""

    backends: tuple[Backend, ...] = ()
    routes: tuple[Route, ...] = ()
    skipped: tuple[Skipped, ...] = field(default=())
    rules: tuple[Rule, ...] = ()
    tcp: tuple[TcpPort, ...] = ()
    covered: Mapping[str, bool] = field(default_factory=dict)
    """Hosts, and ``*.parents``, that are redirected where a rule leaves it to certificates; whether browsers trust
    those."""
    covers_all: bool = False
    """Whether every host counts as covered."""

    def lines(self) -> Mapping[str, str]:
        """A sentence for each host: how it is served, and by whom."""
        backends = {backend.name: backend for backend in self.backends}
        by_host: dict[str, list[Route]] = {}
        for route in self.routes:
            by_host.setdefault(route.host, []).append(route)
        return {host: _sentence(host, routes, backends) for host, routes in by_host.items()}


def _sentence(host: str, routes: list[Route], backends: Mapping[str, Backend]) -> str:
    by_answer: dict[str, list[str]] = {}
    for route in sorted(routes):
        answer = "redirected to https" if route.redirect else _pool(backends.get(route.backend))
        by_answer.setdefault(answer, []).append(SCHEMES[route.listener])
    parts = (f"{' and '.join(names)} {answer}" for answer, names in by_answer.items())
    return f"{host}: {', '.join(parts)}"


def _pool(backend: Backend | None) -> str:
    if backend is None:
        return "closed"
    servers = ", ".join(server.place for server in backend.servers)
    return f"served by {backend.title} ({servers or 'no server'})"
