"""A real HAProxy for each test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import Proxy, proxy_in_a_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the binary."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.haproxy)


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """The CA that clients trust."""
    return CertificateAuthority()


@pytest.fixture
def stopped(authority: CertificateAuthority) -> Iterator[Proxy]:
    """A proxy whose folders are empty, before its first start."""
    with proxy_in_a_folder(authority) as proxy:
        yield proxy


@pytest.fixture
def proxy(stopped: Proxy) -> Proxy:
    """A proxy that runs, with nothing to serve yet."""
    stopped.boot()
    return stopped


@pytest.fixture
def shop() -> Iterator[Origin]:
    """A web server."""
    with serving("shop") as origin:
        yield origin


@pytest.fixture
def blog() -> Iterator[Origin]:
    """Another one."""
    with serving("blog") as origin:
        yield origin
