"""The loop: one issuer for each ACME server, whenever something is due or wanted anew, or certbot is done."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from letsencrypt.crew import RING
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import RESYNC, Issuer, Report
from letsencrypt.issuers import Issuers

POLL = timedelta(seconds=1)
"""How often a sleep is interrupted to see whether anything is wanted anew: a look at one file."""

TIDY_PAUSE = timedelta(seconds=2)
"""After what ended is seen to, at least: hundreds may end in a minute."""


class Sleep(Protocol):
    """proxy_agent.daemon.wakeup.Wakeup."""

    @property
    def stopping(self) -> bool:
        """Whether the loop has to end."""
        ...

    def wait(self, timeout: float, /) -> frozenset[str]:
        """Sleep until rung; the reasons."""
        ...


class Desk(Protocol):
    """desk.Desk."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything that can be done now."""
        ...

    def take(self) -> None:
        """See what the operator asked since the last time; what is wanted may change by that."""
        ...

    def obey(self, issuers: Iterable[Issuer], /) -> None:
        """Do it, or have it done in the coming cycles."""
        ...

    def conclude(self) -> timedelta | None:
        """See what came of it; after what pause there is more to do."""
        ...


class Loop:
    """Has every lineage looked after that is wanted; what takes long goes on beside it, and rings when it ends."""

    def __init__(
        self,
        wanted: Callable[[], Lineages],
        issuers: Issuers,
        tidy: Callable[[], None],
        sleep: Sleep,
        promise: Callable[[timedelta | None], None],
        now: Callable[[], datetime],
        desk: Desk,
    ) -> None:
        self._wanted = wanted
        self._issuers = issuers
        self._tidy = tidy
        self._sleep = sleep
        self._promise = promise
        self._now = now
        self._desk = desk
        self._lineages: Lineages = {}
        self._tidied = now()

    def run(self) -> None:
        """Cycle until stopped; runs of certbot that are under way are waited for. SIGHUP: try all again now."""
        while not self._sleep.stopping:
            report = self.cycle()
            self._promise(report.pause)
            if "SIGHUP" in self._rest(report.pause):
                for issuer in self._issuers:
                    issuer.retry_now()
        self.settle()

    def settle(self) -> Report:
        """Wait until nothing is under way; what came of it."""
        report = self._concluded(list(self._issuers.settle()))
        self._tidy()
        return report

    def cycle(self) -> Report:
        """See what is wanted, and begin to look after all of it that is due."""
        self._desk.take()
        self._lineages = self._wanted()
        self._issuers.want(self._lineages)
        self._desk.obey(self._issuers)
        reports = list(self._issuers.cycle())
        self._tidy()
        self._tidied = self._now()
        return self._concluded(reports)

    def _concluded(self, reports: Collection[Report]) -> Report:
        """Of all issuers, after a look what follows from theirs for the operator."""
        pauses = [report.pause for report in reports]
        if (pause := self._desk.conclude()) is not None:
            pauses.append(pause)
        sentences = tuple(sentence for report in reports for sentence in report.sentences)
        return Report(sentences, min(pauses, default=RESYNC))

    def _rest(self, pause: timedelta) -> frozenset[str]:
        """Sleep for *pause*, until rung, or until something else is wanted than before; the reasons of a ring.

        What ends meanwhile is concluded, and its place given to another.
        """
        end = self._now() + pause
        untidy = False
        while not self._sleep.stopping and not self._desk.is_waiting and self._wanted() == self._lineages:
            left = end - self._now()
            if not timedelta() < left <= RESYNC:  # later than that it can be only where the clock was set back
                break
            reasons = self._sleep.wait(min(left, POLL).total_seconds())
            if reasons - {RING}:
                return reasons
            if reasons or any(issuer.under_way for issuer in self._issuers):
                pause = self._concluded(list(self._issuers.advance())).pause
                self._promise(pause)
                end = min(end, self._now() + pause)
            untidy |= bool(reasons)
            if untidy and self._now() - self._tidied >= TIDY_PAUSE:
                self._tidy()
                self._tidied, untidy = self._now(), False
            looks = [issuer.look_again() for issuer in self._issuers]
            if any(looks):
                break
        return frozenset()
