"""What services want done with their requests: proxy_agent.routing.policies and the grammars below it."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.access import Credential, parse_credentials
from proxy_agent.routing.balance import parse_balance, parse_cookie
from proxy_agent.routing.build import build
from proxy_agent.routing.checks import HttpCheck, parse_http_check
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import SETTINGS
from proxy_agent.routing.model import Backend, Container, Routing, Service
from proxy_agent.routing.policies import policy_of, read_policy
from proxy_agent.routing.policy import Policy
from proxy_agent.routing.server_settings import ServerSettings
from proxy_agent.routing.values import parse_duration, parse_size
from proxy_agent.tls.names import DnsName

SHA_512 = f"$6$saltsalt${'a' * 86}"
SECRET = "correct horse"


def container(name: str = "web-1", created: int = 0, /, **settings: str) -> Container:
    """A container that says something of itself."""
    return Container(name, {"VIRTUAL_HOST": "a.test"} | settings, (80,), ip_address("10.0.0.1"), created=created)


def policy(**settings: str) -> Policy:
    """What one container asks for, all of which is used."""
    read, doubts = read_policy(container(**settings), Policy())
    assert doubts == ()
    return read


def doubts(**settings: str) -> tuple[str, ...]:
    """Why something is not used."""
    return read_policy(container(**settings), Policy())[1]


def built(*containers: Container, proxy: Proxy | None = None, covered: str = "") -> Routing:
    """The routing of one service."""
    names = frozenset({DnsName(covered)} if covered else ())
    return build([Service("web", containers)], names, proxy or Proxy(), names)


def only_backend(*containers: Container, proxy: Proxy | None = None) -> Backend:
    """Its one backend."""
    (backend,) = built(*containers, proxy=proxy).backends
    return backend


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("roundrobin", "roundrobin"),
        ("static-rr", "roundrobin"),
        ("leastconn", "leastconn"),
        ("least_conn;", "leastconn"),
        ("ip_hash", "source"),
        ("hash $remote_addr consistent", "source"),
        ("hash $request_uri", "uri"),
        ("random two", "random(2)"),
        ("uri depth 3", "uri depth 3"),
        ("url_param user", "url_param user"),
        ("hdr(X-User)", "hdr(X-User)"),
        ("hash req.cook(SID),lower", "hash req.cook(SID),lower"),
    ],
)
def test_algorithms_are_taken_in_words_of_both_families(written: str, used: str) -> None:
    """And given to HAProxy in its own, the one that can gain servers while it runs."""
    assert parse_balance(written) == used


@pytest.mark.parametrize("text", ["", "fastest", "hash env(SECRET)", "hash src,map(/certs/a.pem)", "hdr(a) x"])
def test_other_algorithms_are_refused(text: str) -> None:
    """Nothing that reads files or the environment is an algorithm here."""
    with pytest.raises(ValueError, match="is not used: write first, leastconn"):
        parse_balance(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SRV;x insert", "is not the name of a cookie"),
        ("SRV insert rewrite", "says two of"),
        ("SRV insert dynamic", "'dynamic' is not a word for a cookie"),
        ("SRV insert domain", "cannot follow domain"),
        ("SRV rewrite postonly", "postonly needs insert"),
        ("SRV prefix indirect", "indirect needs insert"),
    ],
)
def test_cookies_that_haproxy_would_refuse_are_refused_first(text: str, reason: str) -> None:
    """The whole configuration would be lost with them."""
    with pytest.raises(ValueError, match=reason):
        parse_cookie(text)


def test_a_check_by_http_names_the_host() -> None:
    """HTTP/1.1 demands it (RFC 9112 section 3.2); without a name, any will do."""
    backend = only_backend(container(HTTP_CHECK="GET /up HTTP/1.1", VIRTUAL_HOST="b.test, a.test, *.c.test"))
    assert backend.policy.http_check == HttpCheck("GET", "/up", "HTTP/1.1", (("Host", "a.test"),))
    backend = only_backend(container(HTTP_CHECK="GET /up HTTP/1.1", VIRTUAL_HOST="*"))
    assert backend.policy.http_check == HttpCheck("GET", "/up", "HTTP/1.1", (("Host", "localhost"),))
    assert parse_http_check("HEAD / HTTP/1.0").naming("a.test").headers == ()


@pytest.mark.parametrize(
    "text", ["GET up", "BREW /", "GET / HTTP/3", "GET /a'b", "GET / HTTP/1.1\\r\\nHost", "GET / x y"]
)
def test_what_is_no_request_is_no_check(text: str) -> None:
    """HAProxy goes on with a check of the connection alone."""
    assert policy().http_check is None
    (reason,) = doubts(HTTP_CHECK=text)
    assert reason.startswith("HTTP_CHECK: ")


def test_lengths_of_time_and_sizes_have_units() -> None:
    """In HAProxy's words; a number alone counts milliseconds, or bytes."""
    assert [parse_duration(text) for text in ("5s", "1H", "250", "24d")] == ["5s", "1h", "250ms", "24d"]
    assert [parse_size(text) for text in ("0", "1k", "2M", "3gb", "10")] == [0, 1024, 2 << 20, 3 << 30, 10]
    for text in ("", "0s", "25d", "5 weeks", "-1s", "1.5h"):
        with pytest.raises(ValueError, match=r"is (not a length of time|out of range)"):
            parse_duration(text)
    with pytest.raises(ValueError, match="is not a size"):
        parse_size("-1")


