"""Which certificates discovered services want."""

import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.acme import AcmeOptions, parse_names, read_acme_options
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import SETTINGS
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.wanted import Request, find_wanted, render_wanted
from proxy_agent.tls.names import DnsName, parse_identifier
from tests.unit.agent.fakes import NOW, House, bundle, service

Found = tuple[tuple[Request, ...], tuple[Skipped, ...]]


def container(**settings: str) -> Container:
    """A container beside HAProxy."""
    return Container("web-1", settings, (80,), ip_address("10.0.0.1"))


def found(*services: Service, covered: frozenset[str] = frozenset()) -> Found:
    """What *services* want, where others' certificates cover *covered*."""
    return find_wanted(services, Proxy(), lambda name: name in covered)


def names(**settings: str) -> list[tuple[str, ...]]:
    """The lists of names that a container with *settings* wants."""
    requests, _ = found(Service("web", (container(**settings),)))
    return [request.names for request in requests]


def doubts(**settings: str) -> list[str]:
    """What is told of a container with *settings*."""
    _, skipped = found(Service("web", (container(**settings),)))
    return [skip.reason for skip in skipped]


@pytest.mark.parametrize(
    ("virtual_host", "wanted"),
    [
        ("www.a.test, a.test", [("www.a.test", "a.test")]),
        ("a.test,www.a.test", [("a.test", "www.a.test")]),
        ("a.test/app, b.test/x/*", [("a.test", "b.test")]),
        ("https://a.test", [("a.test",)]),
        ("wss://a.test/chat", [("a.test",)]),
        ("https://a.test:8443", [("a.test",)]),
        ("a.test:443", [("a.test",)]),
        ("Bücher.test", [("xn--bcher-kva.test",)]),
        (".a.test", [("a.test",)]),
        ("https://a.test, a.test", [("a.test",)]),
        ("http://a.test", []),
        ("ws://a.test", []),
        ("a.test:8080", []),
        ("*.a.test, w*.a.test, ~^a\\.test$, *, /x", []),
        ("192.0.2.7, [2001:db8::1]", []),
        ("under_score.test", []),
        ("localhost, nas, nas.local, x.internal, nas.lan, x.home.arpa, x.onion, app.localhost", []),
        ("a.test-0001", []),
    ],
)
def test_names_served_through_tls_are_wanted(virtual_host: str, wanted: list[tuple[str, ...]]) -> None:
    """Exact host names that a CA could know, in the order they are written in; nothing for plain HTTP or patterns."""
    assert names(VIRTUAL_HOST=virtual_host) == wanted


def test_what_closes_or_forces_tls_counts() -> None:
    """HTTPS_METHOD=nohttps wants nothing; FORCE_SSL adds TLS to http:// entries, and so a certificate."""
    assert names(VIRTUAL_HOST="a.test", HTTPS_METHOD="nohttps") == []
    assert names(VIRTUAL_HOST="http://a.test", FORCE_SSL="yes") == [("a.test",)]
    assert names(VIRTUAL_HOST="a.test", ACME_HTTP_CHALLENGE_LOCATION="false") == []


def test_several_ports_are_several_hosts_of_one_list() -> None:
    """VIRTUAL_HOST_MULTIPORTS names hosts as VIRTUAL_HOST does."""
    assert names(VIRTUAL_HOST_MULTIPORTS="{b.test: {/: {port: 1}}, a.test: {/: {port: 2}}}") == [("b.test", "a.test")]


def test_a_list_of_its_own_replaces_the_hosts() -> None:
    """ACME_HOST need not have to do with VIRTUAL_HOST, tolerates blanks, dots and repetition, and has an alias."""
    assert names(VIRTUAL_HOST="a.test", ACME_HOST=" C.test., ,d.test,c.test ") == [("c.test", "d.test")]
    assert names(LETSENCRYPT_HOST="c.test") == [("c.test",)]
    assert names(ACME_HOST="192.0.2.7") == [("192.0.2.7",)]
    assert names(VIRTUAL_HOST="a.test,b.test", ACME_SINGLE_DOMAIN_CERTS="yes") == [("a.test",), ("b.test",)]


