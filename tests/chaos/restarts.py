"""Docker's daemon restarted under the whole stack, on an engine of its own."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.dockerd import Dockerd, own_engine
from tests.chaos.fault import Fault, timed
from tests.chaos.stacks import FILES, HOST, Act, serve, servers
from tests.e2e.stack import Stack
from tests.visits import Visits
from tests.waiting import until


class InnerStack(Stack):
    """A stack on an engine of its own."""

    def __init__(self, daemon: Dockerd) -> None:
        super().__init__(*FILES, Path(__file__).with_name("compose.in-engine.yaml"))
        self.daemon = daemon
        self.environment["DOCKER_HOST"] = daemon.host

    def port(self, port: int) -> int:
        """Where HAProxy's *port* arrives on the machine's loopback interface."""
        return self.daemon.port(port)


@contextmanager
def serving() -> Iterator[InnerStack]:
    """A stack in front of two containers, on an engine whose containers live on without the daemon.

    All of it ends with the engine. Raises Unavailable where this machine does not allow one.
    """
    with own_engine(live_restore=True) as daemon:
        stack = InnerStack(daemon)
        serve(stack)
        yield stack


def outlived(number: signal.Signals, away: float) -> Act[InnerStack]:
    """The daemon is gone for so many seconds, and containers live on; as soon as it is back, one more is started."""

    def act(stack: InnerStack, visits: Visits, times: int) -> Iterator[float]:
        for _ in range(times):
            stack.daemon.stop(number)
            visits.by_container.clear()
            _wait_for_answers(visits, away)
            assert len(visits.by_container) == 2, f"only {visits.by_container} answered meanwhile"
            stack.daemon.start()
            begun = time.monotonic()
            _scale(stack, 3)
            yield time.monotonic() - begun
            _scale(stack, 2)

    return act


def _scale(stack: InnerStack, wanted: int) -> None:
    """Start or stop containers, and wait until the agent followed: it never loses both that stay."""
    stack.scale("web", wanted)

    def followed() -> bool:
        shown = len(servers(stack))
        assert shown >= 2, f"{shown} servers are left"
        return shown == wanted

    until(followed, f"the agent to follow to {wanted} containers", within=60)


def all_stopped(stack: InnerStack, visits: Visits, times: int) -> Iterator[float]:
    """The daemon stops every container as it ends, and starts all again: Docker's way, unless told otherwise."""
    stack.daemon.live_restore(False)
    number = len(stack.replicas("web"))
    for _ in range(times):
        stack.daemon.stop(signal.SIGTERM)
        stack.daemon.start()
        yield timed(lambda: _is_whole(stack, number), "all of it again")
        _wait_for_answers(visits, 1)
    stack.daemon.live_restore(True)


def _is_whole(stack: InnerStack, number: int) -> bool:
    """Whether all containers are behind HAProxy."""
    try:
        return len(servers(stack)) == number and stack.http(HOST).status == 200
    except AssertionError:
        # HAProxy's container is not there yet, or its agent has not looked around.
        return False


def _wait_for_answers(visits: Visits, seconds: float) -> None:
    """For so long, and for enough to tell of each container."""
    begun, enough = time.monotonic(), visits.answered + 100
    until(lambda: visits.answered >= enough and time.monotonic() > begun + seconds, "requests that are answered")


_REWRITTEN = "as Docker starts, it removes its rules that forward published ports, and writes them anew"

RESTARTS: tuple[tuple[Fault, Act[InnerStack]], ...] = tuple(
    (
        Fault(
            f"containers: {name}", times, lambda _world, _times: iter(()), few=0, unavoidable=reason, excused=excused
        ),
        act,
    )
    for name, times, act, reason, excused in (
        ("dockerd restarted (live-restore)", 5, outlived(signal.SIGTERM, 10), _REWRITTEN, "new"),
        ("`kill -9` of dockerd (live-restore)", 5, outlived(signal.SIGKILL, 10), _REWRITTEN, "new"),
        ("dockerd restarted (without live-restore)", 3, all_stopped, "Docker stops every container", ""),
    )
)
