"""A disk that fills: what can be known before an order costs none, and all goes on by itself when there is space.

No test here can mount a small disk, which takes privileges: a limit on the size of files (setrlimit(2)) lets each write
fail in its turn instead. A volume that is really full is the checkup's matter, before any run.
"""

from datetime import timedelta

import pytest

from letsencrypt.certonly import Directory
from letsencrypt.state_file import state_folder
from tests.acme.container import Container, files_end_after
from tests.acme.fault_proxy import Endpoint, FaultProxy
from tests.acme.pace import Pace

pytestmark = pytest.mark.acme

NAME = "full.example"


@pytest.mark.parametrize("size", [100, 1000, 3000], ids=lambda size: f"{size}-bytes")
def test_a_renewal_on_a_full_disk(container: Container, pace: Pace, proxy: FaultProxy, size: int) -> None:
    """The bundle that is published stays whole. Where not even the state can be written, nothing is ordered; else one
    certificate is lost at most, which is counted. With space again the renewal comes by itself.
    """
    with container.started(NAME, f"--server {proxy.directory}") as loop:
        loop.cycle()
        first = container.published(NAME)
        proxy.authority.advise_renewal_now(first.pem)
        proxy.seen.clear()
        pace.ahead += timedelta(hours=13)
        with files_end_after(size):
            loop.cycle()
            orders = proxy.count(Endpoint.ORDER, "POST")
        assert orders <= (0 if size == 100 else 1)
        assert container.published(NAME) == first or size > 1000
        pace.stop_when(lambda: container.published(NAME) != first, timedelta(minutes=20))
        loop.run()
    assert container.published(NAME) != first
    assert proxy.count(Endpoint.ORDER, "POST") <= orders + 1
    proxy.authority.verify(container.published(NAME).pem, NAME)
    assert container.lineages(proxy) == {NAME}
    assert not list(state_folder(Directory(proxy.directory), container.letsencrypt).glob("*.run"))
