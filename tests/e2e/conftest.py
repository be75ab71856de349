"""A stack for each test module, and what all end-to-end tests have in common."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs Docker."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure comes what its stacks have said."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        stacks = [fixture for fixture in item.funcargs.values() if isinstance(fixture, Stack)]
        report.sections += [(f"stack {stack.project}", stack.story()) for stack in stacks]
    return report


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack that nothing has started yet, with both authorities and one web container at hand."""
    with running(HERE / "compose.e2e.yaml") as stack:
        yield stack


@pytest.fixture
def plain_stack() -> Iterator[Stack]:
    """The stack as it is published, but for the ports."""
    with running(HERE / "compose.ports.yaml") as stack:
        yield stack


@pytest.fixture(scope="module")
def gate() -> Iterator[Stack]:
    """HAProxy's container beside docker-gate, for a whole module that only asks."""
    with running(HERE / "compose.ports.yaml") as stack:
        stack.up("haproxy", "docker-gate")
        stack.until_docker_answers()
        yield stack


@pytest.fixture
def full_disk_stack() -> Iterator[Stack]:
    """A stack whose certs volume is tiny."""
    with running(HERE / "compose.e2e.yaml", HERE / "compose.full-disk.yaml") as stack:
        yield stack


@pytest.fixture
def little_memory_stack() -> Iterator[Stack]:
    """A stack whose proxy may take hardly more memory than it needs."""
    with running(HERE / "compose.e2e.yaml", HERE / "compose.little-memory.yaml") as stack:
        yield stack
