"""What each service asks for, place by place, before anybody decides who gets it."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.access import Credential
from proxy_agent.routing.extra import NO_EXTRA, Extra
from proxy_agent.routing.hosts import HostPattern
from proxy_agent.routing.metadata import VIRTUAL_HOST, VIRTUAL_HOST_MULTIPORTS, asks_for_routes, setting
from proxy_agent.routing.model import Container, DockerHealth, Listener, Place, Reach, Redirect, Service
from proxy_agent.routing.multiports import PortRoute, parse_multiports
from proxy_agent.routing.options import METHODS, Options, read_options
from proxy_agent.routing.paths import PathKind, PathPattern
from proxy_agent.routing.policy import DEFAULT_POLICY, Policy
from proxy_agent.routing.rewrite import Rewrite
from proxy_agent.routing.server_settings import DEFAULT_SERVER, ServerSettings
from proxy_agent.routing.virtual_host import VirtualHost, parse_virtual_hosts

_MOST_PORTS = 8
"""Of its own for one service: each is a socket of HAProxy's."""
_MOST_REMEMBERED = 4096
"""Services that are not read anew at every look, though others may have changed."""
_MOST_PATTERNS = 100
"""That no map can look up, for one service: each is tried on every request that gets as far."""


@dataclass(frozen=True)
class Proxy:
    """What the proxy itself is told, as far as it decides about routes."""

    force_ssl: bool | None = None
    http_port: int = 80
    https_port: int = 443
    docker_health: DockerHealth = "use"
    https_method: str = ""
    """For services that say nothing themselves; before force_ssl."""
    code: int = 301
    http_without_certificate: bool = True
    taken_ports: tuple[tuple[int, str], ...] = ()
    """Ports that no service can have, each with what is there."""
    policy: Policy = DEFAULT_POLICY
    """What holds for services that say nothing else."""
    server: ServerSettings = DEFAULT_SERVER
    users: Mapping[str, tuple[Credential, ...]] = field(default_factory=dict, compare=False)
    """Who may sign in, by the name of a file that is called like a host."""
    extra: Extra = field(default=NO_EXTRA, compare=False)
    """The raw lines that HAProxy takes; they decide about no claim, so that claims are remembered without them."""


@dataclass(frozen=True)
class Claim:
    """One service's wish for one place."""

    place: Place
    service: str
    weight: int
    redirect: Redirect | None
    """None where only the proxy's own setting may ask for it."""
    code: int
    rewrite: Rewrite | None
    implicit: bool
    reach: Reach
    tls_port: int | None = None
    """Where a redirect leads; None for the usual port."""
    created: int = 0
    """When the container was made that says so: the newest decides where several disagree."""
    closed: bool = False
    """Whether the answer is 503: HTTPS_METHOD=nohttps closes the TLS listener for a host."""


@functools.lru_cache(_MOST_REMEMBERED)
def claims_of(service: Service, proxy: Proxy) -> tuple[tuple[Claim, ...], tuple[Skipped, ...]]:
    """The union over the service's containers, which differ only while a new version replaces an old one."""
    claims: dict[Place, Claim] = {}
    skipped: set[Skipped] = set()
    for container in sorted(service.containers, key=lambda container: (-container.created, container.name)):
        if not asks_for_routes(container):
            continue
        found, doubts = _claims(container, service.name, proxy)
        skipped |= {Skipped(service.name, doubt) for doubt in doubts}
        for claim in found:
            claims.setdefault(claim.place, claim)
    kept = tuple(_within_bounds(claims))
    if len(kept) < len(claims):
        doubt = f"VIRTUAL_HOST: only {_MOST_PORTS} ports and {_MOST_PATTERNS} patterns of one service are served"
        skipped.add(Skipped(service.name, doubt))
    return tuple(claims[place] for place in kept), tuple(sorted(skipped))


def _within_bounds(places: Iterable[Place]) -> Iterator[Place]:
    """*places* without the further ports and the patterns that are too many, the more specific ones kept."""
    ports: set[int] = set()
    patterns: set[tuple[HostPattern, PathPattern]] = set()
    for place in sorted(places, key=lambda place: place.rank):
        if place.port:
            ports |= {place.port} if len(ports) < _MOST_PORTS else set()
        if is_pattern := place.host.expression_needed or place.path.expression_needed:
            patterns |= {(place.host, place.path)} if len(patterns) < _MOST_PATTERNS else set()
        if (not place.port or place.port in ports) and (not is_pattern or (place.host, place.path) in patterns):
            yield place


def _claims(container: Container, service: str, proxy: Proxy) -> tuple[list[Claim], list[str]]:
    options, doubts = read_options(container)
    routes, skipped = _routes(container, options)
    claims: list[Claim] = []
    reasons = [*doubts, *(f"{item.what}: {item.reason}" for item in skipped)]
    for route in routes:
        try:
            found = _claims_of_route(route, service, options, proxy)
            claims += (replace(claim, created=container.created) for claim in found)
        except ValueError as error:
            reasons.append(f"VIRTUAL_HOST: {error}")
    if any(route.destination and not route.path.replaceable for route in routes):
        reasons.append("VIRTUAL_DEST: not used where a path is a pattern: it has no beginning to replace")
    return claims, reasons


def _routes(container: Container, options: Options) -> tuple[tuple[PortRoute, ...], tuple[Skipped, ...]]:
    """What MULTIPORTS says; where it is unset, the entries of VIRTUAL_HOST, those without a path under VIRTUAL_PATH."""
    if text := setting(container, VIRTUAL_HOST_MULTIPORTS):
        return parse_multiports(text)
    entries, skipped = parse_virtual_hosts(setting(container, VIRTUAL_HOST))
    paths = ((entry, options.path if entry.path.kind is PathKind.ALL else entry.path) for entry in entries)
    return tuple(
        PortRoute(entry, path, options.destination, Reach()) for entry, path in paths if path is not None
    ), skipped


