"""A real daemon of Docker's is killed, on an engine of its own."""

import signal

import pytest

from tests.chaos.restarts import outlived, serving
from tests.chaos.stacks import HOST
from tests.e2e.visitors import visitors

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def test_containers_are_followed_after_the_daemon_was_killed() -> None:
    """Clients are served while it is away, on connections that live through all of it, and the agent finds it again."""
    with serving() as stack, visitors(HOST, stack.port(80), stack.port(443)) as visits:
        assert len([*outlived(signal.SIGKILL, 3)(stack, visits, 1)]) == 1
    # New connections have to wait for Docker, which writes its rules that forward published ports anew.
    assert [failure for failure in visits.failures if not failure.startswith("new")] == []
