"""``SSL_CERT``: certificates that containers bring along, each for the hosts of its own container alone."""

import functools
from collections.abc import Iterable
from dataclasses import replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.cert_name import hosts_of
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import setting
from proxy_agent.routing.model import Service
from proxy_agent.routing.naming import slug
from proxy_agent.tls.bundle import Bundle, parse_bundle

SOURCE = "container/"
_LARGEST = 32_000
"""Characters: what the runtime API takes in one command."""
_MOST_REMEMBERED = 256
_DEFAULT = "DEFAULT_SSL_CERT"


def certificates_of(services: Iterable[Service], proxy: Proxy) -> tuple[tuple[Bundle, ...], tuple[Skipped, ...]]:
    """The bundles that containers carry, sorted, cut down to the hosts that each container answers for.

    The private key stands in the container's environment, where ``docker inspect`` shows it; reasons never quote it.
    """
    bundles: list[Bundle] = []
    doubts: list[Skipped] = []
    for service in services:
        for container in service.containers:
            own, default = setting(container, "SSL_CERT"), setting(container, _DEFAULT)
            if default:
                reason = f"{_DEFAULT}: a container cannot choose for everybody, it counts as SSL_CERT"
                doubts.append(Skipped(service.name, reason))
            if not (own or default):
                continue
            try:
                bundle = _parsed(f"{SOURCE}{slug(container.name)}", own or default)
            except ValueError as error:
                doubts.append(Skipped(service.name, f"SSL_CERT: {error}"))
                continue
            hosts = hosts_of(Service(service.name, (container,)), proxy)
            bundles.append(replace(bundle, identifiers=frozenset(host for host in hosts if bundle.covers(host))))
    return tuple(sorted(bundles, key=lambda bundle: bundle.name)), tuple(sorted(set(doubts)))


@functools.lru_cache(_MOST_REMEMBERED)
def _parsed(name: str, text: str) -> Bundle:
    """Line breaks may be written as such, or as a backslash and an n."""
    if len(text) > _LARGEST or not text.isascii():
        raise ValueError("it holds no PEM")
    return parse_bundle(name, f"{text.replace(chr(92) + 'n', chr(10)).strip()}\n".encode())
