"""Where requests go, by a real HAProxy that the real agent keeps true to what containers say of themselves."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_agent.process import check_configuration
from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy as Told
from proxy_agent.routing.metadata import SETTINGS
from proxy_agent.routing.model import Service
from proxy_agent.routing.render import CONFIGURATION, MAPS, Configuration, Templates
from proxy_agent.settings import load
from tests.certificate_authority import CertificateAuthority
from tests.examples import examples
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import TEMPLATES, Answer, Proxy, proxy_in_a_folder
from tests.haproxy.worlds import service_with

pytestmark = pytest.mark.haproxy

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


class House:
    """A running proxy, and three services that say what a test lets them say."""

    def __init__(self, proxy: Proxy, origins: Mapping[str, Origin]) -> None:
        self.proxy = proxy
        self.origins = origins

    def serve(self, **told: Mapping[str, str] | str) -> None:
        """Have services run, each with its environment, or with VIRTUAL_HOST alone."""
        environments = {n: {"VIRTUAL_HOST": e} if isinstance(e, str) else dict(e) for n, e in told.items()}
        services = (service_with(n, self.origins[n].port, **e) for n, e in environments.items())
        self.proxy.serve(*services)
        self.problems = self.proxy.look_until_calm().problems

    def asked(self, host: str, path: str = "/", **headers: str) -> Answer:
        """A request in clear text."""
        return self.proxy.plain(host, path, headers=headers)

    def who(self, host: str, path: str = "/", **headers: str) -> str | int:
        """The service that answers it, or the status that HAProxy answers itself."""
        answer = self.asked(host, path, **headers)
        return str(answer.received["origin"]) if answer.status == 200 else answer.status


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """For all tests here: each says anew which services run."""
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_in_a_folder(CertificateAuthority()))
        origins = {name: stack.enter_context(serving(name)) for name in ("a", "b", "c")}
        proxy.agent.prepare()
        proxy.start()
        yield House(proxy, origins)


def test_the_more_specific_host_is_asked_first(house: House) -> None:
    """A name, then the longest ending, then globs, then expressions, then any host."""
    house.serve(a="a.test,*.y.a.test,~^x[0-9]", b="*.a.test,x*", c="*")
    hosts = ["a.test", "A.TEST", "z.y.a.test", "z.a.test", "y.a.test", "x1", "xx", "w1", "a.test.", "*.a.test"]
    assert [house.who(host) for host in hosts] == ["a", "a", "a", "b", "b", "b", "b", "c", "c", "c"]


def test_an_expression_is_searched_for_anywhere_in_the_host(house: House) -> None:
    """Unless it says where."""
    house.serve(a=r"~^(www|api)\.a\.test$", b=r"~shop[0-9]{1\,2}\.")
    assert [house.who(host) for host in ("www.a.test", "x.www.a.test", "my-shop42.test", "shop.test")] == [
        *("a", 503, "b", 503),
    ]


def test_a_host_without_the_path_leaves_it_to_the_next(house: House) -> None:
    """Entries with a path say nothing about other paths of their host."""
    house.serve(a="x.a.test/only", b="*.a.test/only/too,x*/glob", c="*")
    paths = ["/only", "/only/too", "/glob", "/else"]
    assert [house.who("x.a.test", path) for path in paths] == ["a", "b", "b", "c"]


def test_the_more_specific_path_is_asked_first(house: House) -> None:
    """Exact, then ``^~``, then expressions, then the longest beginning, then the whole host."""
    house.serve(
        a={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "/api"},
        b={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "~ ^/api/v[0-9]+/"},
        c="a.test, a.test/api/v1/exact, a.test/api/long/*",
    )
    paths = ["/api", "/apix", "/api/v1/x", "/api/v1/EXACT", "/api/long/x", "/API", "/"]
    assert [house.who("a.test", path) for path in paths] == ["a", "a", "b", "c", "c", "c", "c"]


def test_beginnings_compete_by_length(house: House) -> None:
    """``^~`` keeps expressions away, and a beginning is meant as it is written."""
    house.serve(
        a={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "/p"},
        b={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "/p/q/"},
        c={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "= /p"},
    )
    paths = ["/p", "/p/", "/p/q/r", "/p/Q/r", "/P", "/p?q"]
    assert [house.who("a.test", path) for path in paths] == ["c", "a", "b", "a", 404, "c"]


def test_a_path_that_nobody_serves_is_not_found(house: House) -> None:
    """Where VIRTUAL_PATH parts a host, what it leaves out is 404 and goes to nobody else."""
    house.serve(a={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "/api/"}, b="*")
    assert [house.who("a.test", path) for path in ("/api/x", "/else")] == ["a", 404]
    answer = house.asked("a.test", "/api?q=1")
    assert (answer.status, answer.headers["location"]) == (301, "/api/?q=1"), "the slash that nginx adds too"


@pytest.mark.parametrize(
    ("path", "destination", "asked", "received", "prefix"),
    [
        ("/app1", "/", "/app1/foo?q=1", "/foo?q=1", "/app1"),
        ("/app1/", "/", "/app1/foo", "/foo", "/app1"),
        ("/app1", "/", "/app1", "/", "/app1"),
        ("/app1", "/sub", "/app1/foo", "/sub/foo", "/app1"),
        ("/app1", "/sub/", "/app1/foo", "/sub/foo", "/app1"),
        ("/app1", "/sub", "/app1", "/sub", "/app1"),
        ("= /x", "/y", "/x?q", "/y?q", "/x"),
        ("^~ /x/", "/y%20z", "/x/w", "/y%20z/w", "/x"),
        ("/", "/sub", "/foo", "/sub/foo", "/"),
    ],
)
def test_a_beginning_is_replaced(
    house: House, path: str, destination: str, asked: str, received: str, prefix: str
) -> None:
    """And joined with one slash; the application learns what it was asked, and what is gone."""
    house.serve(a={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": path, "VIRTUAL_DEST": destination})
    answer = house.asked("a.test", asked)
    headers = dict(answer.forwarded)
    assert (answer.received["path"], headers["x-forwarded-prefix"]) == (received, prefix)
    assert headers["x-original-uri"] == asked


def test_entries_with_a_tree_are_replaced_too(house: House) -> None:
    """``/Tree/*`` is a beginning, in whatever case it is asked for."""
    house.serve(a={"VIRTUAL_HOST": "a.test/Tree/*", "VIRTUAL_DEST": "/"})
    assert house.asked("a.test", "/TREE/x/Y").received["path"] == "/x/Y"


def test_websockets_may_go_elsewhere(house: House) -> None:
    """``ws://`` is for upgrades alone, below a path as well; the rest of the host is as it was."""
    house.serve(a="http://a.test", b="ws://a.test/chat/*", c={"VIRTUAL_HOST": "a.test", "VIRTUAL_PATH": "/chat/c"})
    assert house.who("a.test", "/chat/x") == "a"
    assert house.who("a.test", "/chat/x", **UPGRADE) == "b"
    assert house.who("a.test", "/chat/c", **UPGRADE) == "c", "the longer path comes first, for upgrades too"
    assert house.who("a.test", "/", **UPGRADE) == "a"


def test_the_higher_weight_takes_all(house: House) -> None:
    """Whatever is more specific below it, and the loser of one place is told."""
    house.serve(a="a.test,b.test", b={"VIRTUAL_HOST": "*,b.test", "VIRTUAL_HOST_WEIGHT": "5"})
    assert [house.who(host) for host in ("a.test", "b.test", "c.test")] == ["b", "b", "b"]
    assert house.problems == (
        "a: http://b.test is answered by b, whose VIRTUAL_HOST_WEIGHT is higher",
        "a: https://b.test is answered by b, whose VIRTUAL_HOST_WEIGHT is higher",
    )
    house.serve(a="a.test", b={"VIRTUAL_HOST": "*", "VIRTUAL_HOST_WEIGHT": "-5"})
    assert [house.who(host) for host in ("a.test", "c.test")] == ["a", "b"]


def test_only_what_can_be_a_name_is_looked_up_as_one(house: House) -> None:
    """A client that spells a key of ours reaches nobody by it."""
    house.serve(a="*.a.test", b={"VIRTUAL_HOST": "b.test/x", "VIRTUAL_HOST_WEIGHT": "5"})
    assert [house.who(host, "/x") for host in ("*.a.test", "5|b.test", "b.test~", "b.test")] == [503, 503, 503, "b"]


def test_a_request_without_a_host_meets_only_entries_without_one(house: House) -> None:
    """``*`` is any host; a path alone is any request."""
    house.serve(a="*", b="/path")
    assert [house.who("x.test", path) for path in ("/path", "/")] == ["b", "a"]
    statuses = []
    for path in ("/path", "/"):
        with socket.create_connection(("127.0.0.1", house.proxy.settings.http_port), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            statuses.append(int(b"".join(iter(lambda: connection.recv(65536), b"")).split()[1]))
    assert statuses == [200, 503]


@pytest.mark.parametrize(
    ("told", "method", "status"),
    [
        ({"FORCE_SSL": "yes"}, "GET", 301),
        ({"FORCE_SSL": "no"}, "GET", 200),
        ({"HTTPS_METHOD": "noredirect"}, "GET", 200),
        ({"FORCE_SSL": "yes", "NON_GET_REDIRECT": "308"}, "TRACE", 405),
        ({"FORCE_SSL": "yes", "NON_GET_REDIRECT": "308"}, "POST", 308),
        ({"FORCE_SSL": "yes", "NON_GET_REDIRECT": "307"}, "POST", 307),
        ({"FORCE_SSL": "yes", "NON_GET_REDIRECT": "307"}, "HEAD", 301),
        ({"VIRTUAL_HOST": "http://a.test", "FORCE_SSL": "yes"}, "GET", 301),
        ({"VIRTUAL_HOST": "https://a.test", "FORCE_SSL": "yes"}, "GET", 301),
        ({"VIRTUAL_HOST": "https://a.test"}, "GET", 503),
        ({"HTTPS_METHOD": "nohttp"}, "GET", 200),
    ],
)
def test_a_service_says_whether_it_is_redirected(house: House, told: dict[str, str], method: str, status: int) -> None:
    """Without a certificate: FORCE_SSL at once, HTTPS_METHOD never; other methods keep their body."""
    house.serve(a={"VIRTUAL_HOST": "a.test"} | told)
    answer = house.proxy.plain("a.test", "/x?y", method)
    assert answer.status == status
    if status in (301, 307, 308):
        assert answer.headers["location"] == f"https://a.test:{house.proxy.settings.https_port}/x?y"


def test_what_a_certificate_covers_is_redirected_or_closed(house: House) -> None:
    """Decided for each request by its host: a pattern may be covered in part."""
    house.proxy.publish("w", "*.w.test", "w.test")
    house.serve(a="*.w.test", b={"VIRTUAL_HOST": "w.test", "HTTPS_METHOD": "nohttp"})
    assert [house.who(host) for host in ("x.w.test", "x.y.w.test", "w.test")] == [301, "a", 503]
    house.serve(a={"VIRTUAL_HOST": "w.test", "HTTPS_METHOD": "nohttps"})
    assert house.who("w.test") == "a"
    assert house.proxy.tls("w.test").status == 503
    house.proxy.unpublish("w")


@pytest.mark.parametrize("proto", ["http", "https", "h2c", "grpc", "grpcs"])
def test_a_container_is_spoken_to_as_it_says(house: House, proto: str) -> None:
    """Here by a way through the proxy itself, which understands them all."""
    inner = house.proxy.settings.https_port if proto in ("https", "grpcs") else house.proxy.settings.http_port
    outer = {"VIRTUAL_HOST": "http://a.test/in/*", "VIRTUAL_DEST": "/out/", "VIRTUAL_PORT": str(inner)}
    house.serve(a="http://a.test/out/*,https://a.test/out/*", c=outer | {"VIRTUAL_PROTO": proto})
    answer = house.asked("a.test", "/in/x")
    assert (answer.received["origin"], answer.received["path"]) == ("a", "/out/x")
    assert dict(answer.forwarded)["x-forwarded-proto"] == ("https" if proto in ("https", "grpcs") else "http")


def test_a_container_that_moves_to_another_port_is_followed(house: House) -> None:
    """A worker takes over what the one before it knew of servers, but not where they listened."""
    house.serve(a={"VIRTUAL_HOST": "a.test"})
    assert house.who("a.test") == "a"
    house.serve(a={"VIRTUAL_HOST": "a.test", "VIRTUAL_PORT": str(house.origins["b"].port)})
    assert house.who("a.test") == "b"


def test_one_container_may_serve_on_several_ports(house: House) -> None:
    """VIRTUAL_HOST_MULTIPORTS names the port of each path, and replaces VIRTUAL_HOST."""
    ports = {name: house.origins[name].port for name in ("a", "b")}
    told = f"a.test: {{/: {{port: {ports['a']}}}, /b/: {{port: {ports['b']}, dest: /}}}}"
    house.serve(c={"VIRTUAL_HOST": "c.test", "VIRTUAL_HOST_MULTIPORTS": told})
    assert house.problems == ()
    assert [house.who("a.test"), house.who("a.test", "/b/x"), house.who("c.test")] == ["a", "b", 503]
    assert house.asked("a.test", "/b/x").received["path"] == "/x"


TEXTS = st.text(max_size=40) | st.text(alphabet="aA1.-*:/[]%,; \t\n#\"'\\{}()|^$?=~@ü_", max_size=40)
ITEMS = st.sampled_from(
    [
        *("*", "/x", "*.a.test", "a*.test", r"~^a\.(b|c)[a-z]{2\,3}$", "a.test/p/*.php", "wss://a.test:8443/x/*"),
        *(r"~(?i)^\w+[^a-c\]]*(?=x)(?:y|)\/+?\}$", "~a}", "~}", "~-i", "~--", "~a{0}|[a-]", ".d.test", ":81/x"),
    ]
)


def words(text: str) -> st.SearchStrategy[str]:
    """Some of the words of *text*, in any order."""
    return st.lists(st.sampled_from(text.split()), max_size=6).map(" ".join)


SAID = st.fixed_dictionaries(
    {
        "VIRTUAL_HOST": st.just("stranger.test")
        | st.lists(ITEMS | TEXTS | TEXTS.map("~{}".format), max_size=4).map(",".join)
    },
    optional={
        "VIRTUAL_PATH": TEXTS | st.sampled_from(["/", "/api/", "= /x", "~ ^/a", "~* [.]php$", "^~ /$&()*;'"]),
        "VIRTUAL_HOST_MULTIPORTS": TEXTS | TEXTS.map("a.test: {{/x: {{dest: {}}}}}".format) | st.just("b.test:"),
        "VIRTUAL_DEST": TEXTS | st.sampled_from(["/", "/%20", "/x/", "/%[src]"]),
        "VIRTUAL_PROTO": TEXTS | st.sampled_from(["https", "h2c", "grpc", "grpcs", "fastcgi"]),
        "VIRTUAL_ROOT": TEXTS.map("/{}".format),
        "VIRTUAL_HOST_WEIGHT": TEXTS | st.integers(-9, 9).map(str),
        "HTTPS_METHOD": TEXTS | st.sampled_from(["nohttp", "nohttps", "redirect"]),
        **dict.fromkeys(("VIRTUAL_PORT", "FORCE_SSL", "NON_GET_REDIRECT"), TEXTS),
        "BALANCE": TEXTS | words("uri whole path-only len 3 depth 2 random(3) hdr(a) hash src rdp-cookie url_param x"),
        "COOKIE": words(
            "S insert rewrite prefix indirect nocache postonly preserve httponly secure domain .a maxidle 5m"
        ),
        "OPTION": TEXTS | words("httpclose , no redispatch persist abortonclose checkcache allbackups forwardfor"),
        "HTTP_CHECK": TEXTS | words("GET HEAD /up /%s HTTP/1.0 HTTP/1.1\\r\\nX:\\ %[src]#y"),
        "HEALTH_CHECK": TEXTS | words("off check inter 2000 rise 2 fall 3 port 80 check-ssl verify none"),
        "EXTRA_ROUTE_SETTINGS": TEXTS | words("send-proxy-v2 weight 5 maxconn 3 slowstart 5s ssl verify none alpn h2"),
        "GZIP_COMPRESSION_TYPE": TEXTS | words("text/html application/*+json , text/css"),
        "HSTS": TEXTS | st.sampled_from(["off", "max-age=1;preload", "max-age=1; includeSubDomains"]),
        "HTTP_BASIC_AUTH": TEXTS.map("ann:{}".format) | TEXTS.map("{}:x".format),
        "HTTP_BASIC_AUTH_SECURE": TEXTS.map("ann:{}".format),
        "MAX_BODY_SIZE": TEXTS | st.integers(0, 2**50).map(str),
        "TCP_PORTS": TEXTS | words("5432 6697/ssl , 80 8443 0 70000"),
        "EXTERNAL_HTTP_PORT": TEXTS | words("80 443 8443 81"),
        "EXTERNAL_HTTPS_PORT": TEXTS | words("80 443 8443 81"),
        "KEEPALIVE": TEXTS | st.integers(0, 9).map(str),
        "NETWORK_ACCESS": TEXTS,
        "FAILOVER": TEXTS,
        **{f"TIMEOUT_{name}": TEXTS | words("1 5s 24d") for name in ("CLIENT", "CONNECT", "QUEUE", "SERVER", "TUNNEL")},
    },
)


def rendered(*services: Service) -> Configuration:
    """What HAProxy would read."""
    told = load({"ENABLE_IPV6": "no", "DEFAULT_CERT_SANS": "localhost"})
    routing = build(services, frozenset(), Told())
    return Templates(TEMPLATES, told).render(routing, (), "default.pem")


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SAID)
def test_whatever_a_container_says_the_configuration_loads(tmp_path: Path, said: dict[str, str]) -> None:
    """And the lines of others in it, in the maps and in the configuration, are what they were without it."""
    assert said.keys() <= SETTINGS
    other = service_with("other", 8000, VIRTUAL_HOST="own.example.org,own.example.org/p,*.own.example.org/q/*")
    alone, both = rendered(other), rendered(other, service_with("stranger", 8001, **said))
    for name in MAPS:
        own = {line for line in alone.files[name].splitlines() if b"own.example.org" in line}
        assert own <= set(both.files[name].splitlines())
    section = alone.text.decode().partition("# other\n")[2]
    assert section in both.text.decode()
    (tmp_path / "maps").mkdir(exist_ok=True)
    for name, content in both.files.items():
        (tmp_path / name).write_bytes(content)
    bundle = CERTIFICATE.bundle_pem
    (tmp_path / "default.pem").write_bytes(bundle)
    verdict = check_configuration(tmp_path / CONFIGURATION)
    assert verdict.accepted, verdict.reasons


CERTIFICATE = CertificateAuthority().issue("localhost")


def cpu_seconds(process: int) -> float:
    """What a process has spent so far (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_visitor_cannot_hold_up_the_others_with_a_pattern(house: House) -> None:
    """A path made for it costs a glob with many stars no more work than any other path of its length."""
    house.serve(a={"VIRTUAL_HOST": "a.test/*c*a*a*a*a*a*b"})
    before = cpu_seconds(house.proxy.worker)
    for _ in range(3):
        house.asked("a.test", "/cb" + "a" * 20_000 + "bac")
    # With an expression that goes back, each of them takes more than a second.
    assert cpu_seconds(house.proxy.worker) - before < 0.5
