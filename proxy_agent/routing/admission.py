"""Which containers take part at all: the switch ``proxy.enable``, and its elder of dockercloud/haproxy."""

from collections.abc import Iterable
from dataclasses import replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.metadata import DEACTIVATE_LABEL, ENABLE, asks_for_routes, label_of, setting
from proxy_agent.routing.model import Container, Service

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


def admitted(services: Iterable[Service]) -> tuple[tuple[Service, ...], tuple[Skipped, ...]]:
    """*services* without the containers that are switched off, and a word where a switch cannot be read."""
    services = tuple(services)
    doubts = tuple(
        Skipped(f"{service.name} ({container.name})", f"{label_of(ENABLE)}: {text[:40]!r} is neither yes nor no")
        for service in services
        for container in filter(asks_for_routes, service.containers)
        if (text := setting(container, ENABLE)) and text.lower() not in _YES | _NO
    )
    left = (replace(service, containers=tuple(filter(_is_on, service.containers))) for service in services)
    return tuple(left), doubts


def _is_on(container: Container) -> bool:
    """Off is only what says so: a word that means nothing leaves a service where it was."""
    deactivated = container.settings.get(DEACTIVATE_LABEL, "").strip().lower() in _YES
    return setting(container, ENABLE).lower() not in _NO and not deactivated
