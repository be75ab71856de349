"""A clock that jumps by a day, either way, places no order and loses no certificate."""

from datetime import timedelta

import pytest

from letsencrypt.schedule import Failure
from tests.acme.container import Container
from tests.acme.fault_proxy import Endpoint, Fault, FaultProxy, Mode
from tests.acme.pace import Pace

pytestmark = pytest.mark.acme

NAME = "jumping.example"
DAY = timedelta(days=1)


@pytest.mark.parametrize("jumps", [(DAY, -DAY), (-DAY, DAY)], ids=["forward", "back"])
def test_a_certificate_that_is_held_stays(
    container: Container, pace: Pace, proxy: FaultProxy, jumps: tuple[timedelta, ...]
) -> None:
    """Nor is anything said; the look after the jump finds nothing due, and so does the one after the clock is set."""
    proxy.seen.clear()
    with container.started(NAME, f"--server {proxy.directory}") as loop:
        loop.cycle()
        bundle = container.published(NAME)
        for jump in jumps:
            pace.ahead += jump
            assert loop.cycle().sentences == ()
    assert proxy.count(Endpoint.ORDER, "POST") == 1
    assert container.published(NAME) == bundle


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_a_pause_is_neither_forgotten_nor_endless(
    container: Container, pace: Pace, proxy: FaultProxy, jump: timedelta
) -> None:
    """A lineage whose certificate may have been lost is tried again once: at once when its pause seems over, and no
    later than that pause was meant to be when the clock was set back.
    """
    proxy.seen.clear()
    with container.started(NAME, f"--server {proxy.directory}") as loop:
        with proxy.failing(Fault(Endpoint.CERTIFICATE, Mode.RESET)):
            loop.cycle()
        state = container.state(proxy)
        assert state.lineages[NAME].standing.failure is Failure.AFTER_FINALIZE
        pace.ahead += jump
        report = loop.cycle()
        assert proxy.count(Endpoint.ORDER, "POST") == (2 if jump > timedelta() else 1)
        assert report.pause <= timedelta(minutes=11)
        pace.ahead += timedelta(minutes=11)
        loop.cycle()
    assert proxy.count(Endpoint.ORDER, "POST") == 2
    proxy.authority.verify(container.published(NAME).pem, NAME)
    assert container.lineages(proxy) == {NAME}
