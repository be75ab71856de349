"""The proxy's own settings where they meet what containers ask for."""

from collections.abc import Iterator, Mapping

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.hosts import HostKind, HostPattern
from proxy_agent.routing.model import Routing, Service
from proxy_agent.routing.render import Inserts
from proxy_agent.settings import Settings


def proxy_of(settings: Settings, inserts: Inserts) -> Proxy:
    """What decides about routes; ports that are taken cannot be listened on, nor can those that are ours."""
    ours = {settings.stats_port: "is STATS_PORT"} if settings.stats_port else {}
    return Proxy(
        force_ssl=settings.force_ssl,
        http_port=settings.http_port,
        https_port=settings.https_port,
        docker_health=settings.docker_health,
        https_method=settings.https_method or "",
        code=int(settings.non_get_redirect),
        http_without_certificate=settings.http_without_certificate,
        taken_ports=tuple(sorted({**inserts.taken_ports, **ours}.items())),
        policy=settings.policy,
        server=settings.server,
        users=inserts.users,
    )


def further_ports(settings: Settings, routing: Routing) -> frozenset[int]:
    """What is to be listened on beside the two ports that everything depends on."""
    ports = {rule.place.port for rule in routing.rules} | {port.number for port in routing.tcp} | {settings.stats_port}
    if settings.monitor:
        ports.add(settings.monitor[1])
    return frozenset(port for port in ports if port) - {settings.http_port, settings.https_port}


def unmet(
    settings: Settings, routing: Routing, services: tuple[Service, ...], taken_ports: Mapping[int, str]
) -> Iterator[Skipped]:
    """What of the settings the world does not fit."""
    if settings.default_host and not any(_may_match(rule.place.host, _in_a_header(settings)) for rule in routing.rules):
        yield Skipped("DEFAULT_HOST", f"nobody serves {settings.default_host}: unknown hosts are answered with 503")
    running = {service.name for service in services}
    for name in settings.additional_services:
        if name not in running:
            yield Skipped(
                "ADDITIONAL_SERVICES", f"{name.replace('/', ':')} does not run beside HAProxy, or asks for nothing"
            )
    ports = {"STATS_PORT": settings.stats_port, "MONITOR_PORT": settings.monitor[1] if settings.monitor else 0}
    for variable, port in ports.items():
        if port in taken_ports:
            yield Skipped(variable, f"port {port} {taken_ports[port]}")


def _in_a_header(settings: Settings) -> str:
    host = settings.default_host
    return f"[{host}]" if ":" in str(host) else str(host)


def _may_match(pattern: HostPattern, host: str) -> bool:
    """Whether *pattern* is for *host*; expressions get the benefit of the doubt."""
    if pattern.kind is HostKind.BELOW:
        return host.endswith(pattern.text[1:])
    return pattern.expression_needed or pattern.text in ("*", "", host)
