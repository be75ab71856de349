"""In which order lineages are looked after where not all can be at once."""

from datetime import datetime
from enum import IntEnum

from proxy_agent.tls.bundle import Bundle

_LAST_PART = 3
"""In the last third of its life a certificate should have been renewed (https://letsencrypt.org/docs/integration-guide/)."""


class Urgency(IntEnum):
    """The most urgent first."""

    EXPIRED = 0
    EXPIRING = 1
    MISSING = 2
    HELD = 3
    FAILING = 4
    """Last, whatever it holds: so many that fail delay nobody else."""


def urgency(held: Bundle | None, is_failing: bool, now: datetime) -> Urgency:
    """How urgent a lineage is that holds so much."""
    if is_failing:
        return Urgency.FAILING
    if held is None:
        return Urgency.MISSING
    left = held.not_after - now
    if left.total_seconds() <= 0:
        return Urgency.EXPIRED
    return Urgency.EXPIRING if left < (held.not_after - held.not_before) / _LAST_PART else Urgency.HELD
