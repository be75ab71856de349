"""A certificate that certbot put under NAME-0001 goes on as NAME, so that none has to be ordered for it."""

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from letsencrypt.lineages import Lineage
from letsencrypt.publish import read_pair
from proxy_agent.daemon.files import write_whole
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
    conf = config / "renewal" / f"{second}.conf"
    text = re.sub(rf"/{re.escape(second)}(?=/|\s*$)", f"/{name}", conf.read_text("utf-8"), flags=re.MULTILINE)
    for kind in ("archive", "live"):
        (config / kind / second).rename(config / kind / name)
    for link in (config / "live" / name).glob("*.pem"):
        target = config / "archive" / name / link.readlink().name
        link.unlink()
        link.symlink_to(Path("../../archive", name, target.name))
    write_whole(config / "renewal" / f"{name}.conf", text.encode(), mode=0o644)
    conf.unlink()


def _valid(config: Path, name: str, lineage: Lineage, now: datetime) -> Bundle | None:
    live = config / "live" / name
    try:
        bundle = read_pair(name, live / "privkey.pem", live / "fullchain.pem")
        check_issued(bundle, lineage.identifiers, now)
    except ValueError:
        return None
    is_whole = (config / "renewal" / f"{name}.conf").is_file() and (config / "archive" / name).is_dir()
    return bundle if is_whole and bundle.identifiers == frozenset(lineage.identifiers) else None
