"""Which containers take part at all: the switch ``proxy.enable``, and its elder of dockercloud/haproxy."""

from collections.abc import Iterable
from dataclasses import replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.metadata import DEACTIVATE_LABEL, ENABLE, asks_for_routes
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.values import parse_switch


def admitted(services: Iterable[Service]) -> tuple[tuple[Service, ...], tuple[Skipped, ...]]:
    """*services* without the containers that are switched off, and a word where a switch cannot be read."""
    doubts: list[Skipped] = []
    left: list[Service] = []
    for service in services:
        switches = [(container, Reader(container)) for container in service.containers]
        left.append(replace(service, containers=tuple(one for one, reader in switches if _is_on(one, reader))))
        for container, reader in switches:
            told = reader.doubts if asks_for_routes(container) else []
            doubts += [Skipped(f"{service.name} ({container.name})", doubt) for doubt in told]
    return tuple(left), tuple(doubts)


def _is_on(container: Container, reader: Reader) -> bool:
    """Off is only what says so: a word that means nothing leaves a service where it was."""
    deactivated = container.settings.get(DEACTIVATE_LABEL, "").strip().lower() in ("true", "yes", "on", "1")
    return reader.value(ENABLE, parse_switch, default=True) and not deactivated
