"""From services to routing: who answers for which place, decided alike whatever order Docker lists them in."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.admission import admitted
from proxy_agent.routing.claims import Claim, Proxy, claims_of, on_tls_ports
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.metadata import asks_for_routes, doubts_about_ports, exposed_port, server_port
from proxy_agent.routing.model import (
    NO_ROUTE,
    Backend,
    Container,
    DockerHealth,
    Place,
    Reach,
    Redirect,
    Rewrite,
    Route,
    Routing,
    Rule,
    Server,
    Service,
)
from proxy_agent.routing.options import server_proto
from proxy_agent.routing.rotation import health_policy, in_rotation, standing
from proxy_agent.tls.names import DnsName

_LONGEST_SLUG = 40
_LONGEST_TITLE = 100

Pool = tuple[tuple[tuple[str, Reach], ...], Rewrite | None]
"""The services, by name and sorted, that answer together, how each is reached, and what is done to the path."""

Servers = Mapping[tuple[str, Reach], tuple[tuple[Server, ...], tuple[Skipped, ...]]]
"""The servers of a service as one route reaches them, and why some of its containers are none."""


def build(services: Iterable[Service], covered: Set[DnsName], proxy: Proxy) -> Routing:
    """Decide the routing of *services*.

    *covered* are the names of installed certificates other than the default one. A host without a scheme is
    redirected to https once they cover it; the proxy's FORCE_SSL makes that always or never, the service's own
    settings come before it. Services that ask for the same place with the same weight serve it together, as one
    pool; a higher weight takes it whole.
    """
    services, unread = admitted(services)
    asking = {service.name: service for service in services if _asks(service)}
    by_name = {name: service for name, service in asking.items() if _is_beside_us(service)}
    read = [claims_of(service, proxy) for _, service in sorted(by_name.items())]
    claims, moved = on_tls_ports(claim for found, _ in read for claim in found)
    servers = {
        (name, reach): _servers(by_name[name], reach, proxy.docker_health)
        for name, reach in dict.fromkeys((claim.service, claim.reach) for claim in claims)
    }
    winners, outdone = _winners(claims, servers)
    pools = {_pool(group): _backend(_pool(group), servers) for group in winners.values()}
    rules = tuple(sorted((_rule(group, pools, winners, proxy) for group in winners.values()), key=_order))
    names = _covered_names(rules, covered)
    elsewhere = (item for name in asking.keys() - by_name.keys() for item in _out_of_reach(asking[name]))
    told = (
        *unread,
        *moved,
        *outdone,
        *elsewhere,
        *(item for _, doubts in (*read, *servers.values()) for item in doubts),
    )
    return Routing(
        backends=tuple(sorted(pools.values(), key=lambda backend: backend.name)),
        routes=tuple(sorted({_route(rule, covered) for rule in rules})),
        skipped=tuple(sorted(set(told))),
        rules=rules,
        covered=names,
    )


def _asks(service: Service) -> bool:
    return any(map(asks_for_routes, service.containers))


def _is_beside_us(service: Service) -> bool:
    """A service on other networks only is somebody else's, another stack perhaps: it may not even cause a reload."""
    return any(container.address for container in service.containers)


def _out_of_reach(service: Service) -> Iterator[Skipped]:
    for container in service.containers:
        yield Skipped(f"{service.name} ({container.name})", container.unreachable)


def _servers(service: Service, reach: Reach, default: DockerHealth) -> tuple[tuple[Server, ...], tuple[Skipped, ...]]:
    servers: list[Server] = []
    skipped: list[Skipped] = []
    for container in service.containers:
        policy, doubt = health_policy(container, default)
        doubts = [doubt] if doubt else []
        try:
            servers.append(_server(container, reach, policy))
            doubts += doubts_about_ports(container, named=reach.port is not None)
        except ValueError as error:
            doubts.append(str(error))
        skipped += (Skipped(f"{service.name} ({container.name})", doubt) for doubt in doubts)
    return tuple(sorted(servers)), tuple(skipped)


def _server(container: Container, reach: Reach, policy: DockerHealth) -> Server:
    if container.address is None:
        raise ValueError(container.unreachable)
    port = (reach.port or exposed_port(container)) if reach.from_route else server_port(container)
    proto = reach.proto if reach.from_route else server_proto(container)
    state, spare = standing(container, policy)
    return Server(_slug(container.name), container.address, port, proto, state, spare, container.network)


