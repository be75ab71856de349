"""proxy_agent.settings_grammar, access_log and default_root: text of the operator becomes values without syntax."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent import settings_grammar as grammar
from proxy_agent.access_log import parse_format
from proxy_agent.default_root import parse_default_root
from proxy_agent.routing.values import haproxy_word


def test_timeouts_are_merged_over_the_defaults() -> None:
    """Naming one keeps the others; a bare number is milliseconds, and a small one is doubted."""
    read = grammar.parse_timeouts("client 50000, timeout server 30s ,tarpit 5s, queue 60")
    assert read.value == {
        **grammar.DEFAULT_TIMEOUTS,
        "client": "50000ms",
        "server": "30s",
        "tarpit": "5s",
        "queue": "60ms",
    }
    assert read.doubts == ("'queue 60' means milliseconds: write 'queue 60s' for seconds",)


@pytest.mark.parametrize(
    "text", ["client", "client 0", "client -1s", "client 5s 6s", "clients 5s", "client 9999d", "client 1w", "x\n y 5s"]
)
def test_a_timeout_that_is_none_is_refused(text: str) -> None:
    """Nothing waits for ever, and nothing is guessed."""
    with pytest.raises(ValueError, match="write"):
        grammar.parse_timeouts(text)


def test_options_are_those_on_the_list() -> None:
    """What is done anyway is passed over, what HAProxy would not take is left out and said."""
    read = grammar.parse_options("httplog, forwardfor except 127.0.0.1, option nolinger, redispatch 3, http-use-htx")
    assert read.value == ("nolinger", "redispatch 3")
    assert read.doubts == (
        "'http-use-htx' is left out: it is none of the options that HAProxy 3.0 takes for all services",
    )


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("no", ()),
        ("False", ()),
        ("yes", grammar.EVERYWHERE),
        ("10.1.2.3/8,2001:DB8::1", (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))),
    ],
)
def test_peers_are_nobody_everybody_or_networks(text: str, networks: tuple[object, ...]) -> None:
    """A word for the first two; a network may be written by one of its addresses."""
    assert grammar.parse_trusted(text) == networks


@pytest.mark.parametrize("text", ["maybe", "10.0.0.0/33", "fe80::1%eth0", "localhost", "10.0.0.0/8;::1"])
def test_what_is_no_network_trusts_nobody(text: str) -> None:
    """It is refused, not ignored."""
    with pytest.raises(ValueError, match=r"is no network: write 10\.0\.0\.0/8"):
        grammar.parse_trusted(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("logs", "logs:514"),
        ("my_logs.lan:6514", "my_logs.lan:6514"),
        ("192.0.2.1", "192.0.2.1:514"),
        ("[2001:DB8::1]:99", "2001:db8::1:99"),
        ("2001:db8::1", "2001:db8::1:514"),
    ],
)
def test_a_host_may_have_a_port(text: str, written: str) -> None:
    """Names as Docker has them, too; IPv6 with a port stands in brackets."""
    assert str(grammar.parse_host_port(text, 514)) == written


@pytest.mark.parametrize("text", ["", ":514", "a b", "a:0", "a:65536", "a\nb", "a:b:c", "-x", "[a]:1", "a;b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    """It would be a word of HAProxy's configuration."""
    with pytest.raises(ValueError, match=r"no host|no port"):
        grammar.parse_host_port(text, 514)


@pytest.mark.parametrize(("text", "span"), [("0", "1h"), ("-1", "1s"), ("30", "30s"), ("007", "7s")])
def test_reloads_leave_workers_their_time(text: str, span: str) -> None:
    """As dockercloud/haproxy took it, but 0 is not for ever."""
    assert grammar.parse_reload_timeout(text) == span


def test_a_login_shows_its_password_to_nobody() -> None:
    """Neither in a traceback nor in a refusal."""
    assert "s3cret" not in repr(grammar.parse_login("me:s3cret"))
    with pytest.raises(ValueError, match="user:password") as refused:
        grammar.parse_login("m e:s3cret")
    assert "s3cret" not in str(refused.value)


@given(st.text())
def test_quoted_text_is_one_word_without_meaning(text: str) -> None:
    """Between single quotes everything is literal but the quote, which is written outside of them (manual, 2.2)."""
    inside = haproxy_word(text)
    assert inside.startswith("'")
    assert inside[1:-1].replace("'\\''", "\0") == text.replace("'", "\0")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("$remote_addr [$time_iso8601]", "%ci [%[accept_date,utime(%Y-%m-%dT%H:%M:%SZ)]]"),
        ("${host} $status", "%[var(txn.host)] %ST"),
        ("%ci:%cp [%tr] %{+Q}r %[src]", "%ci:%cp [%tr] %{+Q}r %[src]"),
        ("100%% $host", "100%% $host"),
    ],
)
def test_the_access_log_takes_two_dialects(text: str, written: str) -> None:
    """Variables of nginx's, or HAProxy's own where there is a per cent sign."""
    assert parse_format(text) == written


@pytest.mark.parametrize(
    "text",
    ["$nosuch", "%nosuch", "%[src", "%[src]\n    log x", "%", "%[lua.x;y]", "x" * 1001, "$upstream_cache_status"],
)
def test_a_variable_that_does_not_exist_is_refused(text: str) -> None:
    """HAProxy would refuse the whole configuration for it."""
    with pytest.raises(ValueError, match=r"printable|counterpart|none of HAProxy's"):
        parse_format(text)


@pytest.mark.parametrize(
    "text",
    ["", "40", "4040", "999", "301", "301 ", "200 https://a.test", "none x", "302 javascript:x", "301 //a b", "302 $x"],
)
def test_a_default_root_that_is_none_is_refused(text: str) -> None:
    """A status alone where HAProxy can say it, and a redirect with where to."""
    with pytest.raises(ValueError, match=r"write 404|write \$scheme|is no answer"):
        parse_default_root(text)


@given(st.text(st.characters(codec="utf-8")))
def test_no_location_ends_its_line(text: str) -> None:
    """Whatever is accepted is one quoted word."""
    try:
        root = parse_default_root(f"301 https://a.test/{text}")
    except ValueError:
        return
    assert root.location.isprintable()
    assert root.location.count("'") == 2