def test_every_setting_finds_its_place() -> None:
    """One container that says all of it."""
    assert policy(
        BALANCE="leastconn",
        COOKIE="SRV insert indirect nocache",
        OPTION="httpclose, redispatch",
        HTTP_CHECK="/up",
        TIMEOUT_SERVER="5m",
        TIMEOUT_TUNNEL="1d",
        TIMEOUT_CLIENT="5m",
        GZIP_COMPRESSION_TYPE="text/html text/css",
        HSTS_MAX_AGE="60",
        CLIENT_MAX_BODY_SIZE="8m",
        NETWORK_ACCESS="internal",
        HTTP_BASIC_AUTH="ann:secret",
        HTTP_BASIC_AUTH_SECURE=f"bob:{SHA_512}",
        KEEPALIVE="disabled",
    ) == Policy(
        balance="leastconn",
        cookie="SRV insert indirect nocache",
        options=("http-server-close", "httpclose", "redispatch"),
        http_check=HttpCheck("GET", "/up"),
        timeouts=(("server", "5m"), ("tunnel", "1d")),
        client_timeout="5m",
        compression=("text/html", "text/css"),
        hsts="max-age=60",
        max_body_size=8 << 20,
        internal=True,
        protected=True,
        credentials=(Credential("ann", "secret", hashed=False), Credential("bob", SHA_512, hashed=True)),
    )


def test_a_bad_setting_costs_itself() -> None:
    """The others of the same container are used."""
    read, reasons = read_policy(container(BALANCE="fastest", COOKIE="SRV insert", MAX_BODY_SIZE="big"), Policy())
    assert read == Policy(cookie="SRV insert")
    assert [reason.partition(":")[0] for reason in reasons] == ["BALANCE", "MAX_BODY_SIZE"]


def test_a_door_that_is_misspelt_stays_shut() -> None:
    """Who asks for a guard and gets the words wrong is not left without one."""
    read, reasons = read_policy(container(NETWORK_ACCESS="intern", HTTP_BASIC_AUTH=SECRET), Policy())
    assert (read.internal, read.protected, read.credentials) == (True, True, ())
    assert "HTTP_BASIC_AUTH: none of its users can be used, so nobody can sign in" in reasons
    assert SECRET not in str(reasons)


def test_the_proxys_users_may_sign_in_everywhere() -> None:
    """But where a service excludes itself; a service's own come beside them."""
    ours = Policy(protected=True, credentials=(Credential("root", "x", hashed=False),))
    added = read_policy(container(HTTP_BASIC_AUTH="ann:y"), ours)[0]
    assert [credential.user for credential in added.credentials] == ["ann", "root"]
    assert read_policy(container(), ours)[0].credentials == ours.credentials
    assert not read_policy(container(EXCLUDE_BASIC_AUTH="yes"), ours)[0].protected
    assert read_policy(container(EXCLUDE_BASIC_AUTH="perhaps"), ours)[0].protected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ann:$apr1$abc$def", "of no kind that works"),
        ("ann:{SHA}abc=", "of no kind that works"),
        (f"ann:$2y$12${'a' * 53}", "takes so long to check"),
        (f"ann:$6$rounds=500000$salt${'a' * 86}", "takes so long to check"),
        (":secret", "has no name"),
        ("ann:", "has no password"),
        ("secret", "without ':'"),
    ],
)
def test_a_hash_that_cannot_be_used_is_named_by_its_user(text: str, reason: str) -> None:
    """Neither hash nor password is told."""
    users, (doubt,) = parse_credentials(text, hashed=True)
    assert users == ()
    assert reason in doubt
    assert "secret" not in doubt
    assert "$2y$" not in doubt


