"""proxy_agent.containers, against a stand-in for the Docker daemon."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from proxy_agent.containers import Containers
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.model import Container, Service
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
        numbered = labels | {"com.docker.compose.container-number": str(number)}
        daemon.run(number, f"shop-web-{number}", {"web": f"10.0.0.{number}"}, numbered)
    daemon.run(9, "alone", {"web": "10.0.0.9"})
    services = {service.name: [item.name for item in service.containers] for service in containers.services()}
    assert services == {"alone": ["alone"], "shop/web": ["shop-web-1", "shop-web-2", "shop-web-3"]}
    assert list(services) == sorted(services)


def test_containers_of_an_image_that_compose_built_are_no_replicas(daemon: Daemon, containers: Containers) -> None:
    """The image carries the labels of project and service: ``docker run`` of it for two hosts is two services."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    for number, name in ((1, "blue"), (2, "green")):
        daemon.run(number, name, {"web": f"10.0.0.{number}"}, labels)
    assert [service.name for service in containers.services()] == ["blue", "green"]


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


def only_container(containers: Containers) -> Container:
    """The one there is."""
    (container,) = only(containers.services()).containers
    return container


def test_a_container_says_on_which_network_it_is_reached(daemon: Daemon, containers: Containers) -> None:
    """The label names one of those in common; the choice is shown."""
    daemon.run(1, "shop", {"gate": "10.9.0.5", "web": "10.0.0.5"}, {"proxy.network": "web"})
    container = only_container(containers)
    assert (container.address, container.network) == (ip_address("10.0.0.5"), "web")


@pytest.mark.parametrize(
    ("networks", "shared"),
    [({"gate": "10.9.0.5", "web": "10.0.0.5"}, "those are gate, web"), ({"db": "10.5.0.5"}, "there is none")],
)
def test_a_network_that_is_not_in_common_is_no_choice(
    daemon: Daemon, containers: Containers, networks: dict[str, str], shared: str
) -> None:
    """Another one is not taken instead: who names a network has a reason."""
    daemon.run(1, "shop", networks, {"proxy.network": "db"})
    assert only_container(containers).unreachable == f"proxy.network: 'db' is no network in common: {shared}"


def test_swarms_ingress_is_no_network_in_common(daemon: Daemon, containers: Containers) -> None:
    """Everybody is in it, and nobody answers there."""
    daemon.run(PROXY, "proxy", {"ingress": "10.255.0.2", "web": "10.0.0.2"})
    daemon.run(1, "shop", {"ingress": "10.255.0.5"})
    assert only_container(containers).unreachable.startswith("no network in common: it is in none")


@pytest.mark.parametrize(("prefers", "address"), [(False, "10.0.0.5"), (True, "2001:db8::5")])
def test_a_family_may_be_preferred(daemon: Daemon, prefers: bool, address: str) -> None:
    """Where a container has both; where it has one, that will do."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.run(2, "four", {"web": "10.0.0.6"})
    daemon.listed[f"{1:064x}"]["NetworkSettings"]["Networks"]["web"]["GlobalIPv6Address"] = "2001:db8::5"
    services = Containers(daemon.host, lambda: f"{PROXY:064x}", prefers_ipv6=prefers).services()
    found = [str(container.address) for service in services for container in service.containers]
    assert found == ["10.0.0.6", address]


def test_a_container_in_the_hosts_network_is_reached_through_a_gateway(daemon: Daemon, containers: Containers) -> None:
    """That of HAProxy's first network that is not internal; whether one is, is asked once."""
    daemon.internal = {"gate"}
    daemon.run(1, "shop", {"host": ""}, mode="host", ports=("80/tcp",))
    container = only_container(containers)
    assert (container.address, container.network, container.on_host) == (ip_address("10.0.0.1"), "host", True)
    daemon.asked.clear()
    containers.services()
    assert daemon.asked == ["/containers/json"]


def test_where_networks_may_not_be_asked_any_gateway_will_do(daemon: Daemon, containers: Containers) -> None:
    """A filter before the socket refuses: that is no reason not to serve."""
    daemon.answers = {f"/networks/id-of-{name}": (403, b"no") for name in ("gate", "web")}
    daemon.run(1, "shop", {"host": ""}, mode="host")
    assert only_container(containers).address == ip_address("10.9.0.1")