def _claims_of_route(route: PortRoute, service: str, options: Options, proxy: Proxy) -> Iterator[Claim]:
    entry, path = route.entry, route.path
    replaces = route.destination and path.replaceable
    external = route.http_port or options.http_port, route.https_port or options.https_port
    tls_port = _external(external, proxy)[1] if entry.scheme is None and entry.port is None else None
    for listener, port, redirect, closed in _ways(entry, options, proxy, external):
        yield Claim(
            place=Place(listener, entry.host, path, port, entry.scheme in ("ws", "wss")),
            service=service,
            weight=options.weight,
            redirect=redirect,
            code=options.code or proxy.code,
            rewrite=Rewrite(path.text, route.destination) if replaces else None,
            # What an entry says of its own paths says nothing of others; VIRTUAL_PATH parts a whole host.
            implicit=entry.path.kind is PathKind.ALL and path.kind is not PathKind.ALL,
            reach=route.reach,
            closed=closed,
            tls_port=tls_port,
        )


Ports = tuple[int | None, int | None]
"""Of plain HTTP and of TLS; None for the usual one."""
Way = tuple[Listener, int | None, Redirect | None, bool]


def _external(ports: Ports, proxy: Proxy) -> Ports:
    """*ports* as listeners; raises ValueError where one cannot speak what it should."""
    plain, tls = ports
    if plain is not None and plain in (tls, proxy.https_port):
        raise ValueError(f"EXTERNAL_HTTP_PORT={plain} cannot be: that port is TLS")
    if tls is not None and tls == proxy.http_port:
        raise ValueError(f"EXTERNAL_HTTPS_PORT={tls} cannot be: that port is plain HTTP")
    return None if plain == proxy.http_port else plain, None if tls == proxy.https_port else tls


def _ways(entry: VirtualHost, options: Options, proxy: Proxy, external: Ports) -> Iterator[Way]:
    """The listeners of an entry, each with its port, its redirect, and whether it is closed there."""
    secure = entry.scheme in ("https", "wss")
    if secure and entry.port == proxy.http_port:
        raise ValueError(f"'https' on port {entry.port} cannot be: that port is plain HTTP, leave it out")
    # That one port is TLS whatever an entry says; the other speaks plain HTTP.
    tls = secure or entry.port == proxy.https_port
    port = None if entry.port in (proxy.http_port, proxy.https_port) else entry.port
    if entry.scheme is None and entry.port is None:
        redirect, shut = _redirect(options, proxy)
        without_tls = options.without_tls or (options.redirect is None and proxy.https_method == "nohttps")
        plain_port, tls_port = _external(external, proxy)
        yield "plain", plain_port, redirect, shut
        yield "tls", tls_port, "never", without_tls
    elif tls:
        yield "tls", port, "never", False
        if options.force_ssl and entry.scheme == "https" and port is None:
            yield "plain", None, "always", False
    elif options.force_ssl and entry.scheme == "http" and port is None:
        yield "plain", None, "always", False
        yield "tls", None, "never", False
    else:
        yield "plain", port, "never" if port or entry.scheme == "ws" or options.force_ssl is False else None, False


def _redirect(options: Options, proxy: Proxy) -> tuple[Redirect, bool]:
    """What plain HTTP of an entry without a scheme is answered with, and whether that is 503 in any case."""
    by_proxy: dict[bool | None, Redirect] = {True: "always", False: "never", None: "auto"}
    redirect = options.redirect or METHODS.get(proxy.https_method) or by_proxy[proxy.force_ssl]
    http_allowed = options.http_without_certificate
    if proxy.http_without_certificate if http_allowed is None else http_allowed:
        return redirect, False
    # Not even until a certificate is there.
    return ("never", True) if redirect == "closed" else ("always" if redirect == "auto" else redirect, False)


def without_taken_ports(claims: Iterable[Claim], proxy: Proxy) -> tuple[tuple[Claim, ...], tuple[Skipped, ...]]:
    """*claims* that can be listened for: one bind that fails would cost everybody the whole configuration."""
    claims, taken = tuple(claims), dict(proxy.taken_ports)
    doubts = (
        Skipped(claim.service, f"{claim.place} is not served: port {claim.place.port} {taken[port]}")
        for claim in claims
        if (port := claim.place.port or 0) in taken
    )
    return tuple(claim for claim in claims if (claim.place.port or 0) not in taken), tuple(doubts)


def on_tls_ports(claims: Iterable[Claim]) -> tuple[tuple[Claim, ...], tuple[Skipped, ...]]:
    """A further port speaks TLS as soon as one claim wants that there, and then to everybody."""
    claims = tuple(claims)
    tls: Set[int | None] = {claim.place.port for claim in claims if claim.place.port and claim.place.listener == "tls"}
    moved = {claim for claim in claims if claim.place.listener == "plain" and claim.place.port in tls}
    doubts = (
        Skipped(claim.service, f"VIRTUAL_HOST: {claim.place} is served through TLS, as others ask for on that port")
        for claim in moved
    )
    return tuple(_through_tls(claim) if claim in moved else claim for claim in claims), tuple(doubts)


def _through_tls(claim: Claim) -> Claim:
    return replace(claim, place=replace(claim.place, listener="tls"), redirect="never")
