"""Commands to HAProxy over a socket of its own, one connection each, and their whole answers."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

_LOCKED = "Operations on certificates are currently locked!"
_PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0)
"""Between two tries; the list of ten thousand certificates takes whoever asks for it some milliseconds."""


class Commands:
    """Speaks to one socket."""

    def __init__(self, path: Path, timeout: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._timeout = timeout
        self._sleep = sleep

    def ask(self, command: str) -> str:
        """The answer to *command*, which may be several that are parted by semicolons; raises OSError.

        While somebody else's command has the certificates locked, nothing was done, and it is asked again.
        """
        for pause in _PAUSES:
            answer = exchange(self._path, command, self._timeout)
            if _LOCKED not in answer:
                return answer
            self._sleep(pause)
        raise TimeoutError("another command keeps its certificates locked")


def exchange(path: Path, command: str, timeout: float) -> str:
    """One command and its answer, which ends with the connection; raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode("utf-8", "replace")
