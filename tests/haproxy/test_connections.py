"""Connections that last, that are large, or that are slow, by a real HAProxy."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, service
from tests.haproxy.worlds import service_with
from tests.websocket import answer_to

HOST = "a.test"
LARGE = 64 << 20
"""Bytes of a body, more than any buffer on the way holds."""


def _echo(connection: ServerConnection) -> None:
    assert connection.request
    for message in connection:
        connection.send(f"{connection.request.path} heard {message!s}")


@pytest.fixture
def chat() -> Iterator[int]:
    """The port of a server of websockets that returns what it is sent."""
    with serve(_echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


@contextmanager
def websocket(proxy: Proxy, path: str) -> Iterator[ClientConnection]:
    """An open websocket through the proxy."""
    raw = socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10)
    with connect(f"ws://{HOST}{path}", sock=raw, proxy=None) as client:
        yield client


def said(client: ClientConnection, text: str) -> str:
    """What comes back."""
    client.send(text)
    return str(client.recv(timeout=10))


@pytest.mark.parametrize("secure", [False, True])
def test_a_websocket_below_a_path_reaches_the_application_that_does_not_know_it(
    proxy: Proxy, chat: int, secure: bool
) -> None:
    """/sub/path/api/socket outside is /api/socket inside."""
    proxy.serve(service_with("chat", chat, VIRTUAL_HOST=HOST, VIRTUAL_PATH="/sub/path/", VIRTUAL_DEST="/"))
    assert proxy.look_until_calm().problems == ()
    port = proxy.settings.https_port if secure else proxy.settings.http_port
    context = ssl._create_unverified_context() if secure else None
    uri = f"{'wss' if secure else 'ws'}://{HOST}/sub/path/api/socket"
    assert answer_to("hello", uri, port, context) == "/api/socket heard hello"


def test_a_websocket_stays_open_across_twenty_reloads(proxy: Proxy, chat: int, shop: Origin) -> None:
    """A worker that was replaced serves what it has begun; new clients come to the new one."""
    chatting = service_with("chat", chat, VIRTUAL_HOST=HOST)
    proxy.serve(chatting)
    proxy.look()
    workers = {proxy.worker}
    with websocket(proxy, "/") as client:
        for number in range(20):
            proxy.serve(chatting, service(f"new-{number}", f"new-{number}.test", shop.port))
            proxy.look()
            workers.add(proxy.worker)
            assert said(client, str(number)) == f"/ heard {number}"
    assert len(workers) == 21


def test_a_large_upload_arrives_whole(proxy: Proxy, shop: Origin) -> None:
    """In both directions at any size: nothing is kept back to look at it."""
    proxy.serve(service("shop", HOST, shop.port))
    proxy.look()
    connection = http.client.HTTPConnection("127.0.0.1", proxy.settings.http_port, timeout=30)
    pieces = (b"x" * (1 << 20) for _ in range(LARGE >> 20))
    connection.request("POST", "/", pieces, {"Host": HOST, "Content-Length": str(LARGE)})
    response = connection.getresponse()
    assert (response.status, response.headers["x-body-length"]) == (200, str(LARGE))
    response.read()
    connection.close()


def test_a_slow_client_is_served(proxy: Proxy, shop: Origin) -> None:
    """Byte by byte, with a pause before the end of the body."""
    proxy.serve(service("shop", HOST, shop.port))
    proxy.look()
    with socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10) as connection:
        for byte in f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc".encode():
            connection.sendall(bytes([byte]))
        assert b"".join(iter(lambda: connection.recv(65536), b"")).startswith(b"HTTP/1.1 200")
