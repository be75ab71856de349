"""Names that move from one certificate to another cost an order only where no certificate covers them."""

import pytest

from letsencrypt.control import Verb
from tests.acme.container import Container
from tests.acme.pebble import Authority

pytestmark = pytest.mark.acme


def names(container: Container, lineage: str) -> set[str]:
    """What is published under that name covers."""
    return {str(name) for name in container.published(lineage).identifiers}


def test_another_first_name_orders_nothing(container: Container, authority: Authority) -> None:
    """The same names in another order are another lineage, which takes the certificate over, and renews it by itself
    when it is due.
    """
    container.cycle("a.order.example, b.order.example", authority)
    first, orders = container.published("a.order.example"), authority.orders()

    report = container.cycle("b.order.example, a.order.example", authority)

    assert container.published("b.order.example").fingerprint == first.fingerprint
    assert authority.orders() == orders
    assert [sentence.partition(":")[0] for sentence in report.sentences] == [
        "The certificate a.order.example covers b.order.example, a.order.example, too",
        "Published the certificate for b.order.example, a.order.example",
    ]
    assert container.cycle("b.order.example, a.order.example", authority).sentences == ()
    authority.advise_renewal_now(first.pem)
    container.ask(Verb.RETRY, "b.order.example")
    container.forget_advice(authority, "b.order.example")
    container.cycle("b.order.example, a.order.example", authority)
    assert authority.orders() == orders + 1
    assert container.published("b.order.example").fingerprint != first.fingerprint
    assert container.published("a.order.example").fingerprint == first.fingerprint, "nobody renews it any more"
    assert container.lineages(authority) == {"a.order.example", "b.order.example"}


def test_a_name_that_leaves_stays_in_the_certificate_until_that_is_due(
    container: Container, authority: Authority
) -> None:
    """A shorter list is served by the longer certificate; at its renewal the wanted names alone are ordered."""
    container.cycle("keep.example, leave.example", authority)
    first, orders = container.published("keep.example"), authority.orders()

    assert container.cycle("keep.example", authority).sentences == ()
    assert container.cycle("keep.example", authority).sentences == ()
    assert authority.orders() == orders

    authority.advise_renewal_now(first.pem)
    container.forget_advice(authority, "keep.example")
    container.cycle("keep.example", authority)
    assert authority.orders() == orders + 1
    assert names(container, "keep.example") == {"keep.example"}


def test_a_split_orders_only_what_nothing_covers(container: Container, authority: Authority) -> None:
    """Two lists out of one, and a new name beside them: the new name alone is ordered; together again: nothing."""
    whole = "one.split.example, two.split.example"
    container.cycle(whole, authority)
    orders = authority.orders()

    container.cycle("one.split.example; two.split.example; three.split.example", authority)
    assert authority.orders() == orders + 1
    assert names(container, "three.split.example") == {"three.split.example"}
    for name in ("one.split.example", "two.split.example"):
        authority.verify(container.published(name).pem, name)

    container.cycle(whole, authority)
    assert authority.orders() == orders + 1


def test_a_merge_is_one_order_and_its_way_back_none(container: Container, authority: Authority) -> None:
    """No certificate covers the names of two, so they are ordered together once; parted again they are covered."""
    apart = "one.merge.example; two.merge.example"
    container.cycle(apart, authority)
    orders = authority.orders()

    container.cycle("one.merge.example, two.merge.example", authority)
    assert authority.orders() == orders + 1
    assert names(container, "one.merge.example") == {"one.merge.example", "two.merge.example"}

    container.cycle(apart, authority)
    assert authority.orders() == orders + 1


def test_a_new_version_is_taken_into_a_lineage_that_exists(container: Container, authority: Authority) -> None:
    """A lineage that held fewer names gets the certificate of another one that has them all, as a new version."""
    container.cycle("b.grow.example", authority)
    container.cycle("a.grow.example, b.grow.example", authority)
    orders = authority.orders()
    container.cycle("b.grow.example, a.grow.example", authority)
    assert authority.orders() == orders
    assert names(container, "b.grow.example") == {"a.grow.example", "b.grow.example"}
    archive = container.config(authority) / "archive" / "b.grow.example"
    assert sorted(path.name for path in archive.glob("cert*.pem")) == ["cert1.pem", "cert2.pem"]
    assert (archive / "privkey2.pem").stat().st_mode & 0o777 == 0o600


def test_a_removed_certificate_stays_published_and_is_renewed_by_nobody(
    container: Container, authority: Authority
) -> None:
    """Out of DOMAINS, a due certificate is left as it is until the operator has it forgotten."""
    container.cycle("stays.example; goes.example", authority)
    held, orders = container.published("goes.example"), authority.orders()
    authority.advise_renewal_now(held.pem)
    container.cycle("stays.example", authority)
    assert container.published("goes.example") == held
    assert authority.orders() == orders
    container.ask(Verb.FORGET, "goes.example")
    container.cycle("stays.example", authority)
    assert not (container.certs / "goes.example.pem").exists()
    assert container.lineages(authority) == {"stays.example"}
