"""The operator's ``renewal-hooks/``, which certbot looks for in each of its config folders."""

import contextlib
from pathlib import Path

FOLDER = "renewal-hooks"


def share_hooks(root: Path, config: Path) -> None:
    """Have the hooks below *root* run for what *config* obtains, too, as with one certbot for several servers.

    Where *config* has hooks of its own, those are meant. Nothing is done where that cannot be; certbot is well without.
    """
    ours, theirs = root / FOLDER, config / FOLDER
    if config == root or theirs.is_symlink() or not ours.is_dir() or any(theirs.glob("*/*")):
        return
    with contextlib.suppress(OSError):
        config.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (*theirs.glob("*"), theirs):
            if folder.exists():
                folder.rmdir()
        theirs.symlink_to(ours)
