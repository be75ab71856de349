"""Settings of the HAProxy container that concern which containers it sees, and where and when it reaches them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from proxy_agent.daemon import settings as environment
from proxy_agent.routing.model import DockerHealth

_FILTERS = ("ancestor", "before", "expose", "health", "id", "is-task", "label", "name", "network", "since", "volume")
"""Of Docker's filters for containers those that choose among running ones."""


def _parse_filters(text: object) -> tuple[tuple[str, str], ...]:
    """The filters of *text*, comma separated; Docker itself would refuse every question with a wrong one."""
    pairs = [item.strip().partition("=") for item in str(text).split(",") if item.strip()]
    for name, _, value in pairs:
        if name not in _FILTERS or not value:
            raise ValueError(f"{name[:40]!r} is no filter that chooses among running containers, or has no value")
    return tuple((name, value.strip()) for name, _, value in pairs)


Filters = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_parse_filters)]


class DiscoverySettings(environment.Settings):
    """What the agent asks Docker for, and how it takes the answer."""

    docker_health: DockerHealth = Field(
        alias="DOCKER_HEALTH",
        default="use",
        description=(
            "What the HEALTHCHECK of a container counts for. `use`: starting and unhealthy ones get no requests while "
            "another of the same service can take them; `require`: none at all; `ignore`: HAProxy's own check decides."
        ),
        json_schema_extra={"accepts": "use, ignore or require"},
    )
    docker_container_filters: Filters = Field(
        alias="DOCKER_CONTAINER_FILTERS",
        default=(),
        description="Look only at containers that Docker finds with these filters, such as `label=tier=web`.",
        json_schema_extra={"accepts": "filters of 'docker ps', name=value, separated by commas", "default_text": ""},
    )
    prefer_ipv6_network: bool = Field(
        alias="PREFER_IPV6_NETWORK",
        default=False,
        description="Reach containers that have both an IPv4 and a global IPv6 address by the latter.",
        json_schema_extra={"accepts": "yes or no", "default_text": "no"},
    )

    # Fixed by the image; tests move it.
    route_grace: environment.Duration = Field(
        alias="ROUTE_GRACE", default=environment.parse_duration("90s"), exclude=True
    )
    """How long routes outlive the last container of a service: longer than Docker waits before it restarts one."""
