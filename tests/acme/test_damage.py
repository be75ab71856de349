"""A damaged lineage is mended or moved aside; certbot never makes a second one of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authority

pytestmark = pytest.mark.acme


def remove_link(config: Path) -> None:
    """A renewal that was killed between two links."""
    (config / "live/hurt.example/fullchain.pem").unlink()


def remove_all_links(config: Path) -> None:
    """A backup that does not know symbolic links."""
    for link in (config / "live/hurt.example").glob("*.pem"):
        link.unlink()


def leave_half_a_version(config: Path) -> None:
    """A renewal that ran out of space while it saved."""
    archive = config / "archive/hurt.example"
    (archive / "privkey2.pem").write_bytes((archive / "privkey1.pem").read_bytes())
    (archive / "cert2.pem").touch()


def empty_conf(config: Path) -> None:
    """A first run that was killed while it saved."""
    (config / "renewal/hurt.example.conf").write_text("")


def remove_conf(config: Path) -> None:
    """Folders without a renewal file, on which certbot orders first and fails then."""
    (config / "renewal/hurt.example.conf").unlink()


def truncate_certificate(config: Path) -> None:
    """A leaf that no longer parses, on which certbot fails for ever."""
    (config / "archive/hurt.example/cert1.pem").write_text("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize("damage", [remove_link, remove_all_links, leave_half_a_version], ids=lambda d: d.__name__)
def test_what_can_be_mended_is_mended(
    container: Container, authority: Authority, damage: Callable[[Path], None]
) -> None:
    """Where a whole version is left, the lineage goes on with it: no order, one line, the same bundle."""
    container.cycle("hurt.example", authority)
    bundle = container.published("hurt.example")
    orders = authority.orders()
    damage(container.config(authority))

    report = container.cycle("hurt.example", authority)

    assert [sentence.partition(":")[0] for sentence in report.sentences if "mended" in sentence] == [
        "The lineage hurt.example was mended"
    ]
    assert authority.orders() == orders
    assert container.lineages(authority) == {"hurt.example"}
    assert container.published("hurt.example") == bundle
    assert container.cycle("hurt.example", authority).sentences == ()


@pytest.mark.parametrize("damage", [empty_conf, remove_conf, truncate_certificate], ids=lambda d: d.__name__)
def test_what_cannot_be_mended_is_moved_aside(
    container: Container, authority: Authority, damage: Callable[[Path], None]
) -> None:
    """Any other damage costs one order, under the old name; the damaged files are kept where certbot is blind."""
    container.cycle("hurt.example", authority)
    old = container.published("hurt.example")
    orders = authority.orders()
    damage(container.config(authority))

    container.cycle("hurt.example", authority)

    assert authority.orders() == orders + 1
    assert container.lineages(authority) == {"hurt.example"}
    assert container.published("hurt.example") != old
    assert len(list(container.config(authority).glob("quarantine/*/archive/hurt.example/privkey1.pem"))) == 1
    assert container.cycle("hurt.example", authority).sentences == ()


def test_a_rescued_certificate_is_served_until_there_is_a_new_one(container: Container, authority: Authority) -> None:
    """When a lineage had to be moved aside and its bundle is lost too, what is still good in it is published."""
    container.cycle("rescue.example", authority)
    bundle = container.published("rescue.example")
    config = container.config(authority)
    (config / "renewal/rescue.example.conf").write_text("")
    (container.certs / "rescue.example.pem").unlink()

    report = container.cycle("rescue.example", authority, "--nonsense")

    assert container.published("rescue.example") == bundle
    assert any(sentence.startswith("Published the certificate for rescue.example") for sentence in report.sentences)


def test_an_unreadable_account_is_replaced(container: Container, authority: Authority) -> None:
    """An account whose key a crash left empty is moved aside, and certbot registers a new one."""
    container.cycle("first.example", authority)
    [key] = (container.config(authority) / "accounts").rglob("private_key.json")
    key.write_text("")

    report = container.cycle("first.example; second.example", authority)

    authority.verify(container.published("second.example").pem, "second.example")
    assert report.sentences[0].startswith(f"The ACME account {key.parent.name} could not be read and was moved to ")
