"""proxy_agent.routing.lingering: what outlasts a look at Docker."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.lingering import followed, grace_ends
from proxy_agent.routing.model import Container, Routing, Service

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GRACE = timedelta(seconds=90)
SECOND = timedelta(seconds=1)


def service(name: str, virtual_host: str = "a.test", address: str | None = "10.0.0.1", **settings: str) -> Service:
    """A service of one container."""
    settings = {"VIRTUAL_HOST": virtual_host} | settings
    return Service(name, (Container(f"{name}-1", settings, (80,), ip_address(address) if address else None),))


def routing(*services: Service) -> Routing:
    """What is made of them."""
    return build(services, frozenset(), Proxy())


SHOP, BLOG = service("shop"), service("blog", "b.test", "10.0.0.2")


def test_what_is_there_is_as_it_is() -> None:
    """Nothing of yesterday's is added to a service that runs."""
    fewer = followed((Service("shop", (*SHOP.containers, *BLOG.containers)),), (SHOP,), NOW, GRACE)
    assert fewer == (SHOP,)
    assert grace_ends(fewer, GRACE) is None


def test_a_service_that_ended_keeps_its_routes_for_a_while() -> None:
    """Without a server, under the same names: neither its end nor its return is a reload."""
    calm = routing(BLOG, SHOP)
    later = followed((BLOG, SHOP), (BLOG,), NOW, GRACE)
    meanwhile = routing(*later)
    assert (meanwhile.routes, meanwhile.rules) == (calm.routes, calm.rules)
    assert [backend.name for backend in meanwhile.backends] == [backend.name for backend in calm.backends]
    assert [len(backend.servers) for backend in meanwhile.backends] == [1, 0]
    assert meanwhile.lines()["a.test"] == "a.test: http and https served by shop (no server)"
    assert grace_ends(later, GRACE) == NOW + GRACE

    still = followed(later, (BLOG,), NOW + GRACE - SECOND, GRACE)
    assert still == later, "counted from when it was first missed"
    assert followed(still, (BLOG,), NOW + GRACE, GRACE) == (BLOG,)
    assert followed(still, (BLOG, SHOP), NOW + GRACE - SECOND, GRACE) == (BLOG, SHOP)


def test_a_clock_that_goes_back_does_not_prolong_the_while() -> None:
    """It begins anew, however far in the future it had begun."""
    later = followed((SHOP,), (), NOW + timedelta(days=1), GRACE)
    still = followed(later, (), NOW, GRACE)
    assert grace_ends(still, GRACE) == NOW + GRACE
    assert followed(still, (), NOW + GRACE, GRACE) == ()


def test_a_service_that_returns_otherwise_is_what_it_is_now() -> None:
    """Its old hosts are gone at once."""
    later = followed((SHOP,), (), NOW, GRACE)
    renamed = service("shop", "new.test")
    assert followed(later, (renamed,), NOW, GRACE) == (renamed,)
    switched_off = service("shop", **{"proxy.enable": "no"})
    assert routing(*followed(later, (switched_off,), NOW, GRACE)).rules == ()


def test_a_service_that_loses_its_network_keeps_its_routes_for_a_while() -> None:
    """It is moved from one to another; and why it is out of reach is told."""
    moved = Service("shop", (replace(SHOP.containers[0], address=None, unreachable="no network in common"),))
    meanwhile = routing(*followed((SHOP,), (moved,), NOW, GRACE))
    assert [backend.servers for backend in meanwhile.backends] == [()]
    assert [str(item) for item in meanwhile.skipped] == ["shop (shop-1): no network in common"]
    assert followed((SHOP,), (moved,), NOW, timedelta()) == (moved,)


def test_who_asks_for_nothing_or_was_never_reached_is_forgotten() -> None:
    """There is no route to keep."""
    silent = Service("silent", (replace(SHOP.containers[0], settings={}),))
    assert followed((silent, service("far", address=None)), (), NOW, GRACE) == ()


def test_who_ended_takes_nothing_from_who_is_there() -> None:
    """Blue has the higher weight and ends: green answers at once."""
    blue = service("blue", VIRTUAL_HOST_WEIGHT="9")
    green = service("green", address="10.0.0.2")
    before, after = routing(blue, green), routing(*followed((blue, green), (green,), NOW, GRACE))
    assert {rule.backend.partition("-")[0] for rule in before.rules} == {"blue"}
    assert {rule.backend.partition("-")[0] for rule in after.rules} == {"green"}


def test_who_shares_a_host_shares_it_still_when_it_ended() -> None:
    """Its return is then no reload for the other either."""
    calm = routing(SHOP, service("twin", address="10.0.0.2"))
    twin = service("twin", address="10.0.0.2")
    meanwhile = routing(*followed((SHOP, twin), (SHOP,), NOW, GRACE))
    assert meanwhile.rules == calm.rules
    (backend,) = meanwhile.backends
    assert [server.name for server in backend.servers] == ["shop-1"]


def test_what_docker_fails_to_describe_is_taken_to_be_as_it_was() -> None:
    """With its new address; one that was never known asks for nothing."""
    listed = Container("shop-1", {}, (), ip_address("10.0.0.9"), inspected=False, unreachable="Docker does not say")
    (shop,) = followed((SHOP,), (Service("shop", (listed,)),), NOW, GRACE)
    (container,) = shop.containers
    assert (container.settings, container.exposed_ports) == ({"VIRTUAL_HOST": "a.test"}, (80,))
    assert container.address == ip_address("10.0.0.9")
    assert routing(*followed((), (Service("shop", (listed,)),), NOW, GRACE)).rules == ()


def test_who_ended_has_no_say_in_how_others_are_served() -> None:
    """Blue asked for a password and a cookie; green, which took its place, does not, and nobody is told of it."""
    blue = service("one/blue", HTTP_BASIC_AUTH="ann:x", COOKIE="S insert", HTTPS_METHOD="nohttp")
    green = service("two/green", address="10.0.0.2")
    meanwhile = routing(*followed((blue,), (green,), NOW, GRACE))
    (backend,) = meanwhile.backends
    assert (backend.policy.protected, backend.policy.cookie) == (False, "")
    assert {rule.redirect for rule in meanwhile.rules} == {"auto", "never"}
    assert meanwhile.skipped == ()
