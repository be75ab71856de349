"""What services want done with their requests, by a real HAProxy."""

import base64
import gzip
import hashlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from proxy_agent.routing.model import Container, Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import Answer, Proxy, proxy_in_a_folder
from tests.waiting import until

HASHED = "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
"""Of 'secret', by openssl passwd -6."""

LOOPBACK = ip_address("127.0.0.1")


class House:
    """A running proxy before two web servers, the containers of one service."""

    def __init__(self, proxy: Proxy, origins: tuple[Origin, Origin]) -> None:
        self.proxy = proxy
        self.origins = origins

    def serve(self, *environments: dict[str, str]) -> None:
        """Have a container run for each of *environments*, in their order."""
        containers = tuple(
            Container(origin.name, {"VIRTUAL_HOST": "a.test"} | told, (origin.port,), LOOPBACK)
            for origin, told in zip(self.origins, environments, strict=False)
        )
        self.proxy.serve(Service("web", containers))
        self.problems = self.proxy.look_until_calm().problems

    def asked(self, path: str = "/", **headers: str) -> Answer:
        """A request in clear text."""
        return self.proxy.plain("a.test", path, headers=headers)

    def who(self, **headers: str) -> str:
        """The web server that answers."""
        return str(self.asked(**headers).received["origin"])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """For all tests here: each says anew what the containers say."""
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_in_a_folder(CertificateAuthority()))
        origins = stack.enter_context(serving("web-1")), stack.enter_context(serving("web-2"))
        proxy.agent.prepare()
        proxy.start()
        yield House(proxy, origins)


