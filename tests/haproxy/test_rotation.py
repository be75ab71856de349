"""Containers that are about to stop, not well, or paused: who gets requests, without a new worker."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from proxy_agent.routing.model import Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, service, visitors
from tests.haproxy.test_servers import answering, replicas, request_in_flight
from tests.waiting import until

WELL = {"health": "healthy"}
SICK = {"health": "unhealthy"}
STARTING = {"health": "starting"}
LEAVING = {"leaving": True}
PAUSED = {"paused": True}


def pool(shop: Origin, blog: Origin, of_shop: dict[str, Any], of_blog: dict[str, Any], **settings: str) -> Service:
    """A service of two containers, each as it stands."""
    told = {f"shop-{shop.name}": of_shop, f"shop-{blog.name}": of_blog}
    containers = replicas(shop, blog).containers
    return Service(
        "shop",
        tuple(replace(one, settings={**one.settings, **settings}, **told[one.name]) for one in containers),
    )


def states(proxy: Proxy) -> dict[str, str]:
    """How each server of the service stands, as the worker says."""
    (servers,) = (servers for backend, servers in proxy.running.servers.items() if backend.startswith("shop"))
    return {name.removeprefix("shop-"): server.state for name, server in servers.items()}


@pytest.fixture
def scaled(proxy: Proxy, shop: Origin, blog: Origin) -> Proxy:
    """A proxy in front of a service of two containers."""
    proxy.serve(replicas(shop, blog))
    proxy.look()
    return proxy


def test_a_container_that_was_told_to_stop_gets_nothing_new(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """What it has it finishes, what is new goes elsewhere, and it stays a server until it ends."""
    worker = scaled.worker
    with request_in_flight(scaled, blog) as answers:
        scaled.serve(pool(shop, blog, {}, LEAVING))
        assert scaled.look().problems == ()
        assert states(scaled) == {"shop": "ready", "blog": "drain"}
        assert answering(scaled) == {"shop"}
    assert [(answer.status, answer.received["origin"]) for answer in answers] == [(200, "blog")]
    scaled.serve(replicas(shop))
    scaled.look()
    assert states(scaled) == {"shop": "ready"}
    assert scaled.worker == worker


def test_the_connection_of_a_client_outlives_the_server_behind_it(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """A browser keeps its connection to HAProxy and sees nothing of who answers."""
    client = http.client.HTTPConnection("127.0.0.1", scaled.settings.http_port, timeout=10)

    def asked() -> str:
        client.request("GET", "/", headers={"Host": "a.test"})
        return client.getresponse().read().decode()

    bodies = "".join(asked() for _ in range(8))
    assert '"origin": "shop"' in bodies
    assert '"origin": "blog"' in bodies
    connected = client.sock
    scaled.serve(pool(shop, blog, {}, LEAVING))
    scaled.look()
    assert all('"origin": "shop"' in asked() for _ in range(6))
    assert client.sock is connected
    client.close()


def test_a_websocket_goes_on_while_its_container_leaves(proxy: Proxy, shop: Origin) -> None:
    """It ends when the container closes it."""
    with echoing() as port:
        sockets = service("shop", "a.test", port)
        proxy.serve(sockets)
        proxy.look()
        with upgraded(proxy) as tunnel:
            tunnel.sendall(b"one")
            assert tunnel.recv(10) == b"one"
            (leaving,) = (replace(one, leaving=True) for one in sockets.containers)
            (other,) = (replace(one, name="shop-2") for one in service("shop", "a.test", shop.port).containers)
            proxy.serve(Service("shop", (leaving, other)))
            assert proxy.look().problems == ()
            assert states(proxy) == {"1": "drain", "2": "ready"}
            tunnel.sendall(b"two")
            assert tunnel.recv(10) == b"two"


def test_sticky_sessions_finish_where_they_began(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """As long as their container is up to it: from one that leaves they go when it ends, from a sick one at once."""
    sticky = {"COOKIE": "SRV insert indirect nocache"}
    proxy.serve(pool(shop, blog, WELL, WELL, **sticky))
    proxy.look()
    answers = [proxy.plain("a.test") for _ in range(8)]
    first = next(answer for answer in answers if answer.received["origin"] == "blog")
    cookie = {"Cookie": first.headers["set-cookie"].partition(";")[0]}

    def asked() -> set[str]:
        return {proxy.plain("a.test", headers=cookie).received["origin"] for _ in range(4)}

    assert asked() == {"blog"}
    proxy.serve(pool(shop, blog, WELL, LEAVING, **sticky))
    proxy.look()
    assert asked() == {"blog"}
    proxy.serve(pool(shop, blog, WELL, SICK, **sticky))
    proxy.look()
    assert asked() == {"shop"}
    proxy.serve(pool(shop, blog, WELL, WELL, **sticky))
    proxy.look()
    assert asked() == {"blog"}


def test_the_last_ones_serve_until_they_end(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """Where all were told to stop, an answer from one that leaves is better than none."""
    scaled.serve(pool(shop, blog, LEAVING, LEAVING))
    scaled.look()
    assert answering(scaled) == {"shop", "blog"}


def test_a_container_that_ignores_its_stop_signal_comes_back(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """After a while it counts as staying, and gets its share again."""
    scaled.serve(pool(shop, blog, {}, LEAVING))
    scaled.look()
    scaled.serve(replicas(shop, blog))
    scaled.look()
    assert answering(scaled) == {"shop", "blog"}


@pytest.mark.parametrize("bad", [SICK, STARTING])
def test_health_decides_who_gets_requests(scaled: Proxy, shop: Origin, blog: Origin, bad: dict[str, Any]) -> None:
    """In both directions and in the same worker; where nobody is well, everybody serves."""
    worker = scaled.worker
    scaled.serve(pool(shop, blog, WELL, bad))
    scaled.look()
    assert answering(scaled) == {"shop"}
    scaled.serve(pool(shop, blog, bad, WELL))
    scaled.look()
    assert answering(scaled) == {"blog"}
    scaled.serve(pool(shop, blog, bad, bad))
    scaled.look()
    assert answering(scaled) == {"shop", "blog"}
    scaled.serve(pool(shop, blog, WELL, WELL))
    assert scaled.look().problems == ()
    assert answering(scaled) == {"shop", "blog"}
    assert scaled.worker == worker


def test_whoever_requires_health_is_not_served_without(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """The route stays and answers 503."""
    scaled.serve(pool(shop, blog, STARTING, SICK, DOCKER_HEALTH="require"))
    scaled.look()
    assert scaled.plain("a.test").status == 503
    assert "No service" not in scaled.plain("a.test").body.decode()
    scaled.serve(pool(shop, blog, WELL, SICK, DOCKER_HEALTH="require"))
    scaled.look()
    assert answering(scaled) == {"shop"}


def test_a_paused_container_gets_nothing(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """It would take connections and never answer: even alone, 503 at once is better; unpaused, it serves at once."""
    worker = scaled.worker
    scaled.serve(pool(shop, blog, {}, PAUSED))
    scaled.look()
    assert answering(scaled) == {"shop"}
    scaled.serve(pool(shop, blog, PAUSED, PAUSED))
    scaled.look()
    assert scaled.plain("a.test").status == 503
    scaled.serve(replicas(shop, blog))
    scaled.look()
    assert answering(scaled) == {"shop", "blog"}
    assert scaled.worker == worker


@pytest.mark.parametrize("bad", [SICK, LEAVING, PAUSED])
def test_a_new_container_is_added_as_it_stands(proxy: Proxy, shop: Origin, blog: Origin, bad: dict[str, Any]) -> None:
    """Not a single request reaches one that starts."""
    proxy.serve(replicas(shop))
    proxy.look()
    worker = proxy.worker
    proxy.serve(pool(shop, blog, {}, bad))
    assert proxy.look().problems == ()
    assert answering(proxy) == {"shop"}
    proxy.serve(replicas(shop, blog))
    assert proxy.look().problems == ()
    assert answering(proxy) == {"shop", "blog"}
    assert proxy.worker == worker


@pytest.mark.parametrize("bad", [SICK, LEAVING, PAUSED])
def test_a_reload_changes_nobodys_standing(scaled: Proxy, shop: Origin, blog: Origin, bad: dict[str, Any]) -> None:
    """Neither lets it in who is out, nor keeps out who became ready since the worker before was started."""
    scaled.serve(pool(shop, blog, {}, bad))
    scaled.look()
    scaled.serve(pool(shop, blog, {}, bad), service("one", "one.test", shop.port))
    scaled.look_until_calm()
    assert answering(scaled) == {"shop"}
    scaled.serve(
        pool(shop, blog, bad, {}), service("one", "one.test", shop.port), service("two", "two.test", shop.port)
    )
    scaled.look_until_calm()
    assert answering(scaled) == {"blog"}
    assert scaled.plain("two.test").status == 200
    scaled.serve(replicas(shop, blog), service("one", "one.test", shop.port))
    scaled.look_until_calm()
    assert answering(scaled) == {"shop", "blog"}


def test_a_restart_of_haproxy_changes_nobodys_standing(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """What it starts on says who is out."""
    scaled.serve(pool(shop, blog, WELL, SICK))
    scaled.look()
    scaled.kill()
    scaled.start()
    assert answering(scaled) == {"shop"}
    scaled.serve(pool(shop, blog, WELL, WELL))
    assert scaled.look().problems == ()
    assert answering(scaled) == {"shop", "blog"}


def test_a_container_that_moved_is_believed_to_be_up(proxy: Proxy, shop: Origin) -> None:
    """Its check failed where it was before it was restarted: that says nothing of where it is now."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy.serve(service("shop", "a.test", closed.getsockname()[1]))
        proxy.look()
        until(lambda: _is_down(proxy), "a failed check")
        proxy.serve(service("shop", "a.test", shop.port))
        proxy.look()
        assert proxy.plain("a.test").status == 200


