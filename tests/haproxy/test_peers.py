"""Proxies before ours, and those that speak the PROXY protocol: whose word about a client counts."""

import json
import socket
import struct
from pathlib import Path

import pytest

from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.health import check_health
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Answer, Start, service


def headers(answer: Answer) -> dict[str, str]:
    """What the service saw, where no header comes twice."""
    found = dict(answer.forwarded)
    assert len(found) == len(answer.forwarded)
    return found


SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "public.test",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Ssl": "off",
    "X-Real-IP": "198.51.100.1",
    "Proxy": "evil",
}


def test_headers_of_a_trusted_proxy_are_kept(start: Start, shop: Origin) -> None:
    """Its address is appended to those it names, and the last of these is the client's."""
    proxy = start(TRUST_DOWNSTREAM_PROXY="127.0.0.0/8, ::1")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert seen["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("https", "on")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("public.test", "8443")
    assert seen["x-real-ip"] == "203.0.113.9"
    assert "proxy" not in seen


def test_a_trusted_proxy_that_says_nothing_adds_nothing(start: Start, shop: Origin) -> None:
    """Then the headers are those of any client, and a scheme that is none is not believed."""
    proxy = start(TRUST_DOWNSTREAM_PROXY="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers={"X-Forwarded-Proto": "ftp"}))
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("http", "off")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("a.test", str(proxy.settings.http_port))


@pytest.mark.parametrize("trusted", ["no", "192.0.2.0/24"])
def test_headers_of_strangers_are_not(start: Start, shop: Origin, trusted: str) -> None:
    """They say what we see, whatever was sent."""
    proxy = start(TRUST_DOWNSTREAM_PROXY=trusted)
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("http", "off")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("a.test", str(proxy.settings.http_port))
    assert "proxy" not in seen


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("192.0.2.1", 301)])
def test_who_came_by_https_is_not_sent_there_again(start: Start, shop: Origin, trusted: str, status: int) -> None:
    """A proxy before this one that ends TLS would turn in circles; a stranger who claims it is redirected."""
    proxy = start(TRUST_DOWNSTREAM_PROXY=trusted, FORCE_SSL="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    assert proxy.plain("a.test", headers={"X-Forwarded-Proto": "https"}).status == status
    assert proxy.plain("a.test", headers={"X-Forwarded-Proto": "http"}).status == 301


def test_the_scheme_alone_may_be_left_to_whoever_sends_it(start: Start, shop: Origin) -> None:
    """SKIP_FORWARDED_PROTO leaves one header as it is, and says what that means."""
    proxy = start(SKIP_FORWARDED_PROTO="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    assert any(problem.startswith("SKIP_FORWARDED_PROTO: ") for problem in proxy.look().problems)
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert (seen["x-forwarded-proto"], seen["x-forwarded-for"]) == ("https", "127.0.0.1")


# The PROXY protocol


V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.1")
V2 += struct.pack("!HH", 40000, 80)


def _through(port: int, preamble: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(preamble + b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("preamble", [V1, V2])
def test_the_client_is_whom_the_proxy_protocol_names(start: Start, shop: Origin, preamble: bytes) -> None:
    """In both versions; a connection without it gets no answer."""
    proxy = start(ENABLE_PROXY_PROTOCOL="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    assert proxy.look().problems == ()
    _, _, body = _through(proxy.settings.http_port, preamble).partition(b"\r\n\r\n")
    assert dict(json.loads(body)["headers"])["x-forwarded-for"] == "203.0.113.9"
    assert _through(proxy.settings.http_port, b"") == b""


def test_our_own_connections_speak_the_proxy_protocol_too(start: Start, tmp_path: Path) -> None:
    """The agent's handshakes, the health check, and the probe of the container that obtains certificates."""
    proxy = start(ENABLE_PROXY_PROTOCOL="yes", ACME_HTTP_CHALLENGE_LOCATION="false")
    folder = ChallengeFolder(tmp_path)
    folder.prepare()
    server = ChallengeServer(folder, 0)
    server.start()
    try:
        proxy.serve(service("challenges", "*", server.port))
        proxy.publish("a", "a.test")
        status = proxy.look_until_calm()
        status.write(proxy.settings.status_file)
        assert status.problems == ()
        assert all(certificate.served for certificate in status.certificates)
        assert "keeps up" in check_health(proxy.settings, status.cycle_at)
        assert LoadBalancer(f"127.0.0.1:{proxy.settings.http_port}", folder, Wakeup()).wait()
    finally:
        server.stop()
