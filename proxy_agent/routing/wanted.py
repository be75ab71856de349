"""Which certificates the discovered services want, as letsencrypt is told: one list of names for each container."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.acme import (
    MOST_NAMES,
    AcmeOptions,
    explicit_hosts,
    parse_names,
    read_acme_options,
)
from proxy_agent.routing.claims import Proxy, claims_of
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.metadata import VIRTUAL_HOST, VIRTUAL_HOST_MULTIPORTS, asks_for_routes, setting
from proxy_agent.routing.model import Container, Service
from proxy_agent.tls.names import DnsName, parse_dns_name

VERSION = 1
"""Of the file; letsencrypt refuses others."""
_MOST_REQUESTS = 1000
_PRIVATE = ("localhost", "local", "internal", "lan", "home.arpa", "onion")
"""Below these no CA on the internet issues (RFC 6761, 6762, 7686, 8375); ``.test`` may have a CA of its own."""
_SECOND_LINEAGE = re.compile(r".*-\d{4}")
"""What certbot calls a second lineage of the same names: nobody's host."""
_APP_ANSWERS = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class Request:
    """One certificate that is wanted."""

    names: tuple[str, ...]
    """DNS names and addresses; the first names the certificate's files."""
    services: tuple[str, ...]
    """Who wants it, sorted."""
    options: AcmeOptions = field(default_factory=AcmeOptions)


@dataclass(frozen=True)
class _Wish:
    """A request of one container."""

    request: Request
    created: int

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts who decides about a first name: the longer list, then the newer container."""
        return -len(self.request.names), -self.created, self.request.names, repr(asdict(self.request.options))


def find_wanted(
    services: Iterable[Service], proxy: Proxy, is_covered: Callable[[DnsName], bool]
) -> tuple[tuple[Request, ...], tuple[Skipped, ...]]:
    """The certificates that *services* want, sorted, and what cannot be asked for.

    A container's list is ``ACME_HOST``, where it has one, else the host names that it answers for through TLS, less
    those that *is_covered* says somebody else's certificate covers already. Services on other networks are somebody
    else's, and their challenges would not arrive here.
    """
    wishes: list[_Wish] = []
    skipped: set[Skipped] = set()
    for service in services:
        for container in service.containers:
            if container.address is None:
                continue
            found, doubts = _wishes(container, service.name, proxy, is_covered)
            wishes += found
            skipped |= {Skipped(service.name, doubt) for doubt in doubts}
    requests, told = _one_each_first_name(wishes)
    skipped |= set(told)
    if len(requests) > _MOST_REQUESTS:
        doubt = f"{len(requests)} certificates are wanted, only {_MOST_REQUESTS} are asked for"
        skipped.add(Skipped("containers", doubt))
    return requests[:_MOST_REQUESTS], tuple(sorted(skipped))


def render_wanted(requests: Iterable[Request]) -> bytes:
    """The file that letsencrypt reads; equal requests give equal bytes."""
    certificates = [
        {"names": request.names, "for": request.services}
        | {name: value for name, value in asdict(request.options).items() if value not in ("", None, False)}
        | ({"reuse_key": request.options.reuse_key} if request.options.reuse_key is not None else {})
        for request in requests
    ]
    return json.dumps({"version": VERSION, "certificates": certificates}, indent=1).encode() + b"\n"


def is_public_looking(name: DnsName) -> bool:
    """Whether somebody on the internet may know *name*: nothing else is ever asked for by itself.

    >>> [is_public_looking(DnsName(name)) for name in ("a.example.com", "nas", "nas.lan", "app.test")]
    [True, False, False, True]
    """
    labels = name.split(".")
    is_private = any(name == private or name.endswith(f".{private}") for private in _PRIVATE)
    return len(labels) > 1 and not is_private and not _SECOND_LINEAGE.fullmatch(name)


def _wishes(
    container: Container, service: str, proxy: Proxy, is_covered: Callable[[DnsName], bool]
) -> tuple[list[_Wish], list[str]]:
    doubts: list[str] = []
    if text := explicit_hosts(container):
        identifiers, wrong = parse_names(text)
        names = [str(identifier) for identifier in identifiers]
        doubts += [f"ACME_HOST: {reason}" for reason in wrong]
    else:
        names = [name for name in _tls_names(container, service, proxy) if not is_covered(name)]
    if not names:
        return [], doubts
    options, unused = read_acme_options(container)
    size = 1 if options.one_each else MOST_NAMES
    lists = (tuple(names[start : start + size]) for start in range(0, len(names), size))
    alone = replace(options, one_each=False)
    return [_Wish(Request(each, (service,), alone), container.created) for each in lists], [*doubts, *unused]


def _tls_names(container: Container, service: str, proxy: Proxy) -> list[DnsName]:
    """The host names that *container* answers for through TLS and a CA could know, in the order they are written in."""
    if not asks_for_routes(container) or setting(container, "ACME_HTTP_CHALLENGE_LOCATION").lower() in _APP_ANSWERS:
        return []
    claims, _ = claims_of(Service(service, (container,)), proxy)
    hosts = {
        claim.place.host.text
        for claim in claims
        if claim.place.listener == "tls" and not claim.closed and claim.place.host.kind is HostKind.EXACT
    }
    text = setting(container, VIRTUAL_HOST_MULTIPORTS) or setting(container, VIRTUAL_HOST)
    words = re.findall(r"[a-z0-9.-]+", text.lower())
    place = {word.strip("."): number for number, word in reversed(list(enumerate(words)))}
    names = (name for host in hosts for name in _dns_names(host) if is_public_looking(name))
    return sorted(names, key=lambda name: (place.get(name, len(words)), name))


def _dns_names(host: str) -> Iterator[DnsName]:
    """*host*, unless it is an address, or holds an underscore, which no certificate does."""
    try:
        yield parse_dns_name(host)
    except ValueError:
        return


def _one_each_first_name(wishes: Iterable[_Wish]) -> tuple[tuple[Request, ...], list[Skipped]]:
    """One request for each first name, because that names its files.

    Where lists begin alike the longer one is asked for, and what the other has beyond it, by itself: no list grows by
    the names of another. Who has a say in how it is done but is not followed is told.
    """
    taken: dict[str, tuple[Request, set[str]]] = {}
    told: list[Skipped] = []
    for wish in sorted(wishes, key=lambda wish: wish.rank):
        request, left = wish.request, wish.request.names
        while left and left[0] in taken:
            winner, services = taken[left[0]]
            if request.options not in (winner.options, AcmeOptions()) and request.services != winner.services:
                doubt = f"{left[0]}: its certificate is obtained as {winner.services[0]} wants it, not as this one says"
                told.append(Skipped(request.services[0], doubt))
            services.update(request.services)
            left = tuple(name for name in left if name not in winner.names)
        if left:
            taken[left[0]] = replace(request, names=left), set(request.services)
    requests = (replace(request, services=tuple(sorted(services))) for _, (request, services) in sorted(taken.items()))
    return tuple(requests), told
