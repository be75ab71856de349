"""What the tests of the agent share."""

import logging

import pytest

from tests.unit.agent.fakes import House


@pytest.fixture
def house(caplog: pytest.LogCaptureFixture) -> House:
    """An agent beside a HAProxy that runs, with nothing to serve yet, and a log that is still empty."""
    caplog.set_level(logging.INFO)
    house = House()
    house.boot()
    house.haproxy.journal.clear()
    caplog.clear()
    return house
