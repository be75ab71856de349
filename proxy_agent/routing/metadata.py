"""What a container says of itself: each setting as the label ``proxy.<name>`` or as an environment variable."""

from collections.abc import Mapping

from proxy_agent.routing.model import Container

LABEL_PREFIX = "proxy."

VIRTUAL_HOST = "VIRTUAL_HOST"
VIRTUAL_PORT = "VIRTUAL_PORT"
SETTINGS = frozenset({VIRTUAL_HOST, VIRTUAL_PORT})

DEFAULT_PORT = 80
_HIGHEST_PORT = 65535


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


def server_port(container: Container) -> int:
    """The port to reach *container* on: VIRTUAL_PORT, else the only exposed one, else 80.

    Raises ValueError where VIRTUAL_PORT is no port, or where several ports are exposed and none of them is 80.
    """
    text = setting(container, VIRTUAL_PORT)
    if text:
        if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _HIGHEST_PORT and len(text) < 7):  # noqa: PLR2004
            raise ValueError(f"VIRTUAL_PORT={text[:40]!r} is not a port: write one number from 1 to {_HIGHEST_PORT}")
        return int(text)
    exposed = container.exposed_ports
    if len(exposed) > 1 and DEFAULT_PORT not in exposed:
        raise ValueError(f"it exposes ports {', '.join(map(str, exposed))}: name one with VIRTUAL_PORT")
    return exposed[0] if len(exposed) == 1 else DEFAULT_PORT