def _winners(claims: Iterable[Claim], servers: Servers) -> tuple[dict[Place, tuple[Claim, ...]], list[Skipped]]:
    """Who gets each place, sorted by service, and a word to those who do not.

    A service that HAProxy cannot reach has its hosts answered with 503, but takes none from one that it can.
    """
    by_place: dict[Place, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_place[claim.place].append(claim)
    winners: dict[Place, tuple[Claim, ...]] = {}
    told: list[Skipped] = []
    for place, rivals in by_place.items():
        known = [claim for claim in rivals if servers[claim.service, claim.reach][0]] or rivals
        # Who ended a moment ago shares what it shared before, but takes nothing from one that is there.
        able = [claim for claim in known if _is_there(servers[claim.service, claim.reach][0])] or known
        heaviest = max(claim.weight for claim in able)
        able = [claim for claim in known if claim.weight <= heaviest]
        winners[place] = tuple(sorted((c for c in able if c.weight == heaviest), key=lambda claim: claim.service))
        told += _outdone(winners[place], [claim for claim in able if claim.weight < heaviest])
        told += _shared(winners[place])
    return winners, told


def _is_there(servers: Iterable[Server]) -> bool:
    return any(server.state != "gone" for server in servers)


def _outdone(winners: tuple[Claim, ...], losers: Iterable[Claim]) -> Iterator[Skipped]:
    for claim in losers:
        by = " and ".join(winner.service for winner in winners)
        yield Skipped(claim.service, f"{claim.place} is answered by {by}, whose VIRTUAL_HOST_WEIGHT is higher")


def _shared(claims: tuple[Claim, ...]) -> Iterator[Skipped]:
    """Copies in one project are meant; two projects with one host are more often a mistake."""
    if len({claim.service.partition("/")[0] for claim in claims if "/" in claim.service}) > 1:
        names = " and ".join(claim.service for claim in claims)
        yield Skipped(names, f"{claims[0].place} is asked for in several projects, they share its requests")
    if len({(claim.rewrite, claim.redirect, claim.code, claim.closed) for claim in claims}) > 1:
        names = " and ".join(claim.service for claim in claims)
        yield Skipped(names, f"{claims[0].place} is asked for in different ways, what {claims[0].service} says counts")


def _pool(claims: tuple[Claim, ...]) -> Pool:
    return tuple((claim.service, claim.reach) for claim in claims), claims[0].rewrite


def _backend(pool: Pool, servers: Servers) -> Backend:
    claimants, rewrite = pool
    names = [name for name, _ in claimants]
    pool_servers = tuple(sorted(server for claimant in claimants for server in servers[claimant][0]))
    # All that tells pools apart is in the digest: the first claimant alone may also stand in another one.
    parts = [name if not reach.from_route else f"{name} {reach.port} {reach.proto}" for name, reach in claimants]
    if rewrite:
        parts += ["", rewrite.prefix, rewrite.destination]
    # Protocols too: a running server keeps the one it began with.
    parts += ["", *sorted({server.proto for server in pool_servers})]
    return Backend(
        name=f"{_word(names[0])}-{_digest(*parts)}",
        title=" ".join(map(_printable, names)),
        servers=in_rotation(pool_servers),
        rewrite=rewrite,
    )


def _rule(
    claims: tuple[Claim, ...], pools: Mapping[Pool, Backend], winners: Mapping[Place, object], proxy: Proxy
) -> Rule:
    claim = claims[0]
    place = claim.place
    redirect: Redirect = claim.redirect or "never"
    if claim.redirect is None and proxy.force_ssl and Place("tls", place.host, place.path) in winners:
        redirect = "always"
    return Rule(
        place=place,
        weight=claim.weight,
        backend=NO_ROUTE if claim.closed else pools[_pool(claims)].name,
        redirect=redirect,
        code=claim.code,
        implicit=any(other.implicit for other in claims),
    )


def _order(rule: Rule) -> tuple[object, ...]:
    return -rule.weight, rule.place.rank


def _covered_names(rules: Iterable[Rule], covered: Set[DnsName]) -> tuple[str, ...]:
    """Which hosts a rule redirects that leaves it to certificates; where hosts are patterns, all there are."""
    names: set[str] = set()
    for host in {rule.place.host for rule in rules if rule.redirect in ("auto", "closed")}:
        if host.kind is not HostKind.EXACT:
            return tuple(sorted(names.union(map(str, covered))))
        if _is_covered(host.text, covered):
            names.add(host.text)
    return tuple(sorted(names))


def _is_covered(host: str, covered: Set[DnsName]) -> bool:
    """RFC 9525 section 6.3: a wildcard stands for one label."""
    return host in covered or f"*.{host.partition('.')[2]}" in covered


def _route(rule: Rule, covered: Set[DnsName]) -> Route:
    place = rule.place
    redirect = rule.redirect == "always" or (rule.redirect == "auto" and _is_covered(place.host.text, covered))
    closed = rule.redirect == "closed" and _is_covered(place.host.text, covered)
    host = f"{place.host}{f':{place.port}' if place.port else ''}{place.path}"
    title = f"{host} (websockets)" if place.upgrade else host
    return Route(place.listener, title, NO_ROUTE if closed else rule.backend, redirect)


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
