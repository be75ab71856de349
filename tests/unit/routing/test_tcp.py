"""Ports that are passed on, and further ports for HTTP: TCP_PORTS and EXTERNAL_HTTP(S)_PORT."""

from ipaddress import ip_address

import pytest

from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.model import Container, Routing, Service
from proxy_agent.tls.names import DnsName


def labelled(name: str, ports: str, created: int = 0, /, **settings: str) -> Service:
    """A service with the label for TCP ports."""
    told = {"proxy.tcp-ports": ports} | settings
    return Service(name, (Container(f"{name}-1", told, (80,), ip_address("10.0.0.1"), created=created),))


def built(*services: Service, covered: str = "") -> Routing:
    """The routing of *services*."""
    return build(services, frozenset({DnsName(covered)} if covered else ()), Proxy())


def test_the_label_alone_exposes_a_port() -> None:
    """On the proxy's port of the same number; the container's is the one that is asked for."""
    routing = built(labelled("db", "5432, 6697/ssl"))
    assert [(port.number, port.tls) for port in routing.tcp] == [(5432, False), (6697, True)]
    assert [server.port for backend in routing.backends for server in backend.servers] in ([5432, 6697], [6697, 5432])
    assert all(backend.tcp for backend in routing.backends)
    assert list(routing.lines()) == [":5432", ":6697 (TLS)"]


def test_the_variable_alone_exposes_nothing() -> None:
    """It may be the application's own; beside VIRTUAL_HOST it is a setting like others."""
    container = Container("db-1", {"TCP_PORTS": "5432"}, (80,), ip_address("10.0.0.1"))
    assert built(Service("db", (container,))) == Routing()
    beside = Container("db-1", {"TCP_PORTS": "5432", "VIRTUAL_HOST": "a.test"}, (80,), ip_address("10.0.0.1"))
    assert [port.number for port in built(Service("db", (beside,))).tcp] == [5432]


@pytest.mark.parametrize("item", ["0", "70000", "http", "5432/tls", "5432/", "/ssl"])
def test_a_bad_item_costs_itself(item: str) -> None:
    """The other port of the same service is served."""
    routing = built(labelled("db", f"{item},5432"))
    assert [port.number for port in routing.tcp] == [5432]
    (reason,) = routing.skipped
    assert str(reason).startswith("db: TCP_PORTS: ")


@pytest.mark.parametrize("port", [80, 443, 8080])
def test_ports_that_speak_http_are_not_given_away(port: int) -> None:
    """Those of the proxy, and those that an entry of VIRTUAL_HOST asks for."""
    routing = built(labelled("db", str(port)), labelled("web", "", VIRTUAL_HOST="a.test:8080"))
    assert routing.tcp == ()
    assert any("is used by the proxy itself" in str(reason) for reason in routing.skipped)


def test_services_with_the_same_port_share_it() -> None:
    """The newest decides whether it is TLS."""
    routing = built(labelled("old", "5432", 1), labelled("new", "5432/ssl", 2))
    (port,) = routing.tcp
    (backend,) = routing.backends
    assert port.tls
    assert backend.title == "new old"
    assert list(map(str, routing.skipped)) == ["old: TCP_PORTS: new decides whether port 5432 is TLS, it is newer"]


def test_so_many_ports_and_no_more() -> None:
    """Each is a socket of the proxy's."""
    routing = built(labelled("db", ",".join(map(str, range(5000, 5020)))))
    assert len(routing.tcp) == 8


def test_what_means_something_for_requests_alone_is_left_out() -> None:
    """Stickiness by cookie, checks by HTTP; who may use it holds for every port of a service."""
    (backend,) = built(
        labelled(
            "db",
            "5432",
            COOKIE="S insert",
            HTTP_CHECK="/up",
            BALANCE="uri",
            NETWORK_ACCESS="internal",
            OPTION="httpclose,nolinger",
        )
    ).backends
    assert (backend.policy.cookie, backend.policy.http_check, backend.policy.balance) == ("", None, "")
    assert backend.policy.internal
    assert backend.policy.options == ("nolinger",)


def test_other_ports_take_the_place_of_80_and_443() -> None:
    """For entries without a scheme; the redirect leads to the one with TLS."""
    routing = built(labelled("web", "", VIRTUAL_HOST="a.test", EXTERNAL_HTTP_PORT="8080", EXTERNAL_HTTPS_PORT="8443"))
    assert {(route.listener, route.host) for route in routing.routes} == {
        ("plain", "a.test:8080"),
        ("tls", "a.test:8443"),
    }
    assert {rule.tls_port for rule in routing.rules} == {8443}


@pytest.mark.parametrize(
    "settings",
    [
        {"EXTERNAL_HTTP_PORT": "443"},
        {"EXTERNAL_HTTPS_PORT": "80"},
        {"EXTERNAL_HTTP_PORT": "81", "EXTERNAL_HTTPS_PORT": "81"},
    ],
)
def test_a_port_cannot_be_both(settings: dict[str, str]) -> None:
    """The entry is not served, and the reason says which port."""
    routing = built(labelled("web", "", VIRTUAL_HOST="a.test", **settings))
    assert routing.rules == ()
    (reason,) = routing.skipped
    assert "cannot be: that port is" in str(reason)


def test_multiports_names_ports_of_its_hosts() -> None:
    """Before what the container says for all of them."""
    said = "{a.test: {external_https_port: 8443, /: {port: 80}}, b.test: {external_http_port: 8080}, c.test: }"
    routing = built(labelled("web", "", VIRTUAL_HOST_MULTIPORTS=said, EXTERNAL_HTTP_PORT="81"))
    assert {(route.listener, route.host) for route in routing.routes} == {
        ("plain", "a.test:81"),
        ("tls", "a.test:8443"),
        ("plain", "b.test:8080"),
        ("tls", "b.test"),
        ("plain", "c.test:81"),
        ("tls", "c.test"),
    }