def test_what_cannot_be_in_a_list_is_told() -> None:
    """A wildcard and a name that is none are left out with their reason, the rest goes on."""
    assert names(ACME_HOST="*.a.test, a b, a.test") == [("a.test",)]
    assert doubts(ACME_HOST="*.a.test, a b, a.test") == [
        "ACME_HOST: '*.a.test' is left out: a wildcard is validated over DNS only, and here names are validated "
        "over HTTP; list its names one by one",
        "ACME_HOST: 'a b' is not a host name: 'a b' holds a character other than letters, digits and '-'",
    ]
    assert names(ACME_HOST="a" * 9000) == []
    assert len(doubts(ACME_HOST="x" * 300)[0]) < 120


def test_more_names_than_a_certificate_holds() -> None:
    """Hosts are parted into certificates of a hundred; a list of the operator's own is cut, and said to be."""
    hosts = [f"h{number:03}.test" for number in range(101)]
    assert [len(each) for each in names(VIRTUAL_HOST=",".join(hosts))] == [100, 1]
    assert [len(each) for each in names(ACME_HOST=",".join(hosts))] == [100]
    assert "only the first 100 names" in doubts(ACME_HOST=",".join(hosts))[0]


def test_options_are_read() -> None:
    """Each setting of the family reaches its field; aliases stand in where the first is unset."""
    options, unused = read_acme_options(
        container(
            LETSENCRYPT_EMAIL="me@a.test",
            ACME_CA_URI="https://ca.test/dir",
            ACME_EAB_KID="kid-1",
            ACME_EAB_HMAC_KEY="aGVsbG8",
            ACME_CERT_PROFILE="shortlived",
            ACME_PREFERRED_CHAIN="ISRG Root X1",
            ACME_KEYSIZE="3072",
            ACME_RENEW_PRIVATE_KEYS="false",
        )
    )
    assert options == AcmeOptions(
        email="me@a.test",
        server="https://ca.test/dir",
        eab_kid="kid-1",
        eab_hmac_key="aGVsbG8",
        profile="shortlived",
        preferred_chain="ISRG Root X1",
        key="rsa-3072",
        reuse_key=True,
    )
    assert unused == ()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ACME_EMAIL", "-x", "ACME_EMAIL: '-x' is not one e-mail address"),
        ("ACME_CA_URI", "http://a/", "ACME_CA_URI: 'http://a/' is not the https:// address of an ACME directory"),
        ("ACME_KEYSIZE", "8192", "ACME_KEYSIZE: '8192' is not used: write one of 2048, 3072, 4096, ec-256, ec-384"),
        ("LETSENCRYPT_TEST", "maybe", "LETSENCRYPT_TEST: 'maybe' is neither yes nor no"),
        ("ACME_SINGLE_DOMAIN_CERTS", "x", "ACME_SINGLE_DOMAIN_CERTS: 'x' is neither yes nor no"),
        ("ACME_CERT_PROFILE", "a b", "ACME_CERT_PROFILE: 'a b' is not the name of a profile, like shortlived"),
        ("ACME_RENEW_AFTER", "30", "ACME_RENEW_AFTER: not used: certificates are renewed when the CA advises"),
        ("ACME_OCSP", "true", "ACME_OCSP: not used: Let's Encrypt ended OCSP in 2025"),
        (
            "ACME_PRE_HOOK",
            "rm -rf /",
            "ACME_PRE_HOOK: refused: a container may not have commands run in the stack, nor others restarted",
        ),
        (
            "LETSENCRYPT_RESTART_CONTAINER",
            "true",
            "LETSENCRYPT_RESTART_CONTAINER: refused: a container may not have commands run in the stack, "
            "nor others restarted",
        ),
        (
            "ACME_CHALLENGE",
            "DNS-01",
            "ACME_CHALLENGE: names are validated over HTTP all the same; otherwise bring a certificate of your own",
        ),
        (
            "ACME_EAB_KID",
            "kid",
            "ACME_EAB_KID and ACME_EAB_HMAC_KEY: not used, because they belong together",
        ),
    ],
)
def test_what_is_not_done_is_told(variable: str, value: str, told: str) -> None:
    """One sentence each, naming the setting; the certificate is wanted all the same."""
    assert doubts(ACME_HOST="a.test", **{variable: value}) == [told]
    assert names(ACME_HOST="a.test", **{variable: value}) == [("a.test",)]


@pytest.mark.parametrize("variable", ["ACMESH_DNS_API_CONFIG", "ZEROSSL_API_KEY", "ACME_EAB_HMAC_KEY"])
def test_secrets_are_not_repeated(variable: str) -> None:
    """What is said of a setting that holds a secret does not hold it."""
    told = doubts(ACME_HOST="a.test", **{variable: "sec ret"})
    assert told
    assert "sec ret" not in "".join(told)


