"""The ports stay open while HAProxy is killed, started and reloaded, and no longer than it is to be there."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from proxy_agent.held_sockets import hold, refuse
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, service, visitors

HOST = "a.test"
REQUEST = f"GET /waited HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture
def held(stopped: Proxy) -> Iterator[Mapping[str, str]]:
    """The sockets of a proxy, as PID 1 of its container holds them; it runs with them."""
    held = hold(stopped.settings)
    stopped.another_agent(stopped.settings).prepare()
    stopped.start(held)
    yield held
    for told in held.values():
        os.close(descriptor_of(told))


def descriptor_of(told: str) -> int:
    """Of a socket, as HAProxy is told of it."""
    return int(told.removeprefix("fd@"))


def connected(proxy: Proxy) -> socket.socket:
    """A client of plain HTTP."""
    return socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10)


def answer(client: socket.socket) -> bytes:
    """All it is sent."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_who_connects_while_haproxy_is_dead_is_served_by_the_next(
    stopped: Proxy, held: Mapping[str, str], shop: Origin
) -> None:
    """The connection that was opened, and the request that was sent, while nobody was there, are answered."""
    stopped.serve(service("shop", HOST, shop.port))
    stopped.look()
    stopped.kill()
    with closing(connected(stopped)) as client:
        client.sendall(REQUEST)
        stopped.start(held)
        assert answer(client).startswith(b"HTTP/1.1 200 OK")


def test_reloads_with_held_sockets_lose_nobody(stopped: Proxy, held: Mapping[str, str], shop: Origin) -> None:
    """New workers inherit them from the master, over and over."""
    assert held
    stopped.serve(service("shop", HOST, shop.port))
    stopped.publish("a", HOST)
    stopped.look()
    workers = {stopped.worker}
    with visitors(stopped, HOST) as visits:
        for number in range(10):
            stopped.serve(service("shop", HOST, shop.port), service(f"n{number}", f"n{number}.test", shop.port))
            stopped.look()
            workers.add(stopped.worker)
    assert visits.failures == []
    assert len(workers) == 11


def test_at_the_end_nobody_waits_for_a_haproxy_that_will_not_be_there(stopped: Proxy, held: Mapping[str, str]) -> None:
    """Connections are refused at once, as where nothing listens."""
    stopped.kill()
    refuse({name: f"fd@{os.dup(descriptor_of(told))}" for name, told in held.items()})
    with pytest.raises(ConnectionRefusedError):
        connected(stopped)
