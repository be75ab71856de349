"""The attempts under way for one directory: so many at a time, each with a look first and then a run of certbot.

All is decided in the loop's thread; what takes time is done aside (crew.py). A lineage that has an attempt has no
other, and what is wanted of it then stays as it was when that began.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from letsencrypt.conclusions import Conclusions, reason_of
from letsencrypt.edges import Edges
from letsencrypt.lineages import Lineage
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance
from letsencrypt.publishing import Publishing
from letsencrypt.records import Records
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.sentences import Sentences
from letsencrypt.subset import Doubts
from letsencrypt.urgency import urgency
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.tls.bundle import Bundle

TRIAL = timedelta(seconds=30)
"""So long the first attempt after an outage is alone; one that hangs for its own sake holds nobody up for longer."""
_UNKNOWN = "accountDoesNotExist"


@dataclass(frozen=True)
class Attempt:
    """One attempt, with what it began from."""

    lineage: Lineage
    """As it is wanted."""
    before: Bundle | None
    begun: datetime
    since: int
    """The timetable's setbacks."""
    permit: Permit | None = None
    ordered: Lineage | None = None
    """With the names that are ordered, which may be fewer."""
    may_leave_out: bool = False
    """Whether the others may be ordered without a name that fails."""
    has_new_account: bool = False


