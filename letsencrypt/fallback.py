"""Whose turn it is: which of several ACME servers may be asked for one lineage, and whose certificate is the right one.

The servers stand in a line. The first is asked as if there were no other; the next one comes in only while those
before it fail through a fault of their own, and the certificate is missing or about to expire. What a fallback issued
is kept until it is due for renewal, and until then nobody else is asked: then it is the first one's turn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from letsencrypt.expiry import is_ending
from letsencrypt.lineages import Lineage
from letsencrypt.schedule import Failure
from letsencrypt.standing import Obstacle
from proxy_agent.tls.bundle import Bundle

OWN_FAULT = frozenset(
    {
        *(Failure.NETWORK, Failure.BUSY, Failure.SERVER, Failure.NONCE, Failure.RATE_LIMITED, Failure.ACCOUNT),
        *(Failure.AFTER_FINALIZE, Failure.BUDGET),
    }
)
"""What another CA may well do better. A limit of the CA is one, whether it said so or our own count did.

Not so where names fail validation or the preflight, where a request is refused as it stands, or where our own folders
or options are at fault: the next CA would meet the same, and count it.
"""


@dataclass(frozen=True)
class Tier:
    """What is known of one server, as to one lineage."""

    held: Bundle | None = None
    """What certbot holds from there, if that could be served now."""
    obstacle: Obstacle | None = None
    """What the lineage waits for there; None if its time has come or nothing is wrong."""
    due: bool = False
    """Whether certbot said that the certificate held is due for renewal."""


@dataclass(frozen=True)
class Turn:
    """Who does what for one lineage; the numbers are places in the line."""

    asked: frozenset[int]
    """Who may be asked for a certificate."""
    serves: int | None = None
    """Whose certificate is served; None if nobody has one that could be, or if only the first one comes in question."""
    urgent: bool = False
    """Whether what is served is not what is wanted, or about to expire."""

    @property
    def attending(self) -> frozenset[int]:
        """Who looks after the lineage at all."""
        return self.asked if self.serves is None else self.asked | {self.serves}


def take_turns(
    lineage: Lineage, tiers: Sequence[Tier], now: datetime, recalled: bool = False, must_go: bool = False
) -> Turn:
    """Whose turn it is for *lineage*; *tiers* are the servers in line, the first of them the operator's choice.

    The first one is asked at once if it is *recalled*; what is served *must go* if it is to be revoked.
    """
    serves = best_place(lineage, tiers, now)
    best = None if serves is None else tiers[serves]
    urgent = must_go or best is None or not is_whole(best, lineage) or _is_ending(best.held, now)
    if serves and not urgent and not recalled and not tiers[serves].due:
        return Turn(frozenset(), serves)
    last = 0
    while urgent and last + 1 < len(tiers) and _is_to_blame(tiers[last].obstacle):
        last += 1
    return Turn(frozenset(range(last + 1)), serves, urgent)


def best_place(lineage: Lineage, tiers: Sequence[Tier], now: datetime) -> int | None:
    """Whose certificate is to be served: one for the wanted names that is not due, and of those the newest."""

    def rank(place: int) -> tuple[bool, int, bool, float]:
        held = tiers[place].held
        assert held is not None
        covered = sum(map(held.covers, lineage.identifiers))
        is_healthy = not tiers[place].due and not _is_ending(held, now)
        return is_whole(tiers[place], lineage), covered, is_healthy, held.not_before.timestamp()

    return max((place for place, tier in enumerate(tiers) if tier.held), key=rank, default=None)


def is_whole(tier: Tier, lineage: Lineage) -> bool:
    """Whether what is held has all the wanted names; more do no harm until it is due."""
    return tier.held is not None and tier.held.identifiers >= frozenset(lineage.identifiers)


def _is_ending(held: Bundle | None, now: datetime) -> bool:
    return held is None or is_ending(held, now)


def _is_to_blame(obstacle: Obstacle | None) -> bool:
    return obstacle is not None and obstacle.failure in OWN_FAULT
