"""What certbot holds reaches the load balancer, or waits without being ordered again."""

import pytest

from letsencrypt.issuer import PUBLISH_AGAIN
from tests.acme.container import Container, files_end_after
from tests.acme.pebble import Authority

pytestmark = pytest.mark.acme


def test_a_full_disk_keeps_the_old_bundle_and_orders_nothing_twice(
    container: Container, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """When the bundle of a renewed certificate cannot be written, the old one stays whole, one line says so, and as
    soon as there is room the new one is published without another order.
    """
    container.cycle("full.example", authority)
    old = container.published("full.example")
    new = renew_without_publishing(container, authority, old.pem)

    with container.started("full.example", f"--server {authority.directory}") as issuer:
        orders = authority.orders()
        with files_end_after(1024):
            full = [issuer.cycle(), issuer.cycle()]
        assert container.published("full.example") == old
        issuer.cycle()

    assert container.published("full.example").pem == new
    assert authority.orders() == orders
    assert [report.pause for report in full] == [PUBLISH_AGAIN, PUBLISH_AGAIN]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"Cannot write {container.certs}/full.example.pem: File too large."
    ]
    assert [path.name for path in container.certs.iterdir()] == ["full.example.pem"]


def renew_without_publishing(container: Container, authority: Authority, old: bytes) -> bytes:
    """The successor of *old*, as if the container had been killed between certbot and the bundle."""
    authority.advise_renewal_now(old)
    container.cycle("full.example", authority)
    new = container.published("full.example").pem
    (container.certs / "full.example.pem").write_bytes(old)
    return new


def test_a_lost_bundle_comes_back_without_an_order(container: Container, authority: Authority) -> None:
    """An emptied volume of bundles is filled again from what certbot holds, before anything else is waited for."""
    container.cycle("lost.example", authority)
    bundle = container.published("lost.example")
    (container.certs / "lost.example.pem").unlink()
    orders = authority.orders()

    report = container.cycle("lost.example", authority)

    assert container.published("lost.example") == bundle
    assert authority.orders() == orders
    assert report.sentences[0].startswith("Published the certificate for lost.example: valid until ")
