"""proxy_agent.routing.own_certificates."""

from ipaddress import ip_address

import pytest

from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.own_certificates import certificates_of
from tests.certificate_authority import CertificateAuthority

PEM = CertificateAuthority().issue("a.test", "*.w.test", "stranger.test").bundle_pem.decode()


def service(**settings: str) -> Service:
    """A service of one container."""
    return Service("shop", (Container("shop-1", settings, (80,), ip_address("10.0.0.1")),))


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n")])
def test_it_is_for_the_containers_own_hosts(pem: str) -> None:
    """Whatever else it carries: nobody answers for a stranger's host by bringing its name along."""
    (bundle,), doubts = certificates_of([service(VIRTUAL_HOST="a.test,x.w.test,b.test", SSL_CERT=pem)], Proxy())
    assert bundle.name == "container/shop-1"
    assert bundle.identifiers == {"a.test", "x.w.test"}
    assert doubts == ()


def test_what_is_no_certificate_is_named_and_never_quoted() -> None:
    """It may be a key."""
    bundles, (reason,) = certificates_of([service(VIRTUAL_HOST="a.test", SSL_CERT="sesame" + PEM[200:])], Proxy())
    assert bundles == ()
    assert str(reason).startswith("shop: SSL_CERT: ")
    assert "sesame" not in str(reason)


def test_a_container_does_not_choose_the_default_certificate() -> None:
    """Under that name it counts for its own hosts, and is told so."""
    (bundle,), (reason,) = certificates_of([service(VIRTUAL_HOST="a.test", DEFAULT_SSL_CERT=PEM)], Proxy())
    assert bundle.identifiers == {"a.test"}
    assert "cannot choose for everybody" in str(reason)
