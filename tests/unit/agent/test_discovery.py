"""The agent between one answer of Docker's and the next: what lasts, what is told, when it looks again."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from proxy_agent import settings as agent_settings
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.render import TLS_MAP
from tests.unit.agent.fakes import House, service
from tests.unit.agent.test_cycle import Clockwork

SHOP = service("shop", "a.test")
GRACE = timedelta(seconds=90)


@pytest.fixture
def house() -> House:
    """An agent that waits for services as long as in production."""
    house = House()
    house.settings = agent_settings.load({"ENABLE_IPV6": "no", "DEFAULT_CERT_SANS": "localhost"})
    house.boot()
    house.containers.known = (SHOP,)
    house.look()
    house.haproxy.journal.clear()
    return house


def moved(known: Service) -> Service:
    """The same in another container, at another address."""
    return replace(known, containers=(replace(known.containers[0], address=ip_address("10.0.0.9")),))


def test_a_service_that_restarts_is_no_reason_for_a_reload(house: House) -> None:
    """Its server goes and comes; the route, the certificate and the worker stay."""
    house.containers.known = ()
    (host, _) = house.look().routes
    assert (host.host, host.servers) == ("a.test", ())
    house.now += GRACE - timedelta(seconds=1)
    house.look()
    house.containers.known = (moved(SHOP),)
    house.look()
    (backend,) = house.haproxy.servers
    assert house.haproxy.journal == [f"remove_server {backend}/shop-1", f"add_server {backend}/shop-1"]


def test_a_service_that_does_not_return_is_forgotten(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The operator sees both: that nobody serves it any more, and that it is not routed any more."""
    caplog.set_level("INFO")
    house.containers.known = ()
    house.look()
    house.now += GRACE
    assert house.look().routes == ()
    assert caplog.messages == [
        "a.test: http and https served by shop (no server)",
        "a.test is no longer served.",
    ]


def test_a_restart_of_the_agent_does_not_shorten_the_wait(house: House) -> None:
    """What is missed is remembered with the time since when; and Docker's silence meanwhile changes nothing."""
    house.containers.known = ()
    house.look()
    house.agent = house.another_agent()
    house.now += GRACE - timedelta(seconds=1)
    assert house.look().routes
    house.containers.failure = "no Docker"
    house.now += GRACE
    assert house.look().routes
    house.containers.failure = ""
    assert house.look().routes == ()


def test_a_host_that_boots_keeps_the_routes_of_what_is_yet_to_start(house: House) -> None:
    """HAProxy's container may be the first of all; each further one is then no reload."""
    house.containers.known = ()
    house.boot()
    house.haproxy.journal.clear()
    house.containers.known = (SHOP,)
    house.look()
    assert [line.partition(" ")[0] for line in house.haproxy.journal] == ["add_server"]


def test_it_looks_again_when_a_service_has_been_waited_for(house: House) -> None:
    """Not at the next resync, which may be a day away."""
    house.settings = agent_settings.load(
        {"ENABLE_IPV6": "no", "DEFAULT_CERT_SANS": "localhost", "RESYNC_INTERVAL": "1d"}
    )
    house.agent = house.another_agent()
    house.look()
    house.containers.known = ()
    clockwork = Clockwork(1)
    house.agent.run(clockwork, lambda _: None)
    assert clockwork.slept == [90.0]


def test_a_container_that_docker_does_not_describe_stays_as_it_was(house: House) -> None:
    """Over a restart of the agent too: it asks again soon, and says so where that does not help."""
    unknown = Container("shop-1", {}, (), ip_address("10.0.0.1"), inspected=False, unreachable="Docker does not say")
    house.agent = house.another_agent()
    house.containers.known = (Service("shop", (unknown,)),)
    problems = [house.look().problems for _ in range(7)]
    assert problems == [()] * 5 + [("shop-1: Docker does not say.",)] * 2
    assert house.haproxy.journal == []
    assert house.haproxy.maps[TLS_MAP].keys() == {"a.test"}
    clockwork = Clockwork(1)
    house.agent.run(clockwork, lambda _: None)
    assert clockwork.slept[0] < 60
