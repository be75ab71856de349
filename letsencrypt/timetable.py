"""The timetable of one ACME directory: who waits until when, and for whose sake."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from letsencrypt.schedule import (
    AT_THE_CAS_WORD,
    FREE,
    LONGEST_RETRY_AFTER,
    OF_DIRECTORY,
    Failure,
    next_attempt,
    next_look,
)
from letsencrypt.standing import Ask, Obstacle, Standing

_DAY = timedelta(days=1)
_SOON = timedelta(seconds=30)
"""After a restart an unreachable CA is asked so soon again at the latest: that costs nothing."""
ACCOUNT_SCOPE = "account"
"""The scope of a rate limit that all lineages share."""


class Timetable:
    """When each lineage of one directory is tried next."""

    def __init__(self, now: Callable[[], datetime], random: Callable[[], float]) -> None:
        self._now = now
        self._random = random
        self.start = Standing(not_before=now())
        """Where a lineage stands that was never seen."""
        self.directory = self.start
        self.lineages: dict[str, Standing] = {}
        self.asks: dict[str, Ask] = {}
        self.scopes: dict[str, datetime] = {}
        """Rate limits that are spent, and until when."""
        self.ended: dict[str, datetime] = {}
        """When the last attempt at each ended, in this process."""
        self.setbacks = 0
        """How often all were held up so far; an attempt remembers what that was when it began."""
        self.is_exempt: Callable[[str], bool] = lambda _name: False
        """Whether the order of a lineage counts in none of the CA's limits."""

    def restore(
        self, lineages: Mapping[str, Standing], directory: Standing | None, scopes: dict[str, datetime]
    ) -> None:
        """Take up where another process ended: what is well or free is looked at now, the rest waits for its time."""
        now = self._now()
        self.lineages = {
            name: standing.at(now) if standing.failure in (None, Failure.PREFLIGHT) else standing
            for name, standing in lineages.items()
            if standing.failure not in FREE
        }
        self.scopes = scopes
        if directory is not None and directory.failure not in FREE:
            is_free = directory.failure is Failure.NETWORK
            self.directory = directory.at(min(directory.not_before, now + _SOON)) if is_free else directory

    def expect(self, asks: Mapping[str, Ask]) -> None:
        """Tell what each name stands for from now on: where that is another than before, its time is now.

        A name that left keeps its place in the table until its time is a day ago, for the case that it returns.
        """
        now = self._now()
        for name, standing in list(self.lineages.items()):
            is_over = name not in asks and standing.not_before + _DAY <= now
            known = self.asks.get(name)
            is_another = name in asks and (known is None or asks[name].configuration != known.configuration)
            if is_over or (is_another and not standing.by_ca):
                del self.lineages[name]
        self.asks = {name: ask for name, ask in self.asks.items() if name in self.lineages} | dict(asks)
        self.scopes = {scope: moment for scope, moment in self.scopes.items() if moment > now}

    @property
    def held_up(self) -> bool:
        """Whether all have to wait because of something that each of them would meet."""
        self.directory = self._sane(self.directory)
        return self.directory.not_before > self._now()

    def holds_up(self, name: str) -> bool:
        """Whether *name* has to wait with all; a limit of the whole account does not hold up who is exempt from it."""
        is_limit = self.directory.failure is Failure.RATE_LIMITED
        return self.held_up and not (is_limit and self.is_exempt(name))

    def is_behind(self, since: int | None) -> bool:
        """Whether an attempt began before something held up all: then its end says nothing new about that."""
        return since is not None and since != self.setbacks

    @property
    def on_trial(self) -> bool:
        """Whether nobody is held up any more, but nobody came through either since all were."""
        return self.directory.failure is not None and not self.held_up

    @property
    def unreachable(self) -> bool:
        """Whether the CA gave no answer, or none but that it is busy, when it was last asked."""
        return self.directory.failure in {Failure.NETWORK, Failure.BUSY}

    def due(self, names: Iterable[str]) -> list[str]:
        """Whose time has come: the healthy first, so that a failing one delays none of them."""
        now = self._now()
        due = [name for name in names if not self.holds_up(name) and self.moment(name) <= now]
        return sorted(due, key=lambda name: self.standing(name).failure is not None)

    def next(self, names: Iterable[str]) -> datetime | None:
        """When the first of *names* is due; None if there are none."""
        return min(
            (
                max(self.moment(name), self.directory.not_before) if self.holds_up(name) else self.moment(name)
                for name in names
            ),
            default=None,
        )

    def moment(self, name: str) -> datetime:
        """When *name* may be tried, but for what holds up all."""
        ask = self.asks.get(name)
        limits = ask.scopes if ask else ()
        moments = [self.standing(name).not_before, *(self.scopes[scope] for scope in limits if scope in self.scopes)]
        return max(moments)

    def look_now(self, name: str) -> bool:
        """End the pause of *name* between two looks, if nothing failed; whether there was one."""
        now = self._now()
        standing = self.standing(name)
        if standing.failure is not None or standing.not_before <= now:
            return False
        self.lineages[name] = standing.at(now)
        return True

    def obstacle(self, name: str) -> Obstacle | None:
        """What *name* waits for after something failed; None if its time has come, or it only waits to be looked at."""
        standing = self.directory if self.holds_up(name) else self.standing(name)
        if standing.failure is not None and standing.not_before > self._now():
            return Obstacle(standing.failure, standing.reason)
        if self.moment(name) > max(standing.not_before, self._now()):
            return Obstacle(Failure.RATE_LIMITED, "a rate limit of the CA is spent")
        return None

    def well(self, name: str, interval: timedelta, since: int | None = None) -> None:
        """*name* is as it should be, and the directory answered."""
        now = self._now()
        moment = next_look(now, interval, self._random)
        if not self.is_behind(since) and not self.held_up:
            self.directory = Standing(not_before=now)
        self.lineages[name] = Standing(not_before=moment, pause=moment - now)
        self.ended[name] = now

    def failed(
        self,
        name: str,
        failure: Failure,
        reason: str,
        retry_after: timedelta | None = None,
        scopes: Iterable[str] = (),
        since: int | None = None,
    ) -> Standing:
        """Put *name* off after a failure, or all where all would meet the same; where that stands now.

        *scopes* are what a rate limit is about: everybody whose order would count in one of them waits, too.
        Attempts under way together that meet the same are one failure of the directory: *since* tells them, by the
        setbacks that there were when they began. What the CA then asks for still counts.
        """
        limits = frozenset(scopes)
        self.ended[name] = self._now()
        if failure in OF_DIRECTORY or ACCOUNT_SCOPE in limits:
            if self.is_behind(since):
                self.directory = self._at_the_earliest(self.directory, retry_after)
            else:
                self.directory = self._put_off(self.directory, failure, reason, retry_after)
                self.setbacks += 1
            if failure is Failure.RATE_LIMITED and self.is_exempt(name):
                # The CA does not think so.
                self.lineages[name] = self._put_off(self.standing(name), failure, reason, retry_after)
            return self.directory
        if failure is not Failure.PREFLIGHT and not self.is_behind(since) and not self.held_up:
            self.directory = Standing(not_before=self._now())
        self.lineages[name] = self._put_off(self.standing(name), failure, reason, retry_after)
        self.scopes |= dict.fromkeys(limits, self.lineages[name].not_before)
        return self.lineages[name]

    def again(self, name: str, since: int | None = None) -> None:
        """*name* is tried once more at once, as that will be another order; the directory answered."""
        now = self._now()
        if not self.is_behind(since):
            self.directory = Standing(not_before=now)
        self.lineages[name] = self.standing(name).at(now)

    def interrupted(self, name: str, failure: Failure, reason: str) -> None:
        """Put *name* off for a run of an earlier process, which tells nothing of the directory."""
        self.lineages[name] = self._put_off(self.standing(name), failure, reason, None)

    def retry_now(self) -> None:
        """The operator's wish: ends every pause but those that the CA asked for."""
        for name in list(self.lineages):
            self.retry(name)

    def retry(self, name: str) -> bool:
        """The same for *name* alone, and for what holds up all; whether its time is now."""
        now = self._now()
        if not self.standing(name).by_ca:
            self.lineages[name] = self.standing(name).at(now)
        if not self.directory.by_ca:
            self.directory = self.directory.at(now)
        return not self.held_up and self.moment(name) <= now

    def hasten(self, name: str) -> None:
        """End the pause of *name*, or of all, where that is empty: what it failed of has passed."""
        now = self._now()
        if not name:
            self.directory = self.directory.at(now)
        elif name in self.lineages:
            self.lineages[name] = self.lineages[name].at(now)

    def forget(self, name: str) -> None:
        """Drop what is known of *name*; limits of the CA stay."""
        for table in (self.lineages, self.asks, self.ended):
            table.pop(name, None)

    def standing(self, name: str) -> Standing:
        """Where *name* stands."""
        if name in self.lineages:
            self.lineages[name] = self._sane(self.lineages[name])
        else:
            self.start = self._sane(self.start)
        return self.lineages.get(name, self.start)

    def _sane(self, standing: Standing) -> Standing:
        """With a clock that was set back, nobody waits longer than the pause was meant to be."""
        latest = self._now() + standing.pause
        return standing.at(latest) if standing.not_before > latest else standing

    def _at_the_earliest(self, standing: Standing, retry_after: timedelta | None) -> Standing:
        """*standing*, which waits at least as long as the CA asked one more time."""
        now = self._now()
        moment = now + min(retry_after or timedelta(), LONGEST_RETRY_AFTER)
        if standing.failure is None or moment <= standing.not_before:
            return standing
        return standing.model_copy(update={"not_before": moment, "pause": moment - now, "by_ca": True})

    def _put_off(self, standing: Standing, failure: Failure, reason: str, retry_after: timedelta | None) -> Standing:
        failed = standing.failed(failure, reason)
        now = self._now()
        moment = next_attempt(failure, failed.attempts[failure], now, self._random, retry_after)
        by_ca = failure in AT_THE_CAS_WORD and bool(retry_after)
        return failed.model_copy(update={"not_before": moment, "pause": moment - now, "by_ca": by_ca})
