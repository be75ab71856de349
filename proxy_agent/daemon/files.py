"""Files that are either whole or absent: temporary file in the same folder, fsync, rename, fsync of the folder."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError

TEMPORARY_PREFIX = ".tmp-"
"""Names that start like this are never read: HAProxy, certbot and we all pass over dot-files."""


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace *path* by *content* so that every reader, and a crash at any moment, sees the old file or the new.

    The file has *mode* from its first byte (keys pass through here). On failure nothing is left behind, the old
    file stays, and OperationalError says which file and why.
    """
    write_each_whole({path: content}, mode)


def write_each_whole(contents: Mapping[Path, bytes], mode: int = 0o600) -> None:
    """Replace many files, each as write_whole() does; a folder is synced once for all that are in it.

    None is replaced before there is room for all. After a crash, or OperationalError, each is the old or the new one.
    """
    temporaries = {path: path.with_name(f"{TEMPORARY_PREFIX}{path.name}") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            _write_new(temporaries[path], content, mode)
        for path in contents:
            # Once all are written: the kernel then has several times less to do for each of many.
            _sync(temporaries[path], os.O_RDONLY)
        for path, temporary in temporaries.items():
            temporary.replace(path)
        for folder in sorted({path.parent for path in contents}):
            sync_folder(folder)
    except OSError as error:
        for temporary in temporaries.values():
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise OperationalError(f"Cannot write {path}: {error.strerror}.") from error


def _write_new(temporary: Path, content: bytes, mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Make renames and removals inside *folder* survive a power cut (fsync(2): the folder is a file of its own)."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
