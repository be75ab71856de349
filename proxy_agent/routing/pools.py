"""From containers to backends: the servers behind a place, and how HAProxy treats them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.access import Credential
from proxy_agent.routing.claims import Claim, Proxy
from proxy_agent.routing.hosts import HostKind
from proxy_agent.routing.metadata import DOCKER_HEALTH, asks_for_routes, doubts_about_ports, exposed_port, server_port
from proxy_agent.routing.model import Backend, Container, Place, Reach, Server, Service
from proxy_agent.routing.naming import digest, printable, slug, word
from proxy_agent.routing.options import server_proto
from proxy_agent.routing.policies import policy_of
from proxy_agent.routing.policy import Policy
from proxy_agent.routing.reader import Reader
from proxy_agent.routing.rewrite import Rewrite
from proxy_agent.routing.rotation import in_rotation, parse_docker_health, standing
from proxy_agent.routing.server_settings import read_server_settings

_WITHOUT_NAME = "localhost"
"""The Host of a health check where a service answers for no certain name."""


@dataclass(frozen=True)
class Pool:
    """Services that answer together for a place."""

    members: tuple[tuple[str, Reach], ...]
    """By name, sorted, each with how it is reached."""
    rewrite: Rewrite | None
    """What is done to the path."""
    tcp: bool = False
    users: tuple[Credential, ...] | None = None
    """Who may sign in beside those whom the services name; None where no file asks for that."""


class Pools:
    """The backends of one world; each is made once, however many places lead to it."""

    def __init__(self, services: Mapping[str, Service], claims: Iterable[Claim], proxy: Proxy) -> None:
        self._services = services
        self._proxy = proxy
        self._servers: dict[tuple[str, Reach], tuple[Server, ...]] = {}
        self._hosts: dict[str, str] = {}
        self._backends: dict[Pool, Backend] = {}
        self.doubts: list[Skipped] = []
        """Why containers are no servers, and settings not used."""
        for claim in claims:
            if claim.place.host.kind is HostKind.EXACT:
                first = min(self._hosts.get(claim.service, claim.place.host.text), claim.place.host.text)
                self._hosts[claim.service] = first

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All that were asked for, by name."""
        return tuple(sorted(self._backends.values(), key=lambda backend: backend.name))

    def has_servers(self, claim: Claim) -> bool:
        """Whether anybody answers, or did a moment ago."""
        return bool(self._servers_of(claim.service, claim.reach))

    def has_somebody(self, claim: Claim) -> bool:
        """Whether anybody is there to answer."""
        return any(server.state != "gone" for server in self._servers_of(claim.service, claim.reach))

    def backend(self, claims: tuple[Claim, ...], rewrite: Rewrite | None) -> Backend:
        """The backend of *claims*, which share a place and are sorted by service."""
        members = tuple((claim.service, claim.reach) for claim in claims)
        return self._kept(Pool(members, rewrite, users=self._users(claims[0].place)))

    def _users(self, place: Place) -> tuple[Credential, ...] | None:
        """Of the file for a host and a path, else of the one for the host, as nginx-proxy calls them."""
        host = place.host.text
        names = (f"{host}_{_sha1(place.path.text)}", host, _sha1(host))
        return next((self._proxy.users[name] for name in names if name in self._proxy.users), None)

    def tcp_backend(self, members: tuple[tuple[str, Reach], ...]) -> Backend:
        """The backend of services that share a port, sorted by name."""
        return self._kept(Pool(members, None, tcp=True))

    def _kept(self, pool: Pool) -> Backend:
        if pool not in self._backends:
            self._backends[pool] = self._made(pool)
        return self._backends[pool]

    def _made(self, pool: Pool) -> Backend:
        names = [name for name, _ in pool.members]
        policy = self._policy(names)
        if pool.tcp:
            policy = policy.for_tcp()
        if pool.users is not None:
            users = {credential.user: credential for credential in (*policy.credentials, *pool.users)}
            policy = replace(policy, protected=True, credentials=tuple(sorted(users.values())))
        lines = self._proxy.extra.of(policy.extra_settings, pool.tcp)
        servers = (server for member in pool.members for server in self._servers_of(*member))
        if policy.cookie:
            servers = (replace(server, words=(*server.words, "cookie", digest(server.name))) for server in servers)
        found = tuple(sorted(servers))
        # All that tells pools apart is in the digest: the first claimant alone may also stand in another one.
        parts = [n if not reach.from_route else f"{n} {reach.port} {reach.proto}" for n, reach in pool.members]
        if pool.rewrite:
            parts += ["", pool.rewrite.prefix, pool.rewrite.destination]
        parts += ["", "users", policy.userlist] if pool.users is not None else []
        # A running worker has the lines it began with.
        parts += ["", *lines] if lines else []
        # Protocols too: a running server keeps the one it began with.
        parts += ["", *sorted({server.proto for server in found}), *(["tcp"] if pool.tcp else [])]
        return Backend(
            name=f"{word(names[0])}-{digest(*parts)}",
            title=" ".join(map(printable, names)),
            servers=in_rotation(found),
            rewrite=pool.rewrite,
            policy=policy,
            scripts=policy.scripts if any(server.proto == "fastcgi" for server in found) else "",
            tcp=pool.tcp,
            extra=lines,
        )

    def _policy(self, names: list[str]) -> Policy:
        containers = [c for name in names for c in self._services[name].containers if asks_for_routes(c)]
        there = [container for container in containers if not container.gone_at]
        policy, doubts = policy_of(there or containers, self._proxy.policy)
        self.doubts += [Skipped(" and ".join(names), doubt) for doubt in doubts]
        if policy.http_check is None:
            return policy
        hosts = [self._hosts[name] for name in names if name in self._hosts]
        return replace(policy, http_check=policy.http_check.naming(min(hosts, default=_WITHOUT_NAME)))

    def _servers_of(self, name: str, reach: Reach) -> tuple[Server, ...]:
        if (name, reach) not in self._servers:
            self._servers[name, reach] = self._reached(name, reach)
        return self._servers[name, reach]

    def _reached(self, name: str, reach: Reach) -> tuple[Server, ...]:
        servers: list[Server] = []
        for container in self._services[name].containers:
            what = f"{name} ({container.name})"
            reader = Reader(container)
            try:
                servers.append(self._server(container, reach, reader))
                reader.doubts += doubts_about_ports(container, named=reach.port is not None)
            except ValueError as error:
                self.doubts.append(Skipped(what, str(error)))
            self.doubts += [Skipped(what, doubt) for doubt in reader.doubts]
        return tuple(servers)

    def _server(self, container: Container, reach: Reach, reader: Reader) -> Server:
        if container.address is None:
            raise ValueError(container.unreachable)
        port = (reach.port or exposed_port(container)) if reach.from_route else server_port(container)
        proto = reach.proto if reach.from_route else server_proto(container)
        words = read_server_settings(reader, self._proxy.server).words
        name = slug(container.name)
        if words != self._proxy.server.words:
            # A running server keeps the words it began with: with others it is another server.
            name = f"{name}-{digest(*words)}"
        policy = reader.value(DOCKER_HEALTH, parse_docker_health, self._proxy.docker_health)
        state, spare = standing(container, policy)
        return Server(name, container.address, port, proto, words, state, spare, container.network)


def _sha1(text: str) -> str:
    """What nginx-proxy calls files after; no security rests on it."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