class Attempts:
    """At most *size* at a time."""

    def __init__(
        self,
        size: int,
        edges: Edges,
        records: Records,
        publishing: Publishing,
        conclusions: Conclusions,
        sentences: Sentences,
    ) -> None:
        self._size = size
        self._edges = edges
        self._records = records
        self._timetable = records.timetable
        self._publishing = publishing
        self._conclusions = conclusions
        self._sentences = sentences
        self._queue: list[Lineage] = []
        self._begun: dict[str, Attempt] = {}
        self._cleared: list[Attempt] = []
        """Looked at, and waiting for leave to run."""
        self._running: set[str] = set()
        """Whose certbot is under way."""
        self._unknown: tuple[Attempt, Outcome] | None = None
        """The attempt that found out that the CA does not know the account."""

    @property
    def lineages(self) -> dict[str, Lineage]:
        """Those that have an attempt now, as they were when it began."""
        return {name: attempt.lineage for name, attempt in self._begun.items()}

    @property
    def queued(self) -> Collection[str]:
        """Those that wait for theirs."""
        return {lineage.name for lineage in self._queue}

    @property
    def are_running(self) -> bool:
        """Whether any certbot is under way."""
        return bool(self._running)

    @property
    def under_way(self) -> bool:
        """Whether there is anything to wait for; when we stop, that is certbot alone."""
        return bool(self._running if self._edges.sleep.stopping else self._begun)

    def enqueue(self, lineages: Iterable[Lineage]) -> None:
        """Attempt these next, the most urgent first, and nothing else that waited before."""
        now = self._edges.now()

        def key(lineage: Lineage) -> int:
            is_failing = self._timetable.standing(lineage.name).failure is not None
            return urgency(self._publishing.held(lineage), is_failing, now)

        self._queue = sorted(lineages, key=key)

    def advance(self, patience: float = 0.0) -> bool:
        """Conclude what ended, waiting for that at most *patience* seconds, and begin more; whether anything ended."""
        any_ended = False
        while True:
            self._run_cleared()
            self._begin_queued()
            if not self._edges.crew.conclude(0.0 if any_ended else patience):
                return any_ended
            any_ended = True

    def _ending(self, lineage: Lineage) -> bool:
        """Whether nothing more is begun for *lineage*; it is due again when that is over."""
        return self._edges.sleep.stopping or self._timetable.holds_up(lineage.name)

    def _begin_queued(self) -> None:
        self._queue = [lineage for lineage in self._queue if not self._ending(lineage)]
        while self._queue and len(self._begun) < self._size and not self._is_tried():
            self._begin(self._queue.pop(0))

    def _is_tried(self) -> bool:
        """Whether it is being found out if the CA can be asked again."""
        latest = self._edges.now() - TRIAL
        return self._timetable.on_trial and any(attempt.begun > latest for attempt in self._begun.values())

    def _begin(self, lineage: Lineage) -> None:
        attempt = Attempt(lineage, self._publishing.held(lineage), self._edges.now(), self._timetable.setbacks)
        doubts = self._records.subset.doubts(lineage)
        if Failure.VALIDATION in self._timetable.standing(lineage.name).attempts:
            doubts = replace(doubts, suspects=frozenset(map(str, lineage.identifiers)))
        self._begun[lineage.name] = attempt
        self._edges.promise(None)
        self._edges.crew.start(partial(self._look, attempt, doubts), partial(self._looked, attempt))

    def _look(self, attempt: Attempt, doubts: Doubts) -> tuple[Clearance, Outcome | None]:
        """A preflight and, of names that the CA refused before, a rehearsal; done aside."""
        lineage, before = attempt.lineage, attempt.before
        try:
            clearance = self._edges.preflight(lineage, before, self._edges.now())
            clearance = doubts.without(clearance, before, self._edges.now())
            ordered = clearance.lineage
            if ordered is None or self._edges.rehearse is None or not doubts.concern(ordered):
                return clearance, None
            outcome = self._edges.rehearse(ordered)
        except OperationalError as error:
            return Clearance(attempt.lineage), Outcome(Failure.STORAGE, str(error))
        return clearance, outcome if outcome.failure is Failure.VALIDATION else None

    def _looked(self, attempt: Attempt, seen: tuple[Clearance, Outcome | None]) -> None:
        clearance, failed = seen
        self._edges.tell(attempt.lineage, clearance)
        attempt = replace(attempt, ordered=clearance.lineage, may_leave_out=clearance.may_leave_out)
        if clearance.lineage is None:
            self._timetable.failed(attempt.lineage.name, Failure.PREFLIGHT, clearance.reason)
        elif failed is None:
            self._cleared.append(attempt)
            return
        elif not self._reduced(attempt, failed, attempt.since):
            if failed.failure is Failure.VALIDATION:
                failed = replace(failed, detail=f"in a rehearsal, {reason_of(failed)}", names=())
            self._conclusions.fail(attempt.lineage, failed, attempt.since)
        self._end(attempt)

    def _run_cleared(self) -> None:
        if self._unknown and not self._running:
            self._register_anew(*self._unknown)
        for attempt in list(self._cleared):
            if self._ending(attempt.lineage):
                self._cleared.remove(attempt)
                self._end(attempt)
            elif self._may_run() and self._is_ready(attempt):
                self._permit(attempt)

    def _may_run(self) -> bool:
        """One account is registered by one run, or two would register two."""
        return self._unknown is None and (not self._running or self._edges.checkup.registered())

    def _is_ready(self, attempt: Attempt) -> bool:
        """Whether what it obtains could be kept."""
        try:
            self._edges.checkup.ready(False)
        except OperationalError as error:
            self._cleared.remove(attempt)
            self._conclusions.fail(attempt.lineage, Outcome(Failure.STORAGE, str(error)), attempt.since)
            self._end(attempt)
            return False
        return True

    def _permit(self, attempt: Attempt) -> None:
        permit = self._records.permit(attempt.ordered or attempt.lineage, attempt.before)
        if permit is not None:
            self._cleared.remove(attempt)
            self._run(replace(attempt, permit=permit))

    def _run(self, attempt: Attempt) -> None:
        self._running.add(attempt.lineage.name)
        self._edges.promise(None)
        self._edges.crew.start(partial(self._order, attempt), partial(self._ended, attempt))

    def _order(self, attempt: Attempt) -> Outcome:
        try:
            return self._edges.certbot(attempt.ordered or attempt.lineage, attempt.permit or Permit())
        except OperationalError as error:
            return Outcome(Failure.STORAGE, str(error))

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        self._running.discard(attempt.lineage.name)
        is_unknown = outcome.code == _UNKNOWN and not attempt.has_new_account
        if is_unknown and self._unknown is None and not self._timetable.is_behind(attempt.since):
            self._unknown = attempt, outcome
        else:
            # Others under way with the same account meet the same, and are attempted again with the new one.
            self._conclude(attempt, outcome, self._timetable.setbacks - 1 if is_unknown else attempt.since)

    def _register_anew(self, attempt: Attempt, outcome: Outcome) -> None:
        """Certbot can, once nothing of the lost account is left; RFC 8555 section 6.2 leaves nothing else to do."""
        self._unknown = None
        sentences: Iterable[str] = ()
        try:
            sentences = tuple(self._edges.checkup.drop_account())
        except OperationalError as error:
            self._sentences.say(logging.ERROR, str(error))
        self._sentences.say_all(logging.WARNING, sentences)
        if sentences:
            self._run(replace(attempt, has_new_account=True))
        else:
            self._conclude(attempt, outcome, attempt.since)

    def _conclude(self, attempt: Attempt, outcome: Outcome, since: int) -> None:
        permit, ordered = attempt.permit or Permit(), attempt.ordered or attempt.lineage
        if outcome.failure is Failure.BUDGET:
            wait = permit.until - self._edges.now() if permit.until else None
            outcome = replace(outcome, failure=permit.failure, retry_after=wait)
        if outcome.failure is None:
            outcome = self._conclusions.accept(attempt.lineage, ordered, attempt.before, outcome, since)
        self._records.spend(ordered, permit, outcome)
        if outcome.failure is not None and not self._reduced(attempt, outcome, since):
            self._conclusions.fail(attempt.lineage, outcome, since)
        self._end(attempt)
        self._records.finish(attempt.lineage.name)

    def _reduced(self, attempt: Attempt, outcome: Outcome, since: int) -> bool:
        """Whether the rest of what was ordered goes on at once, without the names that failed."""
        ordered = attempt.ordered or attempt.lineage
        if not attempt.may_leave_out:
            return False
        reduction = self._records.subset.reduce(ordered, attempt.before, outcome)
        if reduction:
            self._conclusions.go_on(attempt.lineage, reduction, since)
        return bool(reduction)

    def _end(self, attempt: Attempt) -> None:
        self._begun.pop(attempt.lineage.name, None)
