"""What raw lines may say."""

import re

import pytest

from proxy_agent.routing.directives import judge, without_dns
from proxy_agent.routing.rawtext import parse_line

HARMLESS = [
    "http-response set-header X-Team blue",
    "http-request set-var(txn.team) str(blue)",
    "http-request set-var-fmt(req.a,ifexists) %[src]",
    "http-request return status 200 content-type text/plain string 'a\\nb' if { path /a }",
    "acl a path_beg /a",
    "stick-table type ip size 100k expire 30m store http_req_rate(10s)",
    "stick-table type string len 32 size 1m",
    "stick on src",
    "http-request track-sc0 src",
    "http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100 }",
    "timeout server 5m",
    "option httpchk GET /health",
    "no option httpclose",
    "http-check expect status 200",
    "http-check send meth GET uri /a body \"a\\nb\"",
    "tcp-request inspect-delay 5s",
    "tcp-request content accept",
    "retry-on conn-failure",
    "errorloc 503 https://status.a.test/",
    "compression algo gzip",
    "mode http",
    "redirect prefix https://a.test if { path /a }",
]  # fmt: skip

HARMFUL = [
    ("server a 127.0.0.1:80", "server is not for containers"),
    ("server-template a 3 a:80", "server-template is not for containers"),
    ("use-server a if { path / }", "use-server is not for containers"),
    ("use_backend other", "use_backend is not for containers"),
    ("default-server ssl crt /certs/a.pem", "EXTRA_ROUTE_SETTINGS is for that"),
    ("bind :8080", "bind is not for containers"),
    ("stats admin if TRUE", "stats is not for containers"),
    ("stats enable", "stats is not for containers"),
    ("dispatch 10.0.0.1:80", "dispatch is not for containers"),
    ("source 10.0.0.1", "source is not for containers"),
    ("filter spoe engine x", "filter is not for containers"),
    ("log 10.0.0.1:514 local0", "log is not for containers"),
    ("id 1", "id is not for containers"),
    ("email-alert to a@a.test", "email-alert is not for containers"),
    ("external-check path /bin/sh", "external-check is not for containers"),
    ("option external-check", "option external-check is not for containers"),
    ("option forwardfor", "HAProxy sets X-Forwarded-For for every service"),
    ("no option dontlognull", "option dontlognull is not for containers"),
    ("http-check connect addr 10.0.0.1 port 22", "http-check connect is not for containers"),
    ("tcp-check connect port 22", "tcp-check connect is not for containers"),
    ("tcp-request content lua.x", "tcp-request is not for containers"),
    ("http-request use-service prometheus-exporter", "http-request use-service is not for containers"),
    ("http-request lua.x", "http-request lua.x is not for containers"),
    ("http-request set-map(/etc/x) %[src] 1", "is not for containers"),
    ("http-request add-acl(/etc/x) %[src]", "is not for containers"),
    ("http-request set-var(proc.x) str(1)", "http-request set-var(proc.x) is not for containers"),
    ("http-request set-src hdr(x)", "http-request set-src is not for containers"),
    ("http-request do-resolve(txn.a,docker) str(a)", "is not for containers"),
    ("http-request return status 200 file /certs/a.pem", "file names a file, which a container may not"),
    ("http-request return status 200 content-type a/b lf-file /certs/a.pem", "lf-file names a file"),
    ("http-error status 503 errorfile /certs/a.pem", "errorfile names a file"),
    ("errorfile 503 /certs/a.pem", "errorfile is not for containers"),
    ("acl a src -f /certs/a.pem", "-f names a file"),
    ("http-request deny if { src -f /certs/a.pem }", "-f names a file"),
    ("http-request set-header X %[str(a),map(/certs/a.pem)]", "it names a file"),
    ("http-request set-header X %[str(a),map_str(/certs/a.pem)]", "it names a file"),
    ("http-request set-header X %[env(SECRET)]", "the environment cannot be read here"),
    ('http-request set-header X "%[ env(SECRET)]"', "the environment cannot be read here"),
    ("http-request set-header X %[\\x65nv(SECRET)]", "the environment cannot be read here"),
    ("http-request set-header X %[var(proc.x)]", "variables of proc. are shared by all services"),
    ("http-request set-header X %[str(a),lua.x]", "Lua is not for containers"),
    ("http-request set-header X %[ssl_fc_session_key,hex]", "it shows keys of TLS connections"),
    ("http-request set-header X %[src,debug(a,stderr)]", "it writes into the log of all services"),
    ("http-response set-header X 'a\\n'", None),
    ('http-response set-header X "a\\r\\nSet-Cookie: b"', "it holds a line break"),
    ("stick-table type ip size 2m", "a table of a container holds 1m entries at most"),
    ("stick-table type ip size 9999999", "a table of a container holds 1m entries at most"),
]

NOBODYS = [
    *("frontend x", "backend x", "listen x", "global", "defaults", "peers x", "resolvers x", "userlist x", "cache x"),
    *("program x", "mailers x", "http-errors x", "ring x", "crt-store x", "fcgi-app x", "log-forward x", "traces"),
    *(".if 1", ".endif", ".alert x", "setenv A b", "unsetenv COMPANION_CONFIGURATION", "default-path origin /"),
    *("server-state-file /x", "localpeer x", "default_backend x", "mode tcp"),
]


@pytest.mark.parametrize("line", HARMLESS)
def test_a_container_may_say_what_concerns_itself(line: str) -> None:
    """Headers, rules, checks, time limits and tables of its own backend."""
    judge(parse_line(line), strict=True)


@pytest.mark.parametrize(("line", "reason"), HARMFUL)
def test_a_container_may_not_say_what_concerns_others(line: str, reason: str | None) -> None:
    """Files, other sections, the environment, or what all share; single quotes keep a backslash as it is."""
    if reason is None:
        judge(parse_line(line), strict=True)
        return
    with pytest.raises(ValueError, match=re.escape(reason)):
        judge(parse_line(line), strict=True)


@pytest.mark.parametrize("line", [line for line, _ in HARMFUL])
def test_the_operator_may(line: str) -> None:
    """It is their proxy."""
    judge(parse_line(line), strict=False)


@pytest.mark.parametrize("line", NOBODYS)
@pytest.mark.parametrize("strict", [True, False])
def test_nobody_may_begin_something_new_or_take_what_is_the_agents(line: str, strict: bool) -> None:
    """A line is a line of one section."""
    with pytest.raises(ValueError, match=r"begins something new|agent|use_backend is for that|TCP_PORTS is for"):
        judge(parse_line(line), strict)


@pytest.mark.parametrize(
    ("line", "guarded"),
    [
        ("acl a src evil.test", "acl a src -n evil.test"),
        ("acl a hdr(x) -m ip evil.test", "acl a hdr(x) -n -m ip evil.test"),
        ("http-request deny if { src 10.0.0.1 } !{ req.hdr_ip(x) b }",
         "http-request deny if { src -n 10.0.0.1 } !{ req.hdr_ip(x) -n b }"),
        ("acl a path /x", "acl a path /x"),
        ("http-request deny if {", "http-request deny if {"),
    ],
)  # fmt: skip
def test_addresses_are_compared_without_dns(line: str, guarded: str) -> None:
    """HAProxy would ask for a name at every start, and not start where nobody answers."""
    assert " ".join(without_dns(parse_line(line))) == guarded
