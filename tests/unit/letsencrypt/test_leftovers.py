"""Published certificates that nobody wants any more."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from letsencrypt.leftovers import KEPT, Leftovers
from proxy_agent.tls.names import Identifier, parse_identifier
from tests.unit.letsencrypt.certificates import NOW, bundle, issue, keep

OLD = NOW - KEPT - timedelta(seconds=1)


class Volumes:
    """Two certificates that certbot obtained, of a CA each, and one that somebody put there."""

    def __init__(self, root: Path) -> None:
        self.config, self.certs = root / "etc", root / "certs"
        self.certs.mkdir()
        for name, config in (("old.test", self.config), ("staged.test", self.config / "directories" / "ca")):
            issued = issue([name, f"www.{name}"], OLD)
            keep(config, name, issued)
            (self.certs / f"{name}.pem").write_bytes(bundle(name, issued).pem)
        (self.certs / "foreign.test.pem").write_bytes(bundle("foreign.test", issue(["foreign.test"], OLD)).pem)
        valid = issue(["valid.test"], NOW - KEPT)
        keep(self.config, "valid.test", valid)
        (self.certs / "valid.test.pem").write_bytes(bundle("valid.test", valid).pem)

    def withdraw(self, *wanted: str) -> list[str]:
        """What is left after a look."""
        names: set[Identifier] = set(map(parse_identifier, wanted))
        Leftovers(self.certs, self.config, lambda: NOW).withdraw(names)
        return self.left()

    def left(self) -> list[str]:
        """The published bundles."""
        return sorted(path.stem for path in self.certs.iterdir())


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """All of them."""
    return Volumes(tmp_path)


def test_what_expired_and_is_not_wanted_goes(volumes: Volumes, caplog: pytest.LogCaptureFixture) -> None:
    """Of whatever CA, and said once; what is valid, or was not obtained here, stays."""
    caplog.set_level(logging.INFO)
    assert volumes.withdraw("valid.test") == ["foreign.test", "valid.test"]
    assert caplog.messages == [
        "Withdrew the certificate old.test, which expired on 2026-05-25.",
        "Withdrew the certificate staged.test, which expired on 2026-05-25.",
    ]
    caplog.clear()
    volumes.withdraw("valid.test")
    assert caplog.messages == []


def test_what_is_wanted_stays(volumes: Volumes) -> None:
    """An expired certificate for a host that somebody wants is better than plain HTTP in its place."""
    assert volumes.withdraw("www.old.test", "staged.test") == ["foreign.test", "old.test", "staged.test", "valid.test"]


def test_what_another_certificate_took_over_goes(volumes: Volumes) -> None:
    """A host that moved to a certificate of another name does not keep the one it left."""
    (volumes.certs / "new.test.pem").write_bytes(bundle("new.test", issue(["new.test", "www.old.test"])).pem)
    assert "old.test" not in volumes.withdraw("www.old.test", "staged.test")
    assert "staged.test" in volumes.left()


def test_without_knowing_what_is_wanted_nothing_goes(volumes: Volumes) -> None:
    """No file, or one that cannot be read, is not a file that wants nothing."""
    Leftovers(volumes.certs, volumes.config, lambda: NOW).withdraw(None)
    assert len(volumes.left()) == 4


def test_what_cannot_be_read_stays(volumes: Volumes) -> None:
    """Whatever lies there instead of a bundle."""
    (volumes.certs / "old.test.pem").write_text("nonsense")
    assert "old.test" in volumes.withdraw()


def test_what_is_forgotten_leaves_nothing_of_itself(tmp_path: Path) -> None:
    """Bundle, lineage and key go, in whatever directory; others, accounts and files of others stay."""
    certs, root = tmp_path / "certs", tmp_path / "etc"
    certs.mkdir()
    for config in (root, root / "directories" / "staging"):
        for name in ("gone.example", "kept.example"):
            keep(config, name, issue([name]))
            (certs / f"{name}.pem").write_bytes(issue([name]).bundle_pem)
    (certs / "theirs.pem").write_bytes(b"x")
    leftovers = Leftovers(certs, root, lambda: NOW)

    assert leftovers.forget("gone.example") == "Forgot the certificate gone.example."
    assert not [path for path in tmp_path.rglob("*") if "gone" in path.name]
    assert sorted(path.name for path in certs.iterdir()) == ["kept.example.pem", "theirs.pem"]
    assert (root / "live" / "kept.example").is_dir()
    assert leftovers.forget("theirs") == "There is no certificate theirs to forget."
    assert leftovers.forget("../live").startswith("Cannot forget the certificate '../live': ")
