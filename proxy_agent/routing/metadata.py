"""What a container says of itself: each setting as the label ``proxy.<name>`` or as an environment variable."""

import re
from collections.abc import Iterator, Mapping

from proxy_agent.routing.misspelled import misspelled
from proxy_agent.routing.model import Container
from proxy_agent.routing.ports import parse_port

LABEL_PREFIX = "proxy."

VIRTUAL_HOST = "VIRTUAL_HOST"
VIRTUAL_HOST_MULTIPORTS = "VIRTUAL_HOST_MULTIPORTS"
VIRTUAL_HOST_WEIGHT = "VIRTUAL_HOST_WEIGHT"
VIRTUAL_PATH = "VIRTUAL_PATH"
VIRTUAL_DEST = "VIRTUAL_DEST"
VIRTUAL_PORT = "VIRTUAL_PORT"
VIRTUAL_PROTO = "VIRTUAL_PROTO"
VIRTUAL_ROOT = "VIRTUAL_ROOT"
FORCE_SSL = "FORCE_SSL"
HTTPS_METHOD = "HTTPS_METHOD"
NON_GET_REDIRECT = "NON_GET_REDIRECT"
DOCKER_HEALTH = "DOCKER_HEALTH"
EXCLUDE_PORTS = "EXCLUDE_PORTS"
SSL_POLICY = "SSL_POLICY"
ENABLE_HTTP_ON_MISSING_CERT = "ENABLE_HTTP_ON_MISSING_CERT"
EXTERNAL_HTTP_PORT = "EXTERNAL_HTTP_PORT"
EXTERNAL_HTTPS_PORT = "EXTERNAL_HTTPS_PORT"
TCP_PORTS = "TCP_PORTS"
CERT_NAME = "CERT_NAME"
ENABLE = "ENABLE"
NETWORK = "NETWORK"
SETTINGS = frozenset(
    {
        *(VIRTUAL_HOST, VIRTUAL_HOST_WEIGHT, VIRTUAL_PATH, VIRTUAL_DEST, VIRTUAL_PORT, VIRTUAL_PROTO, VIRTUAL_ROOT),
        *(VIRTUAL_HOST_MULTIPORTS, FORCE_SSL, HTTPS_METHOD, NON_GET_REDIRECT),
        # Listeners and certificates.
        *(EXTERNAL_HTTP_PORT, EXTERNAL_HTTPS_PORT, TCP_PORTS, EXCLUDE_PORTS),
        *("SSL_POLICY", "SSL_CERT", "DEFAULT_SSL_CERT", CERT_NAME),
        *("ENABLE_HTTP_ON_MISSING_CERT", "ACME_HTTP_CHALLENGE_LOCATION"),
        # What happens to requests.
        *("BALANCE", "COOKIE", "KEEPALIVE", "HTTP_CHECK", "HEALTH_CHECK", "EXTRA_ROUTE_SETTINGS", "FAILOVER", "OPTION"),
        *("MAX_BODY_SIZE", "CLIENT_MAX_BODY_SIZE", "GZIP_COMPRESSION_TYPE", "HSTS", "HSTS_MAX_AGE"),
        *("TIMEOUT_CLIENT", "TIMEOUT_CONNECT", "TIMEOUT_QUEUE", "TIMEOUT_SERVER", "TIMEOUT_TUNNEL"),
        *("NETWORK_ACCESS", "HTTP_BASIC_AUTH", "HTTP_BASIC_AUTH_SECURE", "EXCLUDE_BASIC_AUTH"),
        *(DOCKER_HEALTH, "EXTRA_SETTINGS"),
        # Certificates that are asked for.
        *("ACME_HOST", "ACME_SINGLE_DOMAIN_CERTS", "ACME_EMAIL", "ACME_KEYSIZE", "ACME_RENEW_PRIVATE_KEYS"),
        *("LETSENCRYPT_HOST", "LETSENCRYPT_SINGLE_DOMAIN_CERTS", "LETSENCRYPT_EMAIL", "LETSENCRYPT_KEYSIZE"),
        *("LETSENCRYPT_TEST", "ACME_CA_URI", "ACME_EAB_KID", "ACME_EAB_HMAC_KEY", "ACME_CERT_PROFILE"),
        *("ACME_PREFERRED_CHAIN", "ACME_RENEW_AFTER", "ACME_OCSP", "ACME_CHALLENGE", "ACMESH_DNS_API_CONFIG"),
        *("ZEROSSL_API_KEY", "ACME_PRE_HOOK", "ACME_POST_HOOK", "ACME_RESTART_CONTAINER"),
        *("LETSENCRYPT_RESTART_CONTAINER",),
        # Labels alone: an application may have variables of these names.
        *(ENABLE, NETWORK),
    }
)
_LABELS_ALONE = frozenset({ENABLE, NETWORK})

