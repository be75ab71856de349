"""When to try again: the failures that a certbot run can end in, and the next attempt after each."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum


class Failure(StrEnum):
    """Why an attempt failed, as far as it decides when the next one may come."""

    NETWORK = "network"
    """The CA was not reached, what answered was no ACME server, or it is out of order before anything is ordered."""
    BUSY = "busy"
    """The CA has no time for anybody now (HTTP status 503, or 429 without a word on a limit)."""
    SERVER = "server"
    """An error inside the CA after an order, before anything could be issued (serverInternal), or no end of it."""
    NONCE = "nonce"
    """The CA refused several nonces in a row (RFC 8555 section 6.5)."""
    LOCK = "lock"
    """Another certbot works in the same folders."""
    VALIDATION = "validation"
    """The CA asked a name for its challenge, or DNS for its CAA record, and was not content."""
    RATE_LIMITED = "rate limited"
    """RFC 8555 section 6.6."""
    REFUSED = "refused"
    """The CA or certbot refuses the request as it stands; only other settings can help."""
    USAGE = "usage"
    """certbot cannot read its command line, which no lineage can help."""
    ACCOUNT = "account"
    """The account is unknown to the CA, deactivated, or has to agree to something."""
    AFTER_FINALIZE = "after finalize"
    """Failed when the certificate may already have been issued, and counted (RFC 8555 section 7.4)."""
    CRASH = "crash"
    """certbot ended in an error that it does not know, or was killed."""
    INTERRUPTED = "interrupted"
    """An order was placed, and the container was killed before its end was known."""
    BUDGET = "budget"
    """Not ordered, because our own count says that the CA's limit is near."""
    DAMAGED = "damaged"
    """What certbot keeps of the lineage is damaged and could not be mended."""
    PREFLIGHT = "preflight"
    """A look from here showed what the CA would refuse, so it was not asked."""
    STORAGE = "storage"
    """Our own folders are not fit for any run."""


def _minutes(*values: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=value) for value in values)


_DAY = timedelta(days=1)
_IN_TEN_MINUTES = _minutes(*([1 / 6] * 60), 10)
_WITHIN_THE_HOUR = _minutes(1, 5, 15, 60)

DELAYS: Mapping[Failure, tuple[timedelta, ...]] = {
    Failure.NETWORK: _minutes(0.5, 1, 2, 4, 8, 15),
    Failure.BUSY: _minutes(1, 2, 4, 8, 15),
    Failure.SERVER: _WITHIN_THE_HOUR,
    Failure.NONCE: _minutes(1 / 30, 1 / 30, 1 / 30, 1, 5, 15, 60),
    Failure.LOCK: _IN_TEN_MINUTES,
    # Let's Encrypt's advice, which spends 3 of the 5 failures it allows an hour
    # (https://letsencrypt.org/docs/integration-guide/#retrying-failures, https://letsencrypt.org/docs/rate-limits/).
    Failure.VALIDATION: (*_minutes(1, 10, 100), _DAY),
    Failure.RATE_LIMITED: (_DAY,),
    Failure.REFUSED: (_DAY,),
    Failure.USAGE: (_DAY,),
    Failure.ACCOUNT: (_DAY,),
    # Five certificates for the same names are allowed in seven days, one more every 34 hours.
    Failure.AFTER_FINALIZE: (timedelta(minutes=10), timedelta(hours=6), timedelta(hours=34)),
    Failure.INTERRUPTED: (*_minutes(1, 10, 100), _DAY),
    Failure.BUDGET: (_DAY,),
    Failure.CRASH: _WITHIN_THE_HOUR,
    Failure.DAMAGED: _WITHIN_THE_HOUR,
    # Nobody but ourselves is asked, so a name that heals is seen soon.
    Failure.PREFLIGHT: _minutes(1, 1, 2, 5),
    Failure.STORAGE: _minutes(1, 5, 15),
}
"""The pauses after the first, second, … failure of a kind in a row; the last one repeats."""

OF_DIRECTORY = frozenset({Failure.NETWORK, Failure.BUSY, Failure.LOCK, Failure.USAGE, Failure.STORAGE, Failure.ACCOUNT})
"""What every lineage of the directory would meet just the same: all wait, and one asks again."""

FREE = frozenset({Failure.LOCK, Failure.USAGE, Failure.STORAGE, Failure.DAMAGED})
"""What is found out again without asking the CA anything: a restart looks at once."""

AT_ANOTHERS_WORD = frozenset({Failure.RATE_LIMITED, Failure.BUDGET})
"""Where a moment that is known takes the place of our pause."""

AT_THE_CAS_WORD = frozenset({Failure.NETWORK, Failure.BUSY, Failure.SERVER, Failure.RATE_LIMITED})
"""Where a Retry-After is the CA's wish, which nobody here cuts short."""

LONGEST_RETRY_AFTER = timedelta(days=8)
"""No limit of Let's Encrypt lasts longer than seven days; whoever says more is mistaken."""


def next_attempt(
    failure: Failure,
    attempts: int,
    now: datetime,
    random: Callable[[], float],
    retry_after: timedelta | None = None,
) -> datetime:
    """When to try again after the *attempts*-th *failure* of its kind in a row (1 for the first).

    *retry_after* replaces the pause of a rate limit, the CA's or our own, and only ever lengthens the others. All
    pauses end 1 to 10 % late, so that many hosts that failed together do not come back together.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [str(next_attempt(Failure.VALIDATION, n, noon, lambda: 0.0) - noon) for n in (1, 2, 5)]
    ['0:01:00.600000', '0:10:06', '1 day, 0:14:24']
    """
    steps = DELAYS[failure]
    delay = steps[min(attempts, len(steps)) - 1]
    if retry_after is not None:
        asked = min(retry_after, LONGEST_RETRY_AFTER)
        delay = asked if failure in AT_ANOTHERS_WORD else max(delay, asked)
    return now + delay * (1.01 + 0.09 * random())


def next_look(now: datetime, interval: timedelta, random: Callable[[], float]) -> datetime:
    """When to ask certbot again whether a renewal is due: *interval* or up to a tenth less, at no fixed time of day."""
    return now + interval * (1 - 0.1 * random())


def parse_retry_after(text: str, now: datetime) -> timedelta:
    """Read a Retry-After header, seconds or a date (RFC 9110 section 10.2.3); raises ValueError quoting *text*.

    >>> parse_retry_after("Thu, 01 Jan 2026 12:01:00 GMT", datetime(2026, 1, 1, 12, tzinfo=UTC))
    datetime.timedelta(seconds=60)
    """
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:12])), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:100]!r} is neither seconds nor a date") from None
    return max(date.replace(tzinfo=date.tzinfo or UTC) - now, timedelta())


def in_words(pause: timedelta) -> str:
    """A pause as people say it.

    >>> in_words(timedelta(seconds=606)), in_words(timedelta(hours=25))
    ('10 minutes', '25 hours')
    """
    seconds = pause.total_seconds()
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
