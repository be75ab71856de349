"""The main job: every name of DOMAINS gets a certificate that a client trusts, and keeps it."""

import json
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.stack import Stack
from tests.waiting import until

DOMAINS = "one.test, www.one.test; two.test"
NAMES = ["one.test", "www.one.test", "two.test"]
STACK = ("haproxy", "letsencrypt", "docker-gate", "app")
CHALLENGE = "/.well-known/acme-challenge/no-such-token"


def _sans(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_default_certificate_answers_before_there_is_docker_or_a_ca(stack: Stack) -> None:
    """HTTPS answers with a certificate of this installation's own while HAProxy is the only container."""
    stack.up("haproxy")
    first = _first_certificate(stack)
    assert _sans(first) == {"localhost", "haproxy"}
    assert stack.http("one.test").status == 503

    stack.down()
    stack.up("haproxy", DEFAULT_CERT_SANS="box.lan, 192.0.2.7")
    second = _first_certificate(stack)
    assert _sans(second) == {"box.lan", "192.0.2.7"}, "it is made anew when its names change"

    stack.down()
    stack.up("haproxy")
    third = _first_certificate(stack)
    assert third.serial_number == second.serial_number, "it is kept over down and up"


def _first_certificate(stack: Stack) -> x509.Certificate:
    certificate = until(lambda: _certificate_or_none(stack), "a handshake on the TLS listener")
    assert certificate
    return certificate


def _certificate_or_none(stack: Stack) -> x509.Certificate | None:
    try:
        return stack.certificate(None)
    except (ssl.SSLError, OSError):
        return None


def test_from_nothing_to_trusted_and_kept(stack: Stack) -> None:
    """Two lineages are issued without a reload, redirects begin, and down and up place no new order."""
    stack.up("haproxy", "docker-gate", "app", "production", "--wait")
    until(lambda: stack.http("one.test").status == 200, "the web container over plain HTTP")
    worker = stack.worker()

    stack.up("letsencrypt", DOMAINS=DOMAINS, EMAIL="operator@one.test")
    stack.until_trusted(NAMES, "production")
    until(lambda: stack.http("one.test").status == 301, "the redirect of a covered host")
    assert stack.worker() == worker, f"certificates and redirects change without a reload\n{stack.log('haproxy')}"
    assert stack.orders("production") == 2
    assert _sans(stack.certificate("www.one.test")) == {"one.test", "www.one.test"}
    assert _sans(stack.certificate("two.test")) == {"two.test"}
    assert _sans(stack.certificate("unknown.test")) == {"localhost", "haproxy"}

    redirect = stack.http("one.test", "/a/b?c=d&e=f")
    assert redirect.headers["location"] == "https://one.test/a/b?c=d&e=f"
    assert stack.https("one.test", "/hello").body == "Hello from app: you asked for https://one.test/hello\n"
    for host in ("one.test", "two.test", "unknown.test"):
        assert stack.http(host, CHALLENGE).status == 404, "challenges are never redirected"
        assert stack.https(host, CHALLENGE).status == 404, "and reach certbot over TLS too"

    serials = {name: stack.certificate(name).serial_number for name in NAMES}
    stack.down()
    stack.up("production", "--wait")
    stack.up(*STACK)
    _first_certificate(stack)
    assert {name: stack.certificate(name).serial_number for name in NAMES} == serials
    until(lambda: "load balancer" in stack.log("letsencrypt"), "the first run after the restart")
    until(lambda: _healthy(stack, "letsencrypt"), "a healthy letsencrypt", within=60, pause=0.5)
    assert stack.orders("production") == 0, "nothing was due, so nothing was ordered"


def _healthy(stack: Stack, service: str) -> bool:
    return '"Health":"healthy"' in stack.compose("ps", "--format", "json", service)


def test_staging_and_production_are_apart(stack: Stack) -> None:
    """Removing --staging issues at the production directory at once; putting it back costs nothing."""
    stack.up("production", "staging", "--wait")
    stack.up(*STACK, DOMAINS="one.test", EMAIL="", OPTIONS="--staging")
    stack.until_trusted(["one.test"], "staging")
    assert (stack.orders("staging"), stack.orders("production")) == (1, 0)
    rehearsal = stack.certificate("one.test").serial_number

    stack.up("letsencrypt", OPTIONS="")
    stack.until_trusted(["one.test"], "production")
    assert (stack.orders("staging"), stack.orders("production")) == (1, 1)

    stack.up("letsencrypt", OPTIONS="--staging")
    stack.until_trusted(["one.test"], "staging")
    assert stack.certificate("one.test").serial_number == rehearsal
    assert (stack.orders("staging"), stack.orders("production")) == (1, 1)
    assert "live/one.test" in stack.run_in("letsencrypt", "find", "/etc/letsencrypt/live"), "the classic place"


def test_renewal_reaches_the_listener_without_a_reload(stack: Stack) -> None:
    """When the authority's ARI window has begun, the renewed certificate is served by the same worker."""
    stack.up("production", "--wait")
    stack.up(*STACK, DOMAINS="one.test")
    root = stack.until_trusted(["one.test"], "production")
    old = stack.certificate("one.test")
    worker = stack.worker()

    _begin_renewal_window(stack, old.public_bytes(Encoding.PEM).decode())
    stack.compose("restart", "letsencrypt")
    until(
        lambda: stack.certificate("one.test").serial_number != old.serial_number,
        f"the renewed certificate\n{stack.log('letsencrypt')}",
        within=60,
        pause=0.2,
    )
    assert stack.trusts("one.test", root)
    assert stack.worker() == worker
    assert "Renewed" in stack.log("letsencrypt")


def _begin_renewal_window(stack: Stack, pem: str) -> None:
    window = {"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}
    body = json.dumps({"Certificate": pem, "ARIResponse": json.dumps(window)})
    url = "https://localhost:15000/set-renewal-info/"
    stack.run_in("production", "curl", "-sf", "--capath", "/acme-ca", "-d", body, url)