def signed_in(user: str, password: str) -> dict[str, str]:
    """What a browser sends once somebody typed that (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_who_has_no_password_stays_outside(house: House) -> None:
    """Plain and hashed ones; whatever characters are in them."""
    awkward = 'it\'s "a" \\ $HOME %[src] #é'
    house.serve({"HTTP_BASIC_AUTH": f"ann:{awkward}", "HTTP_BASIC_AUTH_SECURE": f"bob:{HASHED}"})
    assert house.problems == ()
    assert house.asked().status == 401
    assert house.asked(**signed_in("ann", "x")).status == 401
    assert house.asked(**signed_in("ann", awkward)).status == 200
    assert house.asked(**signed_in("bob", "secret")).status == 200
    assert house.asked(**signed_in("bob", "Secret")).status == 401


def test_the_cas_validation_needs_no_password(house: House) -> None:
    """It goes to the challenge server, which is not there in this test, instead of being turned away."""
    house.serve({"HTTP_BASIC_AUTH": "ann:x", "NETWORK_ACCESS": "internal"})
    assert house.asked("/.well-known/acme-challenge/token").status == 503


def test_with_a_certificate_the_password_is_asked_for_through_tls_alone(house: House) -> None:
    """Though the service turned redirects off."""
    house.serve({"HTTP_BASIC_AUTH": "ann:x", "HTTPS_METHOD": "noredirect"})
    assert house.asked().status == 401
    house.proxy.publish("a", "a.test")
    house.proxy.look_until_calm()
    assert house.asked().status == 301
    assert house.proxy.tls("a.test").status == 401
    assert house.proxy.tls("a.test", headers=signed_in("ann", "x")).status == 200
    house.proxy.unpublish("a")
    house.proxy.look_until_calm()


def test_one_service_never_opens_another(house: House) -> None:
    """A user of one is a stranger to the other."""
    house.proxy.serve(
        Service("one", (Container("web-1", {"VIRTUAL_HOST": "a.test", "HTTP_BASIC_AUTH": "ann:x"}, (1,), LOOPBACK),)),
        Service("two", (Container("web-2", {"VIRTUAL_HOST": "b.test", "HTTP_BASIC_AUTH": "bob:y"}, (1,), LOOPBACK),)),
    )
    house.proxy.look_until_calm()
    assert house.proxy.plain("b.test", headers=signed_in("ann", "x")).status == 401


def test_private_networks_are_inside(house: House) -> None:
    """A service for them alone answers this host; the configuration names them all."""
    house.serve({"NETWORK_ACCESS": "internal"})
    assert house.asked().status == 200
    assert b"unless { src 127.0.0.0/8 10.0.0.0/8" in house.proxy.deployment.files()["haproxy.cfg"]


@pytest.mark.parametrize(("size", "status"), [("100", 413), ("1k", 200), ("0", 200)])
def test_a_body_that_is_too_large_is_refused(house: House, size: str, status: int) -> None:
    """By the length it declares, before the application sees it."""
    house.serve({"MAX_BODY_SIZE": size})
    connection = http.client.HTTPConnection("127.0.0.1", house.proxy.settings.http_port, timeout=10)
    connection.request("GET", "/", b"x" * 500, {"Host": "a.test"})
    assert connection.getresponse().status == status
    connection.close()


def test_a_client_stays_with_its_server(house: House) -> None:
    """By a cookie that says nothing of containers; over a reload, too."""
    house.serve({"COOKIE": "SRV insert indirect nocache"}, {"COOKIE": "SRV insert indirect nocache"})
    answer = house.asked()
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert "web" not in cookie
    first = answer.received["origin"]
    assert {house.who(Cookie=cookie) for _ in range(6)} == {first}
    assert {house.who() for _ in range(6)} == {"web-1", "web-2"}
    said = {"COOKIE": "SRV insert indirect nocache", "TIMEOUT_SERVER": "50s"}
    house.serve(said, said)
    assert {house.who(Cookie=cookie) for _ in range(6)} == {first}


@pytest.mark.parametrize(
    "balance", ["leastconn", "source", "uri", "hdr(X-User)", "random(2)", "first", "static-rr", "hash path"]
)
def test_servers_come_and_go_with_every_algorithm(house: House, balance: str) -> None:
    """Without a reload, and the backend is never empty."""
    house.serve({"BALANCE": balance})
    worker = house.proxy.worker
    house.serve({"BALANCE": balance}, {"BALANCE": balance})
    assert house.problems == ()
    assert len(house.proxy.running.servers["web-" + backend_digest(house)]) == 2
    assert house.asked().status == 200
    house.serve({"BALANCE": balance})
    assert house.asked().status == 200
    assert house.proxy.worker == worker


def backend_digest(house: House) -> str:
    """What follows the service in the name of its backend."""
    (name,) = (name for name in house.proxy.running.servers if name.startswith("web-"))
    return name.removeprefix("web-")


def test_a_server_that_stands_by_serves_when_the_others_are_gone(house: House) -> None:
    """FAILOVER is one container's own."""
    house.serve({}, {"FAILOVER": "yes"})
    assert {house.who() for _ in range(6)} == {"web-1"}
    house.serve({"VIRTUAL_PORT": "1", "HEALTH_CHECK": "inter 100ms fall 1"}, {"FAILOVER": "yes"})
    until(lambda: house.asked().status == 200, "the server that stands by")
    assert house.who() == "web-2"


def test_a_check_by_http_takes_a_sick_server_out(house: House) -> None:
    """It answers connections, but not with what it should."""
    check = {"HTTP_CHECK": "GET /sick HTTP/1.1", "HEALTH_CHECK": "inter 100ms fall 1 rise 1"}
    house.serve(check, check)
    until(lambda: house.asked().status == 503, "both servers to be found sick")
    well = check | {"HTTP_CHECK": "GET /well HTTP/1.1"}
    house.serve(well, well)
    until(lambda: house.asked().status == 200, "servers to be found well")


