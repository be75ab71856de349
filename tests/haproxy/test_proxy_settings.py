"""The proxy's own settings: what clients and services notice of them."""

import http.client
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.health import check_health
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Answer, Proxy, proxy_in_a_folder, reserved_port, service
from tests.haproxy.worlds import service_with

Start = Callable[..., Proxy]


@pytest.fixture
def start(authority: CertificateAuthority) -> Iterator[Start]:
    """Starts a proxy with settings, which ends with the test."""
    with ExitStack() as stack:

        def started(**environment: str) -> Proxy:
            proxy = stack.enter_context(proxy_in_a_folder(authority, **environment))
            proxy.boot()
            return proxy

        yield started


@pytest.fixture
def port() -> Iterator[int]:
    """A port that HAProxy can have."""
    with reserved_port() as reserved:
        yield reserved


def headers(answer: Answer) -> dict[str, str]:
    """What the service saw, where no header comes twice."""
    found = dict(answer.forwarded)
    assert len(found) == len(answer.forwarded)
    return found


def asked(port: int, path: str, **sent: str) -> Answer:
    """A request to a port of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


# Peers


SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "public.test",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Ssl": "off",
    "X-Real-IP": "198.51.100.1",
    "Proxy": "evil",
}


def test_headers_of_a_trusted_proxy_are_kept(start: Start, shop: Origin) -> None:
    """Its address is appended to those it names, and the last of these is the client's."""
    proxy = start(TRUST_DOWNSTREAM_PROXY="127.0.0.0/8, ::1")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert seen["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("https", "on")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("public.test", "8443")
    assert seen["x-real-ip"] == "203.0.113.9"
    assert "proxy" not in seen


def test_a_trusted_proxy_that_says_nothing_adds_nothing(start: Start, shop: Origin) -> None:
    """Then the headers are those of any client, and a scheme that is none is not believed."""
    proxy = start(TRUST_DOWNSTREAM_PROXY="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers={"X-Forwarded-Proto": "ftp"}))
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("http", "off")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("a.test", str(proxy.settings.http_port))


@pytest.mark.parametrize("trusted", ["no", "192.0.2.0/24"])
def test_headers_of_strangers_are_not(start: Start, shop: Origin, trusted: str) -> None:
    """They say what we see, whatever was sent."""
    proxy = start(TRUST_DOWNSTREAM_PROXY=trusted)
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("http", "off")
    assert (seen["x-forwarded-host"], seen["x-forwarded-port"]) == ("a.test", str(proxy.settings.http_port))
    assert "proxy" not in seen


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("192.0.2.1", 301)])
def test_who_came_by_https_is_not_sent_there_again(start: Start, shop: Origin, trusted: str, status: int) -> None:
    """A proxy before this one that ends TLS would turn in circles; a stranger who claims it is redirected."""
    proxy = start(TRUST_DOWNSTREAM_PROXY=trusted, FORCE_SSL="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look()
    assert proxy.plain("a.test", headers={"X-Forwarded-Proto": "https"}).status == status
    assert proxy.plain("a.test", headers={"X-Forwarded-Proto": "http"}).status == 301


def test_the_scheme_alone_may_be_left_to_whoever_sends_it(start: Start, shop: Origin) -> None:
    """SKIP_FORWARDED_PROTO leaves one header as it is, and says what that means."""
    proxy = start(SKIP_FORWARDED_PROTO="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    assert any(problem.startswith("SKIP_FORWARDED_PROTO: ") for problem in proxy.look().problems)
    seen = headers(proxy.plain("a.test", headers=SPOOFED))
    assert (seen["x-forwarded-proto"], seen["x-forwarded-for"]) == ("https", "127.0.0.1")


# The PROXY protocol


V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.1")
V2 += struct.pack("!HH", 40000, 80)


def _through(port: int, preamble: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(preamble + b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("preamble", [V1, V2])
def test_the_client_is_whom_the_proxy_protocol_names(start: Start, shop: Origin, preamble: bytes) -> None:
    """In both versions; a connection without it gets no answer."""
    proxy = start(ENABLE_PROXY_PROTOCOL="yes")
    proxy.serve(service("shop", "a.test", shop.port))
    assert proxy.look().problems == ()
    _, _, body = _through(proxy.settings.http_port, preamble).partition(b"\r\n\r\n")
    assert dict(json.loads(body)["headers"])["x-forwarded-for"] == "203.0.113.9"
    assert _through(proxy.settings.http_port, b"") == b""


def test_our_own_connections_speak_the_proxy_protocol_too(start: Start, tmp_path: Path) -> None:
    """The agent's handshakes, the health check, and the probe of the container that obtains certificates."""
    proxy = start(ENABLE_PROXY_PROTOCOL="yes", ACME_HTTP_CHALLENGE_LOCATION="false")
    folder = ChallengeFolder(tmp_path)
    folder.prepare()
    server = ChallengeServer(folder, 0)
    server.start()
    try:
        proxy.serve(service("challenges", "*", server.port))
        proxy.publish("a", "a.test")
        status = proxy.look_until_calm()
        status.write(proxy.settings.status_file)
        assert status.problems == ()
        assert all(certificate.served for certificate in status.certificates)
        assert "keeps up" in check_health(proxy.settings, status.cycle_at)
        assert LoadBalancer(f"127.0.0.1:{proxy.settings.http_port}", folder, Wakeup()).wait()
    finally:
        server.stop()


# Hosts and paths that nobody serves


def test_the_default_host_answers_for_others(start: Start, shop: Origin, blog: Origin) -> None:
    """With or without a Host header; hosts of others are theirs, and services see the name that was asked."""
    proxy = start(DEFAULT_HOST="www.a.test")
    assert any(problem.startswith("DEFAULT_HOST: nobody serves") for problem in proxy.look().problems)
    proxy.serve(service("shop", "*.a.test", shop.port), service("blog", "b.test", blog.port))
    assert proxy.look().problems == ()
    answer = proxy.plain("stranger.test")
    assert (answer.received["origin"], headers(answer)["host"]) == ("shop", "stranger.test")
    assert proxy.tls("stranger.test", trusted=False).received["origin"] == "shop"
    assert proxy.plain("b.test").received["origin"] == "blog"
    with socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(65536)


def test_a_redirect_of_the_default_host_keeps_the_name(start: Start, shop: Origin) -> None:
    """Who asked for a name is sent to that name."""
    proxy = start(DEFAULT_HOST="a.test")
    proxy.publish("a", "a.test")
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.look_until_calm()
    answer = proxy.plain("stranger.test", "/x?y")
    port = proxy.settings.https_port
    assert (answer.status, answer.headers["location"]) == (301, f"https://stranger.test:{port}/x?y")


@pytest.mark.parametrize(
    ("root", "status", "location"),
    [
        ("404", 404, None),
        ("418", 418, None),
        ("none", 503, None),
        ("302 $scheme://b.test/100%25$request_uri", 302, "http://b.test/100%25/other?x"),
        ("301 https://$host/", 301, "https://a.test/"),
    ],
)
def test_paths_that_nobody_serves(start: Start, shop: Origin, root: str, status: int, location: str | None) -> None:
    """DEFAULT_ROOT answers them, on hosts with VIRTUAL_PATH alone."""
    proxy = start(DEFAULT_ROOT=root)
    proxy.serve(service_with("shop", shop.port, VIRTUAL_HOST="a.test", VIRTUAL_PATH="/app"))
    proxy.look()
    answer = proxy.plain("a.test", "/other?x")
    assert (answer.status, answer.headers.get("location")) == (status, location)
    assert proxy.plain("a.test", "/app").status == 200
    assert proxy.plain("b.test").status == 503


# Pages


def test_pages_of_the_operators_own(start: Start, port: int) -> None:
    """For unknown hosts, unknown paths and services that are down; changed at the next look, each by its status."""
    proxy = start()
    errors = proxy.settings.errors_folder
    (errors / "50x.html").write_text("<p>50x $%[src] \"'#</p>")
    (errors / "404.html").write_text("<p>404</p>")
    proxy.serve(service_with("shop", port, VIRTUAL_HOST="a.test", VIRTUAL_PATH="/app"))
    assert proxy.look().problems == ()
    unknown, down, missing = proxy.plain("b.test"), proxy.plain("a.test", "/app"), proxy.plain("a.test")
    assert (unknown.status, unknown.headers["content-type"]) == (503, "text/html")
    assert unknown.body == down.body == b"<p>50x $%[src] \"'#</p>"
    assert (down.status, missing.status, missing.body) == (503, 404, b"<p>404</p>")
    (errors / "503.html").write_text("<p>503</p>")
    proxy.look()
    assert proxy.plain("b.test").body == b"<p>503</p>"
    (errors / "404.html").write_bytes(b"x" * 40_000)
    (errors / "503.html").unlink()
    (errors / "50x.html").unlink()
    (problem,) = proxy.look().problems
    assert "404.html: larger than 30000 bytes" in problem
    assert b"No service is configured" in proxy.plain("b.test").body
    assert b"Nothing is served" in proxy.plain("a.test").body


def test_the_largest_page_fits(start: Start) -> None:
    """What is accepted as a page, HAProxy can send."""
    proxy = start()
    (proxy.settings.errors_folder / "503.html").write_bytes(b"x" * 30_000)
    assert proxy.look().problems == ()
    assert len(proxy.plain("b.test").body) == 30_000


# Watching


def test_the_monitor_answers_on_a_port_of_its_own(start: Start, port: int) -> None:
    """Exactly its path."""
    start(MONITOR_URI="/alive", MONITOR_PORT=str(port)).look()
    assert asked(port, "/alive").status == 200
    assert asked(port, "/alive/too").status == 404


def test_the_monitor_may_share_a_port(start: Start) -> None:
    """Before anything else, and for every host."""
    with ExitStack() as stack:
        port = str(stack.enter_context(reserved_port()))
        proxy = start(HTTP_PORT=port, MONITOR_URI="/alive", MONITOR_PORT=port, FORCE_SSL="yes")
        assert (proxy.plain("any.test", "/alive").status, proxy.plain("any.test", "/").status) == (200, 503)


def test_statistics_want_a_login(start: Start, port: int) -> None:
    """So do metrics; the password may hold what HAProxy's syntax does."""
    proxy = start(STATS_PORT=str(port), STATS_AUTH='watcher:it\'s "$ecret" #1\\')
    assert proxy.look().problems == ()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    login = {"Authorization": "Basic d2F0Y2hlcjppdCdzICIkZWNyZXQiICMxXA=="}
    found = []
    for path in ("/", "/metrics"):
        for sent in ({}, login):
            connection.request("GET", path, headers=sent)
            response = connection.getresponse()
            found.append((path, response.status, b"haproxy_process_build_info" in response.read()))
    connection.close()
    assert found == [("/", 401, False), ("/", 200, False), ("/metrics", 401, False), ("/metrics", 200, True)]


def test_statistics_without_a_login_are_for_the_container_alone(start: Start, port: int) -> None:
    """They listen on the loopback interface only."""
    proxy = start(STATS_PORT=str(port))
    proxy.look()
    assert asked(port, "/metrics").status == 200
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {fields[1] for fields in lines if fields[1].endswith(f":{port:04X}") and fields[3] == "0A"}
    assert listening == {f"0100007F:{port:04X}"}


# Ports of others


def test_a_port_of_another_program_costs_one_entry(start: Start, shop: Origin) -> None:
    """Its service is told, the rest goes on, and once it is free it is listened on."""
    proxy = start()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        proxy.serve(service("shop", f"a.test,b.test:{port}", shop.port))
        (problem,) = proxy.look().problems
        assert problem == f"shop: http://b.test:{port} is not served: port {port} is taken by another program"
        assert proxy.plain("a.test").status == 200
    assert proxy.look().problems == ()
    assert asked(port, "/", Host=f"b.test:{port}").status == 200
    assert proxy.look().problems == ()


# TLS


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


# Limits and logs


def test_connections_are_bounded(start: Start) -> None:
    """By MAXCONN, as far as the container may open files."""
    proxy = start(MAXCONN="50", TIMEOUT="http-request 1s")
    assert "Maxconn: 50\n" in proxy.ask("show info")
    with socket.create_connection(("127.0.0.1", proxy.settings.http_port), timeout=10) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX")
        assert b" 408 " in slow.recv(4096)
    (problem,) = start(MAXCONN="40000", DESCRIPTOR_LIMIT="15000").look().problems
    assert problem.startswith("MAXCONN: 7000 is used")


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"ACCESS_LOG_FORMAT": '$remote_addr "$request" $status'}, '127.0.0.1 "GET /it\'s HTTP/1.1" 503'),
        ({"ACCESS_LOG_FORMAT": "%ci <%HU> %[var(txn.host)]"}, "127.0.0.1 </it's> nobody.test"),
        ({"LOG_JSON": "yes"}, '"method":"GET","host":"nobody.test","path":"/it\'s"'),
    ],
)
def test_the_access_log_has_the_form_one_wants(start: Start, environment: dict[str, str], line: str) -> None:
    """Variables of nginx, of HAProxy, or JSON."""
    proxy = start(ACCESS_LOG="yes", **environment)
    proxy.plain("nobody.test", "/it's")
    assert line in proxy.log.replace('": "', '":"').replace(', "', ',"')


