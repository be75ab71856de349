"""proxy_agent.certificates, on real folders."""

import os
import queue
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy_agent.certificates import Certificates, Found
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.wanted import Request
from proxy_agent.tls.names import parse_identifier
from proxy_agent.tls.selfsigned import LIFETIME
from tests.certificate_authority import CertificateAuthority

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUTHORITY = CertificateAuthority(NOW)
A, B = AUTHORITY.issue("a.test"), AUTHORITY.issue("b.test")
NOBODY = 65534


class Folders:
    """The folders that certificates come from, and the edge that reads them."""

    def __init__(self, root: Path) -> None:
        self.custom, self.issued, self.live = root / "custom", root / "issued", root / "live"
        for folder in (self.custom, self.issued, self.live):
            folder.mkdir()
        self.self_signed = root / "state" / "self-signed.pem"
        self.wanted = root / "wanted.json"
        self.certificates = Certificates(self.custom, self.issued, self.live, self.self_signed, self.wanted)

    def found(self) -> Found:
        """One look."""
        return self.certificates.found()

    def names(self) -> dict[str, list[str]]:
        """The names of the bundles that can be used, by source; nothing else was found."""
        found = self.found()
        assert found.skipped == ()
        assert found.doubtful == frozenset()
        return {source: [bundle.name for bundle in bundles] for source, bundles in found.sources.items() if bundles}

    def faults(self) -> list[str]:
        """What was left out, without the path before it."""
        return [str(item).rpartition("/")[2] for item in self.found().skipped]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Empty ones."""
    return Folders(tmp_path)


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """The block sees *path* as somebody who may not read it; a superuser becomes nobody for that."""
    before = path.stat().st_mode
    path.chmod(0)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)
        path.chmod(before)


@pytest.fixture
def open_folders() -> Iterator[Folders]:
    """Folders at a place that everybody may enter."""
    with TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        yield Folders(Path(root))


def test_each_source_has_its_own_form(folders: Folders) -> None:
    """Pairs and whole files of the user's, bundles of ours, lineages of a host's certbot."""
    (folders.custom / "pair.crt").write_bytes(A.leaf_and_chain_pem)
    (folders.custom / "pair.key").write_bytes(A.private_key_pem)
    (folders.custom / "whole.pem").write_bytes(B.leaf_and_chain_pem + B.private_key_pem)
    (folders.issued / "a.test.pem").write_bytes(A.bundle_pem)
    (folders.live / "b.test").mkdir()
    (folders.live / "b.test" / "privkey.pem").write_bytes(B.private_key_pem)
    (folders.live / "b.test" / "fullchain.pem").write_bytes(B.leaf_and_chain_pem)
    assert folders.names() == {
        "custom": ["custom/pair", "custom/whole"],
        "issued": ["issued/a.test"],
        "live": ["live/b.test"],
    }
    assert list(folders.found().sources) == ["custom", "issued", "live"], "in order of precedence"


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    """Nobody has to mount what they do not use."""
    missing = Certificates(tmp_path / "x", tmp_path / "y", tmp_path / "z", tmp_path / "self-signed.pem", tmp_path / "w")
    assert missing.found() == Found({"custom": (), "issued": (), "live": ()}, None, (), frozenset())


def test_what_is_no_certificate_is_passed_over(folders: Folders) -> None:
    """Hidden files, temporary ones among them, certbot's README and whatever else lies there."""
    for name in (".a.pem", ".tmp-b.pem", "README", "notes.txt", "a.pem.bak"):
        (folders.issued / name).write_bytes(b"not for us")
        (folders.custom / name).write_bytes(b"not for us")
        (folders.live / name).write_bytes(b"not for us")
    assert folders.names() == {}


@pytest.mark.parametrize("form", [("default.pem",), ("default.crt", "default.key")])
def test_the_users_default_is_told_apart(folders: Folders, form: tuple[str, ...]) -> None:
    """``default.*`` is the certificate for unknown names, and one for its own."""
    contents = {"pem": A.bundle_pem, "crt": A.leaf_and_chain_pem, "key": A.private_key_pem}
    for name in form:
        (folders.custom / name).write_bytes(contents[name[-3:]])
    found = folders.found()
    assert found.custom_default == found.sources["custom"][0]
    assert found.custom_default.serial == A.serial


def test_a_default_elsewhere_is_none(folders: Folders) -> None:
    """Only the user's own folder speaks for unknown names."""
    (folders.issued / "default.pem").write_bytes(A.bundle_pem)
    assert folders.found().custom_default is None


