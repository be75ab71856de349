"""What clients may speak, and with which certificates."""

import http.client
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy_agent.health import check_health
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, Start, service
from tests.haproxy.worlds import service_with


def _spoken(proxy: Proxy, host: str | None = None) -> set[str]:
    """The versions of TLS in which a handshake succeeds."""
    spoken = set()
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with (
                socket.create_connection(("127.0.0.1", proxy.settings.https_port), timeout=10) as connection,
                context.wrap_socket(connection, server_hostname=host) as tls,
            ):
                spoken.add(str(tls.version()))
        except OSError:
            pass
    return spoken


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("environment", "versions"),
    [
        ({}, {"TLSv1.2", "TLSv1.3"}),
        ({"SSL_POLICY": "Mozilla-Modern"}, {"TLSv1.3"}),
        ({"SSL_POLICY": "mozilla-old"}, {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}),
        ({"SSL_POLICY": "AWS-FS-1-1-2019-08"}, {"TLSv1.1", "TLSv1.2"}),
        ({"SSL_POLICY": "AWS-TLS-1-2-Ext-2018-06"}, {"TLSv1.2"}),
        ({"SSL_BIND_OPTIONS": "no-sslv3 no-tlsv10 no-tlsv12"}, {"TLSv1.3"}),
        ({"SSL_POLICY": "Mozilla-Modern", "SSL_BIND_OPTIONS": "ssl-min-ver TLSv1.2"}, {"TLSv1.2", "TLSv1.3"}),
    ],
)
def test_the_policy_decides_which_versions_are_spoken(
    start: Start, environment: dict[str, str], versions: set[str]
) -> None:
    """Those it names and no other."""
    proxy = start(**environment)
    assert proxy.look().problems == ()
    assert _spoken(proxy) == versions


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_service_may_have_a_policy_of_its_own(start: Start, shop: Origin) -> None:
    """For its hosts alone, once they have a certificate, also by a wildcard; it changes without a reload."""
    proxy = start()
    proxy.publish("a", "a.test", "*.a.test", "b.test")
    modern = service_with("modern", shop.port, VIRTUAL_HOST="a.test,x.a.test", SSL_POLICY="Mozilla-Modern")
    old = service_with("old", shop.port, VIRTUAL_HOST="b.test", SSL_POLICY="Mozilla-Old")
    proxy.serve(modern, old)
    assert proxy.look_until_calm().problems == ()
    worker = proxy.worker
    everything = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
    assert [_spoken(proxy, host) for host in ("a.test", "x.a.test", "y.a.test", "b.test")] == [
        {"TLSv1.3"},
        {"TLSv1.3"},
        {"TLSv1.2", "TLSv1.3"},
        everything,
    ]
    proxy.serve(service("modern", "a.test,x.a.test", shop.port), service("old", "b.test", shop.port))
    assert proxy.look_until_calm().problems == ()
    assert (proxy.worker, _spoken(proxy, "a.test"), _spoken(proxy, "b.test")) == (
        worker,
        {"TLSv1.2", "TLSv1.3"},
        {"TLSv1.2", "TLSv1.3"},
    )
    proxy.serve(modern, service_with("old", shop.port, VIRTUAL_HOST="b.test", SSL_POLICY="Mozilla-Ancient"))
    (problem,) = proxy.look_until_calm().problems
    assert problem.startswith("old: SSL_POLICY: 'Mozilla-Ancient' is no TLS policy")
    assert (proxy.worker, _spoken(proxy, "a.test")) == (worker, {"TLSv1.3"})


def test_without_http2_clients_are_not_offered_it(start: Start) -> None:
    """ALPN settles on what is left."""
    with start(ENABLE_HTTP2="no").handshake("a.test", trusted=False, alpn=("h2", "http/1.1")) as tls:
        assert tls.selected_alpn_protocol() == "http/1.1"


