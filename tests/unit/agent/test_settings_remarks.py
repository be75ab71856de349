"""proxy_agent.settings_remarks: what an operator is told of settings that can be used nonetheless."""

import pytest

from proxy_agent.settings import load


def doubts(**environment: str) -> list[str]:
    """All that is said."""
    return [str(doubt) for doubt in load({"DESCRIPTOR_LIMIT": "1048576", **environment}).doubts]


def test_a_plain_environment_is_fine() -> None:
    """What every container has is not remarked upon, nor is what asks for what is done anyway."""
    ordinary = {"PATH": "/usr/bin", "HOSTNAME": "haproxy", "HOME": "/", "PYTHONPATH": "/opt", "TZ": "UTC"}
    assert doubts(**ordinary, NO_COLOR="1", MODE="http", ACME_HTTP_CHALLENGE_ACCEPT_UNKNOWN_HOST="true") == []


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("NBPROC", "2", "uses all processors"),
        ("HAPROXY_USER", "haproxy", "without privileges"),
        ("MODE", "tcp", "TCP_PORTS"),
        ("FORCE_DEFAULT_BACKEND", "True", "VIRTUAL_HOST=*"),
        ("WEB_PORT_80_TCP_ADDR", "172.17.0.2", "Docker's API"),
        ("WEB_ENV_SECRET", "s3cret", "Docker's API"),
        ("DOCKERCLOUD_AUTH", "s3cret", "Docker's API"),
        ("DHPARAM_BITS", "2048", "not offered"),
        ("NGINX_WORKERS", "4", "nginx alone"),
        ("DEBUG_ENDPOINT", "true", "companion status"),
        ("DEFAULT_RENEW", "60", "without a setting"),
        ("CA_BUNDLE", "/ca.pem", "letsencrypt container"),
    ],
)
def test_a_variable_of_another_proxy_is_told_once(variable: str, value: str, advice: str) -> None:
    """By its name, with what to do; never with its value."""
    (doubt,) = doubts(**{variable: value})
    assert doubt.startswith(f"{variable}: has no effect: ")
    assert advice in doubt
    assert "s3cret" not in doubt


@pytest.mark.parametrize(
    ("written", "meant"), [("FORCESSL", "FORCE_SSL"), ("STATS_PORTS", "STATS_PORT"), ("DEFAULT_R00T", "")]
)
def test_a_letter_too_many_or_too_few_is_asked_about(written: str, meant: str) -> None:
    """One letter, not two: other programs have variables too."""
    assert doubts(**{written: "x"}) == ([f"{written}: is no setting: is {meant} meant?"] if meant else [])


@pytest.mark.parametrize("reason", [{"ENABLE_PROXY_PROTOCOL": "yes"}, {"SSL_POLICY": "AWS-TLS-1-2-2017-01"}])
def test_http3_needs_udp_and_tls_1_3(reason: dict[str, str]) -> None:
    """Where it cannot be it is not offered, and that is said."""
    settings = load({"ENABLE_HTTP3": "yes", **reason})
    assert not settings.offers_http3
    assert [doubt.what for doubt in settings.doubts] == ["ENABLE_HTTP3"]
    assert load({"ENABLE_HTTP3": "yes"}).offers_http3


def test_client_certificates_need_tls_1_3() -> None:
    """Below it the agent, which has none, would not see the certificate that it has to check."""
    settings = load({"SSL_POLICY": "AWS-TLS-1-2-2017-01", "CA_CERT_FILE": "/ca.pem"})
    assert (settings.tls.lowest, settings.tls.highest) == ("TLSv1.2", "TLSv1.3")
    assert [doubt.what for doubt in settings.doubts] == ["SSL_POLICY"]


def test_values_that_count_in_part_are_told() -> None:
    """Each by its variable."""
    told = doubts(
        TIMEOUT="client 60",
        OPTION="nonsense",
        MAXCONN="9000000",
        SKIP_FORWARDED_PROTO="yes",
        SSL_POLICY="Mozilla-Ancient",
        SSL_BIND_OPTIONS="ssl-min-ver TLSv1.0",
        EXTRA_SSL_CERTS="NOT_THERE",
        FORCE_SSL="yes",
        HTTPS_METHOD="nohttp",
        MONITOR_URI="/alive",
    )
    assert sorted(line.partition(":")[0] for line in told) == [
        *("EXTRA_SSL_CERTS", "FORCE_SSL", "MAXCONN", "MONITOR_URI", "OPTION"),
        *("SKIP_FORWARDED_PROTO", "SSL_BIND_OPTIONS", "SSL_POLICY", "TIMEOUT"),
    ]


def test_the_limit_of_open_files_bounds_connections() -> None:
    """HAProxy would not start at all otherwise."""
    settings = load({"MAXCONN": "4000", "DESCRIPTOR_LIMIT": "5000"})
    assert (settings.connections, settings.descriptors) == (2000, 50_000)
    assert load({"MAXCONN": "60000", "DESCRIPTOR_LIMIT": "1048576"}).descriptors == 121_000
    assert load({"DESCRIPTOR_LIMIT": "1024"}).connections is None
