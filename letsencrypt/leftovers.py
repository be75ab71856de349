"""Published certificates that nobody wants any more: they stay as long as they are valid, and then go."""

import logging
from collections.abc import Callable, Iterator, Set
from datetime import datetime, timedelta
from pathlib import Path

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
        """Remove the bundles that expired KEPT ago and cover nothing that is *wanted*; none where that is not known.

        certbot keeps the lineages all the same, and a host that comes back gets a certificate as if it were new.
        """
        problems: list[str] = []
        for path, bundle in self._expired() if wanted is not None else ():
            if any(bundle.covers(name) for name in wanted or ()):
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                problems.append(f"Cannot remove {path}: {error.strerror}.")
                continue
            log.info("Withdrew the certificate %s, which expired on %s.", bundle.name, f"{bundle.not_after:%Y-%m-%d}")
        self._notices.update("the removal of expired certificates", problems)

    def _expired(self) -> Iterator[tuple[Path, Bundle]]:
        configs = [self._root, *self._root.glob("directories/*")]
        for path in sorted(self._certs.glob("*.pem")):
            if not any((config / "live" / path.stem).is_dir() for config in configs):
                continue
            try:
                bundle = parse_bundle(path.stem, path.read_bytes())
            except (OSError, ValueError):
                continue
            if bundle.not_after + KEPT < self._now():
                yield path, bundle
