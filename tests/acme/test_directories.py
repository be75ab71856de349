"""Every ACME server has its own accounts and lineages."""

import pytest

from tests.acme.container import Container
from tests.acme.pebble import Authorities, Authority

pytestmark = pytest.mark.acme


@pytest.fixture(scope="session")
def other(authorities: Authorities) -> Authority:
    """A second authority, as production is to staging."""
    return authorities.start()


def test_another_server_issues_at_once_and_the_way_back_is_free(
    container: Container, authority: Authority, other: Authority
) -> None:
    """When OPTIONS names another server, its certificate is ordered and published at the next start, however good
    the old one is; back at the first server, the old one is published again without an order.
    """
    container.cycle("toggle.example", authority)
    first = container.published("toggle.example")

    container.cycle("toggle.example", other)
    other.verify(container.published("toggle.example").pem, "toggle.example")

    orders = authority.orders()
    report = container.cycle("toggle.example", authority)
    assert container.published("toggle.example") == first
    assert authority.orders() == orders
    assert [sentence.partition(":")[0] for sentence in report.sentences] == [
        "Published the certificate for toggle.example"
    ]


def test_a_lineage_of_another_server_is_not_taken_for_ours(
    container: Container, authority: Authority, other: Authority
) -> None:
    """A volume that an older setup used for staging and production alike holds a staging lineage in production's
    place; it is moved aside whole, and a certificate of the right server is ordered.
    """
    container.cycle("mixed.example", other)
    container.config(authority).parent.mkdir(parents=True, exist_ok=True)
    container.config(other).rename(container.config(authority))
    conf = container.config(authority) / "renewal" / "mixed.example.conf"
    conf.write_text(conf.read_text().replace(str(container.config(other)), str(container.config(authority))))

    report = container.cycle("mixed.example", authority)

    authority.verify(container.published("mixed.example").pem, "mixed.example")
    moved = f"The lineage mixed.example came from another ACME server than {authority.host}: moved to "
    assert any(sentence.startswith(moved) for sentence in report.sentences)
    assert len(list(container.config(authority).glob("other-directories/*/archive/mixed.example/privkey1.pem"))) == 1
