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
FORCE_SSL = "FORCE_SSL"
HTTPS_METHOD = "HTTPS_METHOD"
NON_GET_REDIRECT = "NON_GET_REDIRECT"
SETTINGS = frozenset(
    {
        *(VIRTUAL_HOST, VIRTUAL_HOST_WEIGHT, VIRTUAL_PATH, VIRTUAL_DEST, VIRTUAL_PORT, VIRTUAL_PROTO),
        *(VIRTUAL_HOST_MULTIPORTS, FORCE_SSL, HTTPS_METHOD, NON_GET_REDIRECT),
    }
)

DEFAULT_PORT = 80


def label_of(setting: str) -> str:
    """The label that carries *setting*.

    >>> label_of("VIRTUAL_HOST")
    'proxy.virtual-host'
    """
    return LABEL_PREFIX + setting.lower().replace("_", "-")


_LABELS = frozenset(map(label_of, SETTINGS))


def relevant(environment: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """Only what is ours, sorted: the rest of a container's environment is none of our business and may be secret."""
    ours = {name: value for name, value in environment.items() if name.upper() in SETTINGS}
    ours |= {name: value for name, value in labels.items() if name in _LABELS}
    return dict(sorted(ours.items()))


def setting(container: Container, name: str) -> str:
    """The value of setting *name*, or '' where unset: label, then variable, then variable in any other case."""
    settings = container.settings
    in_any_case = (value for key, value in settings.items() if key.upper() == name)
    candidates = (settings.get(label_of(name), ""), settings.get(name, ""), *in_any_case)
    return next((value.strip() for value in candidates if value.strip()), "")


def asks_for_routes(container: Container) -> bool:
    """Whether it is to be served at all."""
    return any(setting(container, name) for name in (VIRTUAL_HOST, VIRTUAL_HOST_MULTIPORTS))


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
