"""A renewal says which certificate it replaces."""

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authorities

pytestmark = pytest.mark.acme

NAME = "heir.example"


def test_a_renewal_names_its_predecessor(container: Container, authorities: Authorities) -> None:
    """One order renews. Where that renewal is lost, the CA knows a successor of what is held: an order that names it is
    refused (409, alreadyReplaced), and placed again without.
    """
    authority = authorities.start()
    container.cycle(NAME, authority)
    first = container.published(NAME)
    authority.advise_renewal_now(first.pem)
    container.forget_advice(authority, NAME)
    container.cycle(NAME, authority)
    second = container.published(NAME)
    assert second.serial != first.serial
    assert authority.orders() == 2

    for path in (container.config(authority) / "archive" / NAME).glob("*2.pem"):
        path.unlink()
    container.forget_advice(authority, NAME)
    container.cycle(NAME, authority)

    third = container.published(NAME)
    assert third.serial not in (first.serial, second.serial)
    authority.verify(third.pem, NAME)
    assert authority.orders() == 3
    assert authority.refused_orders() == 1
