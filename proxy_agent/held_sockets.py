"""The sockets of HTTP and HTTPS, opened by PID 1 and inherited by each HAProxy that it starts.

They are there before HAProxy and outlive it: whoever connects while one starts waits in the kernel's queue, and is
refused no more than at a reload. HAProxy is told of each by a variable that stands in its bind lines in place of an
address (configuration manual, "bind", ``fd@``); without the variable it opens the address itself.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping

from proxy_agent.routing.rawtext import split_list
from proxy_agent.settings import Settings

_PREFIX = "COMPANION_SOCKET_"
_INHERITED = "fd@"
_LONGEST_QUEUE = 4096
"""Clients that wait: as many as Linux allows where nobody changed that (ip-sysctl, somaxconn)."""
_ADDRESSES = {"4": (socket.AF_INET, "0.0.0.0"), "6": (socket.AF_INET6, "::")}
_OF_NEW_SOCKETS = frozenset({"backlog", "interface", "namespace", "transparent"})
"""Words of a bind line that HAProxy cannot follow any more once a socket listens."""


def hold(settings: Settings) -> Mapping[str, str]:
    """Listen on both ports, in sockets that every child inherits; the variables that tell HAProxy of them.

    A port that cannot be bound, or whose lines ask for what only a new socket can have, is left to HAProxy, which says
    what it is.
    """
    left = set(_left_to_haproxy(settings))
    held: dict[str, str] = {}
    for name, port in (("HTTP", settings.http_port), ("HTTPS", settings.https_port)):
        for version, (family, address) in _ADDRESSES.items():
            if str(port) in left or (family == socket.AF_INET6 and not settings.enable_ipv6):
                continue
            with contextlib.suppress(OSError):
                held[f"{_PREFIX}{name}{version}"] = f"{_INHERITED}{_bound(family, address, port)}"
    return held


def refuse(environ: Mapping[str, str]) -> None:
    """Have nobody wait any more for a HAProxy that ends for good: close what hold() opened, whoever has it open.

    A socket that one process shuts down listens no more in any other (Linux, inet_shutdown).
    """
    told = (value for name, value in environ.items() if name.startswith(_PREFIX) and value.startswith(_INHERITED))
    for value in told:
        with contextlib.suppress(OSError), socket.socket(fileno=int(value.removeprefix(_INHERITED))) as held:
            held.shutdown(socket.SHUT_RD)


def _left_to_haproxy(settings: Settings) -> Iterator[str]:
    """Ports as they are written: what is none is nobody's, and the agent says so."""
    for item in split_list(settings.extra_bind_settings):
        port, _, words = item.partition(":")
        if not _OF_NEW_SOCKETS.isdisjoint(words.split()):
            yield port.strip()


def _bound(family: socket.AddressFamily, address: str, port: int) -> int:
    """The descriptor of a new socket that listens, as HAProxy would have it."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        opened.listen(_LONGEST_QUEUE)
        os.set_inheritable(opened.fileno(), True)
        stack.pop_all()
        return opened.detach()
