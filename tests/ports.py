"""Ports for servers that do not choose their own."""

import itertools
import socket
from collections.abc import Iterator

_FIRST = 10_000
_EACH = 1_000
_LAST = 32_768
"""From here on, the kernel chooses."""


def free_port() -> int:
    """A TCP and UDP port of loopback that nobody has, nor is given before its server starts.

    A port that the kernel chose may be chosen again as soon as it is let go: for a connection, a published container
    or the next caller here. So these lie below its range (32768 and up), each test process having its own.
    """
    return next(port for port in _PORTS if _is_free(port, socket.SOCK_STREAM) and _is_free(port, socket.SOCK_DGRAM))


def _ports_of_ours() -> Iterator[int]:
    """A range that no other test process has, whoever started it, as long as this one lives.

    Its mark is an abstract socket, whose names are known as far as ports are: in the network namespace (unix(7)).
    """
    for first in range(_FIRST, _LAST - _EACH, _EACH):
        with socket.socket(socket.AF_UNIX) as mark:
            try:
                mark.bind(f"\0companion-tests-{first}")
            except OSError:
                continue
            yield from itertools.cycle(range(first, first + _EACH))
    raise RuntimeError(f"{(_LAST - _FIRST) // _EACH} test processes have all ports.")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # Connections that ended a moment ago do not keep a server from listening.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


_PORTS = _ports_of_ours()
