"""The account at one ACME directory, as certbot keeps it (certbot/_internal/account.py)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from letsencrypt.certonly import Directory

_FILES = ("private_key.json", "regr.json", "meta.json")


@dataclass(frozen=True)
class Accounts:
    """One, unless something went wrong."""

    config: Path
    directory: Directory

    @property
    def are_registered(self) -> bool:
        """Whether there is any that is whole; one that an old server's name leads to counts, too."""
        return any(map(_is_whole, self._folder.glob("*/")))

    def whole_or_not(self) -> list[Path]:
        """The folders of all; a link leads to one of another server's name."""
        return [account for account in sorted(self._folder.glob("*/")) if not account.is_symlink()]

    def broken(self) -> Iterator[Path]:
        """Those whose files a crash left empty: certbot would fail on them for ever."""
        return (account for account in self.whole_or_not() if not _is_whole(account))

    @property
    def _folder(self) -> Path:
        return self.config / "accounts" / self.directory.url.partition("://")[2].partition("?")[0]


def _is_whole(account: Path) -> bool:
    return all(_is_json_object(account / name) for name in _FILES)


def _is_json_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError, RecursionError):
        return False
