"""proxy_agent.routing.cert_name."""

from ipaddress import ip_address

from proxy_agent.routing.cert_name import certificates_by_name
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.model import Container, Service


def service(name: str, hosts: str, certificate: str, created: int = 0) -> Service:
    """A service that names its certificate."""
    told = {"VIRTUAL_HOST": hosts, "CERT_NAME": certificate}
    return Service(name, (Container(f"{name}-1", told, (80,), ip_address("10.0.0.1"), created=created),))


def test_its_hosts_get_the_certificate_it_names() -> None:
    """Not patterns and addresses: no client asks for those by name."""
    chosen, doubts = certificates_by_name(
        [service("web", "a.test,https://b.test/x,*.c.test,192.0.2.1,~^d", "mine")], {"custom/mine"}, Proxy()
    )
    assert chosen == {"a.test": "custom/mine", "b.test": "custom/mine"}
    assert doubts == ()


def test_a_certificate_that_is_not_there_is_named() -> None:
    """The host is left to those that cover it."""
    chosen, (reason,) = certificates_by_name([service("web", "a.test", "../x")], {"custom/mine"}, Proxy())
    assert chosen == {}
    assert str(reason).startswith("web: CERT_NAME: '../x' is not among your own certificates")


def test_the_newest_container_decides() -> None:
    """Where two name different ones for a host."""
    services = [service("old", "a.test", "one", 1), service("new", "a.test", "two", 2)]
    assert certificates_by_name(services, {"custom/one", "custom/two"}, Proxy())[0] == {"a.test": "custom/two"}
