"""A renewal says which certificate it replaces."""

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authorities, Authority

pytestmark = pytest.mark.acme

NAME = "heir.example"


def forget_advice(container: Container, authority: Authority) -> None:
    """Let certbot ask for renewal information again, which it does every six hours."""
    conf = container.config(authority) / "renewal" / f"{NAME}.conf"
    conf.write_text(conf.read_text().partition("[acme_renewal_info]")[0])


def test_a_renewal_names_its_predecessor(container: Container, authorities: Authorities) -> None:
    """One order renews. Where that renewal is lost, the CA knows a successor of what is held: an order that names it is
    refused (409, alreadyReplaced), and placed again without.
    """
    authority = authorities.start()
    container.cycle(NAME, authority)
    first = container.published(NAME)
    authority.advise_renewal_now(first.pem)
    forget_advice(container, authority)
    container.cycle(NAME, authority)
    second = container.published(NAME)
    assert second.serial != first.serial
    assert authority.orders() == 2

    for path in (container.config(authority) / "archive" / NAME).glob("*2.pem"):
        path.unlink()
    forget_advice(container, authority)
    container.cycle(NAME, authority)

    third = container.published(NAME)
    assert third.serial not in (first.serial, second.serial)
    authority.verify(third.pem, NAME)
    assert authority.orders() == 3
    assert authority.refused_orders() == 1
