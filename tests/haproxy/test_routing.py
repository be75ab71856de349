"""Requests, as they pass a running HAProxy."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from proxy_agent.routing.model import Service
from proxy_agent.routing.render import PLAIN_MAP, TLS_MAP
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import Answer, Proxy, proxy_in_a_folder, service
from tests.waiting import until

CHALLENGE = "/.well-known/acme-challenge/token-1"


@contextmanager
def serving_two_hosts(authority: CertificateAuthority, **environment: str) -> Iterator[Proxy]:
    """A proxy that serves a.test, covered by a certificate, and b.test, which is not."""
    with serving("shop") as shop, proxy_in_a_folder(authority, **environment) as proxy:
        proxy.publish("a", "a.test")
        proxy.serve(service("shop", "a.test,b.test", shop.port))
        proxy.boot()
        yield proxy


@pytest.fixture(scope="module")
def served(authority: CertificateAuthority) -> Iterator[Proxy]:
    """One for all tests here that only ask."""
    with serving_two_hosts(authority) as proxy:
        yield proxy


def origin(answer: Answer) -> str:
    """Who answered."""
    assert answer.status == 200
    return str(answer.received["origin"])


# Hosts


def test_an_unknown_host_is_told_so(served: Proxy) -> None:
    """On both listeners, with 503: it may be known in a moment."""
    for answer in (served.plain("unknown.test"), served.tls("unknown.test", trusted=False)):
        assert answer.status == 503
        assert b"No service is configured for this host." in answer.body


def test_a_request_without_a_host_is_unknown_too(served: Proxy) -> None:
    """HTTP/1.0 needs none."""
    connection = http.client.HTTPConnection("127.0.0.1", served.settings.http_port, timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Connection", "close")
    connection._http_vsn_str = "HTTP/1.0"  # type: ignore[attr-defined]  # it has no other way to say so
    connection.endheaders()
    assert connection.getresponse().status in (400, 503)
    connection.close()


@pytest.mark.parametrize("host", ["b.test", "B.TEST", "b.test:80", "b.TEST:8080"])
def test_case_and_port_of_a_host_do_not_matter(served: Proxy, host: str) -> None:
    """Whatever the client wrote; the application sees what it wrote."""
    answer = served.plain(host)
    assert origin(answer) == "shop"
    assert dict(answer.forwarded)["host"] == host


def test_the_host_decides_and_not_the_server_name(served: Proxy) -> None:
    """A browser that reuses a connection for another host gets that host."""
    with served.handshake("a.test") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n")
        assert b'"origin": "shop"' in b"".join(iter(lambda: tls.recv(65536), b""))


@pytest.mark.parametrize(
    ("virtual_host", "host"), [("127.0.0.1", "127.0.0.1:8080"), ("2001:DB8::1", "[2001:db8::1]"), ("[::1]", "[::1]:80")]
)
def test_an_address_is_a_host(proxy: Proxy, shop: Origin, virtual_host: str, host: str) -> None:
    """As it stands in the header, brackets included."""
    proxy.serve(service("shop", virtual_host, shop.port))
    proxy.look()
    assert origin(proxy.plain(host)) == "shop"


def test_a_scheme_limits_a_host_to_a_listener(proxy: Proxy, shop: Origin) -> None:
    """What is only one is nothing on the other."""
    proxy.serve(service("shop", "http://plain.test,https://tls.test", shop.port))
    proxy.look()
    assert origin(proxy.plain("plain.test")) == origin(proxy.tls("tls.test", trusted=False)) == "shop"
    assert proxy.tls("plain.test", trusted=False).status == proxy.plain("tls.test").status == 503


def test_replicas_share_the_work(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """Each container of a service answers."""
    proxy.serve(service("shop", "a.test", shop.port, blog.port))
    proxy.look()
    assert {origin(proxy.plain("a.test")) for _ in range(8)} == {"shop", "blog"}


def test_services_share_a_host(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """And have each their own beside it."""
    proxy.serve(service("shop", "a.test,shop.test", shop.port), service("blog", "a.test,blog.test", blog.port))
    proxy.look()
    assert {origin(proxy.plain("a.test")) for _ in range(8)} == {"shop", "blog"}
    assert {origin(proxy.plain("shop.test")) for _ in range(8)} == {"shop"}
    assert {origin(proxy.plain("blog.test")) for _ in range(8)} == {"blog"}


def test_a_replica_that_died_is_passed_over(proxy: Proxy, shop: Origin) -> None:
    """The request is tried on another one; the client sees nothing of it."""
    with serving("dying") as dying:
        proxy.serve(service("shop", "a.test", shop.port, dying.port))
        proxy.look()
    assert {origin(proxy.plain("a.test")) for _ in range(8)} == {"shop"}


def test_a_service_that_cannot_be_reached_answers_503(proxy: Proxy, shop: Origin) -> None:
    """And its neighbour is served."""
    lost = replace(service("lost", "b.test", 80).containers[0], address=None, unreachable="no network in common")
    proxy.serve(service("shop", "a.test", shop.port), Service("lost", (lost,)))
    assert proxy.look().problems == ("lost (lost-1): no network in common",)
    assert proxy.plain("b.test").status == 503
    assert origin(proxy.plain("a.test")) == "shop"


# Redirects


@pytest.mark.parametrize("path", ["/", "/x/y.html?q=1&r=%2F%3F", "/?", "//double", "/%E4?x=http://b.test/"])
def test_a_redirect_keeps_path_and_query(served: Proxy, path: str) -> None:
    """The rest of the address is the visitor's."""
    answer = served.plain("A.test:8080", path)
    assert answer.status == 301
    assert answer.headers["location"] == f"https://a.test:{served.settings.https_port}{path}"


