"""The proxy's own settings: what clients and services notice of them."""

import http.client
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Answer, Start, reserved_port, service
from tests.haproxy.worlds import service_with


def asked(port: int, path: str, **sent: str) -> Answer:
    """A request to a port of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


# Hosts and paths that nobody serves


def test_the_default_host_answers_for_others(start: Start, shop: Origin, blog: Origin) -> None:
    """With or without a Host header; hosts of others are theirs, and services see the name that was asked."""
    proxy = start(DEFAULT_HOST="www.a.test")
    assert any(problem.startswith("DEFAULT_HOST: nobody serves") for problem in proxy.look().problems)
    proxy.serve(service("shop", "*.a.test", shop.port), service("blog", "b.test", blog.port))
    assert proxy.look().problems == ()
    answer = proxy.plain("stranger.test")
    assert (answer.received["origin"], dict(answer.forwarded)["host"]) == ("shop", "stranger.test")
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
