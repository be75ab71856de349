"""From decisions to the bytes that HAProxy reads: its configuration, crt-lists and maps."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import IPv6Address
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proxy_agent.routing.access import Credential
from proxy_agent.routing.extra import NO_EXTRA, Extra
from proxy_agent.routing.lookup import Frontend, Lookup, compile_lookup
from proxy_agent.routing.model import Backend, Routing
from proxy_agent.settings import Settings
from proxy_agent.tls.names import DnsName
from proxy_agent.tls.policy import SUITES
from proxy_agent.tls.ticket_keys import TicketKey

CONFIGURATION = "haproxy.cfg"
DEFAULT_LIST = "default.list"
CRT_LIST = "crt.list"
TICKET_KEYS = "ticket.keys"
PLAIN_MAP = "maps/plain.map"
TLS_MAP = "maps/tls.map"
REDIRECT_MAP = "maps/redirect.map"
PLAIN_PATHS_MAP = "maps/plain-paths.map"
TLS_PATHS_MAP = "maps/tls-paths.map"
MAPS = (PLAIN_MAP, PLAIN_PATHS_MAP, REDIRECT_MAP, TLS_MAP, TLS_PATHS_MAP)

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
    """No line has names of different options."""
    maps: Mapping[str, Mapping[str, str]]
    """Keys and values of each map, by its path."""
    files: Mapping[str, bytes]
    """Everything above as files, by path relative to the configuration's folder."""
    tls_options: Mapping[DnsName, str] = field(default_factory=dict)
    """What the crt-list says of handshakes for a name; nothing where the binds decide."""
    ticket_keys: tuple[str, ...] = field(default=(), repr=False)
    """What session tickets are encrypted with, as HAProxy has it."""

    @property
    def lines(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """The lines of the crt-list, each with its options."""
        for path, names in self.crt_list:
            yield path, names, self.tls_options.get(DnsName(names[0]), "")


@dataclass(frozen=True)
class Inserts:
    """What a configuration has beside its routes."""

    pages: Mapping[int, bytes] = field(default_factory=dict)
    """HTML for answers of HAProxy's own, by status."""
    client_ca: bytes = b""
    """Certificates that those of clients have to come from; empty where clients need none."""
    tls_options: Mapping[DnsName, str] = field(default_factory=dict)
    """What handshakes for a host are to be like, where that is not left to the proxy."""
    users: Mapping[str, tuple[Credential, ...]] = field(default_factory=dict)
    """Who may sign in, by the name of the file that says so."""
    taken_ports: Mapping[int, str] = field(default_factory=dict)
    """Ports that cannot be listened on, each with what is there."""
    ticket_keys: tuple[TicketKey, ...] = ()
    """What session tickets are encrypted with; none where there are to be no tickets that outlive a worker."""


class Templates:
    """The Jinja templates of the folder ``haproxy/``; they loop and choose, all deciding is done before."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings = settings
        self._jinja = _environment(folder)

    def render(
        self,
        routing: Routing,
        crt_list: CrtList,
        default_certificate: str,
        extra: Extra = NO_EXTRA,
        inserts: Inserts | None = None,
    ) -> Configuration:
        """The configuration of *routing* with the raw lines *extra*; equal input gives equal bytes."""
        inserts = inserts or Inserts()
        answers_rest = self._settings.default_root.status is not None
        lookup = compile_lookup(replace(rule, implicit=rule.implicit and answers_rest) for rule in routing.rules)
        without_servers = replace(routing, backends=tuple(replace(pool, servers=()) for pool in routing.backends))
        unnamed = self._configuration(without_servers, lookup, extra, inserts, identity="")
        identity = hashlib.sha256(unnamed.encode()).hexdigest()[:16]
        text = self._configuration(routing, lookup, extra, inserts, identity).encode()
        maps = _maps(routing, lookup)
        ticket_keys = tuple(key.line(inserts.client_ca) for key in inserts.ticket_keys)
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
                CRT_LIST: self._crt_list(crt_list, inserts.tls_options).encode(),
                **{path: map_file(entries) for path, entries in maps.items()},
                **{_page_path(status, page): page for status, page in inserts.pages.items()},
                **({_client_ca_path(inserts.client_ca): inserts.client_ca} if inserts.client_ca else {}),
                **({TICKET_KEYS: "".join(f"{line}\n" for line in ticket_keys).encode()} if ticket_keys else {}),
            },
            tls_options=inserts.tls_options,
            ticket_keys=ticket_keys,
        )

    def _crt_list(self, crt_list: CrtList, options: Mapping[DnsName, str]) -> str:
        entries = [(path, options.get(DnsName(names[0])), names) for path, names in crt_list]
        return self._jinja.get_template("crt-list.j2").render(entries=entries)

    def _configuration(self, routing: Routing, lookup: Lookup, extra: Extra, inserts: Inserts, identity: str) -> str:
        settings = self._settings
        port, host, monitor = settings.https_port, settings.default_host, settings.monitor
        frontends = (*lookup.frontends, *self._without_rules(lookup, extra, inserts))
        served = {settings.http_port, port, *(frontend.port for frontend in frontends)}
        return self._jinja.get_template("haproxy.cfg.j2").render(
            identity=identity,
            settings=settings,
            https_suffix="" if port == _HTTPS else f":{port}",
            backends=routing.backends,
            internal_networks=settings.internal_networks,
            userlists=_userlists(routing.backends),
            frontends=frontends,
            suites=SUITES,
            pages={status: _page_path(status, page) for status, page in sorted(inserts.pages.items())},
            client_ca=_client_ca_path(inserts.client_ca) if inserts.client_ca else "",
            covers_all=routing.covers_all,
            tickets=bool(inserts.ticket_keys),
            challenges=settings.passes_challenges != "false",
            default_host=f"[{host}]" if isinstance(host, IPv6Address) else host,
            statistics=settings.stats_port and settings.stats_port not in inserts.taken_ports,
            monitor_alone=monitor and monitor[1] not in served and monitor[1] not in inserts.taken_ports,
            tcp=routing.tcp,
            extra=extra,
        )

    def _without_rules(self, lookup: Lookup, extra: Extra, inserts: Inserts) -> Iterator[Frontend]:
        """A plain listener on each further port that has raw lines."""
        taken = {frontend.port for frontend in lookup.frontends}
        taken |= {self._settings.http_port, self._settings.https_port, self._settings.stats_port, *inserts.taken_ports}
        for port in extra.ports:
            if port not in taken:
                yield Frontend("plain", port, ())


@cache
def _environment(folder: Path) -> Environment:
    """Compiles each template of *folder* once, for whatever settings; a changed file is compiled again."""
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def identity_in(text: bytes) -> str:
    """The identity that a ``haproxy.cfg`` of ours carries; empty where it is not one."""
    match = _IDENTITY.search(text.decode(errors="replace"))
    return match[1] if match else ""


def map_file(entries: Mapping[str, str]) -> bytes:
    """A map in HAProxy's file format: key, blank, value."""
    return "".join(f"{key} {value}\n" for key, value in entries.items()).encode()


def _page_path(status: int, page: bytes) -> str:
    """Named by its content, so that a changed page is another configuration."""
    return f"errors/{status}-{hashlib.sha256(page).hexdigest()[:16]}.html"


def _client_ca_path(pem: bytes) -> str:
    return f"client-ca-{hashlib.sha256(pem).hexdigest()[:16]}.pem"


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
