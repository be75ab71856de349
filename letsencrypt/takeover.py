"""A certificate that certbot put under NAME-0001 goes on as NAME, so that none has to be ordered for it."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from letsencrypt.lineages import Lineage
from letsencrypt.publish import read_held
from letsencrypt.renewal_file import copy_renewal_file, path_of, read_renewal_file
from proxy_agent.tls.bundle import Bundle, check_issued


def better_second(config: Path, lineage: Lineage, seconds: Iterable[str], now: datetime) -> str | None:
    """Which of *seconds*, lineages besides *lineage* in certbot's folder, holds what that one lacks.

    That is a certificate for exactly its names, valid at *now*; the one that lasts longest. None if there is no need.
    """
    if _valid(config, lineage.name, lineage, now):
        return None
    found = {name: bundle for name in seconds if (bundle := _valid(config, name, lineage, now))}
    return max(found, key=lambda name: found[name].not_after, default=None)


def take_over(config: Path, second: str, name: str) -> None:
    """Rename the lineage *second* to *name*, of which nothing may be there; raises OSError.

    Interrupted, it leaves what a checkup moves aside, and what is still served from there.
    """
    for kind in ("archive", "live"):
        (config / kind / second).rename(config / kind / name)
    for link in (config / "live" / name).glob("*.pem"):
        target = config / "archive" / name / link.readlink().name
        link.unlink()
        link.symlink_to(Path("../../archive", name, target.name))
    copy_renewal_file(config, second, name)
    path_of(config, second).unlink()


def _valid(config: Path, name: str, lineage: Lineage, now: datetime) -> Bundle | None:
    try:
        bundle = read_held(config, name)
        check_issued(bundle, lineage.identifiers, now)
    except ValueError:
        return None
    is_whole = read_renewal_file(config, name) is not None and (config / "archive" / name).is_dir()
    return bundle if is_whole and bundle.identifiers == frozenset(lineage.identifiers) else None
