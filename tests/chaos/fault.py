"""What a fault is, and the questions by which its end is told."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.world import World
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
    excused: str = ""
    """The beginning of those failures that it explains; where it is empty, all are."""
    small_disk: bool = False
    """Whether the state folder is on a disk that can be filled."""
    other_clock: bool = False
    """Whether the installation's clock is its own, to be moved."""


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


def problems(world: World) -> str:
    """All that the agent complains about."""
    status = world.site.status()
    return "\n".join(status.problems) if status else ""