def test_a_host_is_redirected_from_the_moment_it_has_a_certificate(authority: CertificateAuthority) -> None:
    """And not before, and not any more when that is gone; nothing is reloaded for it."""
    with serving_two_hosts(authority) as proxy:
        worker = proxy.worker
        assert proxy.plain("b.test").status == 200
        proxy.publish("b", "b.test")
        proxy.look()
        assert proxy.plain("b.test").status == 301
        proxy.unpublish("b")
        proxy.look()
        assert proxy.plain("b.test").status == 200
        assert proxy.worker == worker


@pytest.mark.parametrize(("force_ssl", "statuses"), [("yes", (301, 301)), ("no", (200, 200)), ("", (301, 200))])
def test_force_ssl_redirects_all_or_none(
    authority: CertificateAuthority, force_ssl: str, statuses: tuple[int, int]
) -> None:
    """Covered or not; unset, the certificate decides."""
    with serving_two_hosts(authority, FORCE_SSL=force_ssl) as proxy:
        assert (proxy.plain("a.test").status, proxy.plain("b.test").status) == statuses


# Headers


FORGED = {
    "X-Forwarded-For": "192.0.2.66",
    "X-Forwarded-Proto": "forged",
    "X-Forwarded-Port": "66",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Server": "evil.test",
    "X-Forwarded-Whatever": "forged",
    "X_Forwarded_For": "192.0.2.66",
    "X-Real-IP": "192.0.2.66",
    "Forwarded": "for=192.0.2.66",
    "Proxy": "http://evil.test:3128",
}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_cannot_say_who_it_is(served: Proxy, scheme: str) -> None:
    """What it claims, also with underscores, which some applications take for hyphens, is replaced by what is true."""
    if scheme == "https":
        host, port, answer = "a.test", served.settings.https_port, served.tls("a.test", headers=FORGED)
    else:
        host, port, answer = "b.test", served.settings.http_port, served.plain("b.test", headers=FORGED)
    seen = answer.forwarded
    ours = sorted((name, value) for name, value in seen if name.startswith(("x", "forwarded", "proxy")))
    assert ours == [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", host),
        ("x-forwarded-port", str(port)),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-ssl", "on" if scheme == "https" else "off"),
        ("x-original-uri", "/"),
        ("x-real-ip", "127.0.0.1"),
    ]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_serve_only_attackers_are_refused(served: Proxy, method: str) -> None:
    """405, and the application never sees them."""
    path = "b.test:80" if method == "CONNECT" else "/"
    assert served.plain("b.test:80" if method == "CONNECT" else "b.test", path, method).status == 405


