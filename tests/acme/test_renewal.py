"""Certificates are renewed when the CA advises, or in time when it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acme.container import Container
from tests.acme.pebble import PROFILES, Authorities, Authority
from tests.certificate_authority import CertificateAuthority
from tests.unit.letsencrypt.certificates import keep
from tests.waiting import until

pytestmark = pytest.mark.acme

LIVES = {"90d": 90 * 24, "64d": 64 * 24, "45d": 45 * 24, "160h": 160}
"""Hours that certificates of Let's Encrypt live, today or soon (https://letsencrypt.org/docs/profiles/)."""


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


def test_without_advice_the_lifetime_decides(container: Container, authority: Authority) -> None:
    """A certificate of which the CA knows nothing is renewed once two thirds of its life are over, or half of a life
    under ten days; not a little before.
    """
    issuer, now = CertificateAuthority(), datetime.now(UTC)
    held: dict[str, int] = {}
    for name, hours in LIVES.items():
        due = 1 / 2 if hours < 10 * 24 else 2 / 3
        for age, lived in (("young", due - 0.02), ("old", due + 0.02)):
            host, life = f"{age}-{name}.example", timedelta(hours=hours)
            begin = now - life * lived
            issued = issuer.issue(host, not_before=begin, not_after=begin + life)
            keep(container.config(authority), host, issued, server=authority.directory)
            held[host] = issued.serial
    orders = authority.orders()

    container.cycle("; ".join(held), authority)

    renewed = {host for host, serial in held.items() if container.published(host).serial != serial}
    assert renewed == {f"old-{name}.example" for name in LIVES}
    # An order that names a predecessor of another CA is refused, and placed again without.
    assert orders + len(LIVES) <= authority.orders() <= orders + 2 * len(LIVES)


@pytest.mark.parametrize("name", LIVES)
def test_advice_is_followed_whatever_the_lifetime(name: str, container: Container, authorities: Authorities) -> None:
    """A fresh certificate is kept while the window is ahead, and replaced when it is over, as after a revocation."""
    profile = {"description": "", "validityPeriod": LIVES[name] * 3600}
    authority = authorities.start(profiles={"only": profile})
    container.cycle("life.example", authority)
    first = container.published("life.example")
    assert round((first.not_after - first.not_before).total_seconds() / 3600) == LIVES[name]
    container.cycle("life.example", authority)
    assert container.published("life.example") == first
    container.forget_advice(authority, "life.example")
    authority.advise_renewal_now(first.pem)
    container.cycle("life.example", authority)
    assert container.published("life.example").serial != first.serial
    assert authority.orders() == 2


def test_nonsense_for_advice_is_none(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the CA answers, a certificate stays, nothing is said, and the last sixth of its life is a reason without
    advice: a window after its end is not obeyed.
    """
    container.cycle("garbage.example", authority, "--preferred-profile", "classic")
    first = container.published("garbage.example")
    caplog.clear()
    for answer in ("nonsense", "{}", '{"suggestedWindow": {"start": "soon", "end": 3}}'):
        authority.answer_renewal_info(first.pem, answer)
        container.forget_advice(authority, "garbage.example")
        container.cycle("garbage.example", authority, "--preferred-profile", "classic")
        assert container.published("garbage.example") == first
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []

    authority.advise_renewal(first.pem, timedelta(days=200))
    container.forget_advice(authority, "garbage.example")
    container.settings["PREFLIGHT"] = "off"
    container.forward(timedelta(days=70))
    container.cycle("garbage.example", authority, "--preferred-profile", "classic")
    assert container.published("garbage.example") == first
    container.forward(timedelta(days=80))
    container.cycle("garbage.example", authority, "--preferred-profile", "classic")
    assert container.published("garbage.example").serial != first.serial
