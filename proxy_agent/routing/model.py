"""What the pure core speaks of: services as Docker shows them, routes and backends as HAProxy takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from proxy_agent.daemon.errors import Skipped

Address = IPv4Address | IPv6Address

Listener = Literal["plain", "tls"]
"""Where a request came in: in clear text (port 80) or through TLS (port 443)."""


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

    @property
    def parameters(self) -> str:
        """What follows the name in a ``server`` line."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, order=True)
class Backend:
    """A ``backend`` section; its servers may be none, which answers 503."""

    name: str
    title: str
    """The services it stands for, for people who read the configuration."""
    servers: tuple[Server, ...]


@dataclass(frozen=True, order=True)
class Route:
    """From a host on one listener to a backend."""

    listener: Listener
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

    def lines(self) -> Mapping[str, str]:
        """A sentence for each host: how it is served, and by whom."""
        backends = {backend.name: backend for backend in self.backends}
        by_host: dict[str, list[Route]] = {}
        for route in self.routes:
            by_host.setdefault(route.host, []).append(route)
        return {host: _sentence(host, routes, backends) for host, routes in by_host.items()}


def _sentence(host: str, routes: list[Route], backends: Mapping[str, Backend]) -> str:
    schemes: dict[Listener, str] = {"plain": "http", "tls": "https"}
    by_answer: dict[str, list[str]] = {}
    for route in sorted(routes):
        answer = "redirected to https" if route.redirect else _pool(backends[route.backend])
        by_answer.setdefault(answer, []).append(schemes[route.listener])
    parts = (f"{' and '.join(names)} {answer}" for answer, names in by_answer.items())
    return f"{host}: {', '.join(parts)}"


def _pool(backend: Backend) -> str:
    servers = ", ".join(f"{server.address}:{server.port}" for server in backend.servers)
    return f"served by {backend.title} ({servers or 'no server'})"
