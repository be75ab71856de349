"""Which servers of a pool get requests: Docker says how each container stands, the others whether it can be spared."""

from collections.abc import Iterable
from dataclasses import replace

from proxy_agent.routing.model import Container, DockerHealth, Server, ServerState


def parse_docker_health(text: str) -> DockerHealth:
    """What DOCKER_HEALTH says; raises ValueError quoting *text* and naming what is accepted.

    >>> parse_docker_health("Require")
    'require'
    """
    policies: dict[str, DockerHealth] = {"use": "use", "ignore": "ignore", "require": "require"}
    if text.lower() not in policies:
        raise ValueError(f"{text[:40]!r} is not used: write one of {', '.join(policies)}")
    return policies[text.lower()]


def standing(container: Container, policy: DockerHealth) -> tuple[ServerState, bool]:
    """The state of a container by itself, and whether it is let in all the same where nobody else is ready.

    One that was told to stop may serve its sticky sessions to their end; one that says that it is not well may not.
    What is let in for want of a better one is still subject to HAProxy's own check, and to a retry elsewhere.
    """
    if container.gone_at:
        return "gone", False
    if container.paused:
        # It would accept connections and never answer.
        return "maint", False
    if policy != "ignore" and container.health in ("starting", "unhealthy"):
        return "maint", policy == "use"
    return ("drain", True) if container.leaving else ("ready", False)


def in_rotation(servers: Iterable[Server]) -> tuple[Server, ...]:
    """*servers* of one pool as HAProxy should have them: spare ones ready if no other is, those that are gone left out.

    >>> from ipaddress import ip_address
    >>> leaving = Server("shop-1", ip_address("10.0.0.1"), 80, state="drain", spare=True)
    >>> [server.state for server in in_rotation([leaving, Server("shop-2", ip_address("10.0.0.2"), 80)])]
    ['drain', 'ready']
    >>> [server.state for server in in_rotation([leaving])]
    ['ready']
    """
    there = tuple(server for server in servers if server.state != "gone")
    if any(server.state == "ready" for server in there):
        return there
    return tuple(replace(server, state="ready") if server.spare else server for server in there)
