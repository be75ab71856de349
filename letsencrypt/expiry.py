"""How near its end a certificate is, in parts of its life: no number of days, as lives of six and of ninety exist."""

from datetime import datetime, timedelta
from enum import IntEnum

from letsencrypt.schedule import in_words
from proxy_agent.tls.bundle import Bundle

_DAY = timedelta(days=1)


class Nearness(IntEnum):
    """How far a certificate is past the time at which it is renewed, two thirds or a half of its life."""

    FAR = 0
    LAST_SIXTH = 1
    LAST_TWELFTH = 2
    EXPIRED = 3


def nearness(not_before: datetime, not_after: datetime, now: datetime) -> Nearness:
    """How near the end of that life is.

    >>> from datetime import UTC
    >>> begin = datetime(2026, 1, 1, tzinfo=UTC)
    >>> [nearness(begin, begin + 12 * _DAY, begin + n * _DAY).name for n in (9, 10, 11, 12)]
    ['FAR', 'LAST_SIXTH', 'LAST_TWELFTH', 'EXPIRED']
    """
    life, left = not_after - not_before, not_after - now
    if left <= timedelta():
        return Nearness.EXPIRED
    if left <= life / 12:
        return Nearness.LAST_TWELFTH
    return Nearness.LAST_SIXTH if left <= life / 6 else Nearness.FAR


def is_ending(held: Bundle, now: datetime) -> bool:
    """Whether *held* is in the last sixth of its life, or past it: it must not wait any longer for its renewal."""
    return nearness(held.not_before, held.not_after, now) is not Nearness.FAR


def warning(not_after: datetime, now: datetime, reason: str) -> str:
    """What is said of a certificate near its end, after its name: when that is, and *reason*, why it was not renewed.

    >>> from datetime import UTC
    >>> end = datetime(2026, 1, 20, tzinfo=UTC)
    >>> warning(end, end - 9 * _DAY, "the disk is full")
    'expires in 9 days and was not renewed: the disk is full'
    """
    left = not_after - now
    if left <= timedelta():
        when = f"expired on {not_after:%Y-%m-%d %H:%M} UTC"
    else:
        when = f"expires in {f'{left // _DAY} days' if left >= 2 * _DAY else in_words(left)}"
    return f"{when} and was not renewed: {reason or 'certbot does not find it due, or was not asked yet'}"
