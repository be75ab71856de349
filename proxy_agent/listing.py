"""Containers as the routing knows them, from how Docker lists and describes them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from proxy_agent.networks import Entry, Whereabouts
from proxy_agent.routing.metadata import ENABLE, NETWORK, label_of, relevant
from proxy_agent.routing.model import Container, Health

_PROJECT, _SERVICE, _NUMBER, _ONE_OFF = (
    f"com.docker.compose.{name}" for name in ("project", "service", "container-number", "oneoff")
)
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_HEALTHS: Mapping[str, Health] = {"starting": "starting", "healthy": "healthy", "unhealthy": "unhealthy"}
_YES = frozenset({"true", "yes", "on", "1"})


def is_there(entry: Entry) -> bool:
    """Whether a container runs, if only paused, and is meant to last: ``docker compose run`` is not a replica.

    One that waits for its next restart is listed too, but is as good as gone until then.
    """
    labels = entry.get("Labels") or {}
    lasts = labels.get(_ONE_OFF) != "True" or labels.get(label_of(ENABLE), "").strip().lower() in _YES
    return lasts and entry.get("State", "running") in ("running", "paused")


def service_name(entry: Entry) -> str:
    """Whose replica a container is: that of its compose service, else nobody's but its own."""
    labels = entry.get("Labels") or {}
    # An image that Compose built carries the first two as well: only its own containers are numbered.
    if labels.get(_PROJECT) and labels.get(_SERVICE) and labels.get(_NUMBER):
        return f"{labels[_PROJECT]}/{labels[_SERVICE]}"
    return name_of(entry)


def name_of(entry: Entry) -> str:
    """A container has one name without a second slash; links give it further ones."""
    names = sorted(name.lstrip("/") for name in entry.get("Names") or [] if "/" not in name.lstrip("/"))
    return names[0] if names else str(entry["Id"])[:12]


def wanted_network(entry: Entry) -> str:
    """The network that a container wants to be reached on; empty where it does not say."""
    return str((entry.get("Labels") or {}).get(label_of(NETWORK)) or "").strip()


def container_of(entry: Entry, config: Mapping[str, Any], where: Whereabouts, leaving: bool) -> Container:
    """All that routing needs of a container; *config* is what inspecting it showed."""
    environment = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    return Container(
        name=name_of(entry),
        settings=relevant(environment, config.get("Labels") or {}),
        exposed_ports=_tcp_ports(config.get("ExposedPorts") or {}),
        address=where.address,
        unreachable=where.unreachable,
        created=int(entry.get("Created") or 0),
        network=where.network,
        on_host=where.on_host,
        health=_health(entry),
        paused=entry.get("State") == "paused",
        leaving=leaving,
    )


def _health(entry: Entry) -> Health:
    """The listing tells it in words for people, and newer engines also by itself."""
    told = (entry.get("Health") or {}).get("Status") or ""
    match = _HEALTH.search(entry.get("Status") or "")
    return _HEALTHS.get(told, "none") if told else _HEALTHS[match[1]] if match else "none"


def _tcp_ports(exposed: Iterable[str]) -> tuple[int, ...]:
    ports = (port.partition("/") for port in exposed)
    # The daemon checks neither form nor range of what an image declares.
    numbers = (number for number, _, protocol in ports if protocol in ("", "tcp"))
    return tuple(sorted(int(number) for number in numbers if re.fullmatch("[0-9]{1,5}", number)))
