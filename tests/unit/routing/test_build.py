"""proxy_agent.routing.build."""

import re
from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.build import EVERY_NAME, build
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.model import NO_ROUTE, Container, Routing, Service
from proxy_agent.tls.names import DnsName

NOTHING: frozenset[str] = frozenset()


def container(name: str, virtual_host: str = "", address: str | None = "10.0.0.1", **settings: str) -> Container:
    """A container that exposes port 80, with VIRTUAL_HOST and further settings."""
    return Container(
        name=name,
        settings={"VIRTUAL_HOST": virtual_host} | settings,
        exposed_ports=(80,),
        address=ip_address(address) if address else None,
        unreachable="" if address else "no network in common",
    )


def service(name: str, virtual_host: str, address: str | None = "10.0.0.1", **settings: str) -> Service:
    """A service of one container."""
    return Service(name, (container(f"{name}-1", virtual_host, address, **settings),))


def built(*services: Service, covered: frozenset[str] = NOTHING, force_ssl: bool | None = None) -> Routing:
    """The routing, with certificates for the hosts *covered*."""
    return build(services, frozenset(map(DnsName, covered)), Proxy(force_ssl))


def routes(routing: Routing) -> set[tuple[str, str, str]]:
    """Listener, host and what happens there: the services that answer, or a redirect."""
    titles = {backend.name: backend.title for backend in routing.backends}
    return {
        (route.listener, route.host, "redirect" if route.redirect else titles[route.backend])
        for route in routing.routes
    }


def test_nobody_asks_for_anything() -> None:
    """Containers without VIRTUAL_HOST are not ours: no route, no backend, and not a word about them."""
    assert built(Service("database", (container("db-1", address=None),))) == Routing()


def test_a_host_is_served_on_both_listeners() -> None:
    """Before it has a certificate, in clear text too."""
    routing = built(service("shop", "a.test"))
    assert routes(routing) == {("plain", "a.test", "shop"), ("tls", "a.test", "shop")}
    (backend,) = routing.backends
    assert [(server.name, str(server.address), server.port) for server in backend.servers] == [
        ("shop-1", "10.0.0.1", 80)
    ]


def test_a_covered_host_is_redirected() -> None:
    """From the moment it has a certificate; other hosts of the same service are not."""
    routing = built(service("shop", "a.test,b.test"), covered=frozenset({"a.test"}))
    assert routes(routing) == {
        ("plain", "a.test", "redirect"),
        ("plain", "b.test", "shop"),
        ("tls", "a.test", "shop"),
        ("tls", "b.test", "shop"),
    }


@pytest.mark.parametrize("covered", [True, False])
def test_force_ssl_decides_for_all(covered: bool) -> None:
    """Always or never, certificate or not."""
    cover = frozenset({"a.test"} if covered else ())
    always = built(service("shop", "a.test"), covered=cover, force_ssl=True)
    never = built(service("shop", "a.test"), covered=cover, force_ssl=False)
    assert ("plain", "a.test", "redirect") in routes(always)
    assert ("plain", "a.test", "shop") in routes(never)


def test_a_host_that_is_only_plain_is_never_redirected() -> None:
    """There is nothing at the other end, whatever FORCE_SSL says."""
    routing = built(service("shop", "http://a.test"), covered=frozenset({"a.test"}), force_ssl=True)
    assert routes(routing) == {("plain", "a.test", "shop")}


def test_a_host_that_is_only_tls_has_no_plain_route() -> None:
    """It is not even redirected."""
    assert routes(built(service("shop", "https://a.test"))) == {("tls", "a.test", "shop")}


def test_both_listeners_spelled_out_mean_no_redirect() -> None:
    """``https://a.test, a.test`` is the dialect of dockercloud/haproxy; FORCE_SSL is how one redirects there."""
    shop = service("shop", "https://a.test, a.test")
    cover = frozenset({"a.test"})
    assert routes(built(shop, covered=cover)) == {("plain", "a.test", "shop"), ("tls", "a.test", "shop")}
    assert ("plain", "a.test", "redirect") in routes(built(shop, force_ssl=True))


def test_services_that_share_a_host_are_one_pool() -> None:
    """Requests for it go to both; what only one of them asks for goes to that one."""
    routing = built(service("one", "a.test,b.test"), service("two", "a.test", "10.0.0.2"))
    assert ("tls", "a.test", "one two") in routes(routing)
    assert ("tls", "b.test", "one") in routes(routing)
    pools = {backend.title: [str(server.address) for server in backend.servers] for backend in routing.backends}
    assert pools == {"one two": ["10.0.0.1", "10.0.0.2"], "one": ["10.0.0.1"]}


