"""proxy_agent.containers, against a stand-in for the Docker daemon."""

import queue
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from proxy_agent.containers import Containers
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.model import Service
from tests.unit.agent import docker_daemon
from tests.unit.agent.docker_daemon import Daemon

PROXY = 0xABC
"""The container that HAProxy runs in."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A Docker daemon that runs HAProxy's container, on two networks."""
    running, stop = docker_daemon.start(tmp_path / "docker.sock")
    running.run(PROXY, "proxy", {"web": "10.0.0.2", "gate": "10.9.0.2"})
    yield running
    stop()


@pytest.fixture
def containers(daemon: Daemon) -> Containers:
    """The edge that is tested."""
    return Containers(daemon.host, lambda: f"{PROXY:064x}")


def only(services: tuple[Service, ...]) -> Service:
    """The one there is."""
    (service,) = services
    return service


def test_a_container_is_reduced_to_what_routing_needs(daemon: Daemon, containers: Containers) -> None:
    """Name, our settings, TCP ports and an address; nothing of its other environment or labels is kept."""
    daemon.run(
        1,
        "shop",
        {"web": "10.0.0.5"},
        labels={"proxy.virtual-port": "81", "maintainer": "somebody"},
        environment=("VIRTUAL_HOST=a.test=b", "PASSWORD=secret", "EMPTY"),
        ports=("8080/tcp", "80/tcp", "53/udp"),
    )
    service = only(containers.services())
    (container,) = service.containers
    assert (service.name, container.name) == ("shop", "shop")
    assert container.settings == {"VIRTUAL_HOST": "a.test=b", "proxy.virtual-port": "81"}
    assert container.exposed_ports == (80, 8080)
    assert container.address == ip_address("10.0.0.5")


def test_containers_of_a_compose_service_are_one_service(daemon: Daemon, containers: Containers) -> None:
    """By project and service, sorted; a container without those labels is a service of its own."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    for number in (3, 1, 2):
        daemon.run(number, f"shop-web-{number}", {"web": f"10.0.0.{number}"}, labels)
    daemon.run(9, "alone", {"web": "10.0.0.9"})
    services = {service.name: [item.name for item in service.containers] for service in containers.services()}
    assert services == {"alone": ["alone"], "shop/web": ["shop-web-1", "shop-web-2", "shop-web-3"]}
    assert list(services) == sorted(services)


def test_one_off_containers_and_our_own_are_nobodys_service(daemon: Daemon, containers: Containers) -> None:
    """``docker compose run`` is not a replica, and HAProxy does not route to itself."""
    daemon.run(1, "shop-run", {"web": "10.0.0.5"}, {"com.docker.compose.oneoff": "True"})
    assert containers.services() == ()


def test_the_address_is_that_on_a_network_in_common(daemon: Daemon, containers: Containers) -> None:
    """On the first by name, whatever other networks a container is in; networks are compared by id."""
    daemon.run(1, "shop", {"apple": "10.5.0.1", "web": "10.0.0.5", "gate": "10.9.0.5"})
    daemon.listed[f"{1:064x}"]["NetworkSettings"]["Networks"]["apple"]["NetworkID"] = "another"
    assert only(containers.services()).containers[0].address == ip_address("10.9.0.5")


def test_an_ipv6_address_will_do(daemon: Daemon, containers: Containers) -> None:
    """Where a network has no IPv4."""
    daemon.run(1, "shop", {"web": ""})
    daemon.listed[f"{1:064x}"]["NetworkSettings"]["Networks"]["web"]["GlobalIPv6Address"] = "2001:db8::5"
    assert only(containers.services()).containers[0].address == ip_address("2001:db8::5")


@pytest.mark.parametrize(("networks", "where"), [({"db": "10.5.0.1"}, "db"), ({}, "none")])
def test_without_a_network_in_common_there_is_a_reason(
    daemon: Daemon, containers: Containers, networks: dict[str, str], where: str
) -> None:
    """Both sides are named, so that the operator sees which network to join."""
    daemon.run(1, "shop", networks)
    (container,) = only(containers.services()).containers
    assert container.address is None
    assert container.unreachable == f"no network in common: it is in {where}, HAProxy in gate, web"


def test_odd_containers_do_no_harm(daemon: Daemon, containers: Containers) -> None:
    """Links give further names, a container may have no name, no labels, no environment, and nonsense for ports."""
    linked = daemon.run(1, "shop", {"web": "10.0.0.5"}, ports=("8000-8010/tcp", "/tcp", "x/tcp", "80"))
    daemon.listed[linked]["Names"] = ["/blog/database", "/shop"]
    bare = daemon.run(0xFFFF << 240, "", {"web": "10.0.0.6"})
    daemon.listed[bare] |= {"Names": None, "Labels": None}
    daemon.configs[bare] = {"Env": None, "Labels": None, "ExposedPorts": None}
    assert [service.name for service in containers.services()] == ["ffff00000000", "shop"]
    assert containers.services()[1].containers[0].exposed_ports == (80,)


def test_each_container_is_inspected_once_in_its_life(daemon: Daemon, containers: Containers) -> None:
    """Many containers cost one listing at each look; one that is gone is forgotten."""
    first = daemon.run(1, "shop", {"web": "10.0.0.5"})
    containers.services()
    daemon.asked.clear()
    second = daemon.run(2, "blog", {"web": "10.0.0.6"})
    containers.services()
    assert daemon.asked == ["/containers/json", f"/containers/{second}/json"]
    del daemon.listed[first]
    containers.services()
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.asked.clear()
    containers.services()
    assert daemon.asked == ["/containers/json", f"/containers/{first}/json"]


def test_a_container_that_ends_while_it_is_inspected_is_left_out(daemon: Daemon, containers: Containers) -> None:
    """That is no error: the others are served."""
    gone = daemon.run(1, "gone", {"web": "10.0.0.5"})
    daemon.run(2, "shop", {"web": "10.0.0.6"})
    del daemon.configs[gone]
    assert only(containers.services()).name == "shop"


@pytest.mark.parametrize("path", ["/version", "/containers/json"])
@pytest.mark.parametrize("answer", [(500, b'{"message": "no"}'), (403, b"denied"), (200, b"{ half")])
def test_half_an_answer_is_none(daemon: Daemon, containers: Containers, path: str, answer: tuple[int, bytes]) -> None:
    """If Docker fails for the list, nothing is said about any container, and the next look may succeed."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.run(2, "blog", {"web": "10.0.0.6"})
    daemon.answers = {path: answer}
    with pytest.raises(OperationalError, match=f"Docker cannot be asked for containers at {daemon.host}: "):
        containers.services()
    daemon.answers = {}
    assert len(containers.services()) == 2


