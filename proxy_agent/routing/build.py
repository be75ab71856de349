"""From services to routing: who answers for which host, decided alike whatever order Docker lists them in."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.metadata import VIRTUAL_HOST, server_port, setting
from proxy_agent.routing.model import Backend, Container, Listener, Route, Routing, Server, Service
from proxy_agent.routing.virtual_host import VirtualHost, parse_virtual_hosts

_LONGEST_SLUG = 40
_LONGEST_TITLE = 100

Claims = Mapping[tuple[Listener, str], tuple[str, ...]]
"""Which services, by name and sorted, ask for a host on a listener."""


def build(services: Iterable[Service], covered: Callable[[str], bool], force_ssl: bool | None) -> Routing:
    """Decide the routing of *services*.

    *covered* tells whether a certificate other than the default one is installed for a host. A host without a
    scheme is redirected to https once it is covered; *force_ssl* makes that always (True) or never (False).
    Services that ask for the same host on the same listener serve it together, as one pool.
    """
    asking = {service.name: service for service in services if _asks(service)}
    by_name = {name: service for name, service in asking.items() if _is_beside_us(service)}
    entries = {name: _virtual_hosts(service) for name, service in by_name.items()}
    servers = {name: _servers(service) for name, service in by_name.items()}
    claims = _claims({name: hosts for name, (hosts, _) in entries.items()})
    pools = {claimants: _backend(claimants, servers) for claimants in claims.values()}
    automatic = {entry.host for hosts, _ in entries.values() for entry in hosts if entry.scheme is None}

    def route(listener: Listener, host: str) -> Route:
        wanted = host in automatic and covered(host) if force_ssl is None else force_ssl
        redirect = wanted and listener == "plain" and ("tls", host) in claims
        return Route(listener, host, pools[claims[listener, host]].name, redirect)

    elsewhere = [_servers(service) for name, service in asking.items() if name not in by_name]
    skipped = [reason for _, reasons in (*entries.values(), *servers.values(), *elsewhere) for reason in reasons]
    return Routing(
        backends=tuple(sorted(pools.values())),
        routes=tuple(sorted(route(listener, host) for listener, host in claims)),
        skipped=tuple(sorted(skipped)),
    )


def _asks(service: Service) -> bool:
    return any(setting(container, VIRTUAL_HOST) for container in service.containers)


def _is_beside_us(service: Service) -> bool:
    """A service on other networks only is somebody else's, another stack perhaps: it may not even cause a reload."""
    return any(container.address for container in service.containers)


def _virtual_hosts(service: Service) -> tuple[tuple[VirtualHost, ...], tuple[Skipped, ...]]:
    """The union over the service's containers, which differ only while a new version replaces an old one."""
    hosts: dict[VirtualHost, None] = {}
    skipped: set[Skipped] = set()
    for container in service.containers:
        accepted, reasons = parse_virtual_hosts(setting(container, VIRTUAL_HOST))
        hosts |= dict.fromkeys(accepted)
        skipped |= {Skipped(service.name, f"{reason.what}: {reason.reason}") for reason in reasons}
    return tuple(hosts), tuple(sorted(skipped))


def _servers(service: Service) -> tuple[tuple[Server, ...], tuple[Skipped, ...]]:
    servers: list[Server] = []
    skipped: list[Skipped] = []
    for container in service.containers:
        try:
            servers.append(_server(container))
        except ValueError as error:
            skipped.append(Skipped(f"{service.name} ({container.name})", str(error)))
    return tuple(sorted(servers)), tuple(skipped)


def _server(container: Container) -> Server:
    if container.address is None:
        raise ValueError(container.unreachable)
    return Server(_slug(container.name), container.address, server_port(container))


def _claims(hosts: Mapping[str, tuple[VirtualHost, ...]]) -> Claims:
    claims: dict[tuple[Listener, str], set[str]] = defaultdict(set)
    for service, entries in hosts.items():
        for entry in entries:
            for listener in entry.listeners:
                claims[listener, entry.host].add(service)
    return {key: tuple(sorted(claimants)) for key, claimants in claims.items()}


def _backend(
    claimants: tuple[str, ...], servers: Mapping[str, tuple[tuple[Server, ...], tuple[Skipped, ...]]]
) -> Backend:
    pool = (server for claimant in claimants for server in servers[claimant][0])
    return Backend(
        # All claimants are in the digest: the first alone may also stand in another pool.
        name=f"{_word(claimants[0])}-{_digest(*claimants)}",
        title=" ".join(map(_printable, claimants)),
        servers=tuple(sorted(pool)),
    )


def _slug(text: str) -> str:
    """*text* as one word of HAProxy's configuration; what had to be changed gets a digest, so that no two collide."""
    word = _word(text)
    return word if word == text else f"{word}-{_digest(text)}"


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_LONGEST_SLUG]


def _printable(text: str) -> str:
    """*text* as one word for people, safe in a comment and in a line of the log."""
    return re.sub(r"[^!-~]", "?", text)[:_LONGEST_TITLE]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
