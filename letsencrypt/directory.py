"""What an ACME directory says to anybody: that it is there, what time it is, and its names in CAA records."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 4.0


@dataclass(frozen=True)
class DirectoryFacts:
    """One look at a directory."""

    problem: str = ""
    """Why it cannot be used; empty if it can."""
    skew: timedelta = timedelta()
    """How far our clock is ahead."""
    caa_identities: tuple[str, ...] = ()


def read_directory(url: str, now: Callable[[], datetime]) -> DirectoryFacts:
    """Look at the directory at *url*, trusting the CAs that certbot trusts; never raises."""
    try:
        response = requests.get(url, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), headers={"User-Agent": "preflight"})
        response.raise_for_status()
        document = response.json()
    except requests.Timeout:
        return DirectoryFacts("it does not answer in time")
    except requests.exceptions.SSLError:
        return DirectoryFacts("its certificate is not trusted here")
    except requests.ConnectionError:
        return DirectoryFacts("no connection comes about")
    except (requests.RequestException, ValueError, RecursionError) as error:
        return DirectoryFacts(f"what answers is no ACME directory ({type(error).__name__})")
    if not isinstance(document, dict) or "newOrder" not in document:
        return DirectoryFacts("what answers is no ACME directory")
    return DirectoryFacts("", _skew(response.headers.get("Date", ""), now()), parse_identities(document))


def parse_identities(document: dict[str, object]) -> tuple[str, ...]:
    """The names of the CA in CAA records (RFC 8555 section 7.1.1), none where it says none."""
    meta = document.get("meta")
    identities = meta.get("caaIdentities") if isinstance(meta, dict) else None
    names = identities if isinstance(identities, list) else []
    return tuple(name.lower()[:253] for name in names[:20] if isinstance(name, str))


def _skew(date: str, now: datetime) -> timedelta:
    """How far *now* is ahead of a Date header; nothing where there is none."""
    try:
        theirs = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return timedelta()
    return now - theirs.replace(tzinfo=theirs.tzinfo or UTC)
