"""Fixtures: one DNS server and one Pebble for each test worker, and a container of its own for each test."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.acme.container import Container, SharedForks
from tests.acme.fault_proxy import FaultProxy
from tests.acme.pace import Pace
from tests.acme.pebble import Authorities, Authority, Dns, Trust, make_trust, run_dns
from tests.ports import free_port


@pytest.fixture(scope="session")
def challenge_port() -> int:
    """Where Pebble fetches challenges, in place of port 80."""
    return free_port()


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """Pebble's HTTPS is trusted by whatever this process starts, and certbot there does not sleep for long."""
    made = make_trust(tmp_path_factory.mktemp("trust"))
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("REQUESTS_CA_BUNDLE", str(made.root))
        environ.setenv("PYTHONPATH", str(Path(__file__).with_name("impatient")))
        yield made


@pytest.fixture(scope="session")
def dns_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dns]:
    """The DNS server that Pebble asks."""
    with run_dns(tmp_path_factory.mktemp("dns")) as running:
        yield running


@pytest.fixture(scope="session")
def authorities(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, dns_server: Dns, challenge_port: int
) -> Iterator[Authorities]:
    """For tests that need another Pebble, or one of a kind."""
    with ExitStack() as stack:
        yield Authorities(tmp_path_factory.mktemp("pebble"), trust, dns_server, challenge_port, stack)


@pytest.fixture(scope="session")
def authority(authorities: Authorities) -> Authority:
    """The Pebble that most tests share."""
    return authorities.start()


@pytest.fixture(scope="session")
def proxy(authority: Authority) -> Iterator[FaultProxy]:
    """A way to that Pebble on which a test may lay faults."""
    with closing(FaultProxy(authority)) as running:
        yield running


@pytest.fixture
def pace(container: Container) -> Pace:
    """The clock of the container, driven by the test."""
    made = Pace()
    container.now, container.wakeup = made.now, lambda: made
    return made


@pytest.fixture
def dns(dns_server: Dns) -> Iterator[Dns]:
    """It as well; what a test breaks there is mended at its end."""
    yield dns_server
    dns_server.mend_all()


@pytest.fixture(scope="session")
def forks(trust: Trust) -> SharedForks:
    """What certbot is forked from, as starting that takes about as long as ordering a certificate."""
    assert trust.root.exists(), "the environment has it, and is what certbot gets from the beginning"
    return SharedForks()


@pytest.fixture
def container(tmp_path: Path, challenge_port: int, dns: Dns, forks: SharedForks) -> Container:
    """An empty container."""
    return Container(tmp_path, challenge_port, dns.port, forks)
