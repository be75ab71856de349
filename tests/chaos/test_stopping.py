"""The end of an installation that is told to stop: nothing new, and what has begun goes on."""

import socket
from contextlib import closing

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.chaos.clients import HANDSHAKE
from tests.chaos.site import Site, site
from tests.chaos.world import CHAT, world
from tests.waiting import until

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]


def is_refused(installation: Site) -> bool:
    """Whether a new client is told at once that nobody is there."""
    try:
        socket.create_connection(("127.0.0.1", installation.settings.http_port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_who_comes_late_is_refused_while_what_runs_goes_on() -> None:
    """The sockets that PID 1 holds for HAProxy would have strangers wait for somebody who does not come back."""
    with (
        site(CertificateAuthority(), environment={"FORCE_SSL": "no"}) as installation,
        world(installation),
        closing(socket.create_connection(("127.0.0.1", installation.settings.http_port), timeout=10)) as client,
    ):
        client.sendall(HANDSHAKE.format(host=CHAT, path="/").encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 101")
        installation.tell_to_stop()
        until(lambda: is_refused(installation), "refused connections", within=10)
        client.sendall(b"still there")
        assert client.recv(100) == b"still there"
