"""TLS sessions of clients outlive what happens to HAProxy."""

import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from proxy_agent.tls.ticket_keys import ROTATION
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, service

BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Visitor:
    """A client that remembers its session."""

    def __init__(self, proxy: Proxy, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self._proxy = proxy
        self._context = proxy.authority.client_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._context.maximum_version = version
        self._session: ssl.SSLSession | None = None

    def comes_back(self) -> bool | None:
        """One request; whether it resumed the session that its first one began."""
        address = ("127.0.0.1", self._proxy.settings.https_port)
        with (
            socket.create_connection(address, timeout=10) as connection,
            self._context.wrap_socket(connection, server_hostname="a.test", session=self._session) as tls,
        ):
            # With TLS 1.3 a ticket comes after the handshake, before the first answer.
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            while tls.recv(65536):
                pass
            self._session = self._session or tls.session
            return tls.session_reused


def reload(proxy: Proxy, shop: Origin, *hosts: str) -> None:
    """Have the agent bring a new configuration."""
    worker = proxy.worker
    proxy.serve(*(service(host, host, shop.port) for host in hosts))
    assert proxy.look_until_calm().problems == ()
    assert proxy.worker != worker


@BOTH
def test_a_session_is_resumed_after_reloads_and_restarts(proxy: Proxy, shop: Origin, version: ssl.TLSVersion) -> None:
    """A deployment makes nobody shake hands in full again, nor does a start of the whole container."""
    visitor = Visitor(proxy, version)
    assert visitor.comes_back() is False
    assert visitor.comes_back() is True
    reload(proxy, shop, "a.test")
    assert visitor.comes_back() is True
    proxy.kill()
    del proxy.agent
    proxy.boot()
    assert visitor.comes_back() is True


@BOTH
def test_keys_are_replaced_without_a_reload_and_old_ones_age_out(proxy: Proxy, version: ssl.TLSVersion) -> None:
    """A session outlives one rotation, whoever began before and after; none outlives a day."""
    worker, visitor = proxy.worker, Visitor(proxy, version)
    visitor.comes_back()
    proxy.later = ROTATION
    assert proxy.look().problems == ()
    assert visitor.comes_back() is True
    proxy.later = 2 * ROTATION
    proxy.look()
    later = Visitor(proxy, version)
    later.comes_back()
    proxy.later = 3 * ROTATION
    proxy.look()
    assert visitor.comes_back() is False
    assert later.comes_back() is True
    assert proxy.worker == worker
    proxy.kill()
    proxy.start()
    assert later.comes_back() is True, "the disk has what runs"


def test_keys_are_nobody_elses(proxy: Proxy) -> None:
    """Each file with them is readable by its owner alone, and no log has them."""
    lines = proxy.running.ticket_keys
    assert len(set(lines)) == 3
    state = proxy.settings.state_folder
    holding = [path for path in state.rglob("*") if path.is_file() and lines[0].encode() in path.read_bytes()]
    modes = {path.stat().st_mode & 0o777 for path in (*holding, state / "tickets.json")}
    assert (len(holding), modes) == (1, {0o600})
    proxy.later = ROTATION
    proxy.look()
    assert proxy.running.ticket_keys[2] not in proxy.log


def test_a_state_folder_that_is_lost_costs_no_session(proxy: Proxy) -> None:
    """The agent that runs puts the same keys back; one that starts without any makes new ones."""
    visitor = Visitor(proxy)
    visitor.comes_back()
    shutil.rmtree(proxy.settings.state_folder)
    proxy.look()
    proxy.kill()
    proxy.start()
    assert visitor.comes_back() is True
    proxy.kill()
    shutil.rmtree(proxy.settings.state_folder)
    del proxy.agent
    proxy.boot()
    assert visitor.comes_back() is False


def test_whoever_wants_no_tickets_has_none(authority: CertificateAuthority) -> None:
    """SSL_BIND_OPTIONS=no-tls-tickets: sessions end with the worker."""
    with proxy_in_a_folder(authority, SSL_BIND_OPTIONS="no-tls-tickets") as proxy:
        proxy.boot()
        assert proxy.running.ticket_keys == ()
        visitor = Visitor(proxy)
        visitor.comes_back()
        assert visitor.comes_back() is True
        proxy.kill()
        proxy.start()
        assert visitor.comes_back() is False


def test_http3_resumes_too(authority: CertificateAuthority, tmp_path: Path, shop: Origin) -> None:
    """A session of QUIC's is resumed after a reload, as those of TCP are."""
    with proxy_in_a_folder(authority, ENABLE_HTTP3="yes") as proxy:
        proxy.boot()
        session = tmp_path / "session.pem"
        assert quic_handshake(proxy, "-sess_out", session) == "New"
        reload(proxy, shop, "a.test")
        assert quic_handshake(proxy, "-sess_in", session) == "Reused"


def quic_handshake(proxy: Proxy, *options: str | Path) -> str:
    """One connection by UDP; whether it was a new session."""
    command = ["openssl", "s_client", "-quic", "-alpn", "h3", "-servername", "a.test", *options]
    with subprocess.Popen(
        [*command, "-connect", f"127.0.0.1:{proxy.settings.https_port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as client:
        assert client.stdout
        told = ""
        while "Extended master secret" not in told and (line := client.stdout.readline()):
            told += line
        output, _ = client.communicate("Q\n", timeout=10)
    match = re.search(r"^(New|Reused), TLSv1.3", told + output, re.MULTILINE)
    assert match, told + output
    return match[1]
