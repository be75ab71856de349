"""Files that are either whole or absent: temporary file in the same folder, fsync, rename, fsync of the folder."""

import contextlib
import os
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError

TEMPORARY_PREFIX = ".tmp-"
"""Names that start like this are never read: HAProxy, certbot and we all pass over dot-files."""


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace *path* by *content* so that every reader, and a crash at any moment, sees the old file or the new.

    The file has *mode* from its first byte (keys pass through here). On failure nothing is left behind, the old
    file stays, and OperationalError says which file and why.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OperationalError(f"Cannot write {path}: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """Make renames and removals inside *folder* survive a power cut (fsync(2): the folder is a file of its own)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
