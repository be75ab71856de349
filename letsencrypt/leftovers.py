"""Published certificates that nobody wants any more: they stay as long as they are valid, and then go."""

import logging
from collections.abc import Callable, Iterable, Iterator, Set
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree

from letsencrypt.lineages import parse_lineage_name
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import Identifier

log = logging.getLogger(__name__)

KEPT = timedelta(days=7)
"""After the expiry: a clock may be wrong, or a container away for a holiday."""


class Leftovers:
    """Takes back what letsencrypt itself published; a file that certbot knows nothing of is somebody else's."""

    def __init__(self, certs_folder: Path, letsencrypt_folder: Path, now: Callable[[], datetime]) -> None:
        self._certs = certs_folder
        self._root = letsencrypt_folder
        self._now = now
        self._notices = Notices(log)

    def withdraw(self, wanted: Set[Identifier] | None) -> None:
        """Remove the bundles that expired KEPT ago; none where it is not known what is *wanted*.

        One that is all there is for a wanted name stays.

        certbot keeps the lineages all the same, and a host that comes back gets a certificate as if it were new.
        """
        problems: list[str] = []
        expired = list(self._expired()) if wanted is not None else []
        served = self._served(wanted or ()) if expired else frozenset()
        for path, bundle in expired:
            if any(bundle.covers(name) for name in wanted or () if name not in served):
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                problems.append(f"Cannot remove {path}: {error.strerror}.")
                continue
            log.info("Withdrew the certificate %s, which expired on %s.", bundle.name, f"{bundle.not_after:%Y-%m-%d}")
        self._notices.update("the removal of expired certificates", problems)

    def forget(self, name: str) -> str:
        """Remove everything of the lineage *name* for good, whatever it is worth; what was done, in a sentence.

        The operator's word: nobody may want it, and no certbot may run. An account and what was set aside stay.
        """
        try:
            known = self._forget(parse_lineage_name(name))
        except (OSError, ValueError) as error:
            return f"Cannot forget the certificate {name[:100]!r}: {error}."
        return f"Forgot the certificate {name}." if known else f"There is no certificate {name} to forget."

    def _forget(self, name: str) -> bool:
        """The bundle goes first: a lineage that nobody serves harms nobody. False if there was nothing."""
        lives = [config / "live" / name for config in self._configs()]
        parts = [config / kind / name for config in self._configs() for kind in ("live", "archive")]
        parts += [config / "renewal" / f"{name}.conf" for config in self._configs()]
        if any(live.is_dir() for live in lives):
            parts.insert(0, self._certs / f"{name}.pem")
        parts = [part for part in parts if part.exists() or part.is_symlink()]
        for part in parts:
            if part.is_dir():
                rmtree(part)
            else:
                part.unlink()
        return bool(parts)

    def _configs(self) -> list[Path]:
        return [self._root, *sorted(self._root.glob("directories/*"))]

    def _served(self, names: Iterable[Identifier]) -> frozenset[Identifier]:
        """Those of *names* that a published certificate is valid for."""
        valid = [bundle for _, bundle in self._published() if bundle.not_after > self._now()]
        return frozenset(name for name in names if any(bundle.covers(name) for bundle in valid))

    def _published(self) -> Iterator[tuple[Path, Bundle]]:
        for path in sorted(self._certs.glob("*.pem")):
            try:
                yield path, parse_bundle(path.stem, path.read_bytes())
            except (OSError, ValueError):
                continue

    def _expired(self) -> Iterator[tuple[Path, Bundle]]:
        for path, bundle in self._published():
            is_ours = any((config / "live" / path.stem).is_dir() for config in self._configs())
            if is_ours and bundle.not_after + KEPT < self._now():
                yield path, bundle
