"""Lines written for older versions of HAProxy."""

import re

import pytest

from proxy_agent.routing.legacy import translate, without_old_versions
from proxy_agent.routing.rawtext import parse_line, write_line

TRANSLATED = [
    (r"reqadd X-Team:\ blue\ sky", ["http-request add-header X-Team 'blue sky'"]),
    (r"reqadd X-Share:\ 50% if { path /a }", ["http-request add-header X-Share 50%% if { path /a }"]),
    (r"rspadd X-Team:\ blue unless { status 404 }", ["http-response add-header X-Team blue unless { status 404 }"]),
    (r"reqadd X-Forwarded-Proto:\ https", []),
    (r"reqadd X-Real-IP:\ 1.2.3.4", []),
    (r"reqadd Proxy:\ x", []),
    ("reqdel ^X-Team:", ["http-request del-header X-Team"]),
    ("reqidel ^X-Team:.* if { path /a }", ["http-request del-header X-Team if { path /a }"]),
    ("reqidel ^X-Forwarded-For:", []),
    ("rspdel Server:", ["http-response del-header Server"]),
    ("rspidel ^Server:", ["http-response del-header Server"]),
    (r"reqrep ^([^\ ]*)\ /x/(.*) \1\ /y/\2", [r"http-request replace-path ^/x/(.*) '/y/\1'"]),
    (r"reqrep ^([^\ :]*)\ /(a|b)/(.*) \1\ /\2/c/\3", [r"http-request replace-path ^/(a|b)/(.*) '/\1/c/\2'"]),
    (
        r"reqirep ^([^\ ]*)\ /x/(.*) \1\ /\2 if { path_beg /x/ }",
        [r"http-request replace-path (?i)^/x/(.*) '/\1' if { path_beg /x/ }"],
    ),
    (r"reqirep ^Host:\ (.*) Host:\ www.\1", [r"http-request replace-header Host (?i)^(.*) 'www.\1'"]),
    (
        r"rsprep ^Location:\ http://(.*) Location:\ https://\1",
        [r"http-response replace-header Location ^http://(.*) 'https://\1'"],
    ),
    (
        r"rspirep ^Set-Cookie:\s*(.*) Set-Cookie:\ \1;\ Secure",
        [r"http-response replace-header Set-Cookie (?i)^(.*) '\1; Secure'"],
    ),
    (r"reqirep ^X-Forwarded-For:\ (.*) X-Forwarded-For:\ 1.2.3.4", []),
    ("block if { path /a }", ["http-request deny if { path /a }"]),
    ("redispatch", ["option redispatch"]),
    ("redisp", ["option redispatch"]),
    ("contimeout 5000", ["timeout connect 5000"]),
    ("clitimeout 50000", ["timeout client 50000"]),
    ("srvtimeout 50000", ["timeout server 50000"]),
    ("option forceclose", ["option httpclose"]),
    ("no option forceclose", ["no option httpclose"]),
    ("option http-tunnel", []),
    ("option http-use-htx", []),
    ("no option http-use-htx", []),
    (
        r"option httpchk GET /health HTTP/1.1\r\nHost:\ a.test\r\nX-Check:\ 1",
        [
            "option httpchk",
            "http-check send meth GET uri /health ver HTTP/1.1 hdr Host a.test hdr X-Check 1",
        ],
    ),
    (
        "option httpchk HEAD / HTTP/1.1",
        ["option httpchk", "http-check send meth HEAD uri / ver HTTP/1.1 hdr Host localhost"],
    ),
    ("option httpchk GET /health", ["option httpchk GET /health"]),
    ("option httpchk GET /health HTTP/1.0", ["option httpchk GET /health HTTP/1.0"]),
    ("monitor-net 10.0.0.0/8", ["http-request return status 200 if { src 10.0.0.0/8 }"]),
    *((line, []) for line in ("nbproc 4", "bind-process 1", "stats bind-process 1", "cpu-map 1 0", "debug", "quiet")),
    *((line, []) for line in ("daemon", "pidfile /run/x.pid", "tune.chksize 1000")),
    (
        "ssl-default-bind-options no-sslv3 no-tlsv10 no-tls-tickets",
        ["ssl-default-bind-options no-tls-tickets ssl-min-ver TLSv1.2"],
    ),
    (
        "ssl-default-bind-options no-sslv3 no-tlsv10 no-tlsv11 no-tlsv12",
        ["ssl-default-bind-options ssl-min-ver TLSv1.3"],
    ),
    ("acl www hdr(host) -i www.a.test", ["acl www hdr(host) -i www.a.test"]),
]
"""Every row of the old vocabulary, and what it says today."""

REFUSED = [
    ("reqdeny ^GET", "write http-request deny if { … }"),
    ("reqideny ^GET", "write http-request deny if { … }"),
    ("reqallow ^GET", "write http-request allow if { … }"),
    ("reqiallow ^GET", "write http-request allow if { … }"),
    ("reqpass ^GET", "write http-request allow if { … }"),
    ("reqitarpit ^GET", "write http-request tarpit if { … }"),
    ("rspdeny ^Server", "write http-response deny if { … }"),
    ("rspideny ^Server", "write http-response deny if { … }"),
    (r"rspadd Strict-Transport-Security:\ max-age=1", "HSTS is for that"),
    ("reqdel ^X-.*:", "write http-request del-header NAME, or del-header REGEX -m reg"),
    ("reqadd nothing", "write http-request add-header NAME VALUE"),
    ("reqadd", "write http-request add-header NAME VALUE"),
    (
        r"reqrep ^GET\ /x POST\ /x",
        "write http-request replace-header NAME REGEX VALUE or http-request replace-path; "
        "VIRTUAL_DEST changes the beginning of paths",
    ),
    (r"rspirep ^A:\ (.*) B:\ \1", "write http-response replace-header NAME REGEX VALUE or http-request replace-path"),
    ("mode health", "MONITOR_URI is for that"),
    ("user haproxy", "the image runs unprivileged as it is"),
    ("group haproxy", "the image runs unprivileged as it is"),
    ("chroot /var/empty", "the image runs unprivileged as it is"),
    ("stats socket /run/x.sock", "it is how the agent speaks to HAProxy"),
    ("master-worker", "it is how the agent speaks to HAProxy"),
    ("hard-stop-after 1m", "RELOAD_TIMEOUT is for that"),
    ("grace 1m", "RELOAD_TIMEOUT is for that"),
    ("ssl-default-bind-options ssl-min-ver TLSv1.0", "TLS below 1.2 is not served with it; SSL_POLICY is for that"),
]


@pytest.mark.parametrize(("old", "new"), TRANSLATED)
def test_an_old_line_says_the_same_in_new_words(old: str, new: list[str]) -> None:
    """Or nothing, where it means nothing any more or is done anyway; what is not old stays."""
    assert [write_line(words).replace('"', "'") for words in translate(parse_line(old))] == new


@pytest.mark.parametrize(("old", "reason"), REFUSED)
def test_what_has_no_equivalent_is_refused_with_a_hint(old: str, reason: str) -> None:
    """The hint is what to write instead."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        translate(parse_line(old))


def test_old_versions_of_tls_are_left_out_of_a_bind_line() -> None:
    """What is named besides stays; a lowest version that is named counts."""
    assert without_old_versions(("no-sslv3", "alpn", "h2")) == ("alpn", "h2", "ssl-min-ver", "TLSv1.2")
    assert without_old_versions(("no-sslv3", "ssl-min-ver", "TLSv1.3")) == ("ssl-min-ver", "TLSv1.3")
    assert without_old_versions(("strict-sni",)) == ("strict-sni",)
