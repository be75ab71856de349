"""Benchmarks beside the other clients: as many requests as the machine can answer, on connections that are kept."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.changes import reloads
from tests.chaos.world import PLAIN, SECURE, World
from tests.waiting import until

_CONNECTIONS = 20
_STREAMED = 8
"""Connections of h2load, with a hundred streams each."""
_UNDER_WAY = 100
_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_OTHERS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SUCCEEDED = re.compile(r"(\d+) succeeded")
_REQUESTS = re.compile(r"^ *(\d+) requests in", re.MULTILINE)


def reloads_at_full_speed(world: World, times: int) -> Iterator[float]:
    """As without wrk; its errors count like those of the others."""
    settings = world.site.settings
    with (
        _wrk(world, PLAIN, f"http://127.0.0.1:{settings.http_port}/"),
        _wrk(world, SECURE, f"https://127.0.0.1:{settings.https_port}/"),
    ):
        yield from reloads(world, times)


def reloads_under_streams(world: World, times: int) -> Iterator[float]:
    """With h2load and an eager client of our own, both by HTTP/2."""
    each = reloads(world, times)
    with world.eager():
        for _ in range(times):
            with _h2load(world):
                yield next(each)


@contextmanager
def _h2load(world: World) -> Iterator[None]:
    """Until it ends by itself, as it does after a reload; every stream that it opened must be among its successes.

    What it counts as errors are requests that it never sent: after a GOAWAY it gives up all that it was to ask on a
    connection, and makes no other one.
    """
    with world.relay() as relay:
        url = f"http://127.0.0.1:{relay.port}/"
        command = ["h2load", "-t1", f"-c{_STREAMED}", "-m100", "-n1000000", "-H", f":authority: {SECURE}", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                until(lambda: relay.answered_on(_STREAMED) > _UNDER_WAY, "h2load at full speed")
                yield
                # By itself, once each of its connections was told to go.
                until(lambda: process.poll() is not None, "h2load told to go on all its connections", within=60)
                said = process.communicate()[0]
            finally:
                process.kill()
        on_the_wire = relay.sums()
    counted = _SUCCEEDED.search(said)
    assert counted, said
    succeeded = int(counted[1])
    lost = on_the_wire["asked"] - on_the_wire["unprocessed"] - succeeded
    world.tally.answered += succeeded
    world.tally.unprocessed += on_the_wire["unprocessed"]
    world.tally.failures.update({f"h2load: {on_the_wire} {said}": lost} if lost else {})
    cut = on_the_wire["without GOAWAY"]
    world.tally.failures.update({"h2load: connections that ended without a GOAWAY": cut} if cut else {})


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
