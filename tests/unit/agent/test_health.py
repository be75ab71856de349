"""proxy_agent.health and proxy_agent.listener: what the container's health check and the agent see as clients."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.health import check_health
from proxy_agent.listener import Listener
from proxy_agent.settings import Settings, load
from proxy_agent.status import Status
from tests.certificate_authority import CertificateAuthority

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUTHORITY = CertificateAuthority(NOW)
DEFAULT, WILDCARD = AUTHORITY.issue("localhost", serial=1), AUTHORITY.issue("*.a.test", serial=2)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as HAProxy does where no service is configured."""
        self.send_error(503)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class _Server(HTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that leaves after the handshake is what we test."""


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A plain and a TLS listener; the latter has a certificate for one level below a.test, and a default one."""
    contexts = []
    for number, issued in enumerate((DEFAULT, WILDCARD)):
        (tmp_path / f"{number}.pem").write_bytes(issued.bundle_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{number}.pem")
        contexts.append(context)
    default, wildcard = contexts

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name and name.endswith(".a.test") and name.count(".") == 2:
            connection.context = wildcard

    default.sni_callback = choose
    servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
    servers[1].socket = default.wrap_socket(servers[1].socket, server_side=True)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for thread in threads:
        thread.start()
    yield servers[0].server_address[1], servers[1].server_address[1]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def settings(listeners: tuple[int, int], tmp_path: Path) -> Settings:
    """The settings of a container in which all is well."""
    ports = dict(zip(("HTTP_PORT", "HTTPS_PORT"), map(str, listeners), strict=True))
    status = Status(cycle_at=NOW, stale_after=NOW + timedelta(minutes=2), haproxy_running=True, containers_as_of=None)
    status.write(tmp_path / "status.json")
    return load({**ports, "RUN_FOLDER": str(tmp_path)})


def closed_port() -> socket.socket:
    """A port that nobody listens on, for as long as it is held."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held


@pytest.mark.parametrize(
    ("server_name", "serial"),
    [
        (None, DEFAULT.serial),
        ("unknown.test", DEFAULT.serial),
        ("x.a.test", WILDCARD.serial),
        ("*.a.test", WILDCARD.serial),
    ],
)
def test_a_handshake_shows_which_certificate_is_served(
    listeners: tuple[int, int], server_name: str | None, serial: int
) -> None:
    """For a name, for none, and for a wildcard by asking for a name below it; whoever signed it."""
    assert Listener(listeners[1]).serial(server_name) == serial


def test_a_listener_that_does_not_answer_is_an_operational_error() -> None:
    """With its port, and what was asked for."""
    with closed_port() as held:
        port = held.getsockname()[1]
        with pytest.raises(OperationalError, match=rf"on port {port} did not complete a handshake for a\.test: "):
            Listener(port).serial("a.test")


def test_a_listener_that_speaks_no_tls_is_an_operational_error(listeners: tuple[int, int]) -> None:
    """The answer of something else is no certificate."""
    with pytest.raises(OperationalError, match="did not complete a handshake for no name"):
        Listener(listeners[0]).serial(None)


def test_all_is_well(settings: Settings) -> None:
    """Both listeners answer, whatever they answer, and the agent keeps up."""
    assert check_health(settings, NOW) == (
        f"HAProxy answers on ports {settings.http_port} and {settings.https_port}, and the agent keeps up."
    )


@pytest.mark.parametrize("listener", ["http_port", "https_port"])
def test_a_listener_that_is_gone_is_unhealthy(settings: Settings, listener: str) -> None:
    """Either of them."""
    with closed_port() as held:
        broken = settings.model_copy(update={listener: held.getsockname()[1]})
        with pytest.raises(OperationalError, match=f"port {held.getsockname()[1]} d"):
            check_health(broken, NOW)


def test_an_agent_that_is_overdue_is_unhealthy(settings: Settings) -> None:
    """Traffic flows, and nobody follows the containers any more."""
    check_health(settings, NOW + timedelta(minutes=2))
    with pytest.raises(OperationalError, match="has not looked at anything since 2026-11-22 12:00:00 UTC"):
        check_health(settings, NOW + timedelta(minutes=2, seconds=1))


def test_an_agent_that_has_never_looked_is_unhealthy(settings: Settings) -> None:
    """The container is still starting."""
    settings.status_file.unlink()
    with pytest.raises(OperationalError, match="has not finished a cycle yet"):
        check_health(settings, NOW)


def test_an_agent_that_cannot_reach_haproxy_is_unhealthy(settings: Settings) -> None:
    """Nothing new would be served."""
    lost = Status(cycle_at=NOW, stale_after=NOW, haproxy_running=False, containers_as_of=None)
    lost.write(settings.status_file)
    with pytest.raises(OperationalError, match="does not answer on its runtime socket"):
        check_health(settings, NOW)