def test_where_a_pair_and_a_whole_file_share_a_name_there_is_one_bundle(folders: Folders) -> None:
    """The pair counts; a key beside a whole file is spare."""
    (folders.custom / "a.crt").write_bytes(A.leaf_and_chain_pem)
    (folders.custom / "a.key").write_bytes(A.private_key_pem)
    (folders.custom / "a.pem").write_bytes(B.bundle_pem)
    (folders.custom / "b.pem").write_bytes(B.bundle_pem)
    (folders.custom / "b.key").write_bytes(B.private_key_pem)
    assert folders.names() == {"custom": ["custom/a", "custom/b"]}
    assert [bundle.serial for bundle in folders.found().sources["custom"]] == [A.serial, B.serial]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"a.pem": b""}, "a.pem: there is no private key in it"),
        ({"a.pem": A.bundle_pem[:300]}, "a.pem: there is no certificate in it"),
        ({"a.pem": B.private_key_pem + A.leaf_pem}, "a.pem: the private key does not belong to the certificate"),
        ({"a.crt": A.leaf_pem}, "a.crt: a.key is missing"),
        ({"a.key": A.private_key_pem}, "a.crt: a.crt is missing"),
        ({"a.pem": b"x" * 262_145}, "a.pem: larger than 256 KiB"),
        ({"a b.pem": A.bundle_pem}, "a b.pem: its name may hold letters, digits, '.', '_', '-' and '*' only"),
    ],
    ids=["empty", "half", "foreign key", "no key", "no certificate", "huge", "odd name"],
)
def test_a_bad_file_costs_itself_and_names_its_fault(folders: Folders, files: dict[str, bytes], fault: str) -> None:
    """The others are found, and what was served from it before is told to stay."""
    (folders.custom / "good.pem").write_bytes(B.bundle_pem)
    for name, content in files.items():
        (folders.custom / name).write_bytes(content)
    found = folders.found()
    assert [bundle.name for bundle in found.sources["custom"]] == ["custom/good"]
    assert folders.faults() == [fault]
    assert found.doubtful == {f"custom/{Path(next(iter(files))).stem}"}


def test_a_bundle_that_no_command_can_carry_is_refused(folders: Folders) -> None:
    """The runtime API has a limit; a certificate that came with a restart and not without would puzzle everybody."""
    names = [f"host-{number}.long-enough-to-matter.test" for number in range(900)]
    (folders.issued / "many.pem").write_bytes(AUTHORITY.issue(*names).bundle_pem)
    assert folders.faults() == ["many.pem: key, certificate and chain are larger together than 32000 bytes"]


def test_a_lineage_without_its_archive_is_named(folders: Folders) -> None:
    """A ``live/`` of certbot only points elsewhere: who mounts it alone reads what is missing."""
    (folders.live / "a.test").mkdir()
    (folders.live / "a.test" / "privkey.pem").symlink_to("../../archive/a.test/privkey1.pem")
    (folders.live / "a.test" / "fullchain.pem").symlink_to("../../archive/a.test/fullchain1.pem")
    assert folders.faults() == ["fullchain.pem: privkey.pem is missing"]
    assert folders.found().doubtful == {"live/a.test"}


def test_a_folder_in_a_files_place_costs_itself(folders: Folders) -> None:
    """As does a link that leads to itself."""
    (folders.issued / "folder.pem").mkdir()
    (folders.issued / "loop.pem").symlink_to("loop.pem")
    (folders.issued / "good.pem").write_bytes(A.bundle_pem)
    assert folders.faults() == [
        "folder.pem: cannot be read: Is a directory",
        "loop.pem: cannot be read: Too many levels of symbolic links",
    ]
    assert [bundle.name for bundle in folders.found().sources["issued"]] == ["issued/good"]


def test_a_file_that_may_not_be_read_tells_what_to_do(open_folders: Folders) -> None:
    """Who the reader is, and which commands help."""
    path = open_folders.custom / "a.pem"
    path.write_bytes(A.bundle_pem)
    with without_rights(path):
        assert open_folders.faults() == [
            "a.pem: a.pem may not be read by this container's user (uid 10001): chown or chmod it"
        ]
        assert open_folders.found().doubtful == {"custom/a"}
    assert open_folders.names() == {"custom": ["custom/a"]}


def test_a_folder_that_may_not_be_read_makes_all_of_it_doubtful(open_folders: Folders) -> None:
    """Nothing found because nothing could be read is not nothing there; other folders are read."""
    (open_folders.issued / "a.pem").write_bytes(A.bundle_pem)
    (open_folders.custom / "b.pem").write_bytes(B.bundle_pem)
    (open_folders.custom / "b.pem").chmod(0o644)
    with without_rights(open_folders.issued):
        found = open_folders.found()
    assert found.doubtful == {"issued/"}
    assert [str(item) for item in found.skipped] == [f"{open_folders.issued}: cannot be read: Permission denied"]
    assert [bundle.name for bundle in found.sources["custom"]] == ["custom/b"]


