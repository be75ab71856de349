"""Bundles out: what certbot holds is checked as a whole and handed to the load balancer as one file."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from letsencrypt.lineages import Lineage
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.tls.bundle import Bundle, check_issued, parse_bundle

QUARANTINE = "quarantine"
"""The folder inside certbot's where the checkup puts damaged lineages; what is still good in them is served."""


def read_pair(name: str, key: Path, fullchain: Path) -> Bundle:
    """The pair that certbot keeps in two files; raises ValueError if they are no pair or cannot be read."""
    try:
        return parse_bundle(name, key.read_bytes() + fullchain.read_bytes())
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from error


def read_held(config: Path, name: str) -> Bundle:
    """What certbot holds of the lineage *name* in its folder *config*; raises ValueError as read_pair() does."""
    live = config / "live" / name
    return read_pair(name, live / "privkey.pem", live / "fullchain.pem")


def is_held(config: Path, name: str, pem: bytes) -> bool:
    """Whether the bundle *pem* is what certbot holds of the lineage *name* in its folder *config*."""
    try:
        return (config / "live" / name / "cert.pem").read_bytes() in pem
    except OSError:
        return False


class Publisher:
    """Keeps ``CERTS_FOLDER/NAME.pem`` equal to what certbot holds for a lineage, by comparing the two.

    No deploy hook: certbot forgets a hook that fails and ends well all the same (certbot/_internal/hooks.py).
    """

    def __init__(self, config_folder: Path, certs_folder: Path, now: Callable[[], datetime]) -> None:
        self._config = config_folder
        self._certs = certs_folder
        self._now = now

    def held(self, lineage: Lineage) -> Bundle | None:
        """What certbot holds, whatever it covers; None if there is nothing; raises ValueError if it is no pair."""
        is_there = (self._config / "live" / lineage.name).is_dir()
        return read_held(self._config, lineage.name) if is_there else None

    def servable(self, lineage: Lineage) -> Bundle | None:
        """What certbot holds, if it may be published now: valid, and for one of the wanted names at least."""
        try:
            bundle = self.held(lineage)
        except ValueError:
            return None
        return bundle if bundle is not None and self._fit(bundle, lineage) else None

    def publish(self, lineage: Lineage) -> Bundle | None:
        """Publish what is held where it differs; the bundle if that was done, None if there was nothing to do.

        A bundle that serves some of the wanted names is better than none, so it need not cover all. Raises
        ValueError with the reason why what is held is not fit to serve, and OperationalError if the file cannot be
        written; what was published before stays in both cases.
        """
        bundle = self.held(lineage)
        if bundle is None:
            bundle = self._rescued(lineage)
        if bundle is None:
            return None
        self._check(bundle, lineage)
        path = self._path(lineage)
        if _content(path) == bundle.pem:
            return None
        write_whole(path, bundle.pem)
        return bundle

    def _check(self, bundle: Bundle, lineage: Lineage) -> None:
        covered = [name for name in lineage.identifiers if bundle.covers(name)]
        check_issued(bundle, covered or lineage.identifiers, self._now())

    def _rescued(self, lineage: Lineage) -> Bundle | None:
        """The longest lasting pair among damaged lineages, where nothing is published that would do."""
        candidates = [bundle for bundle in self._quarantined(lineage) if self._fit(bundle, lineage)]
        if not candidates or self._published_is_fit(lineage):
            return None
        return max(candidates, key=lambda bundle: bundle.not_after)

    def _quarantined(self, lineage: Lineage) -> Iterator[Bundle]:
        for key in sorted((self._config / QUARANTINE).glob("*/archive/*/privkey*.pem")):
            try:
                yield read_pair(lineage.name, key, key.with_name(key.name.replace("privkey", "fullchain", 1)))
            except ValueError:
                continue

    def _published_is_fit(self, lineage: Lineage) -> bool:
        try:
            return self._fit(parse_bundle(lineage.name, _content(self._path(lineage)) or b""), lineage)
        except ValueError:
            return False

    def _fit(self, bundle: Bundle, lineage: Lineage) -> bool:
        try:
            self._check(bundle, lineage)
        except ValueError:
            return False
        return True

    def _path(self, lineage: Lineage) -> Path:
        return self._certs / f"{lineage.name}.pem"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationalError(f"Cannot read {path}: {error.strerror}.") from error
