"""What happens to an installation while it serves: each fault some times, each time until everything is as it should be."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.world import PLAIN, SECURE, World
from tests.waiting import until

Act = Callable[[World, int], Iterator[float]]
"""Does something so many times; yields for each the seconds until it had its effect, or was made good."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    times: int
    act: Act
    few: int = 2
    """Repetitions that ``make test`` has time for; 0 where it has for none."""
    unavoidable: str = ""
    """The physical reason for requests that fail; where there is none, none may."""
    environment: Mapping[str, str] = field(default_factory=dict)


def timed(probe: Callable[[], object], what: str, within: float = 60.0) -> float:
    """Seconds until *probe* is true."""
    begun = time.monotonic()
    until(probe, what, within, pause=0.01)
    return time.monotonic() - begun


def shows(world: World, host: str, serial: int) -> bool:
    """Whether a client that asks for *host* is shown this certificate."""
    try:
        return world.site.serial(host) == serial
    except OSError:
        return False


def behind(world: World, host: str) -> int:
    """How many servers are ready to answer for *host*, as the agent says."""
    status = world.site.status()
    routes = status.routes if status else ()
    return next((len(route.servers) for route in routes if route.host == host and route.listener == "tls"), 0)


def answers(world: World, host: str) -> bool:
    """Whether *host* is served."""
    try:
        return world.site.plain(host).status == 200
    except OSError:
        return False


def renewals(world: World, times: int) -> Iterator[float]:
    """A certificate takes the place of its predecessor."""
    for _ in range(times):
        renewed = world.site.publish("a", SECURE)
        yield timed(lambda: shows(world, SECURE, renewed.serial), "the renewed certificate")  # noqa: B023


def new_certificates(world: World, times: int) -> Iterator[float]:
    """Certificates for names that had none, ten at a time."""
    for some in itertools.batched(range(times), 10):
        published = {f"n{n}.test": world.site.publish(f"n{n}", f"n{n}.test").serial for n in some}
        yield timed(lambda: all(shows(world, *one) for one in published.items()), "new certificates")  # noqa: B023


def scale_changes(world: World, times: int) -> Iterator[float]:
    """From two containers to six and back, over and over; each that goes cuts off whoever it serves."""
    more: list[str] = []
    grows = True
    for _ in range(times):
        grows = (grows and len(more) < 4) or not more
        if grows:
            more.append(world.start(SECURE, "web"))
        else:
            world.stop(more.pop(0))
        yield timed(lambda: behind(world, SECURE) == 2 + len(more), "the change of scale")


def reloads(world: World, times: int) -> Iterator[float]:
    """A service that was not there before takes a new worker."""
    for number in range(times):
        worker = world.site.worker
        world.start(f"r{number}.test", f"r{number}")
        yield timed(lambda: answers(world, f"r{number}.test"), "the new service")  # noqa: B023
        assert world.site.worker != worker


def killed_agents(world: World, times: int) -> Iterator[float]:
    """The agent dies at another moment of its work each time."""
    for number in range(times):
        renewed = world.site.publish("a", SECURE)
        world.start(f"k{number % 3}.test", f"k{number}")
        world.pause(0.05 * number)
        world.site.kill_service("agent")
        yield timed(
            lambda: shows(world, SECURE, renewed.serial) and answers(world, f"k{number % 3}.test"),  # noqa: B023
            "what the agent was about to do",
        )


def killed_workers(world: World, times: int) -> Iterator[float]:
    """The process that serves dies."""
    for _ in range(times):
        yield _reborn(world, world.site.worker)


def killed_masters(world: World, times: int) -> Iterator[float]:
    """The process that keeps the worker dies, and takes it along."""
    for _ in range(times):
        master = world.site.pid("haproxy")
        assert master
        yield _reborn(world, master)


def _reborn(world: World, process: int) -> float:
    worker = world.site.worker
    os.kill(process, signal.SIGKILL)
    took = timed(lambda: world.site.worker_or_none() not in (None, worker) and answers(world, PLAIN), "a new worker")
    world.go_on(200)
    return took


def killed_gates(world: World, times: int) -> Iterator[float]:
    """docker-gate dies while a container starts."""
    for number in range(times):
        world.site.kill_service("docker-gate")
        world.start(f"g{number}.test", f"g{number}")
        yield timed(lambda: answers(world, f"g{number}.test"), "the new service")  # noqa: B023


def bursts(world: World, times: int) -> Iterator[float]:
    """Containers come and go faster than anybody could look."""
    for number in range(times):
        for event in range(500):
            identifier = f"{event:064x}"
            world.site.engine.tell("start", identifier)
            world.site.engine.tell("die", identifier)
        world.start(f"b{number}.test", f"b{number}")
        yield timed(lambda: answers(world, f"b{number}.test"), "the service that stayed")  # noqa: B023


def rejected(world: World, times: int) -> Iterator[float]:
    """HAProxy refuses what comes of a container; once that is gone, the next good one is taken."""
    worker = world.site.worker
    for number in range(times):
        bad = world.start("bad.test", "spoils")
        until(lambda: "refuses the new configuration" in problems(world), "the refusal")
        assert world.site.worker == worker
        renewed = world.site.publish("a", SECURE)
        until(lambda: shows(world, SECURE, renewed.serial), "a renewal meanwhile")  # noqa: B023
        world.stop(bad)
        world.start(f"j{number}.test", f"j{number}")
        yield timed(lambda: answers(world, f"j{number}.test"), "the good service")  # noqa: B023
        worker = world.site.worker


def problems(world: World) -> str:
    """All that the agent complains about."""
    status = world.site.status()
    return "\n".join(status.problems) if status else ""


FAULTS: Sequence[Fault] = (
    Fault("certificate renewals", 50, renewals, few=3),
    Fault("new certificates", 200, new_certificates, few=10),
    Fault("scale changes", 100, scale_changes, few=6),
    Fault("reloads (a new service each)", 50, reloads, few=3),
    Fault("`kill -9` of the agent at work", 20, killed_agents),
    Fault(
        "`kill -9` of the HAProxy worker",
        10,
        killed_workers,
        unavoidable="nobody listens until s6 has started HAProxy again, and open connections die with the process",
    ),
    Fault(
        "`kill -9` of the HAProxy master",
        10,
        killed_masters,
        unavoidable="its worker ends with it: as above",
    ),
    Fault("`kill -9` of docker-gate", 20, killed_gates),
    Fault("a burst of 1,000 container events", 10, bursts, few=1),
    Fault("a configuration that HAProxy rejects", 10, rejected, few=1),
)
