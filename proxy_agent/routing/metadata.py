"""What a container says of itself: each setting as the label ``proxy.<name>`` or as an environment variable."""

from collections.abc import Mapping

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
        *(EXTERNAL_HTTP_PORT, EXTERNAL_HTTPS_PORT, TCP_PORTS, "EXCLUDE_PORTS"),
        *("SSL_POLICY", "SSL_CERT", "DEFAULT_SSL_CERT", CERT_NAME),
        *("ENABLE_HTTP_ON_MISSING_CERT", "ACME_HTTP_CHALLENGE_LOCATION"),
        # What happens to requests.
        *("BALANCE", "COOKIE", "KEEPALIVE", "HTTP_CHECK", "HEALTH_CHECK", "EXTRA_ROUTE_SETTINGS", "FAILOVER", "OPTION"),
        *("MAX_BODY_SIZE", "CLIENT_MAX_BODY_SIZE", "GZIP_COMPRESSION_TYPE", "HSTS", "HSTS_MAX_AGE"),
        *("TIMEOUT_CLIENT", "TIMEOUT_CONNECT", "TIMEOUT_QUEUE", "TIMEOUT_SERVER", "TIMEOUT_TUNNEL"),
        *("NETWORK_ACCESS", "HTTP_BASIC_AUTH", "HTTP_BASIC_AUTH_SECURE", "EXCLUDE_BASIC_AUTH"),
        *("DOCKER_HEALTH", "EXTRA_SETTINGS"),
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
_LABELS = frozenset({*map(label_of, SETTINGS), *_ALIASES.values()})


def relevant(environment: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """Only what is ours, sorted: the rest of a container's environment is none of our business and may be secret."""
    ours = {name: value for name, value in environment.items() if name.upper() in SETTINGS - _LABELS_ALONE}
    ours |= {name: value for name, value in labels.items() if name in _LABELS}
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

    Raises ValueError where VIRTUAL_PORT is no port, or where several ports are exposed and none of them is 80.
    """
    text = setting(container, VIRTUAL_PORT)
    if text:
        try:
            return parse_port(text)
        except ValueError as error:
            raise ValueError(f"VIRTUAL_PORT={error}") from None
    return exposed_port(container)


def exposed_port(container: Container) -> int:
    """The only exposed port, else 80; raises ValueError where several are exposed and none of them is 80."""
    exposed = container.exposed_ports
    if len(exposed) > 1 and DEFAULT_PORT not in exposed:
        raise ValueError(f"it exposes ports {', '.join(map(str, exposed))}: name one with VIRTUAL_PORT")
    return exposed[0] if len(exposed) == 1 else DEFAULT_PORT