DEFAULT_PORT = 80
_EXCLUDED_PORT = re.compile(r"([1-9][0-9]{0,4})(?:/tcp|(/udp|/sctp))?", re.ASCII)
"""Of another protocol, the second group: never a candidate."""


def label_of(setting: str) -> str:
    """The label that carries *setting*.

    >>> label_of("VIRTUAL_HOST")
    'proxy.virtual-host'
    """
    return LABEL_PREFIX + setting.lower().replace("_", "-")


_NGINX_PROXY = "com.github.nginx-proxy.nginx-proxy."
_ALIASES = {
    "BALANCE": f"{_NGINX_PROXY}loadbalance",
    "KEEPALIVE": f"{_NGINX_PROXY}keepalive",
    NON_GET_REDIRECT: f"{_NGINX_PROXY}non-get-redirect",
}
"""Labels of nginx-proxy that mean the same as a setting of ours."""
DEACTIVATE_LABEL = "com.docker.dockercloud.haproxy.deactivate"
"""What switched a container off before there was ``proxy.enable``."""
_LABELS = frozenset({*map(label_of, SETTINGS), *_ALIASES.values(), DEACTIVATE_LABEL})


_MEANT = (SETTINGS - _LABELS_ALONE) | _LABELS


def questions(container: Container) -> Iterator[str]:
    """What to ask about names that are almost a setting's."""
    for name, meant in misspelled(container.settings, _MEANT):
        yield f"{name} is no setting: is {meant} meant?"


def relevant(environment: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """Only what is ours, sorted: the rest of a container's environment is none of our business and may be secret."""
    ours = {name: value for name, value in environment.items() if name.upper() in SETTINGS - _LABELS_ALONE}
    ours |= {name: value for name, value in labels.items() if name in _LABELS}
    ours |= {name: "" for name, _ in misspelled((*map(str.upper, environment), *labels), _MEANT)}
    return dict(sorted(ours.items()))


def setting(container: Container, name: str) -> str:
    """The value of setting *name*, or '' where unset: label, variable, variable in any case, label of nginx-proxy's."""
    settings = container.settings
    in_any_case = (value for key, value in settings.items() if key.upper() == name)
    candidates = (
        settings.get(label_of(name), ""),
        settings.get(name, ""),
        *in_any_case,
        settings.get(_ALIASES.get(name, ""), ""),
    )
    return next((value.strip() for value in candidates if value.strip()), "")


def asks_for_routes(container: Container) -> bool:
    """Whether it is to be served at all; TCP_PORTS as a variable may be the application's own, and asks for nothing."""
    by_label = container.settings.get(label_of(TCP_PORTS), "").strip()
    return bool(by_label) or any(setting(container, name) for name in (VIRTUAL_HOST, VIRTUAL_HOST_MULTIPORTS))


def server_port(container: Container) -> int:
    """The port to reach *container* on: VIRTUAL_PORT, else the only exposed one, else 80.

    Raises ValueError where VIRTUAL_PORT is no port, or is needed and unset.
    """
    text = setting(container, VIRTUAL_PORT)
    if text:
        try:
            return parse_port(text)
        except ValueError as error:
            raise ValueError(f"VIRTUAL_PORT={error}") from None
    return exposed_port(container)


def exposed_port(container: Container) -> int:
    """The only exposed port that EXCLUDE_PORTS leaves, else 80; raises ValueError in the host's network."""
    if container.on_host:
        raise ValueError("it is in the host's network, where any port may be anybody's: name its own with VIRTUAL_PORT")
    exposed = _candidates(container)
    return exposed[0] if len(exposed) == 1 else DEFAULT_PORT


def doubts_about_ports(container: Container, named: bool) -> Iterator[str]:
    """What to tell about the port of *container*; *named*: its route names one."""
    for item in _excluded(container):
        if not _EXCLUDED_PORT.fullmatch(item):
            yield f"{EXCLUDE_PORTS}: {item[:40]!r} is not used: write ports such as 8080 or 53/udp"
    exposed = _candidates(container)
    if not (named or setting(container, VIRTUAL_PORT)) and len(exposed) > 1 and DEFAULT_PORT not in exposed:
        several = ", ".join(map(str, exposed))
        yield f"it exposes ports {several} and not {DEFAULT_PORT}, which is used: name one with VIRTUAL_PORT"


def _candidates(container: Container) -> tuple[int, ...]:
    excluded = {match[1] for item in _excluded(container) if (match := _EXCLUDED_PORT.fullmatch(item)) and not match[2]}
    return tuple(port for port in container.exposed_ports if str(port) not in excluded)


def _excluded(container: Container) -> list[str]:
    return [item.strip() for item in setting(container, EXCLUDE_PORTS).split(",") if item.strip()]