def test_replicas_are_one_backend() -> None:
    """A service's containers share its backend, each a server."""
    replicas = tuple(container(f"shop-{number}", "a.test", f"10.0.0.{number}") for number in (2, 1))
    (backend,) = built(Service("shop", replicas)).backends
    assert [server.name for server in backend.servers] == ["shop-1", "shop-2"]


def test_containers_of_a_service_may_differ() -> None:
    """While a new version replaces an old one, both lists of hosts are served."""
    versions = (container("shop-1", "a.test"), container("shop-2", "a.test,b.test"))
    assert {host for _, host, _ in routes(built(Service("shop", versions)))} == {"a.test", "b.test"}


def test_a_container_out_of_reach_costs_itself() -> None:
    """The others serve, and the operator reads why one does not."""
    replicas = (container("shop-1", "a.test"), container("shop-2", "a.test", address=None))
    routing = built(Service("shop", replicas))
    assert [len(backend.servers) for backend in routing.backends] == [1]
    assert list(map(str, routing.skipped)) == ["shop (shop-2): no network in common"]


def test_a_service_without_a_server_keeps_its_host() -> None:
    """It answers 503 and comes back in place, instead of being taken for an unknown host."""
    routing = built(service("shop", "a.test", VIRTUAL_PORT="0"))
    assert routes(routing) == {("plain", "a.test", "shop"), ("tls", "a.test", "shop")}
    assert [backend.servers for backend in routing.backends] == [()]


def test_a_bad_port_costs_its_container() -> None:
    """And not its neighbour."""
    routing = built(service("bad", "a.test", VIRTUAL_PORT="http"), service("good", "b.test"))
    assert {(backend.title, len(backend.servers)) for backend in routing.backends} == {("bad", 0), ("good", 1)}
    (reason,) = routing.skipped
    assert str(reason).startswith("bad (bad-1): VIRTUAL_PORT='http' is not a port")


def test_a_bad_entry_costs_that_entry_and_names_its_service() -> None:
    """The other hosts of the same container are served."""
    routing = built(service("shop", "a.test,b.test:"))
    assert {host for _, host, _ in routes(routing)} == {"a.test"}
    assert list(map(str, routing.skipped)) == [
        "shop: VIRTUAL_HOST: 'b.test:' ends its host with ':', but '' is not a port: write one number from 1 to 65535",
    ]


@pytest.mark.parametrize(("one", "other"), [("a/b", "a b"), ("a/b", "a_b"), ("x" * 41, "x" * 42), ("é", "è")])
def test_names_that_look_alike_to_haproxy_do_not_collide(one: str, other: str) -> None:
    """Two services are two backends, whatever had to be changed or cut in their names."""
    routing = built(service(one, "a.test"), service(other, "b.test"))
    assert len({backend.name for backend in routing.backends}) == 2


def test_pools_that_begin_with_the_same_service_do_not_collide() -> None:
    """One alone, and one with another, are two backends."""
    routing = built(service("one", "a.test,b.test"), service("two", "b.test"))
    assert len({backend.name for backend in routing.backends}) == 2


WORD = re.compile(r"[A-Za-z0-9_.:-]+")
TEXT = st.text(max_size=30) | st.sampled_from(["shop", "pro/shop", "x\n    server evil 192.0.2.1", "#", " "])


ENTRIES = [
    "a.test",
    "https://a.test",
    "http://b.test",
    "a.test,b.test",
    "*.c.test",
    "*",
    "/p",
    "~^x",
    "wss://a.test:1/p/*",
]
SAID = {
    "VIRTUAL_PATH": ["/api/", "= /x", "~ ^/x", "'"],
    "VIRTUAL_DEST": ["/", "x"],
    "VIRTUAL_HOST_WEIGHT": ["1", "-1", "x"],
    "VIRTUAL_PROTO": ["https", "x"],
    "HTTPS_METHOD": ["nohttp", "nohttps", "x"],
    "FORCE_SSL": ["yes", "no", "x"],
    "VIRTUAL_HOST_MULTIPORTS": ["a.test: {/: {port: 1}, /x: {port: 2}}", "["],
}


@st.composite
def worlds(draw: st.DrawFn) -> list[Service]:
    """Services and containers called whatever strangers call them; as in Docker, no two have one name."""
    hosts = st.sampled_from(ENTRIES) | st.text()
    addresses = st.sampled_from(["10.0.0.1", "2001:db8::1", None])
    said = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SAID.items()})
    containers = [
        container(name, draw(hosts), draw(addresses), **draw(said))
        for name in draw(st.lists(TEXT.filter(bool), max_size=6, unique=True))
    ]
    names = draw(st.lists(TEXT, max_size=4, unique=True))
    return [Service(name, tuple(containers[number :: len(names)])) for number, name in enumerate(names)]


