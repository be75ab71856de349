"""Several ACME servers in line, with what certbot holds of each in folders."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.certonly import Directory
from letsencrypt.discovery import Lineages
from letsencrypt.fallback_servers import FallbackServer
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.permit import Permit
from letsencrypt.publish import Publisher
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.standing import Obstacle
from letsencrypt.succession import Succession
from tests.unit.letsencrypt.certificates import NOW, issue, keep

FIRST, SECOND = Directory("https://first.example/dir"), Directory("https://second.example/dir", "kid")
ANY_REFUSAL = "no"
OTHER = Directory("https://other.example/dir")
WANTED: Lineages = {
    FIRST: parse_domains("a.test; b.test").lineages,
    OTHER: parse_domains("c.test").lineages,
}


class House:
    """Two servers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.time = NOW
        self.obstacles: dict[Directory, Obstacle] = {}
        self.succession = Succession(FIRST, [FallbackServer(SECOND, "secret", "me@x")], self.publisher, self.now)

    def now(self) -> datetime:
        """The time."""
        return self.time

    def publisher(self, directory: Directory) -> Publisher:
        """What certbot holds of it."""
        return Publisher(directory.config_folder(self.root), self.root / "certs", self.now)

    def hold(self, directory: Directory, name: str, not_after: datetime) -> None:
        """A certificate from there."""
        keep(directory.config_folder(self.root), name, issue([name], not_after), server=directory.url)

    def run(self, directory: Directory, permit: Permit) -> list[Permit]:
        """With what certbot is started for the first lineage."""
        begun: list[Permit] = []

        def certbot(_lineage: Lineage, permit: Permit) -> Outcome:
            begun.append(replace(permit, refusal=permit.refusal and ANY_REFUSAL))
            return Outcome()

        self.succession.in_turn(directory, certbot)(WANTED[FIRST][0], permit)
        return begun

    def share(self) -> dict[str, list[str]]:
        """Who looks after what."""
        shared = self.succession.share(WANTED, lambda directory, _name: self.obstacles.get(directory))
        return {directory.host: [lineage.name for lineage in each] for directory, each in shared.items()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A new one."""
    (tmp_path / "certs").mkdir()
    return House(tmp_path)


def test_who_chose_a_server_means_that_one(house: House) -> None:
    """Only what the first server is wanted for is handed on, and only while that fails."""
    other = {"other.example": ["c.test"]}
    assert house.share() == {"first.example": ["a.test", "b.test"], **other}
    house.obstacles[FIRST] = Obstacle(Failure.BUSY, "503")
    assert house.share() == {"first.example": ["a.test", "b.test"], "second.example": ["a.test", "b.test"], **other}
    house.hold(SECOND, "a.test", NOW + timedelta(days=300))
    house.hold(FIRST, "b.test", NOW + timedelta(days=300))
    assert house.share() == {"first.example": ["b.test"], "second.example": ["a.test"], **other}


def test_calling_in_and_the_return_are_said_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """However often the first one is tried meanwhile: each try ends its obstacle for a moment."""
    caplog.set_level(logging.INFO)
    for _ in range(3):
        house.obstacles[FIRST] = Obstacle(Failure.NETWORK, "down")
        house.share()
        house.obstacles.clear()
        house.share()
    house.hold(SECOND, "a.test", NOW + timedelta(days=300))
    house.hold(SECOND, "b.test", NOW + timedelta(days=300))
    house.share()
    house.hold(FIRST, "a.test", NOW + timedelta(days=400))
    house.time = NOW + timedelta(days=290)
    house.share()
    house.share()
    assert caplog.messages == [
        "first.example does not issue now (network): the fallback second.example is asked for the certificate for "
        "a.test; b.test.",
        "first.example issues again: the certificate for a.test comes from there, "
        "and no longer from the fallback second.example.",
    ]


def test_a_wish_brings_the_first_one_back(house: House) -> None:
    """While a fallback rests on what it issued, until the first one has been asked; it orders nothing itself then."""
    house.hold(SECOND, "a.test", NOW + timedelta(days=300))
    house.succession.recall("a.test")
    house.succession.recall("nobody.test")
    both = {"first.example": ["a.test", "b.test"], "second.example": ["a.test"], "other.example": ["c.test"]}
    assert house.share() == both == house.share()
    permit = Permit(words=("--force-renewal",))
    assert house.run(SECOND, permit) == [replace(permit, refusal=ANY_REFUSAL, words=())]
    assert house.share() == both
    assert house.run(FIRST, permit) == [permit]
    assert house.share()["first.example"] == ["b.test"]


def test_what_is_to_be_revoked_is_replaced_by_whoever_can(house: House) -> None:
    """The fallback, too, while the first one fails."""
    house.hold(SECOND, "a.test", NOW + timedelta(days=300))
    house.obstacles[FIRST] = Obstacle(Failure.BUSY, "503")
    permit = Permit(words=("--force-renewal", "--new-key"))
    house.succession.press({"a.test"})
    house.share()
    assert house.run(SECOND, permit) == [permit]
    house.succession.press(set())
    house.share()
    assert house.run(SECOND, permit) != [permit]


def test_what_is_lent_brings_the_account_of_the_fallback(house: House) -> None:
    """And its e-mail address; to its own server a lineage goes as it is."""
    house.share()
    [lineage, _] = WANTED[FIRST]
    lent = house.succession.lent(SECOND, lineage)
    assert (lent.words, lent.email) == (("--eab-kid=kid", "--eab-hmac-key=secret"), "me@x")
    assert house.succession.lent(FIRST, lineage) == lineage
    assert house.succession.lent(SECOND, WANTED[OTHER][0]) == WANTED[OTHER][0]
