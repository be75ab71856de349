"""What strangers, operators and time may use up has an end."""

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_agent.routing.model import Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, service

MIB = 1 << 20


def resident(process: int | str) -> int:
    """Bytes of memory that a process has."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * 4096


def raw(proxy: Proxy, request: bytes) -> bytes:
    """What HAProxy answers to bytes on its plain port."""
    with socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_headers_have_an_end(proxy: Proxy, shop: Origin) -> None:
    """32 KiB or a hundred fields: more is refused before any container sees it."""
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    begin = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"
    assert raw(proxy, begin + b"X: " + b"x" * 16_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert raw(proxy, begin + b"X: " + b"x" * 40_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(proxy, begin + b"X: x\r\n" * 120 + b"\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("lines", ["maxconn 10000000", "ulimit-n 100000000", "fd-hard-limit 5,maxconn 100"])
def test_more_connections_than_open_files_are_no_reason_not_to_start(
    authority: CertificateAuthority, lines: str, shop: Origin
) -> None:
    """``haproxy -c`` says nothing of it, and a start would fail for ever: MAXCONN says it, and is bounded."""
    with proxy_in_a_folder(authority, EXTRA_GLOBAL_SETTINGS=lines) as proxy:
        proxy.serve(service("shop", "a.test", shop.port))
        proxy.boot()
        problems = proxy.look_until_calm().problems
        assert all("MAXCONN is for that" in problem for problem in problems)
        assert len(problems) == 1
        assert proxy.plain("a.test").status == 200


def worlds(shop: Origin, blog: Origin) -> Iterator[tuple[Service, ...]]:
    """Services that scale up and down, time and again."""
    ports = (shop.port, blog.port)
    while True:
        for number in (1, 2, 3, 2):
            yield service("shop", "a.test", *(ports * 2)[:number]), service("blog", "b.test", blog.port)


def test_changes_leave_nothing_behind(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """Neither in the worker's memory nor in the agent's, nor on disk; ``python -m tests.bench.growth`` does more."""
    world = worlds(shop, blog)

    def change(number: int) -> None:
        proxy.serve(*next(world))
        proxy.publish(f"c-{number % 5}", f"{number % 7}.test")
        assert not [problem for problem in proxy.look().problems if "haproxy" in problem.lower()]

    for number in range(80):
        change(number)
    gc.collect()
    worker = proxy.worker
    before = resident(worker), resident("self")
    files = sum(1 for _ in proxy.settings.state_folder.rglob("*"))
    for number in range(80, 240):
        change(number)
    gc.collect()
    assert proxy.worker == worker, "none of it was a reload"
    assert resident(worker) - before[0] < 4 * MIB
    assert resident("self") - before[1] < 8 * MIB
    assert sum(1 for _ in proxy.settings.state_folder.rglob("*")) == files
