"""From services to routing: who answers for which place, decided alike whatever order Docker lists them in."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.admission import admitted
from proxy_agent.routing.claims import Claim, Proxy, claims_of, on_tls_ports, without_taken_ports
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.metadata import asks_for_routes, questions
from proxy_agent.routing.model import NO_ROUTE, Backend, Place, Redirect, Route, Routing, Rule, Service, TcpPort
from proxy_agent.routing.pools import Pools
from proxy_agent.routing.tcp import tcp_claims, tcp_ports
from proxy_agent.tls.names import DnsName

EVERY_NAME = DnsName("*")
"""Among covered names: that the user's own default certificate is good for all."""


def build(
    services: Iterable[Service],
    covered: Set[DnsName],
    proxy: Proxy,
    trusted: Set[DnsName] = frozenset(),
) -> Routing:
    """Decide the routing of *services*.

    *covered* are the names of installed certificates other than the default one, *trusted* those of them that
    browsers are meant to trust. A host without a scheme is redirected to https once it is covered; the proxy's
    FORCE_SSL makes that always or never, the service's own settings come before it. Services that ask for the same
    place with the same weight serve it together, as one pool; a higher weight takes it whole.
    """
    services, unclear = admitted(services)
    asking = {service.name: service for service in services if _asks(service)}
    by_name = {name: service for name, service in asking.items() if _is_beside_us(service)}
    read = [claims_of(service, proxy) for _, service in sorted(by_name.items())]
    claims, taken = without_taken_ports((claim for found, _ in read for claim in found), proxy)
    claims, moved = on_tls_ports(claims)
    pools = Pools(by_name, claims, proxy)
    winners, outdone = _winners(claims, pools)
    rules = _pinned(_rule(group, pools, winners, proxy) for group in winners.values())
    asked, unread = tcp_claims(service for _, service in sorted(by_name.items()))
    used = {proxy.http_port, proxy.https_port, *proxy.extra.ports, *dict(proxy.taken_ports)}
    used |= {rule.place.port for rule in rules if rule.place.port}
    tcp, refused = tcp_ports(asked, used, pools)
    elsewhere = (item for name in asking.keys() - by_name.keys() for item in _out_of_reach(asking[name]))
    told = (
        *unclear,
        *_questions(services),
        *taken,
        *moved,
        *outdone,
        *unread,
        *refused,
        *elsewhere,
        *pools.doubts,
        *(item for _, doubts in read for item in doubts),
    )
    return Routing(
        backends=pools.backends,
        routes=tuple(sorted({*(_route(rule, covered) for rule in rules), *map(_tcp_route, tcp)})),
        skipped=tuple(sorted(set(told))),
        rules=rules,
        tcp=tcp,
        covered=_covered_names(rules, covered, trusted),
        covers_all=EVERY_NAME in covered,
    )


def _questions(services: Iterable[Service]) -> Iterator[Skipped]:
    for service in services:
        for container in service.containers:
            yield from (Skipped(service.name, question) for question in questions(container))


def _asks(service: Service) -> bool:
    return any(map(asks_for_routes, service.containers))


def _is_beside_us(service: Service) -> bool:
    """A service on other networks only is somebody else's, another stack perhaps: it may not even cause a reload."""
    return any(container.address for container in service.containers)


def _out_of_reach(service: Service) -> Iterator[Skipped]:
    for container in service.containers:
        yield Skipped(f"{service.name} ({container.name})", container.unreachable)


