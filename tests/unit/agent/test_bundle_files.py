"""proxy_agent.bundle_files, on real files."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from proxy_agent.bundle_files import BundleFiles, Read
from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.bundle import Bundle
from tests.certificate_authority import CertificateAuthority

AUTHORITY = CertificateAuthority(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


class Folder:
    """Files of bundles; who reads them finds that *seconds* have passed whenever they ask."""

    def __init__(self, path: Path) -> None:
        self.seconds = 1.0
        self._path = path
        self._now = 0.0
        self._files = BundleFiles(self._clock)

    def publish(self, *stems: str) -> None:
        """A good bundle under each, whatever was there."""
        for stem in stems:
            new = self._path / f".{stem}"
            new.write_bytes(AUTHORITY.issue(f"{stem}.test").bundle_pem)
            new.replace(self._path / f"{stem}.pem")

    def spoil(self, *stems: str) -> None:
        """Something else under each."""
        for stem in stems:
            (self._path / f"{stem}.pem").write_bytes(b"garbage")

    def look(self, *unlisted: str) -> Read:
        """At all that is there, if none is *unlisted*."""
        listed = sorted(self._path.glob("[!.]*.pem")) if not unlisted else []
        return self._files.read({f"issued/{path.stem}": (str(path),) for path in listed}, unlisted)

    def _clock(self) -> float:
        self._now += self.seconds
        return self._now

    def goods(self) -> dict[str, int]:
        """The serial numbers of the good ones, after one look."""
        found = self.look().outcomes.items()
        return {name.removeprefix("issued/"): one.serial for name, one in found if isinstance(one, Bundle)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a bundle that was read."""
    folder = Folder(tmp_path)
    folder.publish("a")
    folder.look()
    return folder


def test_the_first_look_reads_everything(tmp_path: Path) -> None:
    """There is nothing that it could go on with meanwhile."""
    folder = Folder(tmp_path)
    folder.publish("a", "b", "c")
    read = folder.look()
    assert (len(read.outcomes), read.unread) == (3, frozenset())


def test_what_a_look_has_no_time_for_is_read_by_the_next(folder: Folder) -> None:
    """Each reads at least one, so it comes to an end; what is not read yet is told apart from what is not there."""
    folder.publish("b", "c", "d")
    reads = [folder.look() for _ in range(4)]
    assert [len(read.outcomes) for read in reads] == [2, 3, 4, 4]
    assert [sorted(read.unread) for read in reads] == [["issued/c", "issued/d"], ["issued/d"], [], []]


def test_until_it_is_read_a_changed_file_is_what_it_was(folder: Folder) -> None:
    """A certificate does not vanish because its successor waits."""
    folder.publish("b")
    before = folder.goods()
    folder.publish("a", "b")
    first, second = folder.goods(), folder.goods()
    assert before.keys() == first.keys() == second.keys()
    assert [sum(before[stem] != now[stem] for stem in before) for now in (first, second)] == [1, 2]


def test_renewals_and_strangers_take_turns(folder: Folder) -> None:
    """Neither waits for all of the others."""
    folder.publish("b", "c")
    while folder.look().unread:
        pass
    folder.publish("b", "c", *(f"0-{number}" for number in range(9)))
    folder.seconds = 0.3
    unread = [folder.look().unread for _ in range(2)]
    assert [len({"issued/b", "issued/c"} & names) for names in unread] == [1, 0]
    assert [len(names) for names in unread] == [9, 7]


def test_what_is_of_no_use_is_read_once_as_well(folder: Folder) -> None:
    """Beyond a hundred that have their turn: ten thousand bad files are not parsed at each look."""
    folder.seconds = 0.0
    folder.spoil(*(f"bad-{number}" for number in range(150)))
    looks = [folder.look().outcomes for _ in range(3)]
    again = [{name for name in looks[0] if before[name] is not after[name]} for before, after in pairwise(looks)]
    assert sorted(len(names) for names in again) == [50, 100]
    assert not again[0] & again[1]
    folder.seconds = 1.0
    assert all(one is looks[-1][name] for name, one in folder.look().outcomes.items()), "not where time is short"


def test_a_folder_that_takes_long_to_look_at_gets_as_long_for_its_files(tmp_path: Path) -> None:
    """On a slow machine, looking would else be most of what it does."""
    times = iter([0.0, 0.1, 10.0, 15.0, 17.0, 19.0, 21.0])
    files = BundleFiles(lambda: next(times))
    files.read({})
    names = [f"issued/{number}" for number in range(5)]
    path = tmp_path / "a.pem"
    path.write_bytes(b"garbage")
    assert len(files.read(dict.fromkeys(names, (str(path),))).unread) == 2


def test_what_hindered_reading_may_pass_unseen(folder: Folder, tmp_path: Path) -> None:
    """As a mount that comes late does: nothing about the file itself has changed."""
    (tmp_path / "b.pem").symlink_to("elsewhere/b.pem")
    assert isinstance(folder.look().outcomes["issued/b"], Skipped)
    folder.publish("c")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "c.pem").rename(tmp_path / "elsewhere" / "b.pem")
    assert isinstance(folder.look().outcomes["issued/b"], Bundle)


def test_of_a_folder_that_cannot_be_listed_nothing_is_forgotten(folder: Folder) -> None:
    """When it can be again, nothing has to be read."""
    folder.publish("b")
    before = folder.goods()
    assert folder.look("issued/").outcomes == {}
    assert folder.goods() == before
