"""Docker slow, mute, talking nonsense or gone, while containers start and a certificate is renewed."""

from collections.abc import Iterator

from tests.chaos.engine import Fault as EngineFault
from tests.chaos.fault import Act, answers, shows, timed
from tests.chaos.world import SECURE, World


def failing(fault: EngineFault, seconds: float) -> Act:
    """The engine has a fault for so long; the certificate need not wait for its end, the container does."""

    def act(world: World, times: int) -> Iterator[float]:
        for number in range(times):
            with world.site.engine.failing(fault):
                world.start(f"d{number}.test", f"d{number}")
                renewed = world.site.publish("a", SECURE)
                timed(lambda: shows(world, SECURE, renewed.serial), "a renewal meanwhile")  # noqa: B023
                world.pause(seconds)
            yield timed(lambda: answers(world, f"d{number}.test"), "the new service")  # noqa: B023

    return act


def restarted(seconds: float) -> Act:
    """The daemon is gone for so long, with its socket; containers live on, and others are there when it is back."""

    def act(world: World, times: int) -> Iterator[float]:
        for number in range(times):
            world.site.engine.close()
            world.start(f"e{number}.test", f"e{number}")
            renewed = world.site.publish("a", SECURE)
            timed(lambda: shows(world, SECURE, renewed.serial), "a renewal meanwhile")  # noqa: B023
            world.pause(seconds)
            world.site.engine.open()
            yield timed(lambda: answers(world, f"e{number}.test"), "the new service")  # noqa: B023

    return act
