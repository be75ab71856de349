"""Another ACME server comes in while the first one fails, and leaves when that is back."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from letsencrypt.certonly import Directory
from letsencrypt.control import Verb
from letsencrypt.issuer import Report
from letsencrypt.revocation import Revocations
from letsencrypt.status import read_status
from tests.acme.container import Container, Patient
from tests.acme.pebble import LOOPBACK, Authorities, Authority, Dns, Trust
from tests.ports import free_port

pytestmark = pytest.mark.acme

KID, HMAC_KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture(scope="session")
def fallback(authorities: Authorities) -> Authority:
    """The one that comes in."""
    return authorities.start()


def at(port: int) -> str:
    """OPTIONS for a server on *port*, where there may be none."""
    return f"--server https://{LOOPBACK}:{port}/dir"


def look(loop: Patient) -> Report:
    """Cycle until nobody's turn comes by what the last cycle showed."""
    while (report := loop.cycle()).pause == timedelta():
        pass
    return report


def test_while_the_first_is_down_another_issues_and_is_kept_until_its_renewal(
    container: Container, authorities: Authorities, fallback: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing certificate comes from the fallback in the same look; when the first one is back, nothing is asked of
    it, after a restart neither, until the certificate is due: then it is the first one's turn again.
    """
    caplog.set_level("INFO")
    container.settings = {"ACME_FALLBACK_SERVER": fallback.directory}
    port, orders = free_port(), fallback.orders()
    with container.started("one.example", at(port)) as loop:
        look(loop)
        rescued = container.published("one.example")
        fallback.verify(rescued.pem, "one.example")
        first = authorities.start(port)
        assert loop.cycle().sentences == ()
    said = f"{first.host} does not issue now (network): the fallback {fallback.host} is asked for the certificate for"
    assert [message for message in caplog.messages if "fallback" in message] == [f"{said} one.example."]
    lines, _ = read_status(container.letsencrypt, container.certs, rescued.not_before)
    assert [(line.source, line.valid_until, line.wanted) for line in lines] == [
        (fallback.host, rescued.not_after, True)
    ]

    fallback.advise_renewal_now(rescued.pem)
    with container.started("one.example", at(port)) as loop:
        assert loop.cycle().pause.total_seconds() == 0
        assert (first.orders(), fallback.orders()) == (0, orders + 1)
        assert container.published("one.example") == rescued
        container.ask(Verb.RETRY, "one.example")  # the first one was seen to be down half a minute ago
        loop.cycle()
    first.verify(container.published("one.example").pem, "one.example")
    assert (first.orders(), fallback.orders()) == (1, orders + 1)
    assert caplog.messages[-1] == (
        f"{first.host} issues again: the certificate for one.example comes from there, "
        f"and no longer from the fallback {fallback.host}."
    )
    with container.started("one.example", at(port)) as loop:
        assert loop.cycle().sentences == ()
    first.verify(container.published("one.example").pem, "one.example")


def test_a_wish_brings_the_first_one_back_at_once(
    container: Container, authorities: Authorities, fallback: Authority
) -> None:
    """The fallback's certificate is not due, and the first one is asked all the same; and what is revoked at the
    fallback is replaced by the first one before.
    """
    container.settings = {"ACME_FALLBACK_SERVER": fallback.directory}
    port, orders = free_port(), fallback.orders()
    with container.started("again.example; leaked.example", at(port)) as loop:
        look(loop)
        first = authorities.start(port)
        leaked = container.published("leaked.example")
        fallback.verify(container.published("again.example").pem, "again.example")
        container.ask(Verb.RETRY, "again.example")
        look(loop)
        first.verify(container.published("again.example").pem, "again.example")
        fallback.verify(container.published("leaked.example").pem, "leaked.example")

        container.ask(Verb.REVOKE, "leaked.example", "superseded")
        look(loop)
        first.verify(container.published("leaked.example").pem, "leaked.example")
        look(loop)
        assert fallback.is_revoked(leaked.serial)
        assert (first.orders(), fallback.orders()) == (2, orders + 2)
        for _ in range(2):
            container.ask(Verb.RETRY, "leaked.example")
            look(loop)
        assert (first.orders(), fallback.orders()) == (2, orders + 2)
        assert not Revocations(container.letsencrypt).all()


def test_a_certificate_that_lasts_waits_for_the_first(
    container: Container, fallback: Authority, tmp_path: Path, trust: Trust, dns: Dns, challenge_port: int
) -> None:
    """With the first one gone, a fresh certificate is no reason to go elsewhere; a name that has none is."""
    container.settings = {"ACME_FALLBACK_SERVER": fallback.directory}
    with ExitStack() as stack:
        first = Authorities(tmp_path, trust, dns, challenge_port, stack).start()
        container.cycle("lasting.example", first)
    kept, orders = container.published("lasting.example"), fallback.orders()
    with container.started("lasting.example; late.example", at(first.port)) as loop:
        look(loop)
    assert fallback.orders() == orders + 1
    fallback.verify(container.published("late.example").pem, "late.example")
    assert container.published("lasting.example") == kept


def test_the_line_goes_on_where_the_fallback_fails_too(
    container: Container, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """The second fallback wants an external account, whose keys it is given by its place in the lists; nobody reads
    them in the log.
    """
    last = authorities.start(externalAccountBindingRequired=True, externalAccountMACKeys={KID: HMAC_KEY})
    caplog.set_level("DEBUG")
    container.settings = {
        "ACME_FALLBACK_SERVER": f"https://{LOOPBACK}:{free_port()}/dir, {last.directory}",
        "ACME_FALLBACK_EAB_KID": f",{KID}",
        "ACME_FALLBACK_EAB_HMAC_KEY": f",{HMAC_KEY}",
        "ACME_FALLBACK_EMAIL": "elsewhere@example.com",
    }
    with container.started("far.example", f"{at(free_port())} --eab-kid=other --eab-hmac-key=b3RoZXI") as loop:
        look(loop)
    last.verify(container.published("far.example").pem, "far.example")
    assert (Directory(last.directory, KID).config_folder(container.letsencrypt) / "live" / "far.example").is_dir()
    assert HMAC_KEY not in caplog.text
    kept = [path for path in container.letsencrypt.parent.rglob("*") if path.is_file()]
    assert kept
    assert not any(HMAC_KEY.encode() in path.read_bytes() for path in kept), "certbot's log has its command line"


def test_what_the_first_refuses_is_not_asked_elsewhere(
    container: Container, authorities: Authorities, fallback: Authority
) -> None:
    """A name that the first one rejects by its policy is not the first one's fault."""
    container.settings = {"ACME_FALLBACK_SERVER": fallback.directory}
    picky = authorities.start(domainBlocklist=["blocked.example"])
    orders = fallback.orders()
    container.cycle("blocked.example", picky)
    assert fallback.orders() == orders
    assert not (container.certs / "blocked.example.pem").exists()


def test_the_fallback_renews_what_is_about_to_expire_while_the_first_stays_down(
    container: Container, fallback: Authority
) -> None:
    """What is due is left to the first one, which is down, until the last sixth of its life: then the fallback that
    issued it renews it.
    """
    container.settings = {"ACME_FALLBACK_SERVER": fallback.directory, "PREFLIGHT": "off"}
    port, orders = free_port(), fallback.orders()
    options = f"{at(port)} --required-profile classic"

    def served() -> int:
        with container.started("due.example", options) as loop:
            look(loop)
        return container.published("due.example").serial

    first = served()
    fallback.advise_renewal_now(container.published("due.example").pem)
    container.forward(timedelta(days=70))
    assert served() == first
    assert fallback.orders() == orders + 1
    container.forward(timedelta(days=80))
    assert served() != first
    assert fallback.orders() == orders + 2
