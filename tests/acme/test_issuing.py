"""Certificates are issued, kept and published; real certbot against real Pebble."""

import subprocess

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authority

pytestmark = pytest.mark.acme


def test_each_certificate_is_issued_and_published(container: Container, authority: Authority) -> None:
    """Two certificates for three names are both accepted by a client that trusts the authority's root alone."""
    report = container.cycle("a.example, www.a.example; b.example", authority)

    for name, lineage in (("a.example", "a.example"), ("www.a.example", "a.example"), ("b.example", "b.example")):
        authority.verify(container.published(lineage).pem, name)
    issued = [sentence.partition(":")[0] for sentence in report.sentences]
    assert sorted(issued) == [
        "Issued a certificate for a.example, www.a.example",
        "Issued a certificate for b.example",
    ]
    assert {path.name: path.stat().st_mode & 0o777 for path in container.certs.iterdir()} == {
        "a.example.pem": 0o600,
        "b.example.pem": 0o600,
    }


def test_nothing_due_is_nothing_done(container: Container, authority: Authority) -> None:
    """A restart with valid certificates orders nothing and says nothing."""
    container.cycle("quiet.example", authority)
    orders = authority.orders()

    assert container.cycle("quiet.example", authority).sentences == ()
    assert authority.orders() == orders


def test_an_address_gets_a_certificate(container: Container, authority: Authority) -> None:
    """An IP address in DOMAINS is ordered as such, under the short-lived profile that Let's Encrypt asks for."""
    container.cycle("127.0.0.1", authority)

    bundle = container.published("127.0.0.1")
    authority.verify(bundle.pem, "127.0.0.1")
    assert round((bundle.not_after - bundle.not_before).total_seconds() / 3600) == 160


def test_an_account_needs_no_address(container: Container, authority: Authority) -> None:
    """EMAIL may be left out."""
    container.email = ""
    container.cycle("anonymous.example", authority)
    authority.verify(container.published("anonymous.example").pem, "anonymous.example")


def test_what_certbot_obtained_before_is_taken_over(container: Container, authority: Authority) -> None:
    """A volume that plain certbot filled is used as it is: its certificate is published, and none is ordered."""
    config = container.config(authority)
    with container.started("", ""):
        folders = [f"--{kind}-dir={config / kind}" for kind in ("work", "logs")]
        command = ["certbot", "certonly", "-n", "--agree-tos", "--register-unsafely-without-email", *folders]
        command += ["--config-dir", str(config), "--server", authority.directory, "--key-type", "rsa"]
        command += ["--webroot", "-w", str(container.run / "webroot"), "-d", "old.example"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    orders = authority.orders()

    report = container.cycle("old.example", authority)

    authority.verify(container.published("old.example").pem, "old.example")
    assert authority.orders() == orders
    assert [sentence.partition(":")[0] for sentence in report.sentences] == [
        "Published the certificate for old.example"
    ]


def test_changed_names_are_ordered_at_once(container: Container, authority: Authority) -> None:
    """A name that joins a certificate is in it after the next start, under the same lineage."""
    container.cycle("grow.example", authority)
    report = container.cycle("grow.example, more.grow.example", authority)

    authority.verify(container.published("grow.example").pem, "more.grow.example")
    assert report.sentences[0].startswith("Issued a certificate for grow.example, more.grow.example: valid until ")
    assert container.lineages(authority) == {"grow.example"}
