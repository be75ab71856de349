"""What an issuer remembers across its own end: the timetable and the orders that count, on the volume before each run.

A run of which no journal can be begun may look, but not order: so a full disk stops no look, and loses no count.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from letsencrypt.budget import ELSEWHERE, WEEK, Limits, Plan, Spent, left_of_same, refusal, scopes_of, spent_scopes
from letsencrypt.lineages import Lineage
from letsencrypt.permit import Permit
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.standing import Ask, Standing
from letsencrypt.state import Keeper, Record, State
from letsencrypt.subset import Subset
from letsencrypt.timetable import Timetable
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.bundle import Bundle

log = logging.getLogger(__name__)

_INTERRUPTED = "the container was stopped hard in the middle of an order"
_FORGOTTEN = "what was tried before is not known"


class Records:
    """The memory of one issuer; raises nothing: where it cannot be kept, no order is permitted."""

    def __init__(
        self,
        keeper: Keeper,
        host: str,
        now: Callable[[], datetime],
        random: Callable[[], float],
        limits: Limits = ELSEWHERE,
    ) -> None:
        self.timetable = Timetable(now, random)
        self.subset = Subset(now, random)
        self._keeper = keeper
        self._host = host
        self._now = now
        self._limits = limits
        self._notices = Notices(log)
        self._lineages: dict[str, Lineage] = {}
        self._kept: dict[str, Record] = {}
        self._made: dict[str, tuple[object, Record]] = {}
        self._spent: tuple[Spent, ...] = ()
        self._lost: tuple[datetime, ...] = ()
        self._last_runs: dict[str, datetime] = {}
        self._by_operator: set[str] = set()
        self._insisted: dict[str, tuple[str, ...]] = {}
        self._cut_short: set[str] = set()
        """Whose last run was killed before it ordered."""
        self._under_way: dict[str, Spent] = {}
        self._unread = ""
        self._load()

    def expect(self, asks: Mapping[str, tuple[Lineage, str]]) -> None:
        """Tell which lineages are wanted from now on, each with the digest of all that certbot is asked for it."""
        self._kept = dict(self._records())
        self._lineages = {name: lineage for name, (lineage, _) in asks.items()}
        known = self.timetable.asks
        changed = [
            each for name, (each, digest) in asks.items() if name in known and known[name].configuration != digest
        ]
        self.subset.expect(self._lineages.values(), changed)
        self.timetable.expect(
            {name: Ask(digest, scopes_of(_names(lineage))) for name, (lineage, digest) in asks.items()}
        )

    def retry(self, name: str) -> bool:
        """The operator's wish for *name*; whether its time is now."""
        self._by_operator.add(name)
        self.subset.hurry(self._lineages[name])
        return self.timetable.retry(name)

    def insist(self, name: str, words: tuple[str, ...]) -> None:
        """The operator's wish that the next order for *name* is placed with these *words* of certbot's, whenever."""
        self._insisted[name] = words

    def left(self, name: str) -> int:
        """How many certificates for the names of *name* the operator may still have now."""
        names = _names(self._lineages[name])
        return left_of_same(names, self._spent, self._lost, self._limits, self._now())

    def forget(self, name: str) -> None:
        """Drop all of *name* but the orders that the CA counts."""
        self.timetable.forget(name)
        for table in (self._kept, self._made, self._last_runs, self._insisted):
            table.pop(name, None)

    def permit(self, lineage: Lineage, held: Bundle | None) -> Permit | None:
        """What a run for *lineage* may do, of which certbot holds *held*; notes that it begins.

        None: that is not known before another run ends, as the two may cross a limit together. Alone, none waits.
        """
        now = self._now()
        renewal = held is not None and held.identifiers == frozenset(lineage.identifiers)
        lifetime = held.not_after - held.not_before if held is not None and renewal else None
        words = self._insisted.get(lineage.name, ())
        plan = Plan(_names(lineage), renewal, lifetime, bool(words) or lineage.name in self._by_operator)
        refused = refusal(plan, self._spent, self._lost, self._limits, now)
        if not refused and refusal(plan, (*self._spent, *self._under_way.values()), self._lost, self._limits, now):
            return None
        self._last_runs[lineage.name] = now
        try:
            if self._unread:
                self._load()
            if self._unread:
                raise OperationalError(self._unread)
            self._keeper.save(self._state())
            journal = self._keeper.begin(lineage.name, now)
        except OperationalError as error:
            return Permit(refusal=str(error).removesuffix("."), failure=Failure.STORAGE, renewal=renewal)
        failed = self.timetable.standing(lineage.name).failure or self.timetable.directory.failure
        ask_anew = failed is not None or lineage.name in self._by_operator | self._cut_short
        if refused:
            return Permit(journal, refused.reason, Failure.BUDGET, refused.until, renewal, words, ask_anew)
        # Until it ends, it counts as all that it may come to.
        self._under_way[lineage.name] = Spent(
            time=now, names=plan.names, failed=plan.names, issued=True, renewal=renewal
        )
        return Permit(journal, renewal=renewal, words=words, ask_anew=ask_anew)

    def spend(self, lineage: Lineage, permit: Permit, outcome: Outcome) -> None:
        """Count what the run with *permit* did."""
        self._by_operator.discard(lineage.name)
        self._cut_short.discard(lineage.name)
        self._under_way.pop(lineage.name, None)
        if not outcome.ordered:
            return
        self._insisted.pop(lineage.name, None)
        names = _names(lineage)
        failed: tuple[str, ...] = ()
        if outcome.failure is Failure.VALIDATION:
            told = tuple(sorted({skipped.what for skipped in outcome.names} & set(names)))
            failed = told or names
        self._count(
            Spent(time=self._now(), names=names, failed=failed, issued=outcome.finalized, renewal=permit.renewal)
        )

    def failed(
        self, lineage: Lineage, failure: Failure, reason: str, outcome: Outcome, since: int | None = None
    ) -> Standing:
        """Put *lineage* off; where it stands then."""
        is_limit = failure is Failure.RATE_LIMITED and outcome.retry_after is not None
        scopes = spent_scopes(outcome.detail, _names(lineage)) if is_limit else ()
        return self.timetable.failed(lineage.name, failure, reason, outcome.retry_after, scopes, since)

    def finish(self, name: str) -> None:
        """The run for *name* ended, and all that came of it was told: keep it, then drop the journal."""
        if self.keep():
            self._keeper.end(name)

    def keep(self) -> bool:
        """Save what changed; False, and a line, if that cannot be done now."""
        problems = [self._unread] if self._unread else []
        try:
            if not self._unread:
                self._keeper.save(self._state())
        except OperationalError as error:
            problems.append(f"{error} Until that is mended, no certificate is ordered.")
        self._notices.update(f"the state of {self._host}", problems, logging.ERROR)
        return not problems

    def _load(self) -> None:
        now = self._now()
        try:
            state, sentence = self._keeper.load(now)
        except OperationalError as error:
            self._unread = str(error)
            return
        self._unread = ""
        self._lost = self._keeper.lost(now)
        if sentence:
            log.error("%s", sentence)
        if state is not None:
            self._take(state)
        elif self._lost:
            table = self.timetable
            table.start = table.failed("", Failure.INTERRUPTED, _FORGOTTEN)
            table.forget("")
        self._count_interrupted(now)

    def _take(self, state: State) -> None:
        self._kept = dict(state.lineages)
        self._spent = state.spent
        self.subset.restore(state.ailing)
        standings = {name: record.standing for name, record in state.lineages.items()}
        self.timetable.restore(standings, state.standing, dict(state.scopes))
        self.timetable.asks = {name: Ask(record.configuration) for name, record in state.lineages.items()}
        self._last_runs = {name: record.last_run for name, record in state.lineages.items() if record.last_run}

    def _count_interrupted(self, now: datetime) -> None:
        """A run that was killed counts as far as it came; how far that was, it noted beforehand."""
        runs = self._keeper.interrupted(now)
        for name, run in runs.items():
            if not run.ordered:
                self._cut_short.add(name)
                continue
            names = self._kept[name].names if name in self._kept else (name,)
            self._count(Spent(time=run.begun, names=names, failed=() if run.finalized else names, issued=run.finalized))
            failure = Failure.AFTER_FINALIZE if run.finalized else Failure.INTERRUPTED
            self.timetable.interrupted(name, failure, _INTERRUPTED)
        if runs and self.keep():
            for name in runs:
                self._keeper.end(name)

    def _count(self, spent: Spent) -> None:
        now = self._now()
        self._spent = (*(order for order in self._spent if order.time + WEEK > now), spent)

    def _state(self) -> State:
        table = self.timetable
        return State(
            version=1,
            directory=self._host,
            standing=table.directory if table.directory.failure else None,
            scopes=dict(sorted(table.scopes.items())),
            ailing=self.subset.ailments,
            lineages=dict(sorted(self._records())),
            spent=self._spent,
        )

    def _records(self) -> Iterable[tuple[str, Record]]:
        """What is known of each lineage, wanted or not; made anew only where that changed, as there may be many."""
        table = self.timetable
        for name, ask in table.asks.items():
            lineage, kept = self._lineages.get(name), self._kept.get(name)
            known = (lineage, kept, ask, table.standing(name), self._last_runs.get(name))
            if name not in self._made or self._made[name][0] != known:
                self._made[name] = known, self._record(name, ask)
            yield name, self._made[name][1]

    def _record(self, name: str, ask: Ask) -> Record:
        lineage, kept = self._lineages.get(name), self._kept.get(name)
        return Record(
            names=_names(lineage) if lineage else kept.names if kept else (name,),
            configuration=ask.configuration,
            services=lineage.services if lineage else kept.services if kept else (),
            wanted=lineage is not None,
            standing=self.timetable.standing(name),
            last_run=self._last_runs.get(name),
        )


def _names(lineage: Lineage) -> tuple[str, ...]:
    return tuple(str(identifier) for identifier in lineage.identifiers)
