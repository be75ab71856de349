"""The timetable of one ACME directory: who waits until when, and for whose sake."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from letsencrypt.schedule import (
    AT_THE_CAS_WORD,
    FREE,
    LONGEST_RETRY_AFTER,
    OF_DIRECTORY,
    Failure,
    next_attempt,
    next_look,
)

_DAY = timedelta(days=1)
_SOON = timedelta(seconds=30)
"""After a restart an unreachable CA is asked so soon again at the latest: that costs nothing."""
ACCOUNT_SCOPE = "account"
"""The scope of a rate limit that all lineages share."""


class Standing(BaseModel):
    """Where a lineage or the whole directory stands: when it may be tried next, and what failed since it was well.

    Each kind of failure counts for itself: an hour without network must not use up the quick tries of a validation.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    not_before: AwareDatetime
    pause: timedelta = timedelta()
    """From the last attempt to not_before."""
    attempts: Mapping[Failure, int] = {}
    failure: Failure | None = None
    reason: str = ""
    repeated: bool = False
    """Whether the last attempt failed just as the one before."""
    by_ca: bool = False
    """Whether the CA said how long to wait, which not even the operator may cut short."""

    def failed(self, failure: Failure, reason: str) -> "Standing":
        """The same after one more *failure*; when to go on is left to the caller."""
        attempts = {**self.attempts, failure: self.attempts.get(failure, 0) + 1}
        repeated = (failure, reason) == (self.failure, self.reason)
        changes = {"attempts": attempts, "failure": failure, "reason": reason, "repeated": repeated}
        return self.model_copy(update=changes)

    def at(self, moment: datetime) -> "Standing":
        """The same, to be tried again from *moment* on."""
        return self.model_copy(update={"not_before": moment})


@dataclass(frozen=True)
class Ask:
    """What is wanted of one lineage, as far as its time depends on it."""

    configuration: str
    """Another one means another attempt: what failed before says nothing about it."""
    scopes: frozenset[str] = frozenset()
    """The rate limits of the CA that its order would count in."""


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
        self.setbacks = 0
        """How often all were held up so far; an attempt remembers what that was when it began."""

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
        due = [name for name in names if not self.held_up and self.moment(name) <= now]
        return sorted(due, key=lambda name: self.standing(name).failure is not None)

    def next(self, names: Iterable[str]) -> datetime | None:
        """When the first of *names* is due; None if there are none."""
        return min((max(self.moment(name), self.directory.not_before) for name in names), default=None)

    def moment(self, name: str) -> datetime:
        """When *name* may be tried, but for what holds up all."""
        ask = self.asks.get(name)
        limits = ask.scopes if ask else ()
        moments = [self.standing(name).not_before, *(self.scopes[scope] for scope in limits if scope in self.scopes)]
        return max(moments)

    def well(self, name: str, interval: timedelta, since: int | None = None) -> None:
        """*name* is as it should be, and the directory answered."""
        now = self._now()
        moment = next_look(now, interval, self._random)
        if not self.is_behind(since):
            self.directory = Standing(not_before=now)
        self.lineages[name] = Standing(not_before=moment, pause=moment - now)

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
        if failure in OF_DIRECTORY or ACCOUNT_SCOPE in limits:
            if self.is_behind(since):
                self.directory = self._at_the_earliest(self.directory, retry_after)
            else:
                self.directory = self._put_off(self.directory, failure, reason, retry_after)
                self.setbacks += 1
            return self.directory
        if failure is not Failure.PREFLIGHT and not self.is_behind(since):
            self.directory = Standing(not_before=self._now())
        self.lineages[name] = self._put_off(self.standing(name), failure, reason, retry_after)
        self.scopes |= dict.fromkeys(limits, self.lineages[name].not_before)
        return self.lineages[name]

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
        self.lineages.pop(name, None)
        self.asks.pop(name, None)

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