def test_http3_is_offered_where_it_is_listened_for(start: Start) -> None:
    """By a header of every answer through TLS, and on UDP."""
    proxy = start(ENABLE_HTTP3="yes")
    port = proxy.settings.https_port
    assert proxy.look().problems == ()
    assert proxy.tls("a.test", trusted=False).headers["alt-svc"] == f'h3=":{port}"; ma=86400'
    assert f":{port:04X} " in Path("/proc/net/udp").read_text()
    assert "alt-svc" not in proxy.plain("a.test").headers


def test_clients_need_a_certificate_of_their_ca(start: Start, authority: CertificateAuthority, shop: Origin) -> None:
    """Nobody else gets an answer; that of the agent's own handshakes is not needed."""
    proxy = start(CA_CERT=authority.root_pem.decode().replace("\n", "\\n"))
    proxy.publish("a", "a.test")
    proxy.serve(service("shop", "https://a.test", shop.port))
    assert proxy.look_until_calm().problems == ()
    with pytest.raises((OSError, http.client.HTTPException)):
        proxy.tls("a.test")
    client = proxy.folder / "client.pem"
    client.write_bytes(authority.issue("client.test", usage=ExtendedKeyUsageOID.CLIENT_AUTH).bundle_pem)
    assert _with_certificate(proxy, authority, client) == 200


def _with_certificate(proxy: Proxy, authority: CertificateAuthority, certificate: Path) -> int:
    context = authority.client_context()
    context.load_cert_chain(certificate)
    connection: Any = http.client.HTTPConnection("127.0.0.1", timeout=10)
    plain = socket.create_connection(("127.0.0.1", proxy.settings.https_port), timeout=10)
    connection.sock = context.wrap_socket(plain, server_hostname="a.test")
    connection.request("GET", "/", headers={"Host": "a.test"})
    status: int = connection.getresponse().status
    connection.close()
    return status


def test_a_default_certificate_may_be_kept_from_strangers(start: Start, shop: Origin) -> None:
    """TRUST_DEFAULT_CERT=no refuses names without a certificate; the health check takes that for an answer."""
    proxy = start(TRUST_DEFAULT_CERT="no")
    proxy.publish("a", "a.test")
    proxy.serve(service("shop", "a.test", shop.port))
    status = proxy.look_until_calm()
    status.write(proxy.settings.status_file)
    assert status.problems == ()
    assert proxy.tls("a.test").status == 200
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        proxy.handshake("b.test", trusted=False)
    assert "keeps up" in check_health(proxy.settings, status.cycle_at)


def test_a_default_certificate_of_ones_own_may_be_for_every_host(
    start: Start, authority: CertificateAuthority, shop: Origin
) -> None:
    """With TRUST_DEFAULT_CERT=yes hosts are redirected to it; it comes from the environment here."""
    pem = authority.issue("other.test").bundle_pem.decode()
    proxy = start(TRUST_DEFAULT_CERT="yes", DEFAULT_SSL_CERT=pem.replace("\n", "\\n"))
    proxy.serve(service("shop", "a.test", shop.port))
    assert proxy.look_until_calm().problems == ()
    assert proxy.plain("a.test").status == 301
    assert proxy.serial("a.test") == proxy.serial("other.test")


def test_certificates_may_come_with_the_environment(start: Start, authority: CertificateAuthority) -> None:
    """Each variable that EXTRA_SSL_CERTS names is a certificate, and one that is bad or missing is told."""
    issued = authority.issue("a.test")
    proxy = start(EXTRA_SSL_CERTS="FIRST, SECOND, THIRD", FIRST=issued.bundle_pem.decode(), SECOND="secret nonsense")
    problems = proxy.look_until_calm().problems
    assert sorted(problem.partition(":")[0] for problem in problems) == ["EXTRA_SSL_CERTS", "SECOND"]
    assert "secret" not in "".join(problems)
    assert proxy.serial("a.test") == issued.serial
