"""When a certificate is revoked, and what goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.revocation import PATIENCE, Reason, Revocation, Revocations
from letsencrypt.revoker import Revoker
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from proxy_agent.tls.bundle import Bundle
from tests.certificate_authority import Issued
from tests.unit.letsencrypt.certificates import NOW, bundle, issue, keep

NAME = "a.example"


@dataclass
class House:
    """A volume with one certificate, and what the issuers know of it."""

    folder: Path
    time: datetime = NOW
    wanted: bool = True
    attempted: datetime | None = None
    busy: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    commands: list[dict[str, str]] = field(default_factory=list)
    """What each run of certbot was told."""
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a certificate in service."""
        self.root, self.certs = self.folder / "etc", self.folder / "certs"
        self.certs.mkdir()
        self.first = self.hold(1)
        self.revoker = Revoker(
            Revocations(self.root), self.certs, self.folder / "work", self.certbot, lambda: self.time, lambda: 0.0
        )

    def hold(self, version: int, issued: Issued | None = None) -> Bundle:
        """Have certbot hold another version, which is published."""
        issued = issued or issue([NAME])
        keep(self.root, NAME, issued, version)
        made = bundle(NAME, issued)
        (self.certs / f"{NAME}.pem").write_bytes(made.pem)
        return made

    def certbot(self, words: Sequence[str], folder: Path) -> Outcome:
        """One run, which finds all the files it is told of."""
        options = dict(zip(words[4::2], words[5::2], strict=True))
        assert (folder / "accounts").is_symlink()
        assert all(Path(options[name]).stat().st_size for name in ("--cert-path", "--key-path") if name in options)
        self.commands.append(options)
        return self.outcome

    def wants(self, _name: str, /) -> bool:
        """Whether it is looked after."""
        return self.wanted

    def tried(self, _name: str, since: datetime, /) -> bool:
        """Whether another was ordered."""
        return self.attempted is not None and self.attempted >= since

    def is_busy(self, _name: str, /) -> bool:
        """Whether certbot is at it."""
        return self.busy

    def forget(self, name: str, /) -> str:
        """Remove all."""
        self.forgotten.append(name)
        for path in (self.root / "live" / NAME).iterdir():
            path.unlink()
        (self.certs / f"{NAME}.pem").unlink()
        return "Forgot it."

    def proceed(self, **passing: float) -> list[str]:
        """Whether it was revoked after a while."""
        self.time += timedelta(**passing)
        self.revoker.proceed(self)
        return [command["--reason"] for command in self.commands]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One where all is well."""
    return House(tmp_path)


@pytest.mark.parametrize("reason", Reason)
def test_the_successor_comes_first(house: House, reason: Reason) -> None:
    """Whatever the reason is, as long as one may still come; the present one must not be renewed with its key."""
    house.revoker.ask(NAME, reason, drop=False)
    assert house.revoker.fresh_ones() == {NAME}
    assert house.proceed() == []
    house.busy = True
    house.hold(2)
    assert house.proceed() == []
    house.busy = False
    assert house.proceed() == [reason]
    assert house.commands[0]["--server"] == "https://ca.example/dir"
    assert ("--key-path" in house.commands[0]) == (reason is Reason.KEY_COMPROMISE)
    assert house.revoker.fresh_ones() == set()
    assert house.revoker.revocations.all() == ()
    assert not list((house.root / "archive" / NAME).glob("*1.pem"))
    assert len(list((house.root / "archive" / NAME).glob("*2.pem"))) == 4
    assert not (house.folder / "work").exists()
    assert house.proceed(hours=1) == [reason]


def test_another_ca_may_issue_the_successor(house: House) -> None:
    """What is held of the first CA stays as it was: what counts is what is published of what is held."""
    house.revoker.ask(NAME, Reason.SUPERSEDED, drop=False)
    successor = issue([NAME])
    keep(house.root / "directories/other", NAME, successor)
    house.attempted = house.time
    assert house.proceed() == []
    assert house.revoker.fresh_ones() == {NAME}
    (house.certs / f"{NAME}.pem").write_bytes(bundle(NAME, successor).pem)
    assert house.revoker.fresh_ones() == set()
    assert house.proceed() == ["superseded"]
    assert house.revoker.revocations.all() == ()


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_order_keeps_nothing_unrevoked(house: House, reason: Reason) -> None:
    """After one try that failed, or ten minutes without one, it is revoked all the same, and goes on asking for
    another key; but for what is only superseded.
    """
    house.revoker.ask(NAME, reason, drop=False)
    house.attempted = house.time + timedelta(seconds=5)
    assert house.proceed(seconds=10) == [] if reason is Reason.SUPERSEDED else [reason]
    assert house.proceed(days=1) == ([] if reason is Reason.SUPERSEDED else [reason])
    assert house.revoker.fresh_ones() == {NAME}
    house.hold(2)
    assert house.proceed() == [reason]
    assert house.revoker.revocations.all() == ()


def test_patience_ends(house: House) -> None:
    """Where nothing can be ordered at all, as the load balancer is gone or the CA asked for a pause."""
    house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=False)
    assert house.proceed(minutes=9) == []
    assert house.proceed(minutes=2) == ["unspecified"]


def test_what_fails_is_tried_again_within_the_hour(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Told once while it is the same; what the CA knows as revoked already is."""
    house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=False)
    house.hold(2)
    house.outcome = Outcome(Failure.NETWORK, "no connection")
    for _ in range(3):
        house.proceed()
    assert len(house.commands) == 1
    assert house.proceed(minutes=2) == ["unspecified"] * 2
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "Cannot revoke the certificate for a.example at ca.example (unspecified): no connection. "
        "Next try in 61 seconds."
    ]
    pause = house.revoker.pause()
    assert pause is not None
    assert timedelta(minutes=4) < pause < timedelta(minutes=6)
    house.outcome = Outcome(Failure.SERVER, "it is revoked", code="alreadyRevoked")
    house.proceed(minutes=6)
    assert house.revoker.pause() is None
    assert house.revoker.revocations.all() == ()


