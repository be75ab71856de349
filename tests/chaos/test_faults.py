"""The same faults as in the table, some times each: no client notices what need not be noticed."""

from collections.abc import Iterator

import pytest

from tests.certificate_authority import CertificateAuthority
from tests.chaos.rows import FAULTS
from tests.chaos.run import differences, suffered
from tests.chaos.site import site
from tests.chaos.world import UNDER_WAY, World, world

pytestmark = [pytest.mark.haproxy, pytest.mark.slow, pytest.mark.timeout(300)]

UNAVOIDABLE = [fault for fault in FAULTS if fault.unavoidable and not fault.excused]
AVOIDABLE = [fault for fault in FAULTS if fault.few and fault not in UNAVOIDABLE]


@pytest.fixture
def around() -> Iterator[World]:
    """An installation that serves, and all that is around it."""
    with site(CertificateAuthority(), other_clock=True) as installation, world(installation) as around:
        yield around


def test_no_request_fails_and_nothing_is_left_behind(around: World) -> None:
    """One installation goes through all of it, and ends as one that has just started on the same world."""
    for fault in AVOIDABLE:
        tally, _ = suffered(around, fault, fault.few)
        assert (fault.name, tally.failures, tally.wrong_certificates) == (fault.name, {}, {})
    assert differences(around) == ()


def test_a_killed_haproxy_takes_along_what_was_under_way_and_nothing_else(around: World) -> None:
    """Whoever connects while it starts waits: as long as a start takes, without the second that s6 waits by itself."""
    for fault in UNAVOIDABLE:
        tally, seconds = suffered(around, fault, 3)
        assert tally.wrong_certificates == {}
        assert tally.failed <= 3 * UNDER_WAY, tally.failures
        assert not [reason for reason in tally.failures if "refused" in reason.lower()]
        assert min(seconds) < 1
    assert differences(around) == ()
