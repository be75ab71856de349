"""Has certbot look after every lineage of one ACME directory in time, and publishes what comes of it."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from letsencrypt.attempts import Attempts
from letsencrypt.budget import ELSEWHERE, Limits
from letsencrypt.conclusions import Conclusions
from letsencrypt.edges import Edges
from letsencrypt.lineages import Lineage
from letsencrypt.publishing import Publishing
from letsencrypt.records import Records
from letsencrypt.recovery import Recovery
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.sentences import Sentences
from letsencrypt.standing import Obstacle
from proxy_agent.daemon.errors import OperationalError

RESYNC = timedelta(minutes=5)
"""The longest sleep: so old may a bundle be that somebody removed, or a clock that was set."""
PUBLISH_AGAIN = timedelta(seconds=30)
"""The pause after a bundle could not be written; nothing is ordered again for that."""
BREATH = timedelta(seconds=1)
"""The shortest sleep while certbot is at work: whatever ends meanwhile rings."""


@dataclass(frozen=True)
class Report:
    """What one cycle did, in sentences, and when the next is due."""

    sentences: tuple[str, ...]
    pause: timedelta


class Issuer:
    """Looks after the lineages of one directory, so many *at_a_time*; waits for none of them but in settle()."""

    def __init__(
        self, host: str, interval: timedelta, edges: Edges, limits: Limits = ELSEWHERE, at_a_time: int = 1
    ) -> None:
        self._wanted: dict[str, Lineage] = {}
        self._lineages: dict[str, Lineage] = {}
        """What is wanted, but for those that have an attempt: they stay as they are until that has ended."""
        self._edges = edges
        self._sentences = Sentences()
        self._records = Records(edges.keeper, host, edges.now, edges.random, limits)
        self._timetable = self._records.timetable
        self._timetable.is_exempt = edges.is_exempt
        self._publishing = Publishing(host, edges.publisher, self._sentences)
        self._recovery = Recovery(self._timetable, edges.looking, edges.now)
        self._conclusions = Conclusions(
            host, interval, edges, self._records, self._recovery, self._publishing, self._sentences
        )
        self._attempts = Attempts(at_a_time, edges, self._records, self._publishing, self._conclusions, self._sentences)

    def want(self, lineages: Iterable[Lineage]) -> None:
        """Look after *lineages* from now on, and after no others; what those hold stays published.

        One that is new, or whose names or options changed, is looked at in the next cycle. One that was here before
        goes on waiting for its time: containers that come and go cost no tries.
        """
        self._wanted = {lineage.name: lineage for lineage in lineages}
        self._adopt(self._wanted | self._attempts.lineages)

    def _adopt(self, lineages: dict[str, Lineage]) -> None:
        self._lineages = lineages
        self._publishing.unwritten &= lineages.keys()
        self._records.expect({name: (each, self._edges.configuration(each)) for name, each in lineages.items()})

    def retry_now(self) -> None:
        """The operator's wish: try all again in the next cycle that the CA asked nobody to put off."""
        self._timetable.retry_now()
        for lineage in self._lineages.values():
            self._records.subset.hurry(lineage)

    def retry(self, name: str) -> str:
        """The same for the certificate *name* alone; what comes of the wish, in a sentence."""
        if name not in self._lineages:
            return ""
        if self._records.retry(name):
            return f"The certificate for {self._lineages[name]} is tried again now, as asked."
        return f"The certificate for {self._lineages[name]} is not tried before the CA's own pause is over."

    @property
    def records(self) -> Records:
        """What is remembered, and when who is tried."""
        return self._records

    def forget(self, name: str) -> None:
        """Remember nothing more of the lineage *name*, which nobody wants; what the CA counts stays counted."""
        self._records.forget(name)
        # Whoever is answered now may look at the status at once.
        self._records.keep()

    def look_now(self, name: str) -> bool:
        """Look at the lineage *name* in the next cycle, unless it waits after a failure; whether that is sooner."""
        return self._timetable.look_now(name)

    def obstacle(self, name: str) -> Obstacle | None:
        """What the lineage *name* waits for after something failed."""
        return self._timetable.obstacle(name)

    @property
    def names(self) -> Collection[str]:
        """The lineages that are wanted."""
        return self._wanted.keys()

    @property
    def under_way(self) -> Collection[str]:
        """The lineages that have an attempt now: nothing else may be done to them."""
        return self._attempts.lineages.keys()

    def look_again(self) -> bool:
        """To be called each second while nothing is due: whether a fault has passed, so that something is."""
        return self._recovery.look(self._lineages)

    def cycle(self) -> Report:
        """Mend and publish what is held, then attempt each lineage whose time has come; what ended is concluded."""
        self._edges.promise(None)
        due = [name for name in self._timetable.due(self._lineages) if name not in self.under_way]
        if due and not self._ready(self._lineages[due[0]]):
            due = []
        queued = self._attempts.queued
        mended = [self._lineages[name] for name in due if name in queued or self._mend(self._lineages[name])]
        for lineage in self._lineages.values():
            # certbot swaps the files of a lineage one by one.
            if lineage.name not in self.under_way:
                self._publishing.publish(lineage, tell=True)
        self._edges.promise(None)
        come_through = bool(mended) and self._edges.load_balancer.wait(not self._attempts.under_way)
        self._attempts.enqueue(mended if come_through else ())
        self._attempts.advance()
        return self._report()

    def advance(self, patience: float = 0.0) -> Report:
        """Conclude the attempts that ended, waiting at most *patience* seconds for one, and begin others."""
        if self._attempts.advance(patience):
            return self._report()
        return Report((), self._pause())

    def settle(self) -> Report:
        """Wait until no attempt is under way and none waits, or at a stop for the runs of certbot."""
        said: list[str] = []
        while self._attempts.under_way:
            self._edges.promise(None)
            said += self.advance(BREATH.total_seconds()).sentences
        return Report(tuple(said), self._pause())

    def _report(self) -> Report:
        lineages = self._wanted | self._attempts.lineages
        if lineages != self._lineages:
            self._adopt(lineages)
        self._records.keep()
        return Report(self._sentences.take(), self._pause())

    def _ready(self, first: Lineage) -> bool:
        """Whether our folders are fit for runs; if not, all wait."""
        try:
            self._sentences.say_all(logging.WARNING, self._edges.checkup.ready(not self._attempts.are_running))
        except OperationalError as error:
            self._conclusions.fail(first, Outcome(Failure.STORAGE, str(error)))
            return False
        return True

    def _mend(self, lineage: Lineage) -> bool:
        try:
            self._sentences.say_all(logging.WARNING, self._edges.checkup.before(lineage))
        except OperationalError as error:
            self._conclusions.fail(lineage, Outcome(Failure.DAMAGED, str(error)))
            return False
        return True

    def _pause(self) -> timedelta:
        longest = PUBLISH_AGAIN if self._publishing.unwritten else RESYNC
        busy = {*self.under_way, *self._attempts.queued}
        moment = self._timetable.next(name for name in self._lineages if name not in busy)
        shortest = BREATH if busy else timedelta()
        return longest if moment is None else max(min(longest, moment - self._edges.now()), shortest)