@given(st.text(max_size=60), st.booleans())
def test_credentials_are_one_line_each(text: str, hashed: bool) -> None:
    """Whatever a user is called."""
    for credential in parse_credentials(text, hashed=hashed)[0]:
        assert credential.line.isprintable()


def test_the_newest_container_decides() -> None:
    """While a new version replaces an old one, the new one's settings hold, whatever order Docker lists them in."""
    old, new = container("web-2", 1, BALANCE="first"), container("web-1", 2, BALANCE="source")
    for order in ((old, new), (new, old)):
        merged, (reason,) = policy_of(order, Policy())
        assert merged.balance == "source"
        assert reason == "its containers disagree on balance: what the newest, web-1, says counts"


def test_access_is_as_strict_as_the_strictest() -> None:
    """A newer container opens no door of an older one."""
    old = container("web-2", 1, NETWORK_ACCESS="internal", HTTP_BASIC_AUTH="ann:x")
    merged, _ = policy_of((container("web-1", 2), old), Policy())
    assert merged.internal
    assert [credential.user for credential in merged.credentials] == ["ann"]


def test_a_server_with_other_words_is_another_server() -> None:
    """What a running server was told cannot be changed: it is exchanged for one of another name."""
    plain, special = (
        only_backend(container(**said)).servers[0] for said in ({}, {"EXTRA_ROUTE_SETTINGS": "maxconn 5"})
    )
    assert plain.name == "web-1"
    assert special.name.startswith("web-1-")
    assert special.parameters == "10.0.0.1:80 check inter 2s rise 2 fall 3 maxconn 5"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HEALTH_CHECK": "off"}, ()),
        ({"HEALTH_CHECK": "inter 5s fall 1"}, ("check", "inter 5s", "fall 1")),
        ({"FAILOVER": "yes"}, (*ServerSettings().check, "backup")),
        ({"FAILOVER": "no"}, ServerSettings().check),
        ({"KEEPALIVE": "4"}, (*ServerSettings().check, "pool-max-conn 4")),
        ({"HEALTH_CHECK": "ca-file /etc/passwd"}, ("check",)),
    ],
)
def test_a_container_says_how_it_is_checked_and_used(settings: dict[str, str], words: tuple[str, ...]) -> None:
    """In HAProxy's words, as far as they are harmless."""
    (server,) = only_backend(container(**settings)).servers
    assert server.words == words


def test_a_cookie_names_each_server_by_a_digest() -> None:
    """Its value says nothing about containers, and stays the same when one is made anew."""
    backend = only_backend(container("web-1", 1, COOKIE="S insert"), container("web-2", 1, COOKIE="S insert"))
    values = [server.words[-1] for server in backend.servers]
    assert len(set(values)) == 2
    again = only_backend(container("web-1", 9, COOKIE="S insert"), container("web-2", 9, COOKIE="S insert"))
    assert [server.words[-1] for server in again.servers] == values
    assert "web" not in "".join(values)


def test_no_password_is_asked_for_in_clear_text_where_https_is_there() -> None:
    """Even where redirects are turned off: from the moment the host has a certificate."""
    guarded = container(VIRTUAL_HOST="a.test", HTTPS_METHOD="noredirect", HTTP_BASIC_AUTH="ann:x")
    redirects = {route.listener: route.redirect for route in built(guarded, covered="a.test").routes}
    assert redirects == {"plain": True, "tls": False}
    assert not any(route.redirect for route in built(guarded).routes)
    alone = container(VIRTUAL_HOST="http://a.test", HTTP_BASIC_AUTH="ann:x")
    assert not any(route.redirect for route in built(alone, covered="a.test").routes)


@pytest.mark.parametrize(
    ("settings", "pinned"),
    [
        ({}, True),
        ({"HTTPS_METHOD": "noredirect"}, False),
        ({"FORCE_SSL": "yes"}, True),
        ({"HTTPS_METHOD": "nohttp"}, True),
    ],
)
def test_browsers_may_insist_where_plain_http_leads_to_https(settings: dict[str, str], pinned: bool) -> None:
    """And nowhere else: a host that is also served in clear text must stay reachable so (RFC 6797 section 7.2)."""
    assert {rule.pinned for rule in built(container(**settings)).rules if rule.place.listener == "tls"} == {pinned}


@given(st.dictionaries(st.sampled_from(sorted(SETTINGS)), st.text(max_size=40), max_size=6))
def test_no_text_breaks_the_reading(settings: dict[str, str]) -> None:
    """Whatever a container says, its settings are read; secrets are in no reason."""
    assert read_policy(container(**settings), Policy())
