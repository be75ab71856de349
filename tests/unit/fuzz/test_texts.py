"""Whatever somebody writes into a label, a variable or a file: a value, or a reason, before long."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letsencrypt import admission, certonly, directory, lineages, resolver, schedule
from proxy_agent import access_log, default_root, departures, server_states, settings_grammar, settings_tls
from proxy_agent.daemon.settings import parse_duration as parse_length_of_time
from proxy_agent.routing import (
    access,
    acme,
    balance,
    checks,
    directives,
    expressions,
    hosts,
    legacy,
    multiports,
    options,
    paths,
    policies,
    ports,
    rawtext,
    rotation,
    server_settings,
    server_words,
    tcp,
    values,
    virtual_host,
)
from proxy_agent.tls import names, policy
from tests.unit.fuzz.mangled import FEW, is_survived, regressions, texts

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
URL = "https://acme.example/directory"
MULTIPORTS = """\
a.test:
  "/":
    port: 80
  "/api/":
    port: 9000
    dest: "/"
    proto: https
"~^x[0-9]+\\\\.test$": {}
"""
STATES = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port
3 shop 1 shop-1 10.0.0.1 2 0 8000
3 shop 2 shop-2 2001:db8::1 2 1 8000
"""


def judge(text: str) -> None:
    """A raw line of a container, from text to verdict and translation."""
    words = rawtext.parse_line(text)
    if words:
        directives.judge(words, strict=True)
        directives.without_dns(words)
        legacy.translate(words)
        rawtext.write_line(words)


PARSERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    # What containers say.
    "virtual hosts": (
        virtual_host.parse_virtual_hosts,
        ("a.test", "https://*.a.test:8443/x/*,b.test/y", r"~^(a|b)+\.test$", "*/app/", "wss://a.*", "[2001:db8::1]:80"),
    ),
    "virtual host": (virtual_host.parse_virtual_host, ("http://a.test:80/x", "*.a.test")),
    "multiports": (multiports.parse_multiports, (MULTIPORTS, "a.test: {/: {port: 1}}", "&a [*a, *a]", "? [x]\n: y")),
    "item path": (paths.parse_item_path, ("/x/*", "~ ^/(a+)+$", "/x.php")),
    "virtual path": (paths.parse_virtual_path, ("/x/", "~ ^/x", "= /x", "~* x$")),
    "destination": (paths.parse_destination, ("/", "/x/y", "http://x")),
    "credentials": (lambda text: access.parse_credentials(text, hashed=False), ("user:pass,other:word", "u:p:q")),
    "hashed credentials": (lambda text: access.parse_credentials(text, hashed=True), ("u:$6$salt$hash", "u:$2y$10$x")),
    "htpasswd": (access.parse_htpasswd, ("u:$apr1$x$y\n# z\nv:$2y$05$" + "a" * 53, "u:{SHA}x=\n")),
    "server words": (server_words.read_server_words, ("maxconn 100 slowstart 10s check inter 2s", "send-proxy ssl")),
    "words of a server": (server_words.parse_server_words, ("weight 5", "cookie x")),
    "names": (acme.parse_names, ("a.test, b.test", "192.0.2.1;xn--bcher-kva.test")),
    "list": (rawtext.split_list, ("a; b\nc", 'x "y;z" w')),
    "file": (rawtext.split_file, ("a b\n# c\n  d 'e f' \\\n",)),
    "raw line": (
        judge,
        (
            'http-request set-header X "%[src] y" if { src 10.0.0.0/8 }',
            "acl x path_reg ^/(a+)+$",
            "rspadd X:\\ y",
            "reqrep ^([^\\ ]*)\\ /x(.*) \\1\\ /\\2",
            "stick-table type ip size 1m expire 10m",
            "option httpchk GET /",
        ),
    ),
    "items": (values.parse_list, ("a, b",)),
    "switch": (values.parse_switch, ("yes", "off")),
    "duration": (values.parse_duration, ("10s", "1500ms", "2h")),
    "size": (values.parse_size, ("10m", "1g", "1024")),
    "HSTS": (policies.parse_hsts, ("max-age=31536000; includeSubDomains; preload", "off")),
    "TCP port": (tcp.parse_tcp_port, ("5432", "993/ssl")),
    "balance": (balance.parse_balance, ("leastconn", "url_param id", "hdr(X-Id)", "hash req.cook(x)")),
    "cookie": (balance.parse_cookie, ("SRV insert indirect nocache", "X prefix", "Y insert domain .a.test maxidle 1h")),
    "host": (hosts.parse_host, ("a.test", "*.a.test", "a.*", r"~^x\d{1,3}\.test$", "[::1]")),
    "port": (ports.parse_port, ("80", "65535")),
    "docker health": (rotation.parse_docker_health, ("use", "require")),
    "health check": (server_settings.parse_health_check, ("check inter 2s rise 2 fall 3", "check port 80")),
    "expression": (
        expressions.parse_expression,
        (r"^(a|b)*\.test$", r"(a*)*b", r"\p{L}+[[:alpha:]]{1,3}", "(?i)x", "(" * 50 + ")" * 50, "[" * 50),
    ),
    "proto": (options.parse_proto, ("http", "grpcs", "fastcgi")),
    "HTTP check": (checks.parse_http_check, ("GET /x HTTP/1.1\\r\\nHost:\\ a.test", "HEAD /")),
    "check options": (checks.parse_options, ("httpchk, nolinger",)),
    "keepalive": (checks.parse_keepalive, ("16", "disabled", "auto")),
    "signal": (departures.parse_signal, ("SIGTERM", "RTMIN+3", "15")),
    # What HAProxy says.
    "server states": (server_states.parse_server_states, (STATES,)),
    "server states left": (server_states.without_those_set_aside, (STATES,)),
    # What operators say.
    "length of time": (parse_length_of_time, ("90s", "5m", "1d")),
    "timeouts": (settings_grammar.parse_timeouts, ("client 2m, server 30s", "timeout connect 5000")),
    "options": (settings_grammar.parse_options, ("nolinger, http-server-close",)),
    "networks": (settings_grammar.parse_networks, ("10.0.0.0/8,2001:db8::/32",)),
    "trusted": (settings_grammar.parse_trusted, ("yes", "10.0.0.0/8")),
    "resolvers": (settings_grammar.parse_resolvers, ("127.0.0.11", "dns:53 [::1]:53")),
    "login": (settings_grammar.parse_login, ("user:word",)),
    "reload timeout": (settings_grammar.parse_reload_timeout, ("30", "-1")),
    "path": (settings_grammar.parse_path, ("/healthz",)),
    "services": (settings_grammar.parse_services, ("a,b",)),
    "PEM": (settings_tls.parse_pem, ("-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----",)),
    "default root": (default_root.parse_default_root, ("301 https://a.test$request_uri", "404", "none")),
    "identifier": (names.parse_identifier, ("a.test", "*.a.test", "192.0.2.1", "bücher.test")),
    "TLS policy": (policy.parse_policy, ("Mozilla-Modern",)),
    "ciphers": (policy.parse_ciphers, ("ECDHE+AESGCM:!aNULL", "ALL:@SECLEVEL=0")),
    "bind options": (policy.parse_bind_options, ("ssl-min-ver TLSv1.3 no-tls-tickets",)),
    "log format": (access_log.parse_format, ("$remote_addr - $request_time", "$http_user_agent")),
    "domains": (lineages.parse_domains, ("a.test,b.test;c.test", "[a.test b.test]")),
    "lineage name": (lineages.parse_lineage_name, ("a.test", "*.a.test")),
    "certbot's options": (certonly.parse_options, ("--staging --key-type ecdsa", "--server 'https://x/y' -v")),
    "directory": (certonly.parse_directory, (URL, "https://[::1]:14000/dir")),
    "allowed": (admission.parse_allowed, (".a.test,*.b.test,c.test",)),
    "servers": (admission.parse_servers, (f"{URL},https://b.test/x",)),
    # What the network says.
    "resolv.conf": (resolver.parse_resolv_conf, ("nameserver 127.0.0.11\nnameserver fe80::1%eth0\n",)),
    "Retry-After": (
        lambda text: schedule.parse_retry_after(text, NOW),
        ("120", "Thu, 01 Jan 2026 12:01:00 GMT", "Thu, 01 Jan 9999 23:59:59 -2359"),
    ),
    "Date": (lambda text: directory._skew(text, NOW), ("Thu, 01 Jan 2026 12:01:00 GMT", "1 Jan 0001 00:00:00 +2359")),
}
FOUND: list[tuple[str, object]] = [
    ("server states", "\r0"),
    ("server states", "1\n# be_name srv_name srv_addr srv_admin_state srv_port\na b c x ²\n"),
    ("identifier", "*.a.test" * 2500),
    *((name, f"Thu, 01 Jan 2026 12:01:00 +{'9' * 30}") for name in ("Retry-After", "Date")),
    ("identifier", "ü" * 20_000),
    ("words of a server", " ".join(map(str, range(4000)))),
]
"""What once broke a parser, with its name: tried first for ever."""


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=FEW)
@given(data=st.data())
def test_a_parser_of_text_survives_anything(parser: str, data: st.DataObject) -> None:
    """It returns or says what is wrong; it neither fails in another way nor thinks for seconds."""
    parse, good = PARSERS[parser]
    is_survived(parse, data.draw(texts(*good)))


@pytest.mark.parametrize("parser", PARSERS)
def test_what_broke_a_parser_once_does_not_again(parser: str) -> None:
    """And what is good is taken, as is nothing at all."""
    parse, good = PARSERS[parser]
    for content in (*regressions(FOUND, parser), *good, ""):
        is_survived(parse, content)