def test_no_request_is_lost_while_servers_come_and_go(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """Scaling, draining, health and pauses under load."""
    scaled.publish("a.test", "a.test")
    scaled.look()
    worker = scaled.worker
    with visitors(scaled, "a.test") as visits:
        for of_shop, of_blog in ((WELL, LEAVING), (WELL, SICK), (SICK, WELL), (WELL, PAUSED), (LEAVING, WELL)):
            scaled.serve(pool(shop, blog, of_shop, of_blog))
            assert scaled.look().problems == ()
            visits.go_on()
            scaled.serve(replicas(shop) if of_shop == WELL else replicas(blog))
            scaled.look()
            visits.go_on()
    assert visits.failures == []
    assert scaled.worker == worker


def test_a_service_that_returns_soon_changes_nothing(
    authority: CertificateAuthority, shop: Origin, blog: Origin
) -> None:
    """Its only container is replaced: 503 meanwhile, in the same worker, and then the new one at its new address."""
    with proxy_in_a_folder(authority, ROUTE_GRACE="90s") as proxy:
        proxy.boot()
        proxy.serve(service("shop", "a.test", shop.port))
        proxy.look()
        worker = proxy.worker
        proxy.serve()
        assert proxy.look().problems == ()
        gone = proxy.plain("a.test")
        assert (gone.status, "No service" in gone.body.decode()) == (503, False)
        proxy.serve(service("shop", "a.test", blog.port))
        proxy.look()
        assert answering(proxy) == {"blog"}
        assert proxy.worker == worker


def test_a_container_without_a_check_is_added_without_a_reload(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """HAProxy refuses to enable what is not configured."""
    settings = {"HEALTH_CHECK": "off"}
    one, two = pool(shop, blog, {}, {}, **settings).containers
    proxy.serve(Service("shop", (one,)))
    proxy.look()
    worker = proxy.worker
    proxy.serve(Service("shop", (one, two)))
    proxy.look()
    assert answering(proxy) == {"shop", "blog"}
    assert proxy.worker == worker


@pytest.mark.parametrize(("method", "statuses"), [("GET", {200}), ("POST", {200, 502})])
def test_only_what_may_be_repeated_is_asked_again(proxy: Proxy, shop: Origin, method: str, statuses: set[int]) -> None:
    """A container took the request and ended: whoever reads is served by another, whoever writes is told."""
    with swallowing() as port:
        mute = service("shop", "a.test", port).containers[0]
        proxy.serve(Service("shop", (mute, replace(mute, name="shop-2", exposed_ports=(shop.port,)))))
        proxy.look()
        assert {proxy.plain("a.test", method=method).status for _ in range(6)} == statuses


def _is_down(proxy: Proxy) -> bool:
    lines = proxy.ask("show stat").splitlines()
    return any(",shop-1," in line and ",DOWN," in line for line in lines)


@contextlib.contextmanager
def swallowing() -> Iterator[int]:
    """The port of a server that reads each request and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    # Each by itself: HAProxy may open one long before there is a request for it.
                    threading.Thread(target=take, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        port: int = listener.getsockname()[1]
        yield port


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    """The port of a server that agrees to become a websocket, and then repeats what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        def echo(connection: socket.socket) -> None:
            # A check of HAProxy's connects and hangs up.
            with connection, contextlib.suppress(OSError):
                if connection.recv(65536):
                    connection.sendall(
                        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                    )
                while said := connection.recv(65536):
                    connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        port: int = listener.getsockname()[1]
        yield port


@contextlib.contextmanager
def upgraded(proxy: Proxy) -> Iterator[socket.socket]:
    """A client's connection after the upgrade."""
    with socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10) as tunnel:
        tunnel.sendall(
            b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += tunnel.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101 ")
        yield tunnel