@given(worlds())
def test_no_text_of_a_stranger_reaches_the_configuration(services: list[Service]) -> None:
    """Every name that a template sees is one word, and every title one line, whatever containers are called."""
    routing = built(*services, covered=frozenset({"a.test"}))
    for backend in routing.backends:
        assert WORD.fullmatch(backend.name)
        assert backend.title.isprintable()
        assert all(WORD.fullmatch(server.name) for server in backend.servers)
    assert len({backend.name for backend in routing.backends}) == len(routing.backends)
    assert {rule.backend for rule in routing.rules} <= {backend.name for backend in routing.backends} | {NO_ROUTE}
    assert all("\n" not in line for line in routing.lines().values())


@given(worlds().flatmap(lambda services: st.tuples(st.just(services), st.permutations(services))))
def test_the_order_in_which_docker_lists_decides_nothing(pair: tuple[list[Service], list[Service]]) -> None:
    """The same services, in whatever order, give the same routing."""
    listed, shuffled = pair
    turned = [Service(item.name, item.containers[::-1]) for item in shuffled]
    assert built(*turned) == built(*listed)


@given(worlds())
def test_server_names_are_unique_within_a_backend(services: list[Service]) -> None:
    """HAProxy refuses a configuration in which two servers of a backend share a name."""
    for backend in built(*services).backends:
        names = [server.name for server in backend.servers]
        assert len(names) == len(set(names))


def test_a_sentence_for_each_host_says_how_it_is_served() -> None:
    """These are the lines that the log shows when something changed."""
    lines = built(
        service("shop", "a.test"),
        service("old", "b.test,http://c.test"),
        service("gone", "d.test", VIRTUAL_PORT="0"),
        covered=frozenset({"a.test"}),
    ).lines()
    assert lines == {
        "a.test": "a.test: http redirected to https, https served by shop (10.0.0.1:80)",
        "b.test": "b.test: http and https served by old (10.0.0.1:80)",
        "c.test": "c.test: http served by old (10.0.0.1:80)",
        "d.test": "d.test: http and https served by gone (no server)",
    }


def test_a_service_out_of_reach_takes_nothing_from_one_within() -> None:
    """Somebody on other networks changes nothing here, and is told why it is not served."""
    near, far = service("near", "app.example.com"), service("far", "app.example.com, far.example.com", address=None)
    alone, both = built(near), built(near, far)
    assert (both.backends, both.routes) == (alone.backends, alone.routes)
    assert list(map(str, both.skipped)) == ["far (far-1): no network in common"]


def test_two_projects_with_one_host_are_told() -> None:
    """Within a project it is meant; across projects it is more often a mistake, so both are named."""
    one, two, other = (service(name, "https://a.test") for name in ("x/one", "x/two", "y/other"))
    assert built(one, two).skipped == ()
    assert list(map(str, built(one, other).skipped)) == [
        "x/one and y/other: https://a.test is asked for in several projects, they share its requests"
    ]


def test_services_that_differ_in_how_they_share_are_told() -> None:
    """What the first by name says counts, whatever order Docker lists them in."""
    one, two = service("one", "a.test", VIRTUAL_DEST="/x"), service("two", "a.test")
    routing = built(two, one)
    assert [backend.rewrite.destination for backend in routing.backends if backend.rewrite] == ["/x"]
    assert "what one says counts" in str(routing.skipped[0])


def test_a_service_out_of_reach_takes_nothing_by_weight() -> None:
    """As it takes nothing without one."""
    near, far = service("near", "a.test"), service("far", "a.test", None, VIRTUAL_HOST_WEIGHT="9")
    assert routes(built(near, far)) == routes(built(near))


def test_one_service_cannot_ask_without_end() -> None:
    """Of ports and patterns, which cost everybody, each service is served a bounded number."""
    patterns = built(service("greedy", ",".join(f"~x{number}" for number in range(500))))
    ports = built(service("greedy", ",".join(f"a.test:{number}" for number in range(1000, 1500))))
    assert len({rule.place.host for rule in patterns.rules}) == 100
    assert [rule.place.port for rule in ports.rules] == list(range(1000, 1008))
    for routing in (patterns, ports):
        assert list(map(str, routing.skipped)) == [
            "greedy: VIRTUAL_HOST: only 8 ports and 100 patterns of one service are served"
        ]


