"""proxy_agent.daemon.files."""

import os
import stat
from pathlib import Path

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import TEMPORARY_PREFIX, write_each_whole, write_whole


def test_it_writes_the_content_and_nothing_beside_it(tmp_path: Path) -> None:
    """After a write there is the file, and no temporary one."""
    write_whole(tmp_path / "a.pem", b"key")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.pem": b"key"}


def test_a_file_is_for_its_owner_alone_unless_said_otherwise(tmp_path: Path) -> None:
    """Keys pass through here: 0600 is what one gets for nothing."""
    write_whole(tmp_path / "secret", b"")
    write_whole(tmp_path / "shared", b"", mode=0o640)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"secret": 0o600, "shared": 0o640}


def test_the_mode_of_a_replaced_file_is_not_inherited(tmp_path: Path) -> None:
    """A file that was too open is closed by the next write."""
    path = tmp_path / "a.pem"
    path.write_bytes(b"old")
    path.chmod(0o666)
    write_whole(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)


def test_whoever_holds_the_old_file_reads_the_old_content(tmp_path: Path) -> None:
    """It is replaced, not overwritten: no reader sees a mixture."""
    path = tmp_path / "a.pem"
    path.write_bytes(b"old content, and longer")
    with path.open("rb") as reader:
        write_whole(path, b"new")
        assert reader.read() == b"old content, and longer"
    assert path.read_bytes() == b"new"


def test_a_reader_never_sees_a_key_that_others_may_read(tmp_path: Path) -> None:
    """The mode is there from the first byte, although the umask would allow more."""
    seen: list[int] = []

    class Watched(bytes):
        """Content that looks at its own file while it is written."""

        def __buffer__(self, flags: int) -> memoryview:
            seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
            return memoryview(bytes(self))

    before = os.umask(0)
    try:
        write_whole(tmp_path / "a.pem", Watched(b"key"))
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0o600}


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """What the link pointed to stays as it is."""
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / "a.pem").symlink_to("elsewhere")
    write_whole(tmp_path / "a.pem", b"ours")
    assert (tmp_path / "elsewhere").read_bytes() == b"theirs"
    assert not (tmp_path / "a.pem").is_symlink()


def test_what_a_crash_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    """A temporary file of an earlier life, even a link laid by somebody else, is removed and not written through."""
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / f"{TEMPORARY_PREFIX}a.pem").symlink_to("elsewhere")
    write_whole(tmp_path / "a.pem", b"ours")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"elsewhere": b"theirs", "a.pem": b"ours"}


def test_a_folder_in_the_files_place_is_an_operational_error(tmp_path: Path) -> None:
    """It says which file and why, removes nothing of the folder, and leaves nothing behind."""
    path = tmp_path / "a.pem"
    (path / "child").mkdir(parents=True)
    with pytest.raises(OperationalError, match=rf"Cannot write {path}: Is a directory\."):
        write_whole(path, b"key")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]
    assert (path / "child").is_dir()


def test_a_missing_folder_is_an_operational_error(tmp_path: Path) -> None:
    """Which folders there are is for others to decide."""
    with pytest.raises(OperationalError, match="No such file or directory"):
        write_whole(tmp_path / "missing" / "a.pem", b"key")


def test_a_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    """A write that fails half-way costs nothing: the old file stays, and no part of the new one does."""
    path = tmp_path / "a.pem"
    path.write_bytes(b"old")

    class Full(bytes):
        """Content for which the disk has no room."""

        def __buffer__(self, flags: int) -> memoryview:
            raise OSError(28, "No space left on device")

    with pytest.raises(OperationalError, match=rf"Cannot write {path}: No space left on device\."):
        write_whole(path, Full(b"new"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.pem": b"old"}


def test_of_many_none_is_replaced_before_there_is_room_for_all(tmp_path: Path) -> None:
    """What cannot be written leaves the others as they are, and nothing beside them."""
    (tmp_path / "a.pem").write_bytes(b"old")
    with pytest.raises(OperationalError, match=r"Cannot write .*/missing/b.pem: No such file"):
        write_each_whole({tmp_path / "a.pem": b"new", tmp_path / "missing" / "b.pem": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.pem": b"old"}


def test_many_are_written_as_one_is(tmp_path: Path) -> None:
    """In several folders, with the same mode."""
    paths = {tmp_path / folder / "a.pem": folder.encode() for folder in ("one", "two")}
    for path in paths:
        path.parent.mkdir()
    write_each_whole(paths)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == paths
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
