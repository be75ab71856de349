"""How many orders there may be: what the CA's rate limits leave, counted here so that none is ever met.

Let's Encrypt's limits (https://letsencrypt.org/docs/rate-limits/) are buckets that refill; counted over a sliding
window as here, what fits the window fits the bucket. Some of each is left to the operator, who may ask for a retry.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from pydantic import BaseModel, ConfigDict

from letsencrypt.certonly import PRODUCTION, Directory
from letsencrypt.timetable import ACCOUNT_SCOPE
from proxy_agent.daemon.moments import Moment

WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Limit:
    """So many in a window: *ours* by ourselves, *theirs* when the operator asks for more."""

    ours: int
    theirs: int
    window: timedelta

    def for_whom(self, by_operator: bool) -> int:
        """How many may be there, the next one among them."""
        return self.theirs if by_operator else self.ours


@dataclass(frozen=True)
class Limits:
    """What a CA allows to one account."""

    same_names: Limit
    """Certificates for exactly the same names."""
    domain: Limit
    """Certificates within one registered domain; a renewal is not counted."""
    failures: Limit
    """Failed validations of one name."""
    orders: Limit
    """A renewal is not counted."""


LETS_ENCRYPT = Limits(
    same_names=Limit(3, 5, WEEK),
    domain=Limit(45, 50, WEEK),
    failures=Limit(4, 5, _HOUR),
    orders=Limit(270, 300, 3 * _HOUR),
)
ELSEWHERE = Limits(
    same_names=Limit(10, 1000, WEEK),
    domain=Limit(25_000, 30_000, WEEK),
    failures=Limit(60, 200, _HOUR),
    orders=Limit(1200, 1500, 3 * _HOUR),
)
"""Of a CA that says nothing of limits; about what Let's Encrypt's staging server allows."""


def limits_of(directory: Directory) -> Limits:
    """The limits of *directory*."""
    return LETS_ENCRYPT if directory.url == PRODUCTION else ELSEWHERE


class Spent(BaseModel):
    """One order that was placed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: Moment
    names: tuple[str, ...]
    failed: tuple[str, ...] = ()
    """Names that could not be validated."""
    issued: bool = False
    """Whether a certificate came of it, or may have."""
    renewal: bool = False