def test_http_2_is_offered(served: Proxy) -> None:
    """Clients that can, speak it; others go on as ever."""
    with served.handshake("a.test", alpn=("h2", "http/1.1")) as tls:
        assert tls.selected_alpn_protocol() == "h2"
    with served.handshake("a.test", alpn=("http/1.1",)) as tls:
        assert tls.selected_alpn_protocol() == "http/1.1"


def test_a_request_by_http_2_reaches_the_application(served: Proxy) -> None:
    """Which need not speak it."""
    port = served.settings.https_port
    command = ["curl", "--silent", "--show-error", "--http2", "--insecure", "--max-time", "10"]
    to = ["--resolve", f"a.test:{port}:127.0.0.1", "--write-out", " %{http_version}", f"https://a.test:{port}/x"]
    outcome = subprocess.run([*command, *to], capture_output=True, text=True, timeout=20, check=True)
    assert '"path": "/x"' in outcome.stdout
    assert outcome.stdout.endswith(" 2")


# Challenges


@contextmanager
def challenge_server(proxy: Proxy) -> Iterator[None]:
    """A challenge server while the block lasts.

    HAProxy finds it through Docker's DNS, which is not here; so a stand-in joins the backend through the runtime API,
    and what is tested is the way there.
    """
    with serving("letsencrypt") as letsencrypt:
        proxy.ask(f"add server letsencrypt/stand-in 127.0.0.1:{letsencrypt.port}")
        proxy.ask("enable server letsencrypt/stand-in")
        until(lambda: proxy.plain("a.test", CHALLENGE).status == 200, "the challenge server", within=10)
        yield


@pytest.fixture(scope="module")
def challenged(authority: CertificateAuthority) -> Iterator[Proxy]:
    """One with a challenge server for all tests here that only ask."""
    with serving_two_hosts(authority) as proxy, challenge_server(proxy):
        yield proxy


@pytest.mark.parametrize("host", ["a.test", "b.test", "unknown.test", "A.TEST:80", "192.0.2.1"])
def test_a_challenge_reaches_the_challenge_server_whatever_the_host(challenged: Proxy, host: str) -> None:
    """Known or not, redirected or not, in clear text and through TLS; the CA asks for a name before it has a route."""
    for answer in (challenged.plain(host, CHALLENGE), challenged.tls(host, CHALLENGE, trusted=False)):
        assert origin(answer) == "letsencrypt"
        assert answer.received["path"] == CHALLENGE


def test_a_challenge_is_not_redirected_by_force(authority: CertificateAuthority) -> None:
    """FORCE_SSL redirects everything but that."""
    with serving_two_hosts(authority, FORCE_SSL="yes") as proxy, challenge_server(proxy):
        assert origin(proxy.plain("b.test", CHALLENGE)) == "letsencrypt"
        assert proxy.plain("b.test", "/").status == 301


@pytest.mark.parametrize("path", ["/.well-known/", "/.well-known/acme-challenge", "/x/.well-known/acme-challenge/t"])
def test_other_paths_are_the_applications(challenged: Proxy, path: str) -> None:
    """Only what begins like a challenge is one."""
    assert origin(challenged.plain("b.test", path)) == "shop"


def test_haproxy_starts_before_its_challenge_server(served: Proxy) -> None:
    """Without it, a challenge is answered 503, and everything else is served."""
    assert served.plain("a.test", CHALLENGE).status == 503
    assert served.plain("b.test").status == 200


# Many hosts


def test_thousands_of_hosts_change_without_a_reload(proxy: Proxy, shop: Origin) -> None:
    """A map that is larger than one command is replaced in one step."""

    def crowd(prefix: str) -> Service:
        values = (",".join(f"{prefix}-{group}-{number}.test" for number in range(300)) for group in range(10))
        containers = (service(f"crowd-{number}", value, shop.port).containers[0] for number, value in enumerate(values))
        return Service("crowd", tuple(containers))

    proxy.serve(crowd("host"))
    proxy.look()
    worker = proxy.worker
    proxy.serve(crowd("other"))
    assert proxy.look().problems == ()
    sizes = {path: len(entries) for path, entries in proxy.running.maps.items() if entries}
    assert sizes == {PLAIN_MAP: 3000, TLS_MAP: 3000}
    assert origin(proxy.plain("other-0-0.test")) == origin(proxy.plain("other-9-299.test")) == "shop"
    assert proxy.plain("host-0-0.test").status == 503
    assert proxy.worker == worker
