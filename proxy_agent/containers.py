"""The edge to Docker: which containers run beside HAProxy, where they are reached, and a ring when that changes."""

import logging
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import docker
import requests
import tenacity
from docker.errors import DockerException, NotFound

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.metadata import relevant
from proxy_agent.routing.model import Address, Container, Service

log = logging.getLogger(__name__)

_TIMEOUT = 20
_EVENTS = {
    "type": ["container", "network"],
    "event": [
        *("start", "die", "kill", "stop", "pause", "unpause", "destroy", "rename", "health_status"),
        *("connect", "disconnect"),
    ],
}
_PROJECT, _SERVICE, _ONE_OFF = (f"com.docker.compose.{name}" for name in ("project", "service", "oneoff"))
_CONTAINER_ID = re.compile(r"/containers/([0-9a-f]{64})/")
_DAEMON_ERRORS = (DockerException, requests.RequestException, OSError)


class Containers:
    """Asks Docker for the least: list, inspect (each container once in its life), events."""

    def __init__(self, docker_host: str, own_id: Callable[[], str]) -> None:
        self._docker_host = docker_host
        self._own_id = own_id
        self._client: docker.APIClient | None = None
        self._inspected: dict[str, dict[str, Any]] = {}

    def services(self) -> tuple[Service, ...]:
        """All services that share a network with HAProxy, from one complete listing; sorted.

        Raises OperationalError where Docker cannot be asked, or not for everything: half an answer is none.
        """
        try:
            return self._services()
        except _DAEMON_ERRORS as error:
            self._client = None
            raise OperationalError(
                f"Docker cannot be asked for containers at {self._docker_host}: {_cause(error)}."
            ) from error

    def watch(self, ring: Callable[[str], None]) -> None:
        """Have *ring* called at every event that may change services(), and at each new connection to Docker."""
        threading.Thread(target=self._follow, args=(ring,), name="docker-events", daemon=True).start()

    def _services(self) -> tuple[Service, ...]:
        api = self._api()
        listed = {entry["Id"]: entry for entry in api.containers()}
        own = _own_entry(listed, self._own_id())
        networks = _networks(own)
        self._inspected = {key: value for key, value in self._inspected.items() if key in listed}
        services: dict[str, list[Container]] = defaultdict(list)
        for identifier, entry in listed.items():
            if identifier == own["Id"] or (entry["Labels"] or {}).get(_ONE_OFF) == "True":
                continue
            inspected = self._inspect(api, identifier)
            if inspected is not None:
                services[_service_name(entry)].append(_container(entry, inspected, networks))
        return tuple(
            Service(name, tuple(sorted(containers, key=lambda container: container.name)))
            for name, containers in sorted(services.items())
        )

    def _inspect(self, api: docker.APIClient, identifier: str) -> dict[str, Any] | None:
        """Environment, labels and ports never change while a container lives; None where it just ended."""
        if identifier not in self._inspected:
            try:
                self._inspected[identifier] = api.inspect_container(identifier)["Config"]
            except NotFound:
                return None
        return self._inspected[identifier]

    def _api(self) -> docker.APIClient:
        if self._client is None:
            self._client = docker.APIClient(self._docker_host, version="auto", timeout=_TIMEOUT)
        return self._client

    def _follow(self, ring: Callable[[str], None]) -> None:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_DAEMON_ERRORS),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=10),
        )
        while True:
            # A stream that delivered is followed by the next at once; only fruitless ones back off.
            attempts(self._follow_one_stream, ring)

    def _follow_one_stream(self, ring: Callable[[str], None]) -> None:
        # A client of its own: this one waits on its connection for as long as nothing happens.
        api = docker.APIClient(self._docker_host, version="auto", timeout=_TIMEOUT)
        api.timeout = None  # type: ignore[assignment] # waits for the next event, however long that takes
        try:
            events = api.events(filters=_EVENTS, decode=True)
            # Subscribed first: whatever happened before this ring is in the look that it causes.
            ring("connected to Docker")
            delivered = False
            for event in events:
                delivered = True
                ring(f"{event.get('Type', '')} {event.get('Action', '')}")
            if not delivered:
                raise ConnectionError("Docker ended the stream of events")
        finally:
            api.close()


def _cause(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it in layers that repeat it with addresses of objects."""
    inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _cause(inner)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def own_container_id() -> str:
    """The id of the container that this process is in, or its host name, which Docker sets to the id's beginning."""
    try:
        match = _CONTAINER_ID.search(Path("/proc/self/mountinfo").read_text())
    except OSError:
        match = None
    return match[1] if match else socket.gethostname()


def _own_entry(listed: Mapping[str, dict[str, Any]], own_id: str) -> dict[str, Any]:
    for identifier, entry in listed.items():
        if identifier.startswith(own_id):
            return entry
    raise OperationalError(
        f"Docker does not list the container that HAProxy runs in ({own_id[:12]}), so its networks are not known."
    )


def _service_name(entry: Mapping[str, Any]) -> str:
    labels = entry["Labels"] or {}
    if labels.get(_PROJECT) and labels.get(_SERVICE):
        return f"{labels[_PROJECT]}/{labels[_SERVICE]}"
    return _name(entry)


def _name(entry: Mapping[str, Any]) -> str:
    """A container has one name without a second slash; links give it further ones."""
    names = sorted(name.lstrip("/") for name in entry["Names"] or [] if "/" not in name.lstrip("/"))
    return names[0] if names else str(entry["Id"])[:12]


def _container(entry: Mapping[str, Any], config: Mapping[str, Any], networks: Mapping[str, str]) -> Container:
    environment = dict(item.partition("=")[::2] for item in config["Env"] or [])
    address, unreachable = _address(entry, networks)
    return Container(
        name=_name(entry),
        settings=relevant(environment, config["Labels"] or {}),
        exposed_ports=_tcp_ports(config.get("ExposedPorts") or {}),
        address=address,
        unreachable=unreachable,
        created=int(entry.get("Created") or 0),
    )


def _tcp_ports(exposed: Iterable[str]) -> tuple[int, ...]:
    ports = (port.partition("/") for port in exposed)
    # The daemon checks neither form nor range of what an image declares.
    return tuple(sorted(int(number) for number, _, protocol in ports if protocol in ("", "tcp") and number.isdecimal()))


def _networks(entry: Mapping[str, Any]) -> dict[str, str]:
    """Names of a container's networks by id: names may repeat on one host, ids may not."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return {network["NetworkID"]: name for name, network in networks.items() if network.get("NetworkID")}


def _address(entry: Mapping[str, Any], ours: Mapping[str, str]) -> tuple[Address | None, str]:
    """Where HAProxy reaches a container: on the first network that both are in, by name; or why not."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    for _, network in sorted(networks.items()):
        text = network.get("IPAddress") or network.get("GlobalIPv6Address")
        if network.get("NetworkID") in ours and text:
            return ip_address(text), ""
    theirs = ", ".join(sorted(networks)) or "none"
    return None, f"no network in common: it is in {theirs}, HAProxy in {', '.join(sorted(ours.values()))}"
