"""Processes that die without a word."""

import os
import signal
from collections.abc import Iterator

from tests.chaos.fault import answers, shows, timed
from tests.chaos.world import PLAIN, SECURE, World


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
