"""A day's work: certificates, containers and services come, go and change, and some make no sense."""

import itertools
from collections.abc import Iterator

from tests.chaos.fault import answers, behind, problems, shows, timed
from tests.chaos.world import SECURE, World
from tests.waiting import until

_MOST_LOOKS, _MOST_RELOADS = 8, 2
"""That one burst may cost, of 1,000 events."""


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
    for _ in range(times):
        worker, name = world.site.worker, world.new_name()
        world.start(f"{name}.test", name)
        yield timed(lambda: answers(world, f"{name}.test"), "the new service")  # noqa: B023
        assert world.site.worker != worker


def bursts(world: World, times: int) -> Iterator[float]:
    """Containers come and go faster than anybody could look: that takes a few looks, and a reload for what stays."""
    for number in range(times):
        looks, reloaded = world.site.engine.listed, world.site.reloads
        for event in range(500):
            identifier = f"{event:064x}"
            world.site.engine.tell("start", identifier)
            world.site.engine.tell("die", identifier)
        world.start(f"b{number}.test", f"b{number}")
        yield timed(lambda: answers(world, f"b{number}.test"), "the service that stayed")  # noqa: B023
        world.at_rest()
        looks, reloaded = world.site.engine.listed - looks, world.site.reloads - reloaded
        assert looks <= _MOST_LOOKS, f"{looks} looks"
        assert reloaded <= _MOST_RELOADS, f"{reloaded} reloads"


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
