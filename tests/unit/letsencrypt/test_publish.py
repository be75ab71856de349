"""Bundles are published when they differ, and only if they are fit to serve."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.publish import Publisher
from proxy_agent.daemon.errors import OperationalError
from tests.certificate_authority import Issued
from tests.unit.letsencrypt.certificates import NOW, bundle, issue, keep

[LINEAGE] = parse_domains("a.example, b.example").lineages


class Volumes:
    """Where certbot keeps things, and the folder of bundles, at a time that can be set."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "etc"
        self.certs = folder / "certs"
        self.certs.mkdir()
        self.time = NOW
        self.publisher = Publisher(self.config, self.certs, self.now)

    def now(self) -> datetime:
        """The time that was set."""
        return self.time

    def published(self, lineage: Lineage = LINEAGE) -> bytes:
        """The bundle that the load balancer sees."""
        return (self.certs / f"{lineage.name}.pem").read_bytes()


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """Empty volumes."""
    return Volumes(tmp_path)


@pytest.fixture(scope="module")
def issued() -> Issued:
    """A certificate for both names."""
    return issue(["a.example", "b.example"])


def test_what_is_held_is_published_as_one_file(volumes: Volumes, issued: Issued) -> None:
    """Key, leaf and chain are one file that only its owner reads."""
    keep(volumes.config, "a.example", issued)

    published = volumes.publisher.publish(LINEAGE)

    assert published == bundle("a.example", issued)
    assert volumes.published() == bundle("a.example", issued).pem
    assert (volumes.certs / "a.example.pem").stat().st_mode & 0o777 == 0o600


def test_equal_bytes_are_not_written_again(volumes: Volumes, issued: Issued) -> None:
    """A second look at the same certificate touches nothing."""
    keep(volumes.config, "a.example", issued)
    volumes.publisher.publish(LINEAGE)
    before = (volumes.certs / "a.example.pem").stat()

    assert volumes.publisher.publish(LINEAGE) is None
    assert (volumes.certs / "a.example.pem").stat() == before


def test_nothing_held_is_nothing_published(volumes: Volumes) -> None:
    """Before the first certificate there is nothing to do, and nothing to complain about."""
    assert volumes.publisher.publish(LINEAGE) is None
    assert list(volumes.certs.iterdir()) == []


def test_some_of_the_names_are_better_than_none(volumes: Volumes) -> None:
    """A certificate from before a name joined DOMAINS serves the other names while the new one is on its way."""
    keep(volumes.config, "a.example", issue(["a.example"]))
    assert volumes.publisher.publish(LINEAGE) is not None


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [(["z.example"], 60, "does not cover a.example, b.example"), (["a.example"], -1, "expired on 2026-05-31")],
)
def test_what_is_not_fit_is_refused_and_the_old_stays(
    volumes: Volumes, issued: Issued, names: list[str], days: int, reason: str
) -> None:
    """A certificate for other names, or one that is over, never replaces a good one."""
    keep(volumes.config, "a.example", issued)
    volumes.publisher.publish(LINEAGE)
    keep(volumes.config, "a.example", issue(names, NOW + timedelta(days=days)), version=2)

    with pytest.raises(ValueError, match=reason):
        volumes.publisher.publish(LINEAGE)
    assert volumes.published() == bundle("a.example", issued).pem


def test_a_key_of_another_certificate_is_refused(volumes: Volumes, issued: Issued) -> None:
    """While certbot moves its links one by one, key and certificate may not fit: that is never published."""
    keep(volumes.config, "a.example", issued)
    (volumes.config / "archive/a.example/privkey1.pem").write_bytes(issue(["a.example"]).private_key_pem)

    with pytest.raises(ValueError, match="the private key does not belong to the certificate"):
        volumes.publisher.publish(LINEAGE)


def test_a_certificate_without_its_issuer_is_refused(volumes: Volumes, issued: Issued) -> None:
    """Clients need the chain, so a lone leaf is not published."""
    keep(volumes.config, "a.example", issued)
    (volumes.config / "archive/a.example/fullchain1.pem").write_bytes(issued.leaf_pem)

    with pytest.raises(ValueError, match="issuer is missing"):
        volumes.publisher.publish(LINEAGE)


def test_a_folder_that_cannot_be_written_is_said(volumes: Volumes, issued: Issued) -> None:
    """Where the bundle cannot be written the operator is told which file, and why."""
    keep(volumes.config, "a.example", issued)
    volumes.certs.rmdir()

    with pytest.raises(OperationalError, match=r"Cannot write .*/certs/a\.example\.pem: No such file or directory"):
        volumes.publisher.publish(LINEAGE)


def quarantine(volumes: Volumes, issued: Issued, stamp: str) -> None:
    """Put *issued* where the checkup moves damaged lineages."""
    keep(volumes.config, "a.example", issued)
    target = volumes.config / "quarantine" / stamp
    target.mkdir(parents=True)
    (volumes.config / "archive").rename(target / "archive")
    (volumes.config / "live").rename(target / "live")


def test_a_damaged_lineage_is_served_from_where_it_was_moved(volumes: Volumes, issued: Issued) -> None:
    """Where nothing else is left, the longest lasting certificate among the damaged lineages is published."""
    quarantine(volumes, issue(["a.example"], NOW + timedelta(days=5)), "1")
    quarantine(volumes, issued, "2")
    quarantine(volumes, issue(["z.example"], NOW + timedelta(days=99)), "3")

    volumes.publisher.publish(LINEAGE)

    assert volumes.published() == bundle("a.example", issued).pem


def test_what_is_published_and_fit_is_left_alone(volumes: Volumes, issued: Issued) -> None:
    """A damaged lineage does not change what is served while that still does; it steps in when that expires."""
    brief = issue(["a.example"], NOW + timedelta(days=1))
    (volumes.certs / "a.example.pem").write_bytes(bundle("a.example", brief).pem)
    quarantine(volumes, issued, "1")

    assert volumes.publisher.publish(LINEAGE) is None
    volumes.time += timedelta(days=2)
    assert volumes.publisher.publish(LINEAGE) == bundle("a.example", issued)
