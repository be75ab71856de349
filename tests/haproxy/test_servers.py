"""Containers that come, go and move behind a running HAProxy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from proxy_agent.routing.model import Service
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Answer, Proxy, service


def replicas(*origins: Origin) -> Service:
    """A service with a container for each of *origins*, named after it."""
    containers = (
        replace(service("shop", "a.test", origin.port).containers[0], name=f"shop-{origin.name}") for origin in origins
    )
    return Service("shop", tuple(containers))


@pytest.fixture
def scaled(proxy: Proxy, shop: Origin, blog: Origin) -> Proxy:
    """A proxy in front of a service of two containers."""
    proxy.serve(replicas(shop, blog))
    proxy.look()
    return proxy


def answering(proxy: Proxy) -> set[str]:
    """Who answers, over some requests."""
    answers = [proxy.plain("a.test") for _ in range(8)]
    return {str(answer.received["origin"]) for answer in answers}


@contextmanager
def request_in_flight(proxy: Proxy, origin: Origin) -> Iterator[list[Answer]]:
    """A request that *origin* has received and not answered; its answer is there after the block."""
    answers: list[Answer] = []
    while True:
        client = threading.Thread(target=lambda: answers.append(proxy.plain("a.test", "/hold")), daemon=True)
        client.start()
        if origin.held.acquire(timeout=0.3):
            break
    yield answers
    origin.release.set()
    client.join(10)


def names(proxy: Proxy) -> set[str]:
    """The servers that the worker knows."""
    (servers,) = (servers for backend, servers in proxy.running.servers.items() if backend.startswith("shop"))
    return set(servers)


def test_a_container_more_answers_at_once(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """In the same worker, and after a restart."""
    proxy.serve(replicas(shop))
    proxy.look()
    worker = proxy.worker
    proxy.serve(replicas(shop, blog))
    assert proxy.look().problems == ()
    assert answering(proxy) == {"shop", "blog"}
    assert proxy.worker == worker
    proxy.kill()
    proxy.start()
    assert answering(proxy) == {"shop", "blog"}


def test_a_container_fewer_is_forgotten(scaled: Proxy, shop: Origin) -> None:
    """By the same worker, and after a restart."""
    worker = scaled.worker
    scaled.serve(replicas(shop))
    assert scaled.look().problems == ()
    assert answering(scaled) == {"shop"}
    assert names(scaled) == {"shop-shop"}
    assert scaled.worker == worker
    scaled.kill()
    scaled.start()
    assert answering(scaled) == {"shop"}


def test_a_container_that_moved_is_found_again(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """Restarted under its name with another address."""
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    worker = proxy.worker
    proxy.serve(service("shop", "a.test", blog.port))
    assert proxy.look().problems == ()
    assert answering(proxy) == {"blog"}
    assert proxy.worker == worker


def test_a_container_that_leaves_finishes_its_requests(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """It gets no new ones, and is forgotten when the last is answered."""
    with request_in_flight(scaled, blog) as answers:
        scaled.serve(replicas(shop))
        assert scaled.look().problems == ()
        assert answering(scaled) == {"shop"}
    assert [answer.received["origin"] for answer in answers] == ["blog"]
    scaled.look()
    assert names(scaled) == {"shop-shop"}


def test_a_container_that_returns_before_its_last_request_ended_answers_again(
    scaled: Proxy, shop: Origin, blog: Origin
) -> None:
    """It left and came back under its name: what held up its removal does not hold it up."""
    with request_in_flight(scaled, blog):
        scaled.serve(replicas(shop))
        scaled.look()
        scaled.serve(replicas(shop, blog))
        scaled.look()
        assert answering(scaled) == {"shop", "blog"}


def test_a_reload_does_not_keep_a_container_out_that_returned(scaled: Proxy, shop: Origin, blog: Origin) -> None:
    """The new worker is told what the old one knew of its servers, but not that one was on its way out."""
    with request_in_flight(scaled, blog):
        scaled.serve(replicas(shop))
        scaled.look()
        scaled.serve(replicas(shop, blog), service("new", "new.test", shop.port))
        scaled.look()
        assert answering(scaled) == {"shop", "blog"}


def test_a_server_that_a_dead_agent_left_disabled_is_enabled(scaled: Proxy) -> None:
    """It died between adding it and enabling it; or somebody else put it into maintenance."""
    (backend,) = (backend for backend in scaled.running.servers if backend.startswith("shop"))
    scaled.ask(f"set server {backend}/shop-blog state maint")
    assert answering(scaled) == {"shop"}
    scaled.look()
    assert answering(scaled) == {"shop", "blog"}