@dataclass(frozen=True)
class Plan:
    """An order that may come to be placed."""

    names: tuple[str, ...]
    renewal: bool = False
    """Whether there was a certificate for exactly these names before."""
    lifetime: timedelta | None = None
    """Of that one; short ones are renewed more than once a week."""
    by_operator: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why an order is not placed, as a part of a sentence, and until when."""

    reason: str
    until: datetime


def refusal(
    plan: Plan, spent: Iterable[Spent], lost: Iterable[datetime], limits: Limits, now: datetime
) -> Refusal | None:
    """What of *limits* the *plan* would cross; None if it may be ordered.

    *lost* are the moments at which the count was lost: half of every limit counts as spent then. What is dated in
    the future, as after a clock was set back, counts as spent now.
    """
    orders = [order if order.time <= now else order.model_copy(update={"time": now}) for order in spent]
    found = [
        Refusal(f"{what} within {_in_words(limit.window)}, and the limit of the CA is near", until)
        for what, limit, times in _counts(plan, orders, limits)
        if (until := _free_at(times, [min(moment, now) for moment in lost], limit, plan.by_operator, now))
    ]
    return max(found, key=lambda each: each.until, default=None)


def left_of_same(
    names: tuple[str, ...], spent: Iterable[Spent], lost: Iterable[datetime], limits: Limits, now: datetime
) -> int:
    """How many certificates for exactly these *names* the operator may still have within the window, from now on."""
    limit = limits.same_names
    same = [order.time for order in spent if order.issued and set(order.names) == set(names)]
    return limit.theirs - len(_counted(same, list(lost), limit, now))


def _counts(plan: Plan, orders: list[Spent], limits: Limits) -> Iterator[tuple[str, Limit, list[datetime]]]:
    """What counts in each limit, with the beginning of a sentence that says so."""
    same = [order.time for order in orders if order.issued and set(order.names) == set(plan.names)]
    yield "enough certificates for the same names were issued", _same_names(plan, limits.same_names), same
    for name in plan.names:
        failed = [order.time for order in orders if name in order.failed]
        yield f"enough validations of {name} failed", limits.failures, failed
    if plan.renewal:
        return
    new = [order for order in orders if not order.renewal]
    yield "enough orders were placed", limits.orders, [order.time for order in new]
    for domain in sorted({registered_domain(name) for name in plan.names}):
        within = [order.time for order in new if order.issued and domain in map(registered_domain, order.names)]
        yield f"enough certificates within {domain} were issued", limits.domain, within


def _same_names(plan: Plan, limit: Limit) -> Limit:
    """Renewals at half of the lifetime have to fit, and two orders more; never more than the CA allows."""
    if plan.lifetime is None or plan.lifetime <= timedelta():
        return limit
    needed = 2 + int(2 * limit.window / plan.lifetime)
    return Limit(min(max(limit.ours, needed), limit.theirs), limit.theirs, limit.window)


def _free_at(
    times: list[datetime], lost: list[datetime], limit: Limit, by_operator: bool, now: datetime
) -> datetime | None:
    """When one more fits into the window; None if that is now."""
    most = limit.for_whom(by_operator)
    counted = _counted(times, lost, limit, now)
    return counted[len(counted) - most] + limit.window if len(counted) >= most else None


def _counted(times: list[datetime], lost: list[datetime], limit: Limit, now: datetime) -> list[datetime]:
    """What counts within the window, oldest first."""
    half = (moment for moment in lost for _ in range(limit.ours // 2))
    return sorted(moment for moment in (*times, *half) if moment + limit.window > now)


def registered_domain(name: str) -> str:
    """What Let's Encrypt counts certificates by, roughly: the last two labels of a name, three below ``co.uk``.

    There is no list of public suffixes here. A second label of at most three letters below a country is taken for
    a suffix; whatever that gets wrong, the CA itself still counts. An IPv6 address counts by its /64.

    >>> [registered_domain(name) for name in ("a.b.example.com", "www.example.co.uk", "192.0.2.7", "2001:db8::1")]
    ['example.com', 'example.co.uk', '192.0.2.7', '2001:db8::/64']
    """
    try:
        address = ip_address(name)
    except ValueError:
        labels = name.split(".")
        is_suffix = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3  # noqa: PLR2004 - see above
        return ".".join(labels[-3 if is_suffix else -2 :])
    return str(ip_network(f"{name}/64", strict=False)) if isinstance(address, IPv6Address) else name


def scopes_of(names: Iterable[str]) -> frozenset[str]:
    """The rate limits of the CA that an order for *names* counts in, beside its own."""
    each = list(names)
    return frozenset((*(f"name {name}" for name in each), *(f"domain {registered_domain(name)}" for name in each)))


def spent_scopes(message: str, names: Iterable[str]) -> frozenset[str]:
    """Which of them are spent, by the link in the CA's *message*: none where that is only about the lineage itself.

    >>> spent_scopes("too many: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account", ["a.example"])
    frozenset({'account'})
    """
    found = re.search(r"/rate-limits/#([a-z0-9-]+)", message)
    link = found[1] if found else ""
    if link.startswith(("new-orders-per-account", "new-registrations-per-ip")):
        return frozenset({ACCOUNT_SCOPE})
    kinds = {"new-certificates-per-registered-domain": "domain ", "authorization-failures-per-identifier": "name "}
    kind = next((kind for prefix, kind in kinds.items() if link.startswith(prefix)), None)
    return frozenset(scope for scope in scopes_of(names) if kind and scope.startswith(kind))


def _in_words(window: timedelta) -> str:
    hours = window // _HOUR
    return "an hour" if hours == 1 else f"{hours} hours" if window < WEEK else "seven days"
