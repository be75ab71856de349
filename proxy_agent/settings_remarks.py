"""What is odd about settings that can be used nonetheless: parts left out, variables of other proxies, misspellings."""

import re
from collections.abc import Iterable, Iterator, Mapping

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.misspelled import misspelled
from proxy_agent.settings_answers import AnswerSettings
from proxy_agent.settings_grammar import EVERYWHERE
from proxy_agent.settings_tls import TlsSettings
from proxy_agent.settings_traffic import TrafficSettings

_NGINX_ONLY = "it is for nginx alone"
_AUTOMATIC = "it is done without a setting"
_BY_DOCKER = "containers are found through Docker's API, remove it"

_DROPPED: Mapping[str, str] = {
    r"NBPROC": "HAProxy uses all processors by itself, remove it",
    r"HAPROXY_(USER|GROUP)": "the container runs without privileges, remove it",
    r"SWARM_MODE_POLLING_INTERVAL|COMPOSE_HTTP_TIMEOUT": f"{_AUTOMATIC}, remove it",
    r"MODE=(?!http$).*": "services are HTTP; set TCP_PORTS on those that are not",
    r"FORCE_DEFAULT_BACKEND": "only services with VIRTUAL_HOST are exposed; set VIRTUAL_HOST=* on the one meant",
    r"DOCKERCLOUD_\w+|\w+_PORT_\d+_(TCP|UDP)(_ADDR|_PORT|_PROTO)?|\w+_ENV_\w+": _BY_DOCKER,
    r"DHPARAM_(BITS|SKIP)": "cipher suites that need it are not offered, remove it",
    r"SHA1_UPSTREAM_NAME|NGINX_\w+|RELOAD_NGINX_ONLY_ONCE|LOG_FORMAT_ESCAPE": f"{_NGINX_ONLY}, remove it",
    r"DEBUG_ENDPOINT|SERVER_TOKENS": f"{_NGINX_ONLY}; 'companion status' shows what is served",
    r"CERTS_UPDATE_INTERVAL|DEFAULT_RENEW|CREATE_DEFAULT_CERTIFICATE": f"{_AUTOMATIC}, remove it",
    r"CA_BUNDLE": "the authority's own root belongs to the letsencrypt container",
    r"ACME_HTTP_CHALLENGE_ACCEPT_UNKNOWN_HOST=(?!true$).*": "challenges are answered for every host",
}
"""Why a variable of dockercloud/haproxy, nginx-proxy or acme-companion does nothing, and what to do; by expression."""

SILENT = frozenset({"NO_COLOR", "MODE", "ACME_HTTP_CHALLENGE_ACCEPT_UNKNOWN_HOST", "SSL_CERT"})
"""Of their variables, those that ask for what is done anyway."""


def dropped(environ: Mapping[str, str]) -> Iterator[Skipped]:
    """A sentence for each variable of *environ* that had a meaning elsewhere and has none here."""
    for name, value in environ.items():
        for pattern, advice in _DROPPED.items():
            text = f"{name}={value}" if "=" in pattern else name
            if value and re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
                yield Skipped(name, f"has no effect: {advice}")


def questions(names: Iterable[str], known: frozenset[str]) -> Iterator[Skipped]:
    """A question about each of *names* that is almost a known one."""
    return (Skipped(name, f"is no setting: is {meant} meant?") for name, meant in misspelled(names, known))


def http3_doubts(traffic: TrafficSettings, tls: TlsSettings) -> Iterator[Skipped]:
    """Why HTTP/3 is not offered though it is asked for."""
    if traffic.enable_http3 and traffic.enable_proxy_protocol:
        yield Skipped("ENABLE_HTTP3", "is not used: the PROXY protocol does not speak of UDP")
    elif traffic.enable_http3 and tls.tls.highest != "TLSv1.3":
        yield Skipped("ENABLE_HTTP3", "is not used: it needs TLS 1.3, which SSL_POLICY does not allow")


def traffic_doubts(settings: TrafficSettings) -> Iterator[Skipped]:
    """What of the settings about connections is taken otherwise than it was written."""
    yield from (Skipped("TIMEOUT", doubt) for doubt in settings.timeouts.doubts)
    yield from (Skipped("OPTION", doubt) for doubt in settings.options.doubts)
    if settings.connections != settings.asked_connections:
        reason = (
            f"{settings.connections} is used: the container may have {settings.descriptor_limit} files open (ulimits)"
        )
        yield Skipped("MAXCONN", reason)
    if settings.skip_forwarded_proto and settings.trusted_peers in ((), EVERYWHERE):
        reason = "clients can tell services that they came by HTTPS: name your proxies with TRUST_DOWNSTREAM_PROXY"
        yield Skipped("SKIP_FORWARDED_PROTO", reason)


def tls_doubts(settings: TlsSettings) -> Iterator[Skipped]:
    """What of the settings about TLS is taken otherwise than it was written."""
    yield from (Skipped("SSL_POLICY", doubt) for doubt in settings.ssl_policy.doubts)
    yield from (Skipped("SSL_BIND_OPTIONS", doubt) for doubt in settings.policy_doubts)
    if settings.speaks_1_3_for_us:
        yield Skipped("SSL_POLICY", "TLS 1.3 is spoken too: the checks of our own need it where CA_CERT is set")
    for name in settings.extra_ssl_certs:
        if name not in settings.extra_pems:
            yield Skipped("EXTRA_SSL_CERTS", f"{name} is not set in this container")
    if settings.default_ssl_cert and settings.ssl_cert:
        yield Skipped("SSL_CERT", "is not used, because DEFAULT_SSL_CERT is set")


def answer_doubts(settings: AnswerSettings, force_ssl: bool | None) -> Iterator[Skipped]:
    """What of the settings about answers does not count as it was written."""
    if settings.https_method and force_ssl is not None:
        yield Skipped("FORCE_SSL", "is not used, because HTTPS_METHOD is set")
    if (settings.monitor_uri or settings.monitor_port) and not settings.monitor:
        yield Skipped("MONITOR_URI", "is answered only with a MONITOR_PORT, which is another than STATS_PORT")