def _winners(claims: Iterable[Claim], pools: Pools) -> tuple[dict[Place, tuple[Claim, ...]], list[Skipped]]:
    """Who gets each place, sorted by service, and a word to those who do not.

    A service that HAProxy cannot reach has its hosts answered with 503, but takes none from one that it can.
    """
    by_place: dict[Place, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_place[claim.place].append(claim)
    winners: dict[Place, tuple[Claim, ...]] = {}
    told: list[Skipped] = []
    for place, rivals in by_place.items():
        known = [claim for claim in rivals if pools.has_servers(claim)] or rivals
        # Who ended a moment ago shares what it shared before, but takes nothing from one that is there.
        heaviest = max(claim.weight for claim in _there(known, pools))
        able = [claim for claim in known if claim.weight <= heaviest]
        winners[place] = tuple(sorted((c for c in able if c.weight == heaviest), key=lambda claim: claim.service))
        told += _outdone(winners[place], [claim for claim in able if claim.weight < heaviest])
        told += _shared(_there(winners[place], pools))
    return winners, told


def _there(claims: Sequence[Claim], pools: Pools) -> Sequence[Claim]:
    """Those of *claims* whose services have not ended, who alone have a say; all where nobody is there."""
    return [claim for claim in claims if pools.has_somebody(claim)] or claims


def _outdone(winners: tuple[Claim, ...], losers: Iterable[Claim]) -> Iterator[Skipped]:
    for claim in losers:
        by = " and ".join(winner.service for winner in winners)
        yield Skipped(claim.service, f"{claim.place} is answered by {by}, whose VIRTUAL_HOST_WEIGHT is higher")


def _shared(claims: Sequence[Claim]) -> Iterator[Skipped]:
    """Copies in one project are meant; two projects with one host are more often a mistake."""
    if len({claim.service.partition("/")[0] for claim in claims if "/" in claim.service}) > 1:
        names = " and ".join(claim.service for claim in claims)
        yield Skipped(names, f"{claims[0].place} is asked for in several projects, they share its requests")
    if len({(claim.rewrite, claim.redirect, claim.code, claim.closed) for claim in claims}) > 1:
        names = " and ".join(claim.service for claim in claims)
        newest = _newest(claims).service
        yield Skipped(names, f"{claims[0].place} is asked for in different ways, what {newest} says counts")


def _newest(claims: Iterable[Claim]) -> Claim:
    """Who decides where several share a place: the container that was made last, then the first by name."""
    return min(claims, key=lambda claim: (-claim.created, claim.service))


def _rule(claims: tuple[Claim, ...], pools: Pools, winners: Mapping[Place, object], proxy: Proxy) -> Rule:
    claim = _newest(_there(claims, pools))
    place = claim.place
    backend = None if claim.closed else pools.backend(claims, claim.rewrite)
    return Rule(
        place=place,
        weight=claim.weight,
        backend=backend.name if backend else NO_ROUTE,
        redirect=_redirect(claim, backend, Place("tls", place.host, place.path, claim.tls_port) in winners, proxy),
        tls_port=claim.tls_port,
        code=claim.code,
        implicit=any(other.implicit for other in claims),
    )


def _redirect(claim: Claim, backend: Backend | None, has_tls: bool, proxy: Proxy) -> Redirect:
    """What becomes of plain HTTP; *has_tls*: the same place is served through TLS."""
    place = claim.place
    if claim.redirect is None and proxy.force_ssl and has_tls:
        return "always"
    ends_in_clear = (
        claim.redirect in (None, "never") and place.listener == "plain" and not (place.port or place.upgrade)
    )
    if ends_in_clear and has_tls and backend and backend.policy.protected:
        # No password in clear text where there is another way.
        return "auto"
    return claim.redirect or "never"


def _pinned(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules in order, those on the TLS listener marked whose plain twin leads there or is closed."""
    rules = tuple(rules)
    insisting = {(rule.place.host, rule.place.path) for rule in rules if rule.redirect != "never"}

    def is_pinned(place: Place) -> bool:
        return place.listener == "tls" and place.port is None and (place.host, place.path) in insisting

    return tuple(replace(rule, pinned=True) if is_pinned(rule.place) else rule for rule in sorted(rules, key=_order))


def _order(rule: Rule) -> tuple[object, ...]:
    return -rule.weight, rule.place.rank


def _covered_names(rules: Iterable[Rule], covered: Set[DnsName], trusted: Set[DnsName]) -> Mapping[str, bool]:
    """Hosts with certificates, where a rule asks; where hosts are patterns, all there are. Whether they are trusted."""
    names: set[str] = set()
    for host in {rule.place.host for rule in rules if rule.redirect in ("auto", "closed") or rule.pinned}:
        if host.kind is not HostKind.EXACT:
            names |= set(map(str, covered - {EVERY_NAME}))
        elif _is_covered(host.text, covered):
            names.add(host.text)
    return {name: _is_covered(name, trusted) for name in sorted(names)}


def _is_covered(host: str, covered: Set[DnsName]) -> bool:
    """RFC 9525 section 6.3: a wildcard stands for one label."""
    return not covered.isdisjoint({host, EVERY_NAME}) or f"*.{host.partition('.')[2]}" in covered


def _route(rule: Rule, covered: Set[DnsName]) -> Route:
    place = rule.place
    redirect = rule.redirect == "always" or (rule.redirect == "auto" and _is_covered(place.host.text, covered))
    closed = rule.redirect == "closed" and _is_covered(place.host.text, covered)
    host = f"{place.host}{f':{place.port}' if place.port else ''}{place.path}"
    title = f"{host} (websockets)" if place.upgrade else host
    return Route(place.listener, title, NO_ROUTE if closed else rule.backend, redirect)


def _tcp_route(port: TcpPort) -> Route:
    return Route("tcp", f":{port.number}{' (TLS)' if port.tls else ''}", port.backend)