def test_what_nobody_wants_is_dropped(house: House) -> None:
    """At once if that was asked, else after ten minutes: at a start, who wants it may not be known yet."""
    house.wanted = False
    house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=True)
    assert (house.proceed(), house.forgotten) == (["unspecified"], [NAME])

    house.hold(2)
    house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=False)
    assert (house.proceed(minutes=9), len(house.forgotten)) == (["unspecified"], 1)
    assert (house.proceed(minutes=2), len(house.forgotten)) == (["unspecified"] * 2, 2)
    assert house.revoker.revocations.all() == ()


def test_asking_twice_is_one_revocation(house: House) -> None:
    """The last word counts."""
    house.revoker.ask(NAME, Reason.SUPERSEDED, drop=False)
    house.revoker.ask(NAME, Reason.KEY_COMPROMISE, drop=False)
    house.hold(2)
    assert house.proceed() == ["keycompromise"]


def test_what_is_not_ours_cannot_be_revoked(house: House) -> None:
    """A name without a lineage, and a lineage that does not tell its CA, are refused in words."""
    with pytest.raises(ValueError, match="there is no certificate"):
        house.revoker.ask("b.example", Reason.UNSPECIFIED, drop=False)
    with pytest.raises(ValueError, match="is not the name of a certificate"):
        house.revoker.ask("../a.example", Reason.UNSPECIFIED, drop=False)
    (house.root / "renewal" / f"{NAME}.conf").write_text("")
    with pytest.raises(ValueError, match="does not tell which CA issued it"):
        house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=False)


def test_a_damaged_wish_stops_nobody(house: House) -> None:
    """It is passed over; the file is readable by its owner alone, as it holds a key."""
    house.revoker.ask(NAME, Reason.UNSPECIFIED, drop=False)
    [path] = (house.root / "state/revocations").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" not in repr(Revocation.model_validate_json(path.read_bytes()))
    (path.parent / "b.json").write_text("{")
    assert len(house.revoker.revocations.all()) == 1
    assert timedelta(minutes=10) == PATIENCE
