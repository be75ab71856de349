"""Settings of the HAProxy container: where it listens, whom it believes, how long it waits."""

import resource
import socket
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from proxy_agent import settings_grammar as grammar
from proxy_agent.daemon import settings as environment
from proxy_agent.settings_grammar import HostPort, Network, Reading

YES_OR_NO = "yes or no"
Port = Annotated[int, Field(ge=1, le=65535)]

_RESERVED_DESCRIPTORS = 1000
"""For listeners, checks, sockets of the runtime API."""
_USUAL_DESCRIPTORS = 50_000


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 at all; a container without an IPv6 address still binds."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _descriptor_limit() -> int:
    """How many files this container's processes may have open: HAProxy does not start where it needs more."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class TrafficSettings(environment.Settings):
    """Connections, before anything is known of what they ask for."""

    http_port: Port = Field(
        alias="HTTP_PORT",
        default=80,
        description=(
            "The port of plain HTTP, in the container and on the host. A CA always asks port 80; where another one is "
            "set, set `LOAD_BALANCER_SERVICE_NAME=haproxy:PORT` too."
        ),
        json_schema_extra={"accepts": "a port"},
    )
    https_port: Port = Field(
        alias="HTTPS_PORT",
        default=443,
        description="The port of HTTPS, in the container and on the host, and in redirects.",
        json_schema_extra={"accepts": "a port"},
    )
    enable_ipv6: bool = Field(
        alias="ENABLE_IPV6",
        default_factory=has_ipv6,
        description="Listen on IPv6 too.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "where the kernel has it"},
    )
    enable_http2: bool = Field(
        alias="ENABLE_HTTP2",
        default=True,
        description="Offer HTTP/2 through TLS.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "yes"},
    )
    enable_http3: bool = Field(
        alias="ENABLE_HTTP3",
        default=False,
        description="Offer HTTP/3 (UDP) too. Each new configuration closes its connections; clients connect again.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    enable_proxy_protocol: bool = Field(
        alias="ENABLE_PROXY_PROTOCOL",
        default=False,
        description=(
            "Expect the PROXY protocol, version 1 or 2, of every client of HTTP and HTTPS: for a load balancer before "
            "this one. Nobody else may reach the ports then."
        ),
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    trusted_peers: Annotated[tuple[Network, ...], BeforeValidator(grammar.parse_trusted)] = Field(
        alias="TRUST_DOWNSTREAM_PROXY",
        default=(),
        description=(
            "Whose `X-Forwarded-Proto`, `-Host`, `-Port` and `-For` count: those of a proxy before this one. From all "
            "others they are removed."
        ),
        json_schema_extra={"accepts": "yes, no, or networks such as 10.0.0.0/8,2001:db8::/32", "default_text": "no"},
    )
    skip_forwarded_proto: bool = Field(
        alias="SKIP_FORWARDED_PROTO",
        default=False,
        description="Leave `X-Forwarded-Proto` as it arrives, whoever sends it.",
        json_schema_extra={"accepts": YES_OR_NO, "default_text": "no"},
    )
    internal_networks: Annotated[tuple[Network, ...], BeforeValidator(grammar.parse_networks)] = Field(
        alias="INTERNAL_NETWORKS",
        default_factory=lambda: grammar.parse_networks(
            "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7,fe80::/10"
        ),
        description="Whom services with `NETWORK_ACCESS=internal` answer.",
        json_schema_extra={
            "accepts": "networks, separated by commas",
            "default_text": "loopback and private networks",
        },
    )
    asked_connections: Annotated[int, Field(ge=10, le=10_000_000)] | None = Field(
        alias="MAXCONN",
        default=None,
        description="The most connections at a time; those that are too many wait. Unset: what open files allow.",
        json_schema_extra={"accepts": "a number, at least 10"},
    )
    timeouts: Annotated[Reading[Mapping[str, str]], BeforeValidator(grammar.parse_timeouts)] = Field(
        alias="TIMEOUT",
        default_factory=lambda: grammar.parse_timeouts(""),
        description=(
            "Timeouts of HAProxy, each in place of its default: "
            f"{', '.join(f'`{name} {span}`' for name, span in grammar.DEFAULT_TIMEOUTS.items())}."
        ),
        json_schema_extra={
            "accepts": "names with a length of time, separated by commas: client 2m, server 30s",
            "default_text": "",
        },
    )
    options: Annotated[Reading[tuple[str, ...]], BeforeValidator(grammar.parse_options)] = Field(
        alias="OPTION",
        default=Reading(()),
        description="Further options of HAProxy for all services.",
        json_schema_extra={"accepts": "names, separated by commas: nolinger, http-server-close", "default_text": ""},
    )
    reload_timeout: Annotated[str, BeforeValidator(grammar.parse_reload_timeout)] = Field(
        alias="RELOAD_TIMEOUT",
        default="1h",
        description="How long open connections, websockets among them, outlive a reload.",
        json_schema_extra={"accepts": "seconds, -1 for one second, 0 for 1h", "default_text": "0"},
    )
    resolvers: Annotated[tuple[HostPort, ...], BeforeValidator(grammar.parse_resolvers)] = Field(
        alias="RESOLVERS",
        default_factory=lambda: grammar.parse_resolvers("127.0.0.11"),
        description="The DNS servers that HAProxy asks; the default is Docker's own.",
        json_schema_extra={"accepts": "addresses, separated by blanks", "default_text": "127.0.0.11"},
    )

    # Of the container; tests move it.
    descriptor_limit: int = Field(alias="DESCRIPTOR_LIMIT", default_factory=_descriptor_limit, exclude=True)

    @property
    def connections(self) -> int | None:
        """MAXCONN, as far as open files allow: each connection has one to the client and one to the service."""
        ceiling = max((self.descriptor_limit - _RESERVED_DESCRIPTORS) // 2, 10)
        return None if self.asked_connections is None else min(self.asked_connections, ceiling)

    @property
    def descriptors(self) -> int:
        """The bound that is given to HAProxy, which may find an unreasonable one in its container."""
        return max(_USUAL_DESCRIPTORS, 2 * (self.connections or 0) + _RESERVED_DESCRIPTORS)
