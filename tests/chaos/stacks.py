"""Faults of real containers, which need the stack itself: Docker restarts what dies, and stops what is scaled down."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.chaos.clients import Tally
from tests.chaos.fault import Fault, timed
from tests.chaos.run import Outcome
from tests.e2e.stack import Stack, running
from tests.e2e.visitors import visitors
from tests.ports import free_port
from tests.visits import Visits
from tests.waiting import until

_E2E = Path(__file__).resolve().parents[1] / "e2e"
FILES = (_E2E / "compose.e2e.yaml", _E2E / "compose.discovery.yaml")
HOST = "web.test"

AnyStack = TypeVar("AnyStack", bound=Stack)
Act = Callable[[AnyStack, Visits, int], Iterator[float]]


@contextmanager
def serving() -> Iterator[Stack]:
    """A stack in front of two containers."""
    with running(*FILES) as stack:
        # Those that the engine chooses change with the container.
        stack.environment |= {"PUBLISHED_HTTP": str(free_port()), "PUBLISHED_HTTPS": str(free_port())}
        serve(stack)
        yield stack


def serve(stack: Stack) -> None:
    """Start a stack, and two containers behind it."""
    stack.up("haproxy", "docker-gate", "letsencrypt")
    stack.scale("web", 2)
    until(lambda: stack.http(HOST).status == 200, "the service")
    until(lambda: len(servers(stack)) == 2, "both containers")


def servers(stack: Stack) -> list[str]:
    """What the status shows behind the host, but for those that are about to end."""
    # The file itself: a command of Python's takes longer than what is measured.
    routes = json.loads(stack.run_in("haproxy", "cat", "/run/companion/status.json"))["routes"]
    assert isinstance(routes, list)
    shown: list[str] = next((route["servers"] for route in routes if route["host"] == HOST), [])
    return [server for server in shown if "draining" not in server]


def scale_changes(stack: Stack, visits: Visits, times: int) -> Iterator[float]:
    """Containers are started and stopped by Compose."""
    for number in range(times):
        wanted = (4, 1, 3, 2)[number % 4]
        stack.scale("web", wanted)
        yield timed(lambda: len(servers(stack)) == wanted, "the change of scale")  # noqa: B023
        visits.go_on(20)


def killed(service: str) -> Act[Stack]:
    """A container dies, and Docker starts it again, while another one comes or goes."""

    def act(stack: Stack, visits: Visits, times: int) -> Iterator[float]:
        for number in range(times):
            wanted = 3 - number % 2
            stack.kill(service)
            stack.scale("web", wanted)
            visits.go_on(50)
            yield timed(lambda: len(servers(stack)) == wanted, "the change meanwhile")  # noqa: B023

    return act


def killed_workers(stack: Stack, visits: Visits, times: int) -> Iterator[float]:
    """Within its container."""
    for _ in range(times):
        worker = stack.worker()
        stack.run_in("haproxy", "/opt/venv/bin/python", "-c", f"import os; os.kill({worker}, 9)")
        yield timed(lambda: stack.http(HOST).status == 200, "the next worker")
        visits.go_on(50)


def replaced(stack: Stack, visits: Visits, times: int) -> Iterator[float]:
    """An upgrade: Compose ends HAProxy's container and starts another one."""
    for _ in range(times):
        begun = time.monotonic()
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", "haproxy")
        until(lambda: stack.http(HOST).status == 200, "the next container")
        yield time.monotonic() - begun
        visits.go_on(50)


STACK_FAULTS: tuple[tuple[Fault, Act[Stack]], ...] = tuple(
    (Fault(f"containers: {name}", times, lambda _world, _times: iter(()), few=0, unavoidable=reason), act)
    for name, times, act, reason in (
        ("scale changes by Compose", 12, scale_changes, ""),
        ("`kill -9` of letsencrypt", 4, killed("letsencrypt"), ""),
        ("`kill -9` of docker-gate", 4, killed("docker-gate"), ""),
        ("`kill -9` of the HAProxy worker", 4, killed_workers, "as above"),
        ("HAProxy's container is replaced (an upgrade)", 3, replaced, "a published port belongs to one container"),
    )
)


def outcome_of(stack: AnyStack, fault: Fault, act: Act[AnyStack], times: int) -> Outcome:
    """What came of a fault on a stack that serves; these clients take any certificate."""
    with visitors(HOST, stack.port(80), stack.port(443)) as visits:
        seconds = tuple(act(stack, visits, times))
    tally = Tally(answered=visits.answered, failures=Counter(visits.failures))
    return Outcome(fault, times, tally, seconds, differences=None)