def test_a_listing_without_ourselves_is_an_error(daemon: Daemon, containers: Containers) -> None:
    """An empty list, too, is not taken for the truth: we would be in it."""
    daemon.listed.clear()
    with pytest.raises(OperationalError, match=r"does not list the container that HAProxy runs in \(0{12}\)"):
        containers.services()


def test_the_beginning_of_the_id_will_do(daemon: Daemon) -> None:
    """A host name that Docker gave is the first twelve characters."""
    daemon.run(0xABC << 240, "other-proxy", {"web": "10.0.0.3"})
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    names = [service.name for service in Containers(daemon.host, lambda: f"{0xABC << 240:064x}"[:12]).services()]
    assert names == ["proxy", "shop"]


def test_the_reason_is_the_innermost_one() -> None:
    """Not three libraries' accounts of it, with addresses of objects."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OperationalError) as refused:
            Containers(host, lambda: "abc").services()
    assert str(refused.value) == f"Docker cannot be asked for containers at {host}: Connection refused."


# Events


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Daemon, queue.SimpleQueue[str]]:
    """A daemon, and what is rung while it is watched.

    Both last as long as the process does: the watching thread has no end of its own, and would try for ever to reach
    a daemon that was stopped.
    """
    daemon, _ = docker_daemon.start(tmp_path / "docker.sock")
    rings: queue.SimpleQueue[str] = queue.SimpleQueue()
    Containers(daemon.host, lambda: "abc").watch(rings.put, lambda reason: rings.put(f"{reason}!"))
    return daemon, rings


def test_it_rings_when_it_is_connected_and_at_each_event(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """The first ring covers what happened before; events carry nothing but a reason."""
    daemon, rings = watched
    assert rings.get(timeout=10) == "connected to Docker"
    daemon.events.put({"Type": "container", "Action": "start", "Actor": {"ID": "abc"}})
    daemon.events.put({"Type": "network", "Action": "connect"})
    assert [rings.get(timeout=10), rings.get(timeout=10)] == ["container start", "network connect"]


def test_it_asks_for_the_events_that_matter(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """A container that executes a health check every second does not wake us every second."""
    daemon, rings = watched
    rings.get(timeout=10)
    (asked,) = (path for path in daemon.asked if "/events" in path)
    assert "health_status" in asked
    assert "exec" not in asked


def test_a_stream_that_ends_is_followed_by_another(watched: tuple[Daemon, queue.SimpleQueue[str]]) -> None:
    """Docker was restarted, or docker-gate cut it: it rings again, for what happened in between."""
    daemon, rings = watched
    rings.get(timeout=10)
    daemon.events.put({"Type": "container", "Action": "die"})
    daemon.events.put(None)
    assert [rings.get(timeout=10), rings.get(timeout=10)] == ["container die!", "connected to Docker"]
    daemon.events.put(None)
    assert rings.get(timeout=10) == "connected to Docker", "also after one that delivered nothing"