def test_without_a_gateway_the_host_is_out_of_reach(daemon: Daemon, containers: Containers) -> None:
    """With the reason."""
    daemon.internal = {"gate", "web"}
    daemon.run(1, "shop", {"host": ""}, mode="host")
    expected = "it is in the host's network, and HAProxy is in none that leads there"
    assert only_container(containers).unreachable == expected


def test_in_the_hosts_network_haproxy_reaches_everybody(daemon: Daemon, containers: Containers) -> None:
    """Others there on the loopback, and all bridges."""
    daemon.run(PROXY, "proxy", {"host": ""}, mode="host")
    daemon.run(1, "beside", {"host": ""}, mode="host")
    daemon.run(2, "shop", {"db": "10.5.0.5"})
    found = {service.name: str(service.containers[0].address) for service in containers.services()}
    assert found == {"beside": "127.0.0.1", "shop": "10.5.0.5"}


def test_a_network_may_be_anothers(daemon: Daemon, containers: Containers) -> None:
    """``network_mode: service:vpn``: the address is the other's, the settings are its own."""
    other = daemon.run(1, "vpn", {"web": "10.0.0.5"})
    daemon.run(2, "shop", {}, environment=("VIRTUAL_HOST=a.test",), mode=f"container:{other}")
    shop = next(service for service in containers.services() if service.name == "shop").containers[0]
    assert (shop.address, shop.settings) == (ip_address("10.0.0.5"), {"VIRTUAL_HOST": "a.test"})
    del daemon.listed[other]
    assert only_container(containers).unreachable == "the container whose network it uses is not running"


def test_without_any_network_there_is_a_reason(daemon: Daemon, containers: Containers) -> None:
    """``network_mode: none`` is an intention, not a mistake about names."""
    daemon.run(1, "shop", {"none": ""}, mode="none")
    assert only_container(containers).unreachable == "it is in no network (network_mode: none)"


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 5 seconds", "none"),
        ("Up 5 seconds (health: starting)", "starting"),
        ("Up 5 seconds (healthy)", "healthy"),
        ("Up 2 hours (unhealthy)", "unhealthy"),
        ("Up 3 minutes (Paused)", "none"),
        ("", "none"),
    ],
)
def test_health_is_read_from_the_listing(daemon: Daemon, containers: Containers, status: str, health: str) -> None:
    """At every look anew, without asking about each container."""
    identifier = daemon.run(1, "shop", {"web": "10.0.0.5"})
    containers.services()
    daemon.listed[identifier]["Status"] = status
    daemon.asked.clear()
    assert only_container(containers).health == health
    assert daemon.asked == ["/containers/json"]


def test_newer_engines_say_it_in_a_field(daemon: Daemon, containers: Containers) -> None:
    """Which counts more than the words for people."""
    identifier = daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.listed[identifier]["Status"] = "Up 5 seconds (health: starting)"
    daemon.listed[identifier]["Health"] = {"Status": "healthy", "FailingStreak": 0}
    assert only_container(containers).health == "healthy"
    daemon.listed[identifier]["Health"] = {"Status": "none"}
    assert only_container(containers).health == "none"


def test_a_paused_container_is_there(daemon: Daemon, containers: Containers) -> None:
    """It keeps its route; one that waits to be restarted, or is being removed, is as good as gone."""
    daemon.run(1, "shop", {"web": "10.0.0.5"}, state="paused")
    for number, state in enumerate(("restarting", "created", "removing", "exited", "dead"), start=2):
        daemon.run(number, state, {"web": "10.0.0.6"}, state=state)
    container = only_container(containers)
    assert (container.name, container.paused) == ("shop", True)


def test_a_one_off_container_may_ask_to_be_served(daemon: Daemon, containers: Containers) -> None:
    """By a switch of its own."""
    one_off = {"com.docker.compose.oneoff": "True"}
    daemon.run(1, "shop-run", {"web": "10.0.0.5"}, one_off | {"proxy.enable": "Yes"})
    daemon.run(2, "shop-try", {"web": "10.0.0.6"}, one_off | {"proxy.enable": "no"})
    assert only_container(containers).name == "shop-run"


