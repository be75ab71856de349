"""Where HAProxy reaches a container, from how Docker lists both: one address each, chosen alike at every look."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from proxy_agent.routing.model import Address

Entry = Mapping[str, Any]
"""A container as ``GET /containers/json`` lists it."""

_HOST, _NONE, _CONTAINER = "host", "none", "container:"
_INGRESS = "ingress"
"""Swarm's own network, on which nobody answers for a single container."""
_LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True)
class Whereabouts:
    """Where a container is, or why it cannot be reached."""

    address: Address | None
    network: str = ""
    unreachable: str = ""
    on_host: bool = False
    """Whether it shares the host's network."""


@dataclass(frozen=True)
class Position:
    """Where HAProxy itself stands."""

    networks: Mapping[str, str]
    """Names by id: names may repeat on one host, ids may not."""
    on_host: bool
    host: Address | None = None
    """The host as HAProxy reaches it."""
    prefers_ipv6: bool = False


def networks_of(entry: Entry) -> Mapping[str, Mapping[str, Any]]:
    """The networks that a container is in, by name and sorted."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: network for name, network in sorted(networks.items()) if name != _INGRESS}


def names_by_id(entry: Entry) -> Mapping[str, str]:
    """The same by id."""
    return {network["NetworkID"]: name for name, network in networks_of(entry).items() if network.get("NetworkID")}


def addresses_of(entry: Entry) -> frozenset[str]:
    """All addresses of a container."""
    fields = ("IPAddress", "GlobalIPv6Address")
    return frozenset(filter(None, (network.get(field) for network in networks_of(entry).values() for field in fields)))


def is_on_host(entry: Entry) -> bool:
    """Whether a container shares the host's network."""
    return _mode(entry) == _HOST


def whereabouts(entry: Entry, wanted: str, listed: Mapping[str, Entry], ours: Position) -> Whereabouts:
    """Where HAProxy reaches the container of *entry*: on the network *wanted*, else the first in common by name.

    *listed* are all containers by id: one may use the network of another.
    """
    mode = _mode(entry)
    if mode.startswith(_CONTAINER):
        other = listed.get(mode.removeprefix(_CONTAINER))
        if other is None or _mode(other).startswith(_CONTAINER):
            return Whereabouts(None, unreachable="the container whose network it uses is not running")
        entry, mode = other, _mode(other)
    if mode == _HOST:
        address = _LOOPBACK if ours.on_host else ours.host
        reason = "" if address else "it is in the host's network, and HAProxy is in none that leads there"
        return Whereabouts(address, _HOST if address else "", reason, on_host=True)
    if mode == _NONE:
        return Whereabouts(None, unreachable="it is in no network (network_mode: none)")
    return _on_a_network(networks_of(entry), wanted, ours)


def _on_a_network(theirs: Mapping[str, Mapping[str, Any]], wanted: str, ours: Position) -> Whereabouts:
    common = {
        name: network for name, network in theirs.items() if ours.on_host or network.get("NetworkID") in ours.networks
    }
    if wanted and wanted not in common:
        shared = f"those are {', '.join(common)}" if common else "there is none"
        return Whereabouts(None, unreachable=f"proxy.network: {wanted[:40]!r} is no network in common: {shared}")
    for name, network in common.items():
        families = (network.get("IPAddress"), network.get("GlobalIPv6Address"))
        text = next(filter(None, reversed(families) if ours.prefers_ipv6 else families), "")
        if text and wanted in ("", name):
            return Whereabouts(ip_address(text), name)
    where = ", ".join(theirs) or "none"
    return Whereabouts(
        None,
        unreachable=f"no network in common: it is in {where}, HAProxy in {', '.join(sorted(ours.networks.values()))}",
    )


def _mode(entry: Entry) -> str:
    return str((entry.get("HostConfig") or {}).get("NetworkMode") or "")
