"""How a container wants its entries served: everything it says apart from the entries themselves."""

from dataclasses import dataclass

from proxy_agent.routing import metadata
from proxy_agent.routing.metadata import setting
from proxy_agent.routing.model import Container, Proto, Redirect
from proxy_agent.routing.paths import ALL_PATHS, PathPattern, parse_destination, parse_virtual_path
from proxy_agent.routing.ports import parse_port
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.values import parse_switch, parse_switch_or_yes, parse_word

_HEAVIEST = 1_000_000
_PROTOS: dict[str, Proto] = {proto: proto for proto in ("http", "https", "h2c", "grpc", "grpcs", "fastcgi")}
METHODS: dict[str, Redirect] = {"redirect": "auto", "noredirect": "never", "nohttp": "closed", "nohttps": "never"}


@dataclass(frozen=True)
class Options:
    """The settings of one container, each with its default where unset or unusable."""

    weight: int = 0
    path: PathPattern | None = ALL_PATHS
    """Of entries without a path; None where it cannot be used, so that they must not be served at all."""
    destination: str = ""
    force_ssl: bool | None = None
    redirect: Redirect | None = None
    """None leaves it to the proxy's setting."""
    without_tls: bool = False
    http_port: int | None = None
    """In place of the usual one, for entries without scheme and port."""
    https_port: int | None = None
    code: int | None = None
    http_without_certificate: bool | None = None
    """None in both leaves it to the proxy's setting too."""


def read_options(container: Container) -> tuple[Options, tuple[str, ...]]:
    """The settings of *container*, and a reason for each that is not used as it was written."""
    reader = Reader(container)
    no_path: PathPattern | None = ALL_PATHS
    text = reader.text(metadata.VIRTUAL_PATH)
    try:
        path = parse_virtual_path(text) if text else no_path
    except ValueError as error:
        reader.doubt(metadata.VIRTUAL_PATH, f"{error}; hosts without a path are not served")
        path = None
    # dockercloud/haproxy took any text for yes: who writes "enable" there wants https.
    force_ssl = reader.value(metadata.FORCE_SSL, parse_switch_or_yes, None, otherwise=True)
    method = reader.value(metadata.HTTPS_METHOD, parse_word("redirect", "noredirect", "nohttp", "nohttps"), "")
    if method and force_ssl is not None:
        reader.doubt(metadata.FORCE_SSL, f"not used, because {metadata.HTTPS_METHOD} is set")
    forced: dict[bool | None, Redirect | None] = {True: "always", False: "never", None: None}
    return (
        Options(
            weight=reader.value(metadata.VIRTUAL_HOST_WEIGHT, _weight, 0),
            path=path,
            destination=reader.value(metadata.VIRTUAL_DEST, parse_destination, ""),
            force_ssl=force_ssl if not method else None,
            redirect=METHODS[method] if method else forced[force_ssl],
            without_tls=method == "nohttps",
            http_port=reader.value(metadata.EXTERNAL_HTTP_PORT, parse_port, None),
            https_port=reader.value(metadata.EXTERNAL_HTTPS_PORT, parse_port, None),
            code=int(reader.value(metadata.NON_GET_REDIRECT, parse_word("301", "307", "308"), "0")) or None,
            http_without_certificate=reader.value(metadata.ENABLE_HTTP_ON_MISSING_CERT, parse_switch, None),
        ),
        tuple(reader.doubts),
    )


def server_proto(container: Container) -> Proto:
    """VIRTUAL_PROTO; raises ValueError."""
    try:
        return parse_proto(setting(container, metadata.VIRTUAL_PROTO) or "http")
    except ValueError as error:
        raise ValueError(f"VIRTUAL_PROTO={error}") from None


def parse_proto(text: str) -> Proto:
    """How a container is spoken to; raises ValueError quoting *text* and naming what is accepted."""
    if text.lower() == "uwsgi":
        raise ValueError(f"{text!r} is not spoken by HAProxy: have uWSGI listen with --http-socket and write http")
    if text.lower() not in _PROTOS:
        raise ValueError(f"{text[:40]!r} is not served: write one of {', '.join(_PROTOS)}")
    return _PROTOS[text.lower()]


def _weight(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 8 and int(digits) <= _HEAVIEST):  # noqa: PLR2004
        raise ValueError(f"{text[:40]!r} is not a weight: write a whole number; 0 is used")
    return int(text)
