"""The edge to Docker: which containers run beside HAProxy, where they are reached, and a ring when that changes."""

import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import docker
import requests
import tenacity
from docker.errors import APIError, DockerException, NotFound, StreamParseError

from proxy_agent import docker_answers
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.departures import Departures
from proxy_agent.listing import container_of, is_there, service_name, wanted_network
from proxy_agent.networks import Entry, Position, addresses_of, is_on_host, names_by_id, networks_of, whereabouts
from proxy_agent.routing.model import Address, Container, Service

_TIMEOUT = 20
_LONGEST_PAUSE = 2.0
"""Seconds between two attempts to reach Docker again: each costs next to nothing, and containers wait for the end."""
_EVENTS = {
    "type": ["container", "network"],
    "event": [
        *("start", "die", "kill", "stop", "pause", "unpause", "destroy", "rename", "health_status"),
        *("connect", "disconnect"),
    ],
}
_URGENT = frozenset({"kill", "die", "pause"})
"""From here on, a request that is sent to the container may be lost."""
_SHORT_ID = 12
"""Characters of an id that Docker uses as a host name; fewer may be the beginning of another's."""
_CONTAINER_ID = re.compile(r"/containers/([0-9a-f]{64})/")
_ONE_ANSWER_ERRORS = (APIError, docker_answers.Nonsense, requests.exceptions.JSONDecodeError, RecursionError)
"""What is wrong with one answer says nothing of the others."""
_DAEMON_ERRORS = (*_ONE_ANSWER_ERRORS, DockerException, StreamParseError, requests.RequestException, OSError)

Filters = tuple[tuple[str, str], ...]


class _Api(docker.APIClient):
    def __init__(self, host: str, timeout: int) -> None:
        try:
            super().__init__(host, version="auto", timeout=timeout)
        except _DAEMON_ERRORS:
            # It asked for the version: nobody else knows of that connection.
            self.close()
            raise

    def _raise_for_status(self, response: requests.Response) -> None:
        try:
            super()._raise_for_status(response)  # type: ignore[misc] # missing in the stubs
        except (KeyError, TypeError):
            # The library takes whatever JSON comes with an error for an object with a message.
            raise docker_answers.Nonsense(f"what answers is not Docker (status {response.status_code})") from None


