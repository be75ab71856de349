"""From decisions to the bytes that HAProxy reads: its configuration, crt-lists and maps."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proxy_agent.routing.access import Credential
from proxy_agent.routing.lookup import Lookup, compile_lookup
from proxy_agent.routing.model import Backend, Routing
from proxy_agent.settings import Settings

CONFIGURATION = "haproxy.cfg"
DEFAULT_LIST = "default.list"
CRT_LIST = "crt.list"
PLAIN_MAP = "maps/plain.map"
TLS_MAP = "maps/tls.map"
REDIRECT_MAP = "maps/redirect.map"
PLAIN_PATHS_MAP = "maps/plain-paths.map"
TLS_PATHS_MAP = "maps/tls-paths.map"
MAPS = (PLAIN_MAP, PLAIN_PATHS_MAP, REDIRECT_MAP, TLS_MAP, TLS_PATHS_MAP)

INTERNAL_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7", "fe80::/10")
_HTTPS = 443
_IDENTITY = re.compile(r"^    setenv COMPANION_CONFIGURATION (\S+)$", re.MULTILINE)

CrtList = tuple[tuple[str, tuple[str, ...]], ...]
"""Paths of bundles, each with the server names it answers for, sorted by path."""


@dataclass(frozen=True)
class Configuration:
    """All that HAProxy reads, apart from the bundles themselves."""

    identity: str
    """Names the content of ``haproxy.cfg``: two of the same identity differ only in what the runtime API changes."""
    text: bytes
    """``haproxy.cfg`` with its identity in it."""
    backends: tuple[Backend, ...]
    """The pools in it; their servers are among what the runtime API changes."""
    crt_list: CrtList
    maps: Mapping[str, Mapping[str, str]]
    """Keys and values of each map, by its path."""
    files: Mapping[str, bytes]
    """Everything above as files, by path relative to the configuration's folder."""


class Templates:
    """The Jinja templates of the folder ``haproxy/``; they loop and choose, all deciding is done before."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings = settings
        self._jinja = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )

    def render(self, routing: Routing, crt_list: CrtList, default_certificate: str) -> Configuration:
        """The configuration of *routing*; equal input gives equal bytes."""
        lookup = compile_lookup(routing.rules)
        without_servers = replace(routing, backends=tuple(replace(pool, servers=()) for pool in routing.backends))
        unnamed = self._configuration(without_servers, lookup, identity="")
        identity = hashlib.sha256(unnamed.encode()).hexdigest()[:16]
        text = self._configuration(routing, lookup, identity).encode()
        maps = _maps(routing, lookup)
        return Configuration(
            identity=identity,
            text=text,
            backends=routing.backends,
            crt_list=crt_list,
            maps=maps,
            files={
                CONFIGURATION: text,
                # "!*" keeps it out of the choice by name: it answers only where nothing else does.
                DEFAULT_LIST: f"{default_certificate} !*\n".encode(),
                CRT_LIST: self._jinja.get_template("crt-list.j2").render(entries=crt_list).encode(),
                **{path: map_file(entries) for path, entries in maps.items()},
            },
        )

    def _configuration(self, routing: Routing, lookup: Lookup, identity: str) -> str:
        port = self._settings.https_port
        return self._jinja.get_template("haproxy.cfg.j2").render(
            identity=identity,
            settings=self._settings,
            https_suffix="" if port == _HTTPS else f":{port}",
            backends=routing.backends,
            internal_networks=INTERNAL_NETWORKS,
            userlists=_userlists(routing.backends),
            frontends=lookup.frontends,
            tcp=routing.tcp,
        )


def identity_in(text: bytes) -> str:
    """The identity that a ``haproxy.cfg`` of ours carries; empty where it is not one."""
    match = _IDENTITY.search(text.decode(errors="replace"))
    return match[1] if match else ""


def map_file(entries: Mapping[str, str]) -> bytes:
    """A map in HAProxy's file format: key, blank, value."""
    return "".join(f"{key} {value}\n" for key, value in entries.items()).encode()


def _userlists(backends: Iterable[Backend]) -> list[tuple[str, tuple[Credential, ...]]]:
    """Who may sign in where, each set of users once."""
    policies = (backend.policy for backend in backends if backend.policy.protected)
    return sorted({policy.userlist: policy.credentials for policy in policies}.items())


def _maps(routing: Routing, lookup: Lookup) -> Mapping[str, Mapping[str, str]]:
    return {
        PLAIN_MAP: lookup.names["plain"],
        PLAIN_PATHS_MAP: lookup.paths["plain"],
        REDIRECT_MAP: {name: "hsts" if trusted else "https" for name, trusted in routing.covered.items()},
        TLS_MAP: lookup.names["tls"],
        TLS_PATHS_MAP: lookup.paths["tls"],
    }
