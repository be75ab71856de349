"""Further ports, by a real HAProxy: for bytes that are not HTTP, and for HTTP elsewhere."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from proxy_agent.routing.model import Container, Service
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, reserved_port
from tests.waiting import until

NEIGHBOUR = "127.0.0.2"
"""An address of a container's own: it listens on the same port as the proxy."""


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Answer one line by itself."""
        self.wfile.write(b"you said " + self.rfile.readline())


@contextlib.contextmanager
def echoing(port: int) -> Iterator[None]:
    """A server that speaks no HTTP, until the block ends."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_port = True

    with Server((NEIGHBOUR, port), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that the proxy can have."""
    with reserved_port() as reserved:
        yield reserved


def container(name: str, address: str, port: int, **settings: str) -> Service:
    """A service of one container."""
    told = {
        key.replace("label_", "proxy.").replace("_", "-") if key[0].islower() else key: v for key, v in settings.items()
    }
    return Service(name, (Container(f"{name}-1", told, (port,), ip_address(address)),))


def said(connection: socket.socket, text: bytes) -> bytes:
    """What comes back for one line."""
    with connection, connection.makefile("rwb") as stream:
        stream.write(text + b"\n")
        stream.flush()
        return stream.readline()


@pytest.mark.parametrize("kind", ["", "/ssl"])
def test_a_port_is_passed_on(proxy: Proxy, port: int, kind: str) -> None:
    """As it comes, or after TLS is taken off with the certificate of the name that is asked for."""
    issued = proxy.publish("db", "db.test")
    proxy.serve(container("db", NEIGHBOUR, port, label_tcp_ports=f"{port}{kind}"))
    with echoing(port):
        assert proxy.look_until_calm().problems == ()
        until(lambda: proxy.ask("show servers state").count(" 2 0 "), "the server to be up")
        connection: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if kind:
            connection = proxy.authority.client_context().wrap_socket(connection, server_hostname="db.test")
            assert isinstance(connection, ssl.SSLSocket)
            shown = connection.getpeercert()
            assert shown
            assert int(str(shown["serialNumber"]), 16) == issued.serial
        assert said(connection, b"hello") == b"you said hello\n"


def test_http_is_served_on_other_ports(proxy: Proxy, shop: Origin, port: int) -> None:
    """EXTERNAL_HTTPS_PORT: the redirect leads there; the usual TLS port does not know the host."""
    proxy.publish("a", "a.test")
    settings = {"VIRTUAL_HOST": "a.test", "EXTERNAL_HTTPS_PORT": str(port)}
    proxy.serve(container("shop", "127.0.0.1", shop.port, **settings))
    assert proxy.look_until_calm().problems == ()
    answer = proxy.plain("a.test", "/x?y")
    assert (answer.status, answer.headers["location"]) == (301, f"https://a.test:{port}/x?y")
    assert proxy.tls("a.test").status == 503
    context = proxy.authority.client_context()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="a.test") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        assert tls.recv(12) == b"HTTP/1.1 200"
