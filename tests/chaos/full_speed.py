"""wrk beside the other clients: as many requests as the machine can answer, on connections that are kept."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.changes import reloads
from tests.chaos.world import PLAIN, SECURE, World

_CONNECTIONS = 20
_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_OTHERS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_REQUESTS = re.compile(r"^ *(\d+) requests in", re.MULTILINE)


def reloads_at_full_speed(world: World, times: int) -> Iterator[float]:
    """As without wrk; its errors count like those of the others."""
    settings = world.site.settings
    with (
        _wrk(world, PLAIN, f"http://127.0.0.1:{settings.http_port}/"),
        _wrk(world, SECURE, f"https://127.0.0.1:{settings.https_port}/"),
    ):
        yield from reloads(world, times)


@contextmanager
def _wrk(world: World, host: str, url: str) -> Iterator[None]:
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", "-d10m", "-H", f"Host: {host}", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            # It prints what it has.
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[0]
    requests = _REQUESTS.search(said)
    assert requests, said
    lost = sum(map(int, errors.groups())) if (errors := _ERRORS.search(said)) else 0
    wrong = int(others[1]) if (others := _OTHERS.search(said)) else 0
    world.tally.answered += int(requests[1]) - wrong
    world.tally.failures.update({f"wrk: {said}": lost + wrong} if lost + wrong else {})