def test_a_file_in_a_folders_place_is_no_empty_folder(folders: Folders) -> None:
    """Whatever hinders the listing, it is told apart from an empty one."""
    folders.issued.rmdir()
    folders.issued.write_bytes(b"")
    assert folders.found().doubtful == {"issued/"}


def test_a_file_is_parsed_again_only_when_it_changed(folders: Folders) -> None:
    """Looking at ten thousand certificates every minute costs ten thousand stats."""
    path = folders.issued / "a.pem"
    path.write_bytes(A.bundle_pem)
    (first,) = folders.found().sources["issued"]
    assert folders.found().sources["issued"][0] is first
    path.write_bytes(B.bundle_pem)
    (second,) = folders.found().sources["issued"]
    assert (first.serial, second.serial) == (A.serial, B.serial)


def test_a_file_that_was_replaced_by_rename_is_seen(folders: Folders) -> None:
    """Even with the same size and time: it is another file."""
    path = folders.issued / "a.pem"
    path.write_bytes(A.bundle_pem)
    os.utime(path, ns=(1, 1))
    folders.found()
    new = folders.issued / ".tmp-a.pem"
    new.write_bytes(AUTHORITY.issue("c.test").bundle_pem)
    os.utime(new, ns=(1, 1))
    new.replace(path)
    assert folders.found().sources["issued"][0].identifiers == {"c.test"}


# The certificate of last resort

LOCAL = tuple(map(parse_identifier, ("localhost", "192.0.2.1")))


def test_the_self_signed_certificate_is_made_once(folders: Folders) -> None:
    """For an installation, not for a start; it is readable for its owner alone."""
    first = folders.certificates.self_signed(LOCAL, NOW)
    assert first.identifiers == set(LOCAL)
    assert folders.certificates.self_signed(LOCAL, NOW + timedelta(days=100)) == first
    assert folders.self_signed.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("reason", ["age", "names", "garbage", "gone"])
def test_the_self_signed_certificate_is_made_anew_when_it_must(folders: Folders, reason: str) -> None:
    """It ages, its names change, or its file is damaged or lost."""
    first = folders.certificates.self_signed(LOCAL, NOW)
    if reason == "garbage":
        folders.self_signed.write_bytes(b"garbage")
    if reason == "gone":
        folders.self_signed.unlink()
        folders.self_signed.parent.rmdir()
    names = LOCAL[:1] if reason == "names" else LOCAL
    second = folders.certificates.self_signed(names, NOW + LIFETIME * (0.7 if reason == "age" else 0))
    assert second.serial != first.serial
    assert second.identifiers == set(names)


def test_a_state_folder_that_cannot_be_made_is_an_operational_error(folders: Folders) -> None:
    """The operator gets one sentence, not a traceback."""
    folders.self_signed.parent.write_bytes(b"a file in its place")
    with pytest.raises(OperationalError, match=rf"Cannot write {folders.self_signed}: "):
        folders.certificates.self_signed(LOCAL, NOW)


# Watching


def test_every_change_in_a_folder_rings(folders: Folders) -> None:
    """A published bundle, a removed one, and one that arrives in a new sub-folder."""
    rings: queue.SimpleQueue[str] = queue.SimpleQueue()
    folders.certificates.watch(rings.put)

    def wait_for(reason: str) -> None:
        # Each folder has a thread of its own: what an earlier change rings for may come after a later one.
        while rings.get(timeout=10) != reason:
            pass

    (folders.issued / ".tmp-a.pem").write_bytes(A.bundle_pem)
    (folders.issued / ".tmp-a.pem").replace(folders.issued / "a.pem")
    wait_for("issued certificates changed")
    (folders.live / "b.test").mkdir()
    wait_for("live certificates changed")
    (folders.custom / "c.pem").touch()
    wait_for("custom certificates changed")


def test_where_the_kernel_watches_no_more_the_agent_goes_on(folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    """A host has few inotify instances; without one, changes are seen at the next resync, and a line says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        folders.certificates.watch(lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = caplog.messages
    assert line.startswith("Cannot watch for new certificates: ")
    assert line.endswith("; they are seen at the next resync.")


def test_what_is_wanted_is_written_when_it_changes(folders: Folders) -> None:
    """Letsencrypt sees a whole file, which is the owner's alone and stays untouched while nothing changes."""
    folders.certificates.ask_for([Request(("a.test",), ("shop",))])
    first = folders.wanted.stat()
    assert first.st_mode & 0o777 == 0o600
    folders.certificates.ask_for([Request(("a.test",), ("shop",))])
    assert folders.wanted.stat().st_ino == first.st_ino
    assert folders.wanted.stat().st_mtime_ns == first.st_mtime_ns
    folders.certificates.ask_for([])
    assert b"a.test" not in folders.wanted.read_bytes()
