"""Certificates are renewed when the CA advises, or in time when it does not."""

import pytest

from tests.acme.container import Container
from tests.acme.pebble import PROFILES, Authorities, Authority
from tests.waiting import until

pytestmark = pytest.mark.acme


def test_renewal_follows_the_advice_of_the_authority(container: Container, authority: Authority) -> None:
    """A fresh certificate is replaced, and the new one published, once its renewal window (RFC 9773) is over."""
    container.cycle("advised.example", authority)
    first = container.published("advised.example")
    authority.advise_renewal_now(first.pem)

    report = container.cycle("advised.example", authority)

    second = container.published("advised.example")
    authority.verify(second.pem, "advised.example")
    assert second.serial != first.serial
    assert [sentence.partition(":")[0] for sentence in report.sentences] == [
        "Renewed the certificate for advised.example"
    ]


def test_a_short_life_is_renewed_before_its_end(container: Container, authorities: Authorities) -> None:
    """A certificate that lives for seconds is replaced while it is still valid, by looking often enough."""
    authority = authorities.start(profiles={**PROFILES, "seconds": {"description": "", "validityPeriod": 16}})
    profile = ("--preferred-profile", "seconds")
    container.cycle("brief.example", authority, *profile)
    first = container.published("brief.example")

    def renewed() -> bool:
        container.cycle("brief.example", authority, *profile)
        return container.published("brief.example").serial != first.serial

    until(renewed, "the certificate is renewed", within=45)

    second = container.published("brief.example")
    assert second.not_before < first.not_after < second.not_after