def test_rehearsal_wins_over_a_server() -> None:
    """LETSENCRYPT_TEST beside ACME_CA_URI means Let's Encrypt's staging."""
    options, unused = read_acme_options(container(LETSENCRYPT_TEST="true", ACME_CA_URI="https://ca.test/"))
    assert (options.staging, options.server) == (True, "")
    assert unused == ("ACME_CA_URI: not used, because LETSENCRYPT_TEST is set",)


def test_names_that_others_cover_are_not_asked_for() -> None:
    """A certificate of the operator's own spares the order, unless the container asks for it in so many words."""
    hosts = Service("web", (container(VIRTUAL_HOST="a.test,b.test"),))
    assert found(hosts, covered=frozenset({"a.test"}))[0] == (Request(("b.test",), ("web",)),)
    asked = Service("web", (container(ACME_HOST="a.test"),))
    assert found(asked, covered=frozenset({"a.test"}))[0] == (Request(("a.test",), ("web",)),)


def test_one_order_for_copies_and_none_for_strangers_together() -> None:
    """Equal lists of several containers are one request that names all services; others stay apart."""
    requests, skipped = found(
        Service("blog", (container(VIRTUAL_HOST="b.test"),)),
        Service("shop", (container(VIRTUAL_HOST="a.test"), container(VIRTUAL_HOST="a.test"))),
        Service("shop2", (container(VIRTUAL_HOST="a.test"),)),
    )
    assert requests == (Request(("a.test",), ("shop", "shop2")), Request(("b.test",), ("blog",)))
    assert skipped == ()


def test_lists_that_begin_alike() -> None:
    """A certificate is named for its first name, so there is one: for the longer list, and never for both together; the
    other gets one for what it has beyond that.
    """
    paths = Service("api", (replace(container(VIRTUAL_HOST="a.test/api/*"), created=9),))
    shop = Service("shop", (replace(container(VIRTUAL_HOST="a.test,www.a.test"), created=1),))
    blog = Service("blog", (replace(container(VIRTUAL_HOST="a.test,c.test"), created=0),))
    requests, skipped = found(paths, shop, blog)
    assert requests == (
        Request(("a.test", "www.a.test"), ("api", "blog", "shop")),
        Request(("c.test",), ("blog",)),
    )
    assert skipped == ()
    assert found(blog, shop, paths) == found(paths, shop, blog)


def test_what_is_beyond_one_list_may_begin_like_another() -> None:
    """It is left to that one, too, as far as that goes."""
    lists = ("a.test,b.test,x.test", "a.test,b.test,d.test", "b.test,c.test")
    services = [Service(f"s{number}", (container(ACME_HOST=names),)) for number, names in enumerate(lists)]
    assert [request.names for request in found(*services)[0]] == [
        ("a.test", "b.test", "d.test"),
        ("b.test", "c.test"),
        ("x.test",),
    ]


def test_the_newer_of_equal_lists_decides_how_it_is_done() -> None:
    """The service that wanted it otherwise is told; copies of one service are not, nor who wants nothing special."""
    old = Service("old", (replace(container(ACME_HOST="a.test", ACME_KEYSIZE="4096"), created=1),))
    new = Service("new", (replace(container(ACME_HOST="a.test", ACME_KEYSIZE="2048"), created=2),))
    plain = Service("plain", (container(ACME_HOST="a.test"),))
    requests, skipped = found(old, new, plain)
    assert requests == (Request(("a.test",), ("new", "old", "plain"), AcmeOptions(key="rsa-2048")),)
    assert [str(skip) for skip in skipped] == [
        "old: a.test: its certificate is obtained as new wants it, not as this one says"
    ]


@given(st.lists(st.lists(st.sampled_from(["a.test", "b.test", "c.test", "d.test"]), min_size=1), max_size=6))
def test_every_name_is_asked_for_and_no_list_grows(lists: list[list[str]]) -> None:
    """Whatever lists there are, each name is in a certificate, each certificate within one list, and each has a first
    name of its own, in any order of services.
    """
    services = [Service(f"s{number}", (container(ACME_HOST=",".join(names)),)) for number, names in enumerate(lists)]
    requests, _ = found(*services)
    assert {name for request in requests for name in request.names} == {name for names in lists for name in names}
    assert all(any(set(request.names) <= set(names) for names in lists) for request in requests)
    assert len({request.names[0] for request in requests}) == len(requests)
    assert found(*reversed(services))[0] == requests


