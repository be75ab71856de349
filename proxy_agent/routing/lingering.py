"""What outlasts a look at Docker: services that ended a moment ago, and containers that Docker failed to describe."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from proxy_agent.routing.metadata import asks_for_routes
from proxy_agent.routing.model import Container, Service


def followed(
    previous: Iterable[Service], current: Iterable[Service], now: datetime, grace: timedelta
) -> tuple[Service, ...]:
    """*current*, with what *previous* has to add; sorted.

    A service whose last container ended keeps its routes for *grace*: a deployment that stops before it starts neither
    changes the routing nor sends visitors to the default host. A container that Docker did not describe is taken to be
    as it was.
    """
    before = {service.name: service for service in previous}
    after = {service.name: _completed(service, before.get(service.name)) for service in current}
    for name, service in before.items():
        gone = tuple(_gone(service, now, grace))
        if not gone or _is_reachable(after.get(name)):
            continue
        there = after[name].containers if name in after else ()
        after[name] = Service(name, tuple(sorted((*there, *gone), key=lambda container: container.name)))
    return tuple(service for _, service in sorted(after.items()))


def grace_ends(services: Iterable[Service], grace: timedelta) -> datetime | None:
    """When the next of *services* is to be forgotten; None where none is missed."""
    gone = (container.gone_at for service in services for container in service.containers)
    return min((since + grace for since in gone if since), default=None)


def _gone(service: Service, now: datetime, grace: timedelta) -> Iterable[Container]:
    for container in service.containers:
        # A clock that went back would prolong it.
        since = min(container.gone_at or now, now)
        if container.address and asks_for_routes(container) and now - since < grace:
            yield replace(container, gone_at=since)


def _is_reachable(service: Service | None) -> bool:
    return service is not None and any(container.address for container in service.containers)


def _completed(service: Service, before: Service | None) -> Service:
    if all(container.inspected for container in service.containers):
        return service
    known = {container.name: container for container in before.containers} if before else {}
    return replace(service, containers=tuple(_as_known(container, known) for container in service.containers))


def _as_known(container: Container, known: Mapping[str, Container]) -> Container:
    if container.inspected or container.name not in known:
        return container
    former = known[container.name]
    return replace(container, settings=former.settings, exposed_ports=former.exposed_ports)
