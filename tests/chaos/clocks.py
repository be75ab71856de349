"""A wall clock that goes wrong, for HAProxy and the agent; what is to take some seconds takes as long as ever."""

import http.client
import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from tests.chaos.fault import answers, shows, timed
from tests.chaos.world import PLAIN, SECURE, World
from tests.waiting import until

_DAYS = (1, 0, -1, 0, 100, 0, -30, 2, 1, 0)
"""Ahead of the real time; after a hundred, every certificate seems to have expired."""
_HOST = "clock.test"
_TOLERANCE = 5


def moved_clocks(world: World, times: int) -> Iterator[float]:
    """Days forward, and back."""
    world.start(_HOST, "clock", EXTRA_SETTINGS="http-response set-header X-Now %[date]")
    until(lambda: answers(world, _HOST), "the service that tells HAProxy's time")
    visitor = _Visitor(world)
    with socket.create_connection(("127.0.0.1", world.site.settings.http_port)) as mute:
        # It says no more than that, and so is to be told after the usual time that it was too slow.
        mute.sendall(b"GET / HTTP/1.1\r\n")
        for number, days in zip(range(times), itertools.cycle(_DAYS), strict=False):
            with closing(http.client.HTTPConnection("127.0.0.1", world.site.settings.http_port)) as idle:
                _ask(idle)
                _move(world, days)
                _ask(idle)
            visitor.comes_back()
            renewed = world.site.publish("a", SECURE)
            world.start(f"t{number}.test", f"t{number}")
            yield timed(
                lambda: shows(world, SECURE, renewed.serial) and answers(world, f"t{number}.test"),  # noqa: B023
                "a renewal and a new service at another time",
            )
            visitor.comes_back()
        _move(world, 0)
        world.site.look_again()
        mute.settimeout(20)
        assert mute.recv(65536).startswith(b"HTTP/1.1 408 ")


def _move(world: World, days: int) -> None:
    """Returns once HAProxy lives at that time; a worker that is replaced may be asked for the last time."""
    world.site.move_clock(timedelta(days=days))
    until(lambda: abs(_clock(world) - time.time() - days * 86400) < _TOLERANCE, f"HAProxy {days} days ahead")


def _clock(world: World) -> int:
    return int(world.site.plain(_HOST).headers["x-now"])


def _ask(idle: http.client.HTTPConnection) -> None:
    """On a connection that has to be kept, whatever the clock says."""
    known = idle.sock
    idle.request("GET", "/", headers={"Host": PLAIN})
    with idle.getresponse() as response:
        assert response.status == 200
        response.read()
    assert known in (None, idle.sock), "the connection was ended"


class _Visitor:
    """A client that begins each of its sessions with what is left of the last one."""

    def __init__(self, world: World) -> None:
        self._context = world.site.tls_of_clients("http/1.1")
        self._address = ("127.0.0.1", world.site.settings.https_port)
        self._session: ssl.SSLSession | None = None
        self.comes_back()

    def comes_back(self) -> None:
        """Ask once."""
        with (
            socket.create_connection(self._address, timeout=10) as connection,
            self._context.wrap_socket(connection, server_hostname=SECURE, session=self._session) as tls,
        ):
            tls.sendall(f"GET /again HTTP/1.1\r\nHost: {SECURE}\r\nConnection: close\r\n\r\n".encode())
            assert b"".join(iter(lambda: tls.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")
            self._session = tls.session
