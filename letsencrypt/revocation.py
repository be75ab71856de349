"""Certificates that the operator wants revoked, kept on the volume until nothing of them is left to do.

The successor comes first, so that traffic goes on; but a certificate is revoked without one, too, when the CA gives
none at the first try: who asks for a revocation may have lost the key.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from letsencrypt.lineages import parse_lineage_name
from letsencrypt.publish import read_held, read_pair
from letsencrypt.renewal_file import KINDS, path_of, server_of
from letsencrypt.state_file import STATE_FOLDER
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import sync_folder, write_whole
from proxy_agent.daemon.moments import Moment
from proxy_agent.tls.bundle import Bundle, parse_bundle

REVOCATIONS = "revocations"
"""The folder below that of the states."""
PATIENCE = timedelta(minutes=10)
"""So long is waited for a successor that cannot even be ordered, and for who may want the certificate after a start."""
FRESH = ("--force-renewal", "--new-key")
"""Makes certbot order the successor whatever it thinks of the present one, with another key, --reuse-key or not."""


class Reason(StrEnum):
    """What certbot accepts of RFC 5280 section 5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keycompromise"
    AFFILIATION_CHANGED = "affiliationchanged"
    SUPERSEDED = "superseded"
    CESSATION = "cessationofoperation"


class Revocation(BaseModel):
    """One certificate that is to be revoked; it is here whole, as the lineage goes on without it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lineage: str
    server: str
    """The directory URL of the CA that issued it."""
    config: str
    """certbot's folder with the account, below the volume's root."""
    pem: str = Field(repr=False)
    """Key, leaf, chain."""
    reason: Reason
    drop: bool = False
    """Whether nothing comes after it."""
    asked: Moment
    revoked: Moment | None = None
    attempts: NonNegativeInt = 0
    not_before: Moment
    problem: str = ""
    """Why the last attempt failed."""

    @property
    def bundle(self) -> Bundle:
        """The certificate; raises ValueError if the file is damaged."""
        return parse_bundle(self.lineage, self.pem.encode())

    @property
    def key_and_chain(self) -> tuple[bytes, bytes]:
        """As certbot takes them, in two files."""
        return split(self.pem.encode())

    def is_ripe(self, held: Bundle | None, tried: bool, wanted: bool, now: datetime) -> bool:
        """Whether it is revoked now, where the lineage holds *held*, was *tried* since, and is *wanted*.

        Only what is superseded waits for its successor as long as it takes.
        """
        if self.revoked or now < self.not_before:
            return False
        if not self.is_of(held):
            return True
        if not wanted:
            return self.is_given_up(wanted, now)
        return self.reason is not Reason.SUPERSEDED and (tried or now >= self.asked + PATIENCE)

    def is_given_up(self, wanted: bool, now: datetime) -> bool:
        """Whether the lineage goes with it: at a start, nobody may want it for a moment."""
        return not wanted and (self.drop or now >= self.asked + PATIENCE)

    def is_of(self, held: Bundle | None) -> bool:
        """Whether *held* is this very certificate."""
        return held is not None and held.serial == self.bundle.serial

    def words(self, folder: Path) -> list[str]:
        """Certbot's command line, with all it needs in *folder*.

        Only a signature by the key itself lets the CA refuse that key for ever (RFC 8555 section 7.6,
        https://letsencrypt.org/docs/revoking/); the account's will do for the rest, and may state any reason.
        """
        by_key = self.reason is Reason.KEY_COMPROMISE
        return [
            *("revoke", "--non-interactive", "--agree-tos", "--no-delete-after-revoke", "--server", self.server),
            *("--config-dir", str(folder), "--work-dir", str(folder), "--logs-dir", str(folder / "logs")),
            *("--reason", self.reason.value, "--cert-path", str(folder / "cert.pem")),
            *(("--key-path", str(folder / "key.pem")) if by_key else ()),
        ]


class Revocations:
    """The files, one for each certificate, and what certbot holds of their lineages."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / STATE_FOLDER / REVOCATIONS

    def all(self) -> tuple[Revocation, ...]:
        """All that are under way, oldest first; a damaged file is none."""
        found = []
        for path in sorted(self._folder.glob("[!.]*.json")):
            with contextlib.suppress(OSError, ValidationError, ValueError):
                revocation = Revocation.model_validate_json(path.read_bytes())
                revocation.bundle.pem  # noqa: B018 - raises
                found.append(revocation)
        return tuple(sorted(found, key=lambda each: each.asked))

    def ask(self, name: str, published: Bundle | None, reason: Reason, drop: bool, now: datetime) -> Revocation:
        """Write down that what is held of the lineage *name* is to be revoked, and return that.

        Where several CAs issued for the name, it is the one whose certificate is *published*. Raises ValueError if
        none is held, OperationalError if it cannot be written.
        """
        held = list(self._held_anywhere(parse_lineage_name(name)))
        held = [each for each in held if published and each[1].serial == published.serial] or held
        if not held:
            raise ValueError(f"there is no certificate {name[:100]!r} of ours that could be revoked")
        config, bundle = held[0]
        revocation = Revocation(
            lineage=name,
            server=_server(config, name),
            config=str(config.relative_to(self._root)),
            pem=bundle.pem.decode(),
            reason=reason,
            drop=drop,
            asked=now,
            not_before=now,
        )
        self.save(revocation)
        return revocation

    def save(self, revocation: Revocation) -> None:
        """Keep it; raises OperationalError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot make the folder {self._folder}: {error.strerror}.") from error
        write_whole(self._path(revocation), revocation.model_dump_json(indent=1).encode() + b"\n")

    def held(self, revocation: Revocation, published: Bundle | None) -> Bundle | None:
        """What its lineage holds now, None if that is nothing whole.

        Where several CAs issued for the name, it is what is *published* of that: the successor may be another's.
        """
        found = self._held_anywhere(revocation.lineage)
        served = (bundle for _, bundle in found if published and bundle.serial == published.serial)
        return next(served, None) or _held(self._root / revocation.config, revocation.lineage)

    def config(self, revocation: Revocation) -> Path:
        """Certbot's folder."""
        return self._root / revocation.config

    def finish(self, revocation: Revocation) -> None:
        """Remove its key, wherever an older version of the lineage has it, and then the file."""
        with contextlib.suppress(OSError):
            self._remove_key(revocation)
            self._path(revocation).unlink(missing_ok=True)
            sync_folder(self._folder)

    def _remove_key(self, revocation: Revocation) -> None:
        """Else a mended lineage might lead to it again; the name may be that of a second lineage certbot made."""
        spoilt, _ = revocation.key_and_chain
        places = ("archive/*", "quarantine/*/archive/*", "other-directories/*/archive/*")
        config = self._root / revocation.config
        for path in [path for place in places for path in config.glob(f"{place}/privkey*.pem")]:
            files = {kind: path.with_name(path.name.replace("privkey", kind, 1)) for kind in KINDS}
            if _key_of(files["privkey"], files["fullchain"]) == spoilt:
                for file in files.values():
                    file.unlink(missing_ok=True)

    def _held_anywhere(self, name: str) -> Iterator[tuple[Path, Bundle]]:
        for config in (self._root, *sorted(self._root.glob("directories/*"))):
            if bundle := _held(config, name):
                yield config, bundle

    def _path(self, revocation: Revocation) -> Path:
        serial = sha256(str(revocation.bundle.serial).encode()).hexdigest()[:12]
        return self._folder / f"{revocation.lineage}-{serial}.json"


def split(pem: bytes) -> tuple[bytes, bytes]:
    """The key of a bundle, of which there is one spelling, and its certificates."""
    key, begin, chain = pem.partition(b"-----BEGIN CERTIFICATE-----")
    return key, begin + chain


def _key_of(key: Path, fullchain: Path) -> bytes | None:
    try:
        return split(read_pair("", key, fullchain).pem)[0]
    except ValueError:
        return None


def _held(config: Path, name: str) -> Bundle | None:
    try:
        return read_held(config, name)
    except ValueError:
        return None


def _server(config: Path, name: str) -> str:
    """Whom certbot would ask; raises ValueError if the lineage does not say."""
    server = server_of(config, name)
    if server is None:
        raise ValueError(f"certbot's {path_of(config, name)} does not tell which CA issued it")
    return server
