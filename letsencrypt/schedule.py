"""When to try again: the failures that a certbot run can end in, and the next attempt after each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum


class Failure(StrEnum):
    """Why an attempt failed, as far as it decides when the next one may come."""

    NETWORK = "network"
    """The CA was not reached, or what answered was no ACME server."""
    BUSY = "busy"
    """The CA has no time for anybody now (HTTP status 503)."""
    SERVER = "server"
    """An error inside the CA before anything could be issued (serverInternal)."""
    NONCE = "nonce"
    """The CA refused a nonce twice (RFC 8555 section 6.5)."""
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
    Failure.CRASH: _WITHIN_THE_HOUR,
    Failure.DAMAGED: _WITHIN_THE_HOUR,
    # Nobody but ourselves is asked, so a name that heals is seen soon.
    Failure.PREFLIGHT: _minutes(1, 1, 2, 5),
    Failure.STORAGE: _minutes(1, 5, 15),
}
"""The pauses after the first, second, … failure of a kind in a row; the last one repeats."""

OF_DIRECTORY = frozenset({Failure.NETWORK, Failure.BUSY, Failure.LOCK, Failure.USAGE, Failure.STORAGE})
"""What every lineage of the directory would meet just the same: all wait, and one asks again."""

BY_ORDER_OF_CA = frozenset({Failure.RATE_LIMITED, Failure.BUSY})
"""What not even the operator may cut short."""

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

    A CA's Retry-After replaces the pause of a rate limit, and only ever lengthens the others. All pauses end 1 to
    10 % late, so that many hosts that failed together do not come back together.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [str(next_attempt(Failure.VALIDATION, n, noon, lambda: 0.0) - noon) for n in (1, 2, 5)]
    ['0:01:00.600000', '0:10:06', '1 day, 0:14:24']
    """
    steps = DELAYS[failure]
    delay = steps[min(attempts, len(steps)) - 1]
    if retry_after is not None:
        asked = min(retry_after, LONGEST_RETRY_AFTER)
        delay = asked if failure is Failure.RATE_LIMITED else max(delay, asked)
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
    except ValueError:
        raise ValueError(f"{text!r} is neither seconds nor a date") from None
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


@dataclass(frozen=True)
class Standing:
    """Where a lineage or the whole directory stands: when it may be tried next, and what failed since it was well.

    Each kind of failure counts for itself: an hour without network must not use up the quick tries of a validation.
    """

    not_before: datetime
    pause: timedelta = timedelta()
    """From the last failure to not_before."""
    attempts: Mapping[Failure, int] = field(default_factory=dict)
    failure: Failure | None = None
    reason: str = ""
    repeated: bool = False
    """Whether the last attempt failed just as the one before."""

    def failed(self, failure: Failure, reason: str) -> "Standing":
        """The same after one more *failure*; when to go on is left to the caller."""
        attempts = {**self.attempts, failure: self.attempts.get(failure, 0) + 1}
        repeated = (failure, reason) == (self.failure, self.reason)
        return replace(self, attempts=attempts, failure=failure, reason=reason, repeated=repeated)


class Timetable:
    """When each lineage of one directory is tried next; in memory, so a restart begins afresh."""

    def __init__(self, now: Callable[[], datetime], random: Callable[[], float]) -> None:
        self._now = now
        self._random = random
        self._start = Standing(now())
        self._lineages: dict[str, Standing] = {}
        self._asks: dict[str, object] = {}
        self._directory = self._start

    def expect(self, asks: Mapping[str, object]) -> None:
        """Tell what each name stands for from now on: where that is another than before, its time is now.

        A name that left keeps its place in the table until its time is a day ago, for the case that it returns.
        """
        now = self._now()
        for name, standing in list(self._lineages.items()):
            is_over = name not in asks and standing.not_before + _DAY <= now
            is_another = name in asks and asks[name] != self._asks.get(name)
            if is_over or (is_another and standing.failure not in BY_ORDER_OF_CA):
                del self._lineages[name]
        self._asks = {name: ask for name, ask in self._asks.items() if name in self._lineages} | dict(asks)

    @property
    def held_up(self) -> bool:
        """Whether all have to wait because of something that each of them would meet."""
        return self._directory.not_before > self._now()

    @property
    def unreachable(self) -> bool:
        """Whether the CA gave no answer, or none but that it is busy, when it was last asked."""
        return self._directory.failure in {Failure.NETWORK, Failure.BUSY}

    def due(self, names: Iterable[str]) -> list[str]:
        """Whose time has come: the healthy first, so that a failing one delays none of them."""
        now = self._now()
        due = [name for name in names if not self.held_up and self._standing(name).not_before <= now]
        return sorted(due, key=lambda name: self._standing(name).failure is not None)

    def next(self, names: Iterable[str]) -> datetime | None:
        """When the first of *names* is due; None if there are none."""
        moments = (max(self._standing(name).not_before, self._directory.not_before) for name in names)
        return min(moments, default=None)

    def well(self, name: str, interval: timedelta) -> None:
        """*name* is as it should be, and the directory answered."""
        now = self._now()
        self._directory = Standing(now)
        self._lineages[name] = Standing(next_look(now, interval, self._random))

    def failed(self, name: str, failure: Failure, reason: str, retry_after: timedelta | None = None) -> Standing:
        """Put *name* off after a failure, or all where all would meet the same; where that stands now."""
        if failure in OF_DIRECTORY:
            self._directory = self._put_off(self._directory, failure, reason, retry_after)
            return self._directory
        if failure is not Failure.PREFLIGHT:
            self._directory = Standing(self._now())
        self._lineages[name] = self._put_off(self._standing(name), failure, reason, retry_after)
        return self._lineages[name]

    def retry_now(self) -> None:
        """The operator's wish: ends every pause but those that the CA asked for."""
        now = self._now()
        waiting = [name for name, standing in self._lineages.items() if standing.failure not in BY_ORDER_OF_CA]
        self._lineages |= {name: replace(self._lineages[name], not_before=now) for name in waiting}
        if self._directory.failure not in BY_ORDER_OF_CA:
            self._directory = replace(self._directory, not_before=now)

    def _standing(self, name: str) -> Standing:
        return self._lineages.get(name, self._start)

    def _put_off(self, standing: Standing, failure: Failure, reason: str, retry_after: timedelta | None) -> Standing:
        failed = standing.failed(failure, reason)
        now = self._now()
        moment = next_attempt(failure, failed.attempts[failure], now, self._random, retry_after)
        return replace(failed, not_before=moment, pause=moment - now)
