"""How a container wants its entries served: everything it says apart from the entries themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from proxy_agent.routing import metadata
from proxy_agent.routing.metadata import setting
from proxy_agent.routing.model import Container, Proto, Redirect
from proxy_agent.routing.paths import ALL_PATHS, PathPattern, parse_destination, parse_virtual_path

_T = TypeVar("_T")
_HEAVIEST = 1_000_000
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_PROTOS: dict[str, Proto] = {proto: proto for proto in ("http", "https", "h2c", "grpc", "grpcs")}
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
    code: int | None = None
    http_without_certificate: bool | None = None
    """None in both leaves it to the proxy's setting too."""


def read_options(container: Container) -> tuple[Options, tuple[str, ...]]:
    """The settings of *container*, and a reason for each that is not used as it was written."""
    doubts: list[str] = []

    def read(name: str, parse: Callable[[str], _T], default: _T, fallback: _T | None = None) -> _T:
        text = setting(container, name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            doubts.append(f"{name}: {error}")
            return default if fallback is None else fallback

    no_path: PathPattern | None = ALL_PATHS
    text = setting(container, metadata.VIRTUAL_PATH)
    try:
        path = parse_virtual_path(text) if text else no_path
    except ValueError as error:
        doubts.append(f"{metadata.VIRTUAL_PATH}: {error}; hosts without a path are not served")
        path = None
    # dockercloud/haproxy took any text for yes: who writes "enable" there wants https.
    force_ssl = read(metadata.FORCE_SSL, _yes_or_no, None, fallback=True)
    method = read(metadata.HTTPS_METHOD, _one_of("redirect", "noredirect", "nohttp", "nohttps"), "")
    if method and force_ssl is not None:
        doubts.append(f"{metadata.FORCE_SSL}: not used, because {metadata.HTTPS_METHOD} is set")
    forced: dict[bool | None, Redirect | None] = {True: "always", False: "never", None: None}
    return (
        Options(
            weight=read(metadata.VIRTUAL_HOST_WEIGHT, _weight, 0),
            path=path,
            destination=read(metadata.VIRTUAL_DEST, parse_destination, ""),
            force_ssl=force_ssl if not method else None,
            redirect=METHODS[method] if method else forced[force_ssl],
            without_tls=method == "nohttps",
            code=int(read(metadata.NON_GET_REDIRECT, _one_of("301", "307", "308"), "0")) or None,
            http_without_certificate=read(metadata.ENABLE_HTTP_ON_MISSING_CERT, _switch, None),
        ),
        tuple(doubts),
    )


def server_proto(container: Container) -> Proto:
    """VIRTUAL_PROTO; raises ValueError."""
    try:
        return parse_proto(setting(container, metadata.VIRTUAL_PROTO) or "http")
    except ValueError as error:
        raise ValueError(f"VIRTUAL_PROTO={error}") from None


def parse_proto(text: str) -> Proto:
    """How a container is spoken to; raises ValueError quoting *text* and naming what is accepted."""
    if text.lower() not in _PROTOS:
        raise ValueError(f"{text[:40]!r} is not served: write one of {', '.join(_PROTOS)}")
    return _PROTOS[text.lower()]


def _weight(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 8 and int(digits) <= _HEAVIEST):  # noqa: PLR2004
        raise ValueError(f"{text[:40]!r} is not a weight: write a whole number; 0 is used")
    return int(text)


def _yes_or_no(text: str) -> bool | None:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError(f"{text[:40]!r} is neither yes nor no; yes is used")


def _switch(text: str) -> bool | None:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError(f"{text[:40]!r} is neither yes nor no; it is not used")


def _one_of(*accepted: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in accepted:
            raise ValueError(f"{text[:40]!r} is not used: write one of {', '.join(accepted)}")
        return text.lower()

    return parse
