"""Patience with what containers want: a list is acted on once it stayed the same for a moment.

A container that starts and dies in a loop, or two that outdo each other, must not spend the CA's rate limits, of
which the tightest is five certificates for the same names in seven days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from letsencrypt.admission import Wish
from letsencrypt.schedule import in_words

RETURNS = (
    timedelta(seconds=3),
    timedelta(seconds=3),
    timedelta(minutes=10),
    timedelta(hours=6),
    timedelta(hours=34),
)
"""How long a list must stay the same that replaced another for the first, second, … time; the last one repeats."""
WORTH_A_WORD = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(days=7)
_MOST_REMEMBERED = 20


@dataclass
class _Watch:
    """What was seen of one name."""

    wish: Wish
    since: datetime
    seen: datetime
    is_wanted: bool = True
    """Whether it was at the last look."""
    settled: Wish | None = None
    times: dict[Wish, int] = field(default_factory=dict)
    """How often each list settled in place of another."""

    @property
    def pause(self) -> timedelta:
        """How long the present list must stay the same."""
        return RETURNS[min(self.times.get(self.wish, 0), len(RETURNS) - 1)]

    def settle(self) -> None:
        """Take the present list for good."""
        self.times[self.wish] = self.times.pop(self.wish, 0) + 1
        self.times = dict(list(self.times.items())[-_MOST_REMEMBERED:])
        self.settled = self.wish


class Settling:
    """Remembers since when each name has had its list; in memory, so a restart begins afresh."""

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}

    def settled(self, wishes: Mapping[str, Wish], now: datetime) -> dict[str, Wish]:
        """Those of *wishes* that have settled, and while one has not, what stood in its place before."""
        for name, watch in list(self._watches.items()):
            if now - watch.seen > FORGOTTEN_AFTER:
                del self._watches[name]
            watch.is_wanted = watch.is_wanted and name in wishes
        return {name: wish for name in wishes if (wish := self._look(name, wishes[name], now))}

    def unsettled(self, wishes: Mapping[str, Wish]) -> list[str]:
        """A sentence for each of *wishes* that has to wait for long."""
        return [
            f"The certificate for {watch.wish.lineage.title} changed back and forth: it is obtained once what is "
            f"wanted stays the same for {in_words(watch.pause)}."
            for name, watch in sorted(self._watches.items())
            if name in wishes and watch.settled != watch.wish and watch.pause > WORTH_A_WORD
        ]

    def _look(self, name: str, wish: Wish, now: datetime) -> Wish | None:
        watch = self._watches.setdefault(name, _Watch(wish, now, now))
        if watch.wish != wish or not watch.is_wanted or watch.since > now:
            watch.since = now
        watch.wish, watch.seen, watch.is_wanted = wish, now, True
        if watch.settled == wish:
            # Who wants it may have changed, which changes nothing else.
            watch.settled = wish
        elif now - watch.since >= watch.pause:
            watch.settle()
        return watch.settled
