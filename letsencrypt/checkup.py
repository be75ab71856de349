"""What certbot keeps, checked before a run and after it: certbot itself makes a second lineage of a damaged one.

A lineage whose renewal file or links are broken does not exist for certbot; asked for it by name, it orders a new
certificate under ``NAME-0001``, then ``NAME-0002``, and ends well each time (certbot/_internal/storage.py
new_lineage), until the CA's rate limit is spent. So damage is mended or moved aside first.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from letsencrypt.accounts import Accounts
from letsencrypt.certonly import SERVERS_OF_OLD, Directory, Folders
from letsencrypt.lineages import Lineage
from letsencrypt.publish import QUARANTINE, read_held
from letsencrypt.renewal_file import KINDS, path_of, read_renewal_file, server_of
from letsencrypt.takeover import better_second, take_over
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.tls.bundle import Bundle, check_issued, parse_bundle

ELSEWHERE = "other-directories"
"""The folder for lineages of another ACME directory: whole, but never to be served as this one's."""
LEAST_FREE = 1024 * 1024
"""Bytes; a full volume loses each certificate right after it was issued."""

_STAMP = "%Y%m%dT%H%M%S.%fZ"


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write there."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Checkup:
    """Checks and mends what certbot keeps for one directory; only while no certbot runs."""

    folders: Folders
    directory: Directory
    names: Collection[str]
    """All wanted lineages: none of them is taken for the stray duplicate of another."""
    now: Callable[[], datetime]
    free: Callable[[Path], int] = free_bytes

    def ready(self, alone: bool = True) -> list[str]:
        """Make sure that a run can keep what it obtains; says what was moved aside, raises OperationalError.

        An account is only looked at while we are *alone*: a run that is under way may be writing it. The folders of
        all lineages are made here, as two runs that find them missing would both make them.
        """
        try:
            for folder in (self.folders.config, self.folders.work, self.folders.logs, self.folders.webroot):
                folder.mkdir(parents=True, exist_ok=True)
            within = [self.folders.config / name for name in ("accounts", "archive", "live", "renewal")]
            for folder in within:
                folder.mkdir(mode=0o700, exist_ok=True)
            self._check_ours((self.folders.config, *within), os.R_OK | os.W_OK | os.X_OK)
            self._check_space()
            return [self._quarantine_account(account) for account in self._accounts.broken()] if alone else []
        except OSError as error:
            raise OperationalError(f"Cannot use {error.filename}: {error.strerror}.") from error

    def registered(self) -> bool:
        """Whether there is an account."""
        return self._accounts.are_registered

    @property
    def _accounts(self) -> Accounts:
        return Accounts(self.folders.config, self.directory)

    def drop_account(self) -> list[str]:
        """Set aside an account that the CA does not know, so that a new one is registered: once a day at most."""
        yesterday = f"{self.now() - timedelta(days=1):{_STAMP}}"
        lately = (path.parent.name for path in self.folders.config.glob(f"{QUARANTINE}/*/accounts"))
        if any(stamp > yesterday for stamp in lately):
            return []
        try:
            places = [(account.name, self._move(QUARANTINE, [account])) for account in self._accounts.whole_or_not()]
        except OSError as error:
            raise OperationalError(f"Cannot set the ACME account aside: {error.strerror}.") from error
        return [
            f"The ACME account {name} is not known at {self.directory.host} and was moved to {place}; "
            "a new one is registered."
            for name, place in places
        ]

    def before(self, lineage: Lineage) -> list[str]:
        """Mend *lineage* or move it aside; says what was done, raises OperationalError if that fails."""
        try:
            return list(self._mend(lineage))
        except OSError as error:
            raise OperationalError(f"Cannot mend the lineage {lineage.name}: {error.strerror}.") from error

    def after(self, lineage: Lineage) -> Bundle:
        """What certbot now holds; raises ValueError unless that is a valid certificate for exactly the wanted names."""
        bundle = read_held(self.folders.config, lineage.name)
        check_issued(bundle, lineage.identifiers, self.now())
        if others := sorted(str(name) for name in bundle.identifiers.difference(lineage.identifiers)):
            raise ValueError(f"the certificate also covers {', '.join(others)}")
        if strays := self._strays(lineage.name):
            raise ValueError(f"certbot made a second lineage {strays[0]}")
        return bundle

    def _check_ours(self, paths: Iterable[Path], mode: int) -> None:
        """A volume that another user's certbot filled cannot be taken over without the operator."""
        for path in paths:
            if not path.exists() or os.access(path, mode):
                continue
            owner, user = path.stat().st_uid, os.getuid()
            if owner == user:
                raise OperationalError(f"No access to {path}: it has to be a folder or file that can be written.")
            raise OperationalError(
                f"No access to {path}: it belongs to the uid {owner}, and this container runs as {user}. "
                f"Give it the whole volume: chown -R {user} {self.folders.config}."
            )

    def _check_space(self) -> None:
        for folder in (self.folders.config, self.folders.webroot):
            if self.free(folder) < LEAST_FREE:
                raise OperationalError(
                    f"Less than {LEAST_FREE // 1024} KiB are free in {folder}: "
                    "a certificate could be issued and not kept; free some space."
                )

    def _quarantine_account(self, account: Path) -> str:
        place = self._move(QUARANTINE, [account])
        return f"The ACME account {account.name} could not be read and was moved to {place}; a new one is registered."

    def _mend(self, lineage: Lineage) -> Iterator[str]:
        name = lineage.name
        archived = (self.folders.config / "archive" / name).glob("*")
        self._check_ours((path_of(self.folders.config, name), *archived), os.R_OK)
        for each in filter(self._is_foreign, (name, *self._strays(name))):
            place = self._move(ELSEWHERE, self._parts(each))
            yield f"The lineage {each} came from another ACME server than {self.directory.host}: moved to {place}."
        if second := better_second(self.folders.config, lineage, self._strays(name), self.now()):
            self._move(QUARANTINE, self._parts(name))
            take_over(self.folders.config, second, name)
            yield f"The lineage {second} holds what {name} lacks, and goes on under that name."
        if (fault := self._fault(name)) and self._relink(name):
            yield f"The lineage {name} was mended: {fault}."
        if fault := self._fault(name):
            place = self._move(QUARANTINE, self._parts(name))
            yield f"The lineage {name} was damaged and moved to {place}: {fault}."
        for stray in self._strays(name):
            place = self._move(QUARANTINE, self._parts(stray))
            yield f"The lineage {stray} is a second one for the names of {name}: moved to {place}."

    def _parts(self, name: str) -> list[Path]:
        config = self.folders.config
        parts = (path_of(config, name), config / "live" / name, config / "archive" / name)
        return [part for part in parts if part.exists() or part.is_symlink()]

    def _strays(self, name: str) -> list[str]:
        """Duplicates of *name* that certbot made, by its way of naming them."""
        stray = re.compile(re.escape(name) + r"-\d{4}")
        folders = (self.folders.config / kind for kind in ("renewal", "live", "archive"))
        found = {path.name.removesuffix(".conf") for folder in folders if folder.is_dir() for path in folder.iterdir()}
        return sorted(each for each in found if stray.fullmatch(each) and each not in self.names)

    def _is_foreign(self, name: str) -> bool:
        """Whether the lineage names another server: certbot would keep its certificate until it is due."""
        server = server_of(self.folders.config, name)
        return server is not None and SERVERS_OF_OLD.get(str(server), server) != self.directory.url

    def _fault(self, name: str) -> str:
        """What is wrong with a lineage; empty if it is well or does not exist."""
        if not self._parts(name):
            return ""
        if not self._conf_is_sound(name):
            return f"{self.folders.config}/renewal/{name}.conf is missing or broken"
        versions = self._versions(name)
        if not versions or not self._version_is_sound(name, versions[-1]):
            return f"{self.folders.config}/archive/{name} lacks a whole newest version"
        if any(self._link_target(name, kind) != self._archived(name, kind, versions[-1]).resolve() for kind in KINDS):
            return f"the links in {self.folders.config}/live/{name} did not lead to the newest version"
        return ""

    def _conf_is_sound(self, name: str) -> bool:
        conf = read_renewal_file(self.folders.config, name)
        config = self.folders.config
        live = {kind: str(config / "live" / name / f"{kind}.pem") for kind in KINDS}
        archive = str(config / "archive" / name)  # which the oldest versions do not say
        return (
            conf is not None
            and conf.get("archive_dir", archive) == archive
            and all(conf.get(kind) == path for kind, path in live.items())
        )

    def _archived(self, name: str, kind: str, version: int) -> Path:
        return self.folders.config / "archive" / name / f"{kind}{version}.pem"

    def _link_target(self, name: str, kind: str) -> Path | None:
        link = self.folders.config / "live" / name / f"{kind}.pem"
        return link.resolve() if link.is_symlink() and link.exists() else None

    def _versions(self, name: str) -> list[int]:
        """The versions of which there is any file, oldest first."""
        pattern = re.compile(rf"(?:{'|'.join(KINDS)})(\d+)\.pem")
        archive = self.folders.config / "archive" / name
        names = (path.name for path in archive.iterdir()) if archive.is_dir() else ()
        return sorted({int(match[1]) for each in names if (match := pattern.fullmatch(each))})

    def _version_is_sound(self, name: str, version: int) -> bool:
        """By what certbot asks of it: the pair fits, and the four files tell the same (certbot/crypto_util.py)."""
        try:
            files = {kind: self._archived(name, kind, version).read_bytes() for kind in KINDS}
            parse_bundle(name, files["privkey"] + files["fullchain"])
        except (OSError, ValueError):
            return False
        return files["fullchain"] == files["cert"] + files["chain"]

    def _relink(self, name: str) -> bool:
        """Lead all links to the newest whole version and move broken newer ones aside; False if there is none."""
        versions = self._versions(name)
        whole = next((version for version in reversed(versions) if self._version_is_sound(name, version)), None)
        live = self.folders.config / "live" / name
        if whole is None or not self._conf_is_sound(name) or (live.exists() and not live.is_dir()):
            return False
        broken = [self._archived(name, kind, version) for version in versions if version > whole for kind in KINDS]
        if broken := [path for path in broken if path.exists()]:
            self._move(QUARANTINE, broken)
        live.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            fresh = live / f".{kind}.pem"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(Path("../../archive", name, f"{kind}{whole}.pem"))
            fresh.replace(live / f"{kind}.pem")
        return True

    def _move(self, folder: str, parts: Collection[Path]) -> Path:
        """Move *parts* out of certbot's sight, by renaming: that needs no space. Each keeps its place in the tree."""
        stamp = self.now().strftime(_STAMP)
        place = self.folders.config / folder / stamp
        for part in parts:
            target = place / part.relative_to(self.folders.config)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.rename(target)
        return place
