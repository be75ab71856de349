"""A token fetched as a CA fetches it, from real servers of this host."""

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.preflight import Address, Probe, Reply
from letsencrypt.probe import Astray, Prober, led_to, next_url
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.tls.names import parse_identifier
from tests.certificate_authority import CertificateAuthority
from tests.ports import free_port

NAME = parse_identifier("shop.net")
HERE = ip_address("127.0.0.1")
CONTENT = b"nonce"
HOME = "http://shop.net/.well-known/acme-challenge/t"

Route = Callable[[str, str], tuple[int, dict[str, str], bytes]]
"""The answer to a Host header and a path."""


@contextmanager
def web_server(route: Route, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A web server that answers as told; its port."""

    class Told(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = route(self.headers["Host"], self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def nowhere(_name: str) -> Sequence[Address]:
    """No redirect leads anywhere."""
    raise OSError("it redirects to a name that cannot be looked up")


def probe(port: int, addresses_of: Callable[[str], Sequence[Address]] = nowhere, address: Address = HERE) -> Probe:
    """What comes of it at *port*."""
    return Prober(addresses_of, {80: port}).probe(NAME, address, "t", CONTENT)


def answered(route: Route, addresses_of: Callable[[str], Sequence[Address]] = nowhere) -> Probe:
    """What comes of it where a server answers by *route*."""
    with web_server(route) as port:
        return probe(port, addresses_of)


def test_the_token_comes_back_by_name() -> None:
    """From the address that was asked, with the name in the Host header and no port there."""
    asked = []

    def route(host: str, path: str) -> tuple[int, dict[str, str], bytes]:
        asked.append(f"http://{host}{path}")
        return 200, {}, CONTENT

    assert answered(route) == Probe(HERE, Reply.TOKEN)
    assert asked == [HOME]


@pytest.mark.parametrize(
    ("status", "headers", "body", "result"),
    [
        (404, {"Server": "nginx"}, b"", "the status 404 of 'nginx' came instead of our challenge"),
        (200, {"Server": "nginx"}, CONTENT + b"!", "some page of 'nginx' came instead of our challenge"),
        (200, {"Server": "nginx"}, b"x" * 5000, "some page of 'nginx' came instead of our challenge"),
    ],
)
def test_another_server_is_recognised(status: int, headers: dict[str, str], body: bytes, result: str) -> None:
    """By a status or a page of its own, and named as it names itself."""
    found = answered(lambda _host, _path: (status, headers, body))
    assert found.reply is Reply.OTHER
    assert found.what.startswith(result.partition(" of ")[0])
    assert found.what.endswith(" came instead of our challenge")


def test_another_of_our_kind_is_recognised(tmp_path: Path) -> None:
    """A challenge server that does not know the token says so in a header."""
    folder = ChallengeFolder(tmp_path)
    folder.prepare()
    server = ChallengeServer(folder, 0)
    server.start()
    try:
        assert probe(server.port).reply is Reply.UNKNOWN_HERE
        with folder.offering("t", CONTENT):
            assert probe(server.port).reply is Reply.TOKEN
    finally:
        server.stop()


def test_redirects_are_followed_to_other_paths_and_hosts() -> None:
    """Ten of them, each host looked up on the way."""

    def route(host: str, path: str) -> tuple[int, dict[str, str], bytes]:
        step = int(path.removeprefix("/")) if path[1:].isdigit() else 0
        if host == "other.net" and step == 10:
            return 200, {}, CONTENT
        return (301, 302, 307, 308)[step % 4], {"Location": f"//other.net/{step + 1}"}, b""

    looked_up = []

    def addresses_of(name: str) -> Sequence[Address]:
        looked_up.append(name)
        return (HERE,)

    assert answered(route, addresses_of) == Probe(HERE, Reply.TOKEN)
    assert looked_up == ["other.net"] * 10


@pytest.mark.parametrize(
    ("status", "location", "reason"),
    [
        (302, HOME, "it redirects more than 10 times"),
        (303, HOME, "it answers with the status 303, which CAs do not follow"),
        (301, "https://shop.net:8443/", "it redirects to 'https://shop.net:8443/', but CAs follow to"),
        (301, "ftp://shop.net/", "it redirects to 'ftp://shop.net/', which is no address of a web server"),
        (301, "", "it redirects to '', which is no address of a web server"),
    ],
)
def test_a_redirect_that_no_ca_follows_leads_astray(status: int, location: str, reason: str) -> None:
    """Though browsers may go there."""
    found = answered(lambda _host, _path: (status, {"Location": location}, b""))
    assert found.reply is Reply.ASTRAY
    assert found.what.startswith(reason)


def test_a_redirect_from_outside_does_not_lead_inside() -> None:
    """Neither proves it anything, nor may a stranger send us to servers of this network."""
    outside, inside = ip_address("9.9.9.9"), ip_address("169.254.169.254")
    with pytest.raises(OSError, match=r"which is at 169\.254\.169\.254 here, where no CA can come"):
        led_to("cloud.net", (inside,), outside)
    with pytest.raises(OSError, match=r"it redirects to gone\.net, which has no address"):
        led_to("gone.net", (), outside)
    assert led_to("a.net", (outside, inside), outside) == outside
    assert led_to("a.lan", (inside,), HERE) == inside
    found = answered(lambda _host, _path: (301, {"Location": "http://gone.net/"}, b""))
    assert found == Probe(HERE, Reply.UNREACHED, "it redirects to a name that cannot be looked up")


def test_a_refused_connection_is_no_answer() -> None:
    """Nor is one that is hung up on; what is no web server is another server."""
    assert probe(free_port()) == Probe(HERE, Reply.UNREACHED, "Connection refused")

    def once(greeting: bytes) -> Probe:
        with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:

            def serve() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65535)
                    connection.sendall(greeting)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            return probe(listening.getsockname()[1])

    assert once(b"") == Probe(HERE, Reply.UNREACHED, "Remote end closed connection without response")
    assert once(b"220 mail.net ESMTP\r\n") == Probe(HERE, Reply.OTHER, "it is no web server (BadStatusLine)")


def test_silence_ends_in_time() -> None:
    """A server that says nothing is waited for until the time is over, and no longer."""
    times = iter([0.0, 0.0, 4.95, 4.95])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        prober = Prober(nowhere, {80: listening.getsockname()[1]}, lambda: next(times))
        assert prober.probe(NAME, HERE, "t", CONTENT) == Probe(HERE, Reply.UNREACHED, "it does not answer in time")


def test_https_is_followed_whoever_signed_it(tmp_path: Path) -> None:
    """As the CA does: what is asked for may be the first good certificate. The name is sent in the handshake."""
    issued = CertificateAuthority().issue("another.net")
    (tmp_path / "bundle.pem").write_bytes(issued.bundle_pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "bundle.pem")
    asked = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)

    def secured(host: str, path: str) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, CONTENT) if f"https://{host}{path}" == "https://shop.net/t?x=1" else (404, {}, b"")

    with (
        web_server(secured, tls) as https_port,
        web_server(lambda _host, _path: (301, {"Location": "https://shop.net/t?x=1"}, b"")) as http_port,
    ):
        prober = Prober(nowhere, {80: http_port, 443: https_port})
        assert prober.probe(NAME, HERE, "t", CONTENT) == Probe(HERE, Reply.TOKEN)
    assert asked == ["shop.net"]


@given(st.text(max_size=60) | st.from_regex(r"(https?:)?//[!-~]{0,40}"))
def test_every_redirect_leads_to_a_web_server_or_astray(location: str) -> None:
    """Whatever a stranger's Location says, it is a clean address on port 80 or 443, or refused."""
    try:
        url = next_url(HOME, location)
    except Astray:
        return
    assert url.startswith(("http://", "https://"))
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