def test_a_path_that_cannot_be_read_serves_nothing_instead() -> None:
    """A service that wants a part of a host never gets the whole of it by mistake."""
    routing = built(service("shop", "a.test,a.test/x", VIRTUAL_PATH="api"))
    assert {host for _, host, _ in routes(routing)} == {"a.test/x"}
    assert "hosts without a path are not served" in str(routing.skipped[0])


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"VIRTUAL_HOST_WEIGHT": "1.5"}, "VIRTUAL_HOST_WEIGHT: '1.5' is not a weight: write a whole number; 0 is used"),
        ({"FORCE_SSL": "enable"}, "FORCE_SSL: 'enable' is neither yes nor no; yes is used"),
        ({"HTTPS_METHOD": "x"}, "HTTPS_METHOD: 'x' is not used: write one of redirect, noredirect, nohttp, nohttps"),
        ({"NON_GET_REDIRECT": "302"}, "NON_GET_REDIRECT: '302' is not used: write one of 301, 307, 308"),
        ({"HTTPS_METHOD": "nohttp", "FORCE_SSL": "no"}, "FORCE_SSL: not used, because HTTPS_METHOD is set"),
    ],
)
def test_a_setting_that_cannot_be_used_costs_itself(told: dict[str, str], reason: str) -> None:
    """The host is served, and the reason names what is used instead."""
    routing = built(service("shop", "a.test", **told))
    assert {host for _, host, _ in routes(routing)} == {"a.test"}
    assert list(map(str, routing.skipped)) == [f"shop: {reason}"]


@pytest.mark.parametrize(
    ("host", "covered"),
    [("a.wild.test", True), ("wild.test", False), ("b.a.wild.test", False), ("plain.test", True), ("test", False)],
)
def test_a_host_is_covered_by_its_name_or_by_a_wildcard_one_label_up(host: str, covered: bool) -> None:
    """Covered is what a client accepts, no more: only then is it sent to https."""
    routing = built(service("shop", host), covered=frozenset({"*.wild.test", "plain.test"}))
    assert (("plain", host, "redirect") in routes(routing)) is covered


# What the proxy says for services that say nothing


def decided(
    settings: Mapping[str, str], proxy: Proxy, covered: frozenset[str] = NOTHING
) -> dict[str, tuple[str, str, int]]:
    """By listener: the backend that answers for a.test, whether it redirects, and the status of that."""
    routing = build([service("a", "a.test", **settings)], frozenset(map(DnsName, covered)), proxy)
    return {
        rule.place.listener: ("503" if rule.backend == NO_ROUTE else "served", rule.redirect, rule.code)
        for rule in routing.rules
    }


@pytest.mark.parametrize(
    ("settings", "proxy", "plain", "tls"),
    [
        ({}, Proxy(https_method="noredirect"), ("served", "never", 301), "served"),
        ({}, Proxy(https_method="nohttp"), ("served", "closed", 301), "served"),
        ({}, Proxy(https_method="nohttps"), ("served", "never", 301), "503"),
        ({}, Proxy(https_method="redirect", force_ssl=True), ("served", "auto", 301), "served"),
        ({}, Proxy(code=308), ("served", "auto", 308), "served"),
        ({}, Proxy(http_without_certificate=False), ("served", "always", 301), "served"),
        ({}, Proxy(https_method="nohttp", http_without_certificate=False), ("503", "never", 301), "served"),
        ({"HTTPS_METHOD": "noredirect"}, Proxy(http_without_certificate=False), ("served", "never", 301), "served"),
        ({"HTTPS_METHOD": "redirect"}, Proxy(https_method="nohttps"), ("served", "auto", 301), "served"),
        ({"NON_GET_REDIRECT": "307"}, Proxy(code=308), ("served", "auto", 307), "served"),
        ({"ENABLE_HTTP_ON_MISSING_CERT": "no"}, Proxy(), ("served", "always", 301), "served"),
        (
            {"ENABLE_HTTP_ON_MISSING_CERT": "yes"},
            Proxy(http_without_certificate=False),
            ("served", "auto", 301),
            "served",
        ),
    ],
)
def test_the_proxy_decides_where_a_service_says_nothing(
    settings: Mapping[str, str], proxy: Proxy, plain: tuple[str, str, int], tls: str
) -> None:
    """HTTPS_METHOD before FORCE_SSL, the service's own before both, and perhaps no plain HTTP without a certificate."""
    rules = decided(settings, proxy)
    assert rules["plain"] == plain
    assert rules["tls"][0] == tls


def test_a_default_certificate_for_all_covers_every_host() -> None:
    """What is said of routes agrees with what is done."""
    routing = build([service("a", "a.test"), service("b", "*.b.test")], frozenset({EVERY_NAME}), Proxy())
    assert routing.covers_all
    assert {route.redirect for route in routing.routes if route.listener == "plain"} == {True}


def test_a_port_that_is_taken_is_left_out() -> None:
    """In HTTP, through TLS and for what is not HTTP."""
    taken = Proxy(taken_ports=((25, "is taken by another program"), (8080, "is taken by another program")))
    routing = build([service("a", "a.test:8080,b.test", TCP_PORTS="25")], frozenset(), taken)
    assert {rule.place.port for rule in routing.rules} == {None}
    assert routing.tcp == ()
    assert [item.what for item in routing.skipped] == ["a", "a"]
