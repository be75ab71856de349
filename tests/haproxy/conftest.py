"""A real HAProxy for each test of this folder."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import Proxy, Start, proxy_in_a_folder, reserved_port


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
def start(authority: CertificateAuthority) -> Iterator[Start]:
    """Starts a proxy with settings, which ends with the test."""
    with ExitStack() as stack:

        def started(**environment: str) -> Proxy:
            proxy = stack.enter_context(proxy_in_a_folder(authority, **environment))
            proxy.boot()
            return proxy

        yield started


@pytest.fixture
def port() -> Iterator[int]:
    """A port that HAProxy can have."""
    with reserved_port() as reserved:
        yield reserved


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
