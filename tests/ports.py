"""Ports for servers that do not choose their own."""

import itertools
import os
import socket

_FIRST = 10_000
_EACH = 1_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OURS = itertools.cycle(range(_FIRST + _WORKER * _EACH, _FIRST + (_WORKER + 1) * _EACH))


def free_port() -> int:
    """A TCP and UDP port of loopback that nobody has, nor is given before its server starts.

    A port that the kernel chose may be chosen again as soon as it is let go: for a connection, a published container
    or the next caller here. So these lie below its range (32768 and up), each test process having its own.
    """
    return next(port for port in _OURS if _is_free(port, socket.SOCK_STREAM) and _is_free(port, socket.SOCK_DGRAM))


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
