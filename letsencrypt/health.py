"""The health check of the letsencrypt container: challenges are answered, and the loop keeps its word."""

import http.client
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole

STEP = timedelta(minutes=8)
"""Longer than any step of the loop's work, the longest of which is a run of certbot that does not end by itself."""
MARGIN = timedelta(seconds=60)

_TIMEOUT = 5.0
_PROBE = "/.well-known/acme-challenge/health"


class Heartbeat:
    """A file in which the loop says until when it may be silent, so that its own plans judge whether it hangs.

    By the clock that nobody sets and that all processes of a machine share (clock_gettime(2), CLOCK_MONOTONIC).
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock

    def promise(self, pause: timedelta | None) -> None:
        """Say that the loop is heard of again after a sleep of *pause*, or after one step of work if that is None."""
        until = self._clock() + (STEP if pause is None else pause + MARGIN).total_seconds()
        write_whole(self._path, f"{until:.0f}\n".encode())

    def check(self) -> None:
        """Raise OperationalError if the loop broke its word, or never gave it."""
        try:
            late = self._clock() - float(self._path.read_text())
        except (OSError, ValueError):
            raise OperationalError(f"The loop has not begun: {self._path} says nothing.") from None
        if late > 0:
            raise OperationalError(f"The loop should have been heard of {late:.0f} s ago: it hangs or is gone.")


def check_health(port: int, heartbeat: Heartbeat) -> str:
    """Say that all is well; raises OperationalError with what is not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", _PROBE, headers={"Connection": "close"})
        with connection.getresponse() as response:
            served_by = response.getheader("X-Served-By")
    except (OSError, http.client.HTTPException) as error:
        raise OperationalError(f"The challenge server on port {port} does not answer: {error!s:.100}.") from error
    finally:
        connection.close()
    if served_by is None:
        raise OperationalError(f"What answers on port {port} is not the challenge server.")
    heartbeat.check()
    return f"Challenges are answered on port {port}, and the loop is alive."