def test_filters_choose_among_the_others(daemon: Daemon) -> None:
    """What they leave out is not served; HAProxy's own container is found all the same."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.run(2, "blog", {"web": "10.0.0.6"})
    containers = Containers(daemon.host, lambda: f"{PROXY:064x}", filters=(("name", "shop"), ("name", "other")))
    assert only(containers.services()).name == "shop"


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


@pytest.mark.parametrize("answer", [(500, b'{"message": "no"}'), (403, b"denied"), (200, b"{ half")])
def test_a_container_that_is_not_described_costs_itself(
    daemon: Daemon, containers: Containers, answer: tuple[int, bytes]
) -> None:
    """It is told of as such, so that what was known of it can go on; the others are served, and the next look asks."""
    identifier = daemon.run(1, "shop", {"web": "10.0.0.5"}, environment=("VIRTUAL_HOST=a.test",))
    daemon.run(2, "blog", {"web": "10.0.0.6"})
    daemon.answers = {f"/containers/{identifier}/json": answer}
    blog, shop = containers.services()
    assert blog.containers[0].inspected
    assert (shop.containers[0].inspected, shop.containers[0].settings) == (False, {})
    assert shop.containers[0].unreachable.startswith("Docker does not describe it: ")
    daemon.answers = {}
    assert containers.services()[1].containers[0].settings == {"VIRTUAL_HOST": "a.test"}
    daemon.answers = {f"/containers/{identifier}/json": answer}
    assert containers.services()[1].containers[0].inspected, "what is known once is not asked again"


_OURS = f'"Id": "{PROXY:064x}"'


@pytest.mark.parametrize(
    "answer",
    [
        *("null", "{}", '"yes"', "[1]", "[null]", "[{}]", '[{"Id": null}]', f'[{{{_OURS}, "Names": 1}}]'),
        *(f'[{{{_OURS}, "Labels": 3}}]', f'[{{{_OURS}, "Status": 3}}]', f'[{{{_OURS}, "NetworkSettings": []}}]'),
        f'[{{{_OURS}, "NetworkSettings": {{"Networks": [1]}}}}]',
        f'[{{{_OURS}, "NetworkSettings": {{"Networks": {{"web": {{"IPAddress": "nowhere"}}}}}}}}]',
    ],
)
def test_a_listing_that_makes_no_sense_is_an_error(daemon: Daemon, containers: Containers, answer: str) -> None:
    """Of Docker's, and not of ours: what was known stays, and the next look may succeed."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.answers = {"/containers/json": (200, answer.encode())}
    with pytest.raises(OperationalError, match="its answer makes no sense"):
        containers.services()
    daemon.answers = {}
    assert len(containers.services()) == 1


@pytest.mark.parametrize("answer", ["null", "{}", "[]", '{"Config": null}', '{"Config": {"Env": [1]}}'])
def test_a_description_that_makes_no_sense_costs_that_container(
    daemon: Daemon, containers: Containers, answer: str
) -> None:
    """As one that does not come."""
    identifier = daemon.run(1, "shop", {"web": "10.0.0.5"})
    daemon.run(2, "blog", {"web": "10.0.0.6"})
    daemon.answers = {f"/containers/{identifier}/json": (200, answer.encode())}
    assert [service.containers[0].inspected for service in containers.services()] == [True, False]


@pytest.mark.slow
def test_an_answer_that_never_comes_is_an_error(daemon: Daemon) -> None:
    """After a while; and the next look may succeed."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    containers = Containers(daemon.host, lambda: f"{PROXY:064x}", timeout=1)
    containers.services()
    daemon.hangs.set()
    with pytest.raises(OperationalError, match="Docker cannot be asked"):
        containers.services()
    daemon.hangs.clear()
    assert only(containers.services()).name == "shop"


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


@pytest.mark.parametrize("own_id", ["haproxy", "0"])
def test_an_address_tells_who_we_are(daemon: Daemon, own_id: str) -> None:
    """Where Docker's files are not to be seen and the host name is one of ours, even if an id begins like it."""
    daemon.run(1, "shop", {"web": "10.0.0.5"})
    names = [item.name for item in Containers(daemon.host, lambda: own_id, lambda: {"10.0.0.2"}).services()]
    assert names == ["shop"]


def test_the_reason_is_the_innermost_one() -> None:
    """Not three libraries' accounts of it, with addresses of objects."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OperationalError) as refused:
            Containers(host, lambda: "abc").services()
    assert str(refused.value) == f"Docker cannot be asked for containers at {host}: Connection refused."
