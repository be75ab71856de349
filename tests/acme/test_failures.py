"""What goes wrong at the CA or in OPTIONS is said in one line, costs one certificate, and no more than that."""

import fcntl
import logging
from datetime import timedelta

import pytest

from letsencrypt.control import Verb
from tests.acme.container import Container, files_end_after
from tests.acme.pebble import LOOPBACK, Authorities, Authority, Dns
from tests.ports import free_port

pytestmark = pytest.mark.acme


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    """The lines that an operator sees as errors."""
    return [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


def test_a_bad_name_costs_its_own_certificate_only(
    container: Container, authority: Authority, dns: Dns, caplog: pytest.LogCaptureFixture
) -> None:
    """Where one name cannot be validated, its certificate waits and the line names it with the CA's words and the
    next try; certificates without it are issued in the same cycle.
    """
    dns.break_name("broken.example")
    report = container.cycle("ok.example, broken.example; fine.example", authority)

    authority.verify(container.published("fine.example").pem, "fine.example")
    assert not (container.certs / "ok.example.pem").exists()
    [line] = errors(caplog)
    assert line.startswith(f"No certificate for ok.example, broken.example from {authority.host}: broken.example: ")
    assert "could not resolve" in line
    assert line.endswith(". Next try in 61 seconds.")
    assert timedelta(seconds=55) < report.pause <= timedelta(seconds=61)


def test_a_mended_name_gets_its_certificate(container: Container, authority: Authority, dns: Dns) -> None:
    """A name that was refused is issued once it validates and the operator asks for it, and nothing is left over."""
    dns.break_name("mended.example")
    container.cycle("mended.example", authority)
    dns.mend_name("mended.example")
    container.cycle("mended.example", authority)
    assert not (container.certs / "mended.example.pem").exists()
    container.ask(Verb.RETRY, "mended.example")
    container.cycle("mended.example", authority)

    authority.verify(container.published("mended.example").pem, "mended.example")
    assert list((container.run / "webroot/.well-known/acme-challenge").iterdir()) == []


def test_a_missing_server_is_one_line_for_all(container: Container, caplog: pytest.LogCaptureFixture) -> None:
    """While nobody answers at the server's address, all certificates wait together and one asks again soon."""
    port = free_port()
    with container.started("a.example; b.example", f"--server https://{LOOPBACK}:{port}/dir") as issuer:
        report = issuer.cycle()

    assert errors(caplog) == [
        f"The ACME server {LOOPBACK}:{port} cannot be reached: Connection refused. Next try in 30 seconds."
    ]
    assert report.pause < timedelta(seconds=31)


def test_a_server_that_is_not_trusted_is_said_so(
    container: Container, authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose HTTPS nobody vouches for counts as not reached, with the reason."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    container.cycle("a.example", authority)

    [line] = errors(caplog)
    assert line.startswith(f"The ACME server {authority.host} cannot be reached: ")
    assert "certificate verify failed" in line


def test_an_unknown_option_orders_nothing(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """An option that certbot does not know is named in one line, what was given to it is not; nothing is ordered,
    and nothing is tried again before the day is over.
    """
    orders = authority.orders()
    options = f"--server {authority.directory} --nonsense=secret"
    with container.started("a.example; b.example", options) as issuer:
        issuer.cycle()
        second = issuer.cycle()

    assert errors(caplog) == [
        "OPTIONS cannot be used, so no certificate is ordered: certbot knows no option --nonsense. "
        "Next try after OPTIONS is changed."
    ]
    assert authority.orders() == orders
    assert second.pause == timedelta(minutes=5)


def test_certificates_stay_published_while_options_are_wrong(container: Container, authority: Authority) -> None:
    """A mistake in OPTIONS takes nothing away, and what was published is even restored."""
    container.cycle("kept.example", authority)
    before = container.published("kept.example")
    (container.certs / "kept.example.pem").unlink()

    container.cycle("kept.example", authority, "--nonsense")

    assert container.published("kept.example") == before


def test_a_missing_account_binding_waits_for_other_options(
    container: Container, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that wants an external account binding (RFC 8555 section 7.3.4) is not asked again for a day, and
    the line says which options it wants.
    """
    strict = authorities.start(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": "c2VjcmV0LWtleQ"})
    container.cycle("bound.example", strict)

    [line] = errors(caplog)
    assert "--eab-kid" in line
    assert line.endswith("Next try in 24 hours.")
    assert strict.orders() == 0


def test_a_wrong_account_binding_is_told_in_the_words_of_the_ca(
    container: Container, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """What the CA says when it opens no account reaches the operator, and the key that was given does not."""
    strict = authorities.start(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": "c2VjcmV0LWtleQ"})
    container.cycle("bound.example", strict, "--eab-kid=kid-1", "--eab-hmac-key=d3Jvbmcta2V5")

    [line] = errors(caplog)
    assert "JWS verification error" in line
    assert "d3Jvbmcta2V5" not in caplog.text


def test_another_certbot_in_the_same_folders_is_waited_for(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """While another process holds certbot's lock, one line says so, and it is tried again in seconds."""
    config = container.config(authority)
    config.mkdir(parents=True)
    with (config / ".certbot.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        report = container.cycle("a.example; b.example", authority)

    assert errors(caplog) == [
        "No certificate can be ordered: Another instance of Certbot is already running. Next try in 10 seconds."
    ]
    assert report.pause < timedelta(seconds=11)


def test_a_certificate_that_could_not_be_saved_is_not_ordered_again_soon(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """When the disk is full as certbot saves, the certificate is issued and lost: the next order has to fit the few
    that a week allows, and what it left is no obstacle then.
    """
    orders = authority.orders()
    with files_end_after(2000):
        container.cycle("unsaved.example", authority)

    assert authority.orders() == orders + 1
    [line] = errors(caplog)
    assert line.startswith(f"No certificate for unsaved.example from {authority.host}: ")
    assert "File too large" in line
    assert line.endswith("Next try in 10 minutes.")

    container.cycle("unsaved.example", authority)
    assert authority.orders() == orders + 1
    container.ask(Verb.RETRY, "unsaved.example")
    container.cycle("unsaved.example", authority)
    assert container.lineages(authority) == {"unsaved.example"}
    authority.verify(container.published("unsaved.example").pem, "unsaved.example")


def test_a_refused_name_waits_for_other_settings(
    container: Container, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that the CA rejects by its policy is not asked for again for a day, and the CA's words are passed on."""
    picky = authorities.start(domainBlocklist=["blocked.example"])
    container.cycle("blocked.example", picky)

    [line] = errors(caplog)
    assert line.startswith(f"No certificate for blocked.example from {picky.host}: ")
    assert "blocked.example is a forbidden domain" in line
    assert line.endswith("Next try in 24 hours.")