class Containers:
    """Asks Docker for the least: list, inspect (each container once in its life), events."""

    def __init__(
        self,
        docker_host: str,
        own_id: Callable[[], str],
        own_addresses: Callable[[], Set[str]] = frozenset,
        *,
        filters: Filters = (),
        prefers_ipv6: bool = False,
        timeout: int = _TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._docker_host = docker_host
        self._own_id = own_id
        self._own_addresses = own_addresses
        self._filters: dict[str, list[str]] = defaultdict(list)
        for name, value in filters:
            self._filters[name].append(value)
        self._prefers_ipv6 = prefers_ipv6
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self._client: docker.APIClient | None = None
        self._inspected: dict[str, Mapping[str, Any]] = {}
        self._internal: dict[str, bool] = {}
        self._departures = Departures()
        self._last_event = 0
        """In seconds of Docker's clock; used by the thread alone."""

    def services(self) -> tuple[Service, ...]:
        """All services that run beside HAProxy, from one complete listing; sorted.

        A container that Docker lists and fails to describe is among them, as not inspected. Raises OperationalError
        where Docker cannot be asked: half a list is none.
        """
        try:
            return self._services()
        except _DAEMON_ERRORS as error:
            self._client = None
            raise OperationalError(
                f"Docker cannot be asked for containers at {self._docker_host}: {_cause(error)}."
            ) from error

    def watch(self, ring: Callable[[str], None], hurry: Callable[[str], None]) -> None:
        """Have *ring* called at every event that may change services(), and at each new connection to Docker.

        *hurry* is called instead at those that cannot wait for a burst to end.
        """
        threading.Thread(target=self._follow, args=(ring, hurry), name="docker-events", daemon=True).start()

    def _services(self) -> tuple[Service, ...]:
        api = self._api()
        self._departures.catch_up()
        answer = docker_answers.listing(api.containers(filters=dict(self._filters)))
        listed: dict[str, Entry] = {entry["Id"]: entry for entry in answer}
        own = self._own_entry(api, listed)
        ours = self._position(api, own, any(map(is_on_host, listed.values())))
        self._departures.forget_all_but(listed)
        self._inspected = {key: value for key, value in self._inspected.items() if key in listed}
        services: dict[str, list[Container]] = defaultdict(list)
        for identifier, entry in listed.items():
            if identifier == own["Id"] or not is_there(entry) or self._departures.has_ended(identifier):
                continue
            container = self._container(api, entry, listed, ours)
            if container is not None:
                services[service_name(entry)].append(container)
        return tuple(
            Service(name, tuple(sorted(containers, key=lambda container: container.name)))
            for name, containers in sorted(services.items())
        )

    def _container(
        self, api: docker.APIClient, entry: Entry, listed: Mapping[str, Entry], ours: Position
    ) -> Container | None:
        """Environment, labels and ports never change while a container lives; None where it just ended."""
        identifier = entry["Id"]
        where = whereabouts(entry, wanted_network(entry), listed, ours)
        if identifier not in self._inspected:
            try:
                self._inspected[identifier] = docker_answers.config(api.inspect_container(identifier))
            except NotFound:
                return None
            except _ONE_ANSWER_ERRORS as error:
                unknown = container_of(entry, {}, where, leaving=False)
                return replace(unknown, inspected=False, unreachable=f"Docker does not describe it: {_cause(error)}")
        config = self._inspected[identifier]
        return container_of(entry, config, where, self._departures.is_leaving(identifier, config))

    def _own_entry(self, api: docker.APIClient, listed: Mapping[str, Entry]) -> Entry:
        """HAProxy's own container, which the filters of others need not let through."""
        own_id = self._own_id()
        found = docker_answers.listing(api.containers()) if self._filters else [*listed.values()]
        by_id = [entry for entry in found if len(own_id) >= _SHORT_ID and entry["Id"].startswith(own_id)]
        # No two containers of one host have an address in common.
        by_address = [entry for entry in found if not addresses_of(entry).isdisjoint(self._own_addresses())]
        for entry in (*by_id, *by_address):
            return entry
        raise OperationalError(
            f"Docker does not list the container that HAProxy runs in ({own_id[:12]}), so its networks are not known."
        )

    def _position(self, api: docker.APIClient, own: Entry, looks_for_host: bool) -> Position:
        on_host = is_on_host(own)
        host = self._host(api, own) if looks_for_host and not on_host else None
        return Position(names_by_id(own), on_host, host, self._prefers_ipv6)

    def _host(self, api: docker.APIClient, own: Entry) -> Address | None:
        """The host as HAProxy reaches it: the gateway of its first network that is not cut off."""
        for network in networks_of(own).values():
            if network.get("Gateway") and not self._is_internal(api, network["NetworkID"]):
                return ip_address(network["Gateway"])
        return None

    def _is_internal(self, api: docker.APIClient, network: str) -> bool:
        if network not in self._internal:
            try:
                self._internal[network] = docker_answers.is_internal(api.inspect_network(network))
            except _ONE_ANSWER_ERRORS:
                return False
        return self._internal[network]

    def _api(self) -> docker.APIClient:
        if self._client is None:
            self._client = _Api(self._docker_host, self._timeout)
        return self._client

    def _follow(self, ring: Callable[[str], None], hurry: Callable[[str], None]) -> None:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_DAEMON_ERRORS),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE),
            sleep=self._sleep,
        )
        while True:
            # A stream that lasted is followed by the next at once; only those that end soon, or never begin, back off.
            attempts(self._follow_one_stream, ring, hurry)

    def _follow_one_stream(self, ring: Callable[[str], None], hurry: Callable[[str], None]) -> None:
        # A client of its own: this one waits on its connection for as long as nothing happens.
        api = _Api(self._docker_host, self._timeout)
        api.timeout = None  # type: ignore[assignment] # waits for the next event, however long that takes
        try:
            # From where the last stream ended: a container that was told to stop meanwhile is not listed as such.
            events = api.events(since=self._last_event or None, filters=_EVENTS, decode=True)
            # Subscribed first: whatever happened before this ring is in the look that it causes.
            ring("connected to Docker")
            begun = self._clock()
            try:
                self._pass_on(events, ring, hurry)
            except _DAEMON_ERRORS:
                if self._clock() - begun < _LONGEST_PAUSE:
                    raise
        finally:
            api.close()

    def _pass_on(self, events: Iterator[object], ring: Callable[[str], None], hurry: Callable[[str], None]) -> NoReturn:
        for event in map(docker_answers.event, events):
            self._last_event = max(self._last_event, int(event.get("time") or 0))
            self._departures.note(event)
            action = str(event.get("Action", ""))
            (hurry if action in _URGENT else ring)(f"{event.get('Type', '')} {action}")
        raise ConnectionError("Docker ended the stream of events")


def _cause(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it in layers that repeat it with addresses of objects."""
    inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _cause(inner)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def own_addresses() -> frozenset[str]:
    """The addresses of the container that this process is in, as Docker wrote them beside its name in /etc/hosts."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return frozenset()
    return frozenset(str(address[0]) for *_, address in found) - {"127.0.0.1", "::1"}


def own_container_id(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The id of the container that this process is in, or its host name, which Docker sets to the id's beginning."""
    try:
        match = _CONTAINER_ID.search(mounts.read_text(errors="replace"))
    except OSError:
        match = None
    return match[1] if match else socket.gethostname()