def test_a_syslog_server_gets_the_log_too(start: Start) -> None:
    """By UDP, beside the output of the container."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(10)
        proxy = start(ACCESS_LOG="yes", RSYSLOG_DESTINATION=f"127.0.0.1:{syslog.getsockname()[1]}")
        proxy.plain("nobody.test", "/seen")
        while b"GET /seen" not in syslog.recv(65536):
            pass
    assert "GET /seen" in proxy.log


def test_a_syslog_server_that_is_not_found_stops_nothing(start: Start) -> None:
    """Its name may be known later."""
    proxy = start(RSYSLOG_DESTINATION="syslog.invalid")
    assert proxy.look().problems == ()
    assert proxy.plain("nobody.test").status == 503


@pytest.mark.parametrize(
    ("told", "client", "status"),
    [
        ({"INTERNAL_NETWORKS": "192.0.2.0/24"}, "", 403),
        ({"INTERNAL_NETWORKS": "127.0.0.0/8"}, "", 200),
        ({"INTERNAL_NETWORKS": "127.0.0.0/8"}, "203.0.113.9", 200),
        ({"INTERNAL_NETWORKS": "127.0.0.0/8", "TRUST_DOWNSTREAM_PROXY": "127.0.0.0/8"}, "203.0.113.9", 403),
        ({"INTERNAL_NETWORKS": "127.0.0.0/8", "TRUST_DOWNSTREAM_PROXY": "127.0.0.0/8"}, "127.0.0.9", 200),
    ],
)
def test_what_is_internal_is_for_clients_inside(
    start: Start, shop: Origin, told: dict[str, str], client: str, status: int
) -> None:
    """Behind a trusted proxy it is the client that this one names who must be inside, not the proxy itself."""
    proxy = start(**told)
    proxy.serve(service_with("shop", shop.port, VIRTUAL_HOST="a.test", NETWORK_ACCESS="internal"))
    proxy.look()
    sent = {"X-Forwarded-For": client} if client else {}
    assert proxy.plain("a.test", headers=sent).status == status
