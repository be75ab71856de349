"""``TCP_PORTS``: ports that are passed on as they come, for what is not HTTP, with ``/ssl`` after TLS is taken off."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.metadata import TCP_PORTS, asks_for_routes, setting
from proxy_agent.routing.model import Container, Reach, Service, TcpPort
from proxy_agent.routing.pools import Pools
from proxy_agent.routing.ports import parse_port
from proxy_agent.routing.values import parse_list, quoted

_MOST = 8
"""For one service: each is a socket of HAProxy's."""


@dataclass(frozen=True)
class TcpClaim:
    """One service's wish for one port."""

    port: int
    tls: bool
    service: str
    created: int

    @property
    def reach(self) -> Reach:
        """The container's port is the proxy's."""
        return Reach(self.port, from_route=True)


def tcp_claims(services: Iterable[Service]) -> tuple[tuple[TcpClaim, ...], tuple[Skipped, ...]]:
    """What *services* ask for; of containers that disagree the newest decides."""
    claims: list[TcpClaim] = []
    doubts: set[Skipped] = set()
    for service in services:
        found: dict[int, TcpClaim] = {}
        for container in sorted(service.containers, key=lambda container: (-container.created, container.name)):
            asked, reasons = _asked(container) if asks_for_routes(container) else ([], [])
            doubts |= {Skipped(service.name, f"{TCP_PORTS}: {reason}") for reason in reasons}
            for port, tls in asked:
                found.setdefault(port, TcpClaim(port, tls, service.name, container.created))
        if len(found) > _MOST:
            doubts.add(Skipped(service.name, f"{TCP_PORTS}: only {_MOST} ports of one service are served"))
        claims += (found[port] for port in sorted(found)[:_MOST])
    return tuple(claims), tuple(sorted(doubts))


def _asked(container: Container) -> tuple[list[tuple[int, bool]], list[str]]:
    ports: list[tuple[int, bool]] = []
    reasons: list[str] = []
    for item in parse_list(setting(container, TCP_PORTS)):
        try:
            ports.append(parse_tcp_port(item))
        except ValueError as error:
            reasons.append(str(error))
    return ports, reasons


def parse_tcp_port(text: str) -> tuple[int, bool]:
    """One item: the port, and whether HAProxy takes TLS off; raises ValueError.

    >>> parse_tcp_port("6697/ssl")
    (6697, True)
    """
    number, slash, kind = text.partition("/")
    if slash and kind.lower() != "ssl":
        raise ValueError(f"{quoted(text)} is not used: write a port, or a port with /ssl")
    return parse_port(number), bool(slash)


def tcp_ports(
    claims: Iterable[TcpClaim], taken: Set[int], pools: Pools
) -> tuple[tuple[TcpPort, ...], tuple[Skipped, ...]]:
    """Who answers on which port; *taken* are those that speak HTTP. Services with the same port share it."""
    by_port: dict[int, list[TcpClaim]] = {}
    for claim in sorted(claims, key=lambda claim: claim.service):
        by_port.setdefault(claim.port, []).append(claim)
    ports: list[TcpPort] = []
    doubts: list[Skipped] = []
    for number, rivals in sorted(by_port.items()):
        if number in taken:
            reason = f"{TCP_PORTS}: port {number} is used by the proxy itself, or by an entry of VIRTUAL_HOST"
            doubts += (Skipped(claim.service, reason) for claim in rivals)
            continue
        newest = min(rivals, key=lambda claim: (-claim.created, claim.service))
        doubts += _disagreements(rivals, newest)
        backend = pools.tcp_backend(tuple((claim.service, claim.reach) for claim in rivals))
        ports.append(TcpPort(number, newest.tls, backend.name))
    return tuple(ports), tuple(doubts)


def _disagreements(rivals: Iterable[TcpClaim], newest: TcpClaim) -> Iterator[Skipped]:
    for claim in rivals:
        if claim.tls != newest.tls:
            yield Skipped(
                claim.service, f"{TCP_PORTS}: {newest.service} decides whether port {claim.port} is TLS, it is newer"
            )