def test_what_is_compressed_is_said_by_type(house: House) -> None:
    """For clients that take it; others get what the application sends."""
    house.serve({"GZIP_COMPRESSION_TYPE": "application/json"})
    answer = house.asked("/long", **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert b'"origin"' in gzip.decompress(answer.body)
    assert "content-encoding" not in house.asked("/long").headers


def test_patience_with_an_application_is_its_own_setting(house: House) -> None:
    """One that takes too long is answered for."""
    house.serve({"TIMEOUT_SERVER": "100ms"})
    assert house.asked("/hold").status == 504


@pytest.mark.parametrize(
    ("told", "header"),
    [
        ({}, "max-age=31536000"),
        ({"HSTS": "max-age=60; includeSubDomains"}, "max-age=60; includeSubDomains"),
        ({"HSTS": "off"}, None),
        ({"HTTPS_METHOD": "noredirect"}, None),
        ({"HTTPS_METHOD": "nohttp"}, "max-age=31536000"),
    ],
)
def test_browsers_are_told_to_insist_on_https(house: House, told: dict[str, str], header: str | None) -> None:
    """Through TLS alone, where plain HTTP leads there and the certificate is no rehearsal; errors too."""
    house.serve(told)
    assert "strict-transport-security" not in house.proxy.tls("a.test", trusted=False).headers
    house.proxy.publish("a", "a.test")
    house.proxy.look_until_calm()
    assert house.proxy.tls("a.test").headers.get("strict-transport-security") == header
    assert "strict-transport-security" not in house.asked().headers
    house.proxy.unpublish("a")
    house.proxy.look_until_calm()


def test_an_application_that_speaks_of_hsts_itself_is_believed(house: House) -> None:
    """Unless its container says something else."""
    house.proxy.publish("a", "a.test")
    house.serve({})
    assert house.proxy.tls("a.test", "/insists").headers["strict-transport-security"] == "max-age=7"
    house.serve({"HSTS": "max-age=60"})
    assert house.proxy.tls("a.test", "/insists").headers["strict-transport-security"] == "max-age=60"
    house.proxy.unpublish("a")
    house.proxy.look_until_calm()


def test_settings_change_under_load_without_a_failed_request(house: House) -> None:
    """Each change is a reload, which nobody notices."""
    house.serve({}, {})
    failures: list[int] = []
    ended = threading.Event()

    def visit() -> None:
        while not ended.is_set():
            if (status := house.asked().status) != 200:
                failures.append(status)

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    try:
        for told in ({"BALANCE": "leastconn"}, {"COOKIE": "S insert"}, {"EXTRA_ROUTE_SETTINGS": "weight 5"}, {}):
            house.serve(told, told)
    finally:
        ended.set()
        for visitor in visitors:
            visitor.join()
    assert failures == []


def test_a_file_called_like_a_host_guards_that_host(house: House) -> None:
    """And no other of the same service; a file for a path comes before; one that names nobody lets nobody in."""
    folder = house.proxy.settings.htpasswd_folder
    folder.mkdir()
    (folder / "a.test").write_text(f"# people\nann:{HASHED}\n")
    house.serve({"VIRTUAL_HOST": "a.test,b.test"})
    assert house.problems == ()
    assert house.asked().status == 401
    assert house.asked(**signed_in("ann", "secret")).status == 200
    assert house.proxy.plain("b.test").status == 200

    (folder / f"a.test_{hashlib.sha1(b'/private/').hexdigest()}").write_text(f"bob:{HASHED}\n")
    (folder / "b.test").write_text("ann:$apr1$abc$def\n")
    house.serve({"VIRTUAL_HOST": "b.test,a.test", "VIRTUAL_PATH": "/private/"})
    assert "names nobody who can sign in, so nobody can" in "".join(house.problems)
    assert house.asked("/private/", **signed_in("ann", "secret")).status == 401
    assert house.asked("/private/", **signed_in("bob", "secret")).status == 200
    assert house.proxy.plain("b.test", "/private/", headers=signed_in("ann", "secret")).status == 401
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    house.serve({"VIRTUAL_HOST": "b.test,a.test"})
    assert house.asked().status == 200
