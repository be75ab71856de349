"""``CERT_NAME``: a container that names the custom certificate for its hosts."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Set

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.claims import Proxy, claims_of
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.metadata import CERT_NAME, setting
from proxy_agent.routing.model import Service
from proxy_agent.routing.values import quoted
from proxy_agent.tls.names import DnsName, parse_dns_name

SOURCE = "custom/"


def certificates_by_name(
    services: Iterable[Service], custom: Set[str], proxy: Proxy
) -> tuple[Mapping[DnsName, str], tuple[Skipped, ...]]:
    """Which of the *custom* bundles answers for which host, where containers say so; the newest container decides.

    A bundle that is not there leaves the host to the certificates that cover it.
    """
    chosen: dict[DnsName, str] = {}
    doubts: set[Skipped] = set()
    asking = [(c, s) for s in services for c in s.containers if setting(c, CERT_NAME)]
    for container, service in sorted(asking, key=lambda each: (-each[0].created, each[0].name)):
        stem = setting(container, CERT_NAME)
        name = f"{SOURCE}{stem}"
        if name not in custom:
            reason = f"{CERT_NAME}: {quoted(stem)} is not among your own certificates (.crt with .key, or .pem)"
            doubts.add(Skipped(service.name, reason))
            continue
        for host in hosts_of(Service(service.name, (container,)), proxy):
            chosen.setdefault(host, name)
    return chosen, tuple(sorted(doubts))


def hosts_of(service: Service, proxy: Proxy) -> Iterator[DnsName]:
    """Hosts of *service* that a client can ask for by name (RFC 6066 section 3): no patterns, no addresses."""
    claims, _ = claims_of(service, proxy)
    for text in sorted({claim.place.host.text for claim in claims if claim.place.host.kind is HostKind.EXACT}):
        with contextlib.suppress(ValueError):
            yield parse_dns_name(text)