def test_strangers_on_other_networks_want_nothing_here() -> None:
    """Their challenges would not arrive at this HAProxy."""
    lonely = Container("web-1", {"VIRTUAL_HOST": "a.test"}, (80,), None, "no network in common")
    assert found(Service("web", (lonely,))) == ((), ())


def test_the_file_says_only_what_was_said() -> None:
    """Options that are not set are left out, and equal requests give equal bytes."""
    request = Request(("a.test",), ("web",), AcmeOptions(staging=True, reuse_key=False))
    assert json.loads(render_wanted([request, Request(("b.test",), ("x", "y"))])) == {
        "version": 1,
        "certificates": [
            {"names": ["a.test"], "for": ["web"], "staging": True, "reuse_key": False},
            {"names": ["b.test"], "for": ["x", "y"]},
        ],
    }


SETTING = st.sampled_from(sorted(name for name in SETTINGS if "HOST" in name or "ACME" in name or "LETSENC" in name))


@given(st.dictionaries(SETTING, st.text(max_size=60) | st.sampled_from(["a.test,b.test", "yes", "*.x.test"])))
def test_no_text_of_a_container_does_more_than_cost_itself(settings: dict[str, str]) -> None:
    """Whatever it says, names that are asked for are names, and every reason is one line for people."""
    requests, skipped = found(Service("web", (container(**settings),)))
    for request in requests:
        assert all(str(parse_identifier(name)) == name and not name.startswith("*") for name in request.names)
    assert all(len(skip.reason) < 400 and str(skip).isprintable() for skip in skipped)
    assert render_wanted(requests) == render_wanted(requests)


@given(st.text())
def test_any_list_of_names_is_read(text: str) -> None:
    """Nothing raises, and each name is there once."""
    identifiers, _ = parse_names(text)
    assert len(set(identifiers)) == len(identifiers)


# The agent around it


def wanted(house: House) -> list[tuple[str, ...]]:
    """The lists that letsencrypt was asked for last."""
    return [request.names for request in house.certificates.asked_for[-1]]


def test_the_agent_asks_letsencrypt() -> None:
    """What Docker shows is asked for in the same look; an answer of Docker's that is an error changes nothing."""
    house = House()
    house.boot()
    house.containers.known = (service("shop", "a.test"),)
    house.look()
    assert wanted(house) == [("a.test",)]
    house.containers.failure = "Docker is away."
    house.look()
    assert wanted(house) == [("a.test",)]


def test_nothing_is_said_before_docker_answered() -> None:
    """An agent that starts without Docker knows less than there is."""
    house = House()
    house.containers.failure = "Docker is away."
    house.boot()
    assert house.certificates.asked_for == []


def test_a_file_that_cannot_be_written_costs_itself() -> None:
    """Routes change all the same, and the status says what is wrong."""
    house = House()
    house.boot()
    house.containers.known = (service("shop", "a.test"),)
    house.certificates.failure = "Cannot write /wanted/wanted.json: Read-only file system."
    status = house.look()
    assert "Cannot write /wanted/wanted.json: Read-only file system." in status.problems
    assert len(status.routes) == 2


def test_a_certificate_of_ones_own_spares_an_order_while_it_is_valid() -> None:
    """By name or by wildcard; issued ones do not count, as they are to be renewed, nor do expired ones."""
    house = House()
    house.boot()
    house.containers.known = (service("shop", "a.x.test,b.test,c.test,d.test"),)
    house.certificates.sources["custom"] = (bundle("custom/a", "*.x.test", "c.test"),)
    house.certificates.sources["live"] = (bundle("live/b", "b.test", days=1),)
    house.issue("d.test", "d.test")
    house.look()
    assert wanted(house) == [("d.test",)]
    house.now = NOW + timedelta(days=2)
    house.look()
    assert wanted(house) == [("b.test", "d.test")]
    assert DnsName("d.test") in {name for certificate in house.look().certificates for name in certificate.names}


def test_a_certificate_that_a_container_chose_spares_an_order() -> None:
    """CERT_NAME decides, whatever names that certificate carries."""
    house = House()
    house.boot()
    house.containers.known = (Service("shop", (container(VIRTUAL_HOST="a.test", CERT_NAME="shared"),)),)
    house.certificates.sources["custom"] = (bundle("custom/shared", "other.test"),)
    house.look()
    assert wanted(house) == []
