"""``VIRTUAL_HOST_MULTIPORTS``: hosts and paths of one container, each with a port of its own, in YAML or JSON.

::

    app.example.com:                  # "external_http_port" and "external_https_port" may stand below it too
                                      # nothing below it: all paths, the port of the container
      "/": {port: 8000}
      "/api/": {port: 9000, proto: http, dest: /}
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import yaml

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.model import Reach
from proxy_agent.routing.options import parse_proto
from proxy_agent.routing.paths import PathKind, PathPattern, parse_destination, parse_virtual_path
from proxy_agent.routing.ports import parse_port
from proxy_agent.routing.virtual_host import VirtualHost, parse_virtual_host

_NAME = "VIRTUAL_HOST_MULTIPORTS"
_LONGEST_VALUE = 16_384
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_KEYS = frozenset({"port", "proto", "dest"})
_OF_HOSTS = ("external_http_port", "external_https_port")


@dataclass(frozen=True)
class PortRoute:
    """One path of one host."""

    entry: VirtualHost
    path: PathPattern
    destination: str
    reach: Reach
    http_port: int | None = None
    """In place of the usual one, or of what the container says for all of its hosts."""
    https_port: int | None = None


def parse_multiports(text: str) -> tuple[tuple[PortRoute, ...], tuple[Skipped, ...]]:
    """Read the whole value: what can be served, and the rest each with its reason.

    >>> routes, skipped = parse_multiports("{app.example.com: {/api/: {port: 9000}}}")
    >>> [(str(route.entry.host), str(route.path), route.reach.port) for route in routes]
    [('app.example.com', '/api/*', 9000)]
    """
    try:
        hosts = _mapping(_loaded(text), "the whole value")
    except ValueError as error:
        return (), (Skipped(_NAME, str(error)),)
    routes: list[PortRoute] = []
    skipped: list[Skipped] = []
    for host, below in hosts.items():
        try:
            entries = _entries(host)
            paths = _mapping(below, f"what is below {host!r}")
            external = [_port(paths.get(key)) for key in _OF_HOSTS]
        except ValueError as error:
            skipped.append(Skipped(_NAME, str(error)))
            continue
        unknown = (key for key in paths if not key.startswith("/") and key not in _OF_HOSTS)
        skipped += (Skipped(_NAME, f"{key!r} below {host!r} is not used") for key in unknown)
        below_paths = {key: value for key, value in paths.items() if key.startswith("/")} or {"/": ""}
        for path, told in below_paths.items():
            try:
                routes += (
                    replace(_route(e, path, told), http_port=external[0], https_port=external[1]) for e in entries
                )
            except ValueError as error:
                skipped.append(Skipped(_NAME, f"{path!r} of {host!r}: {error}"))
    return tuple(routes), tuple(skipped)


def _loaded(text: str) -> object:
    if len(text) > _LONGEST_VALUE:
        raise ValueError(f"longer than {_LONGEST_VALUE} characters")
    try:
        # It makes text, lists and mappings, nothing else: no dates, no numbers that grow, no objects.
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise ValueError(f"it is neither YAML nor JSON: {str(problem)[:100]}") from None


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if value is None or (isinstance(value, str) and value in _NOTHING):
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{what} is not a mapping: write hosts, below them paths, below them port, proto and dest")
    return value


def _entries(host: str) -> tuple[VirtualHost, ...]:
    entries = parse_virtual_host(host.strip())
    for entry in entries:
        bare = entry.scheme is None and entry.port is None and entry.path.kind is PathKind.ALL
        if not bare or (entry.host.kind is HostKind.ANY and not entry.host.text):
            raise ValueError(f"{host!r} is more than a host: ports and paths stand below it")
    return entries


def _route(entry: VirtualHost, path: str, told: object) -> PortRoute:
    fields = _mapping(told, "what is below it")
    if unknown := sorted(set(fields) - _KEYS):
        raise ValueError(f"{unknown[0]!r} is not known: write port, proto or dest")
    port, proto, destination = (_word(fields.get(key)) for key in ("port", "proto", "dest"))
    reach = Reach(parse_port(port) if port else None, parse_proto(proto or "http"), from_route=True)
    return PortRoute(entry, parse_virtual_path(path), parse_destination(destination) if destination else "", reach)


def _port(value: object) -> int | None:
    text = _word(value)
    return parse_port(text) if text else None


def _word(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("port, proto and dest are single words")
    return "" if value in _NOTHING else value.strip()
