"""The loop: one issuer for each ACME server, one after another, whenever something is due or wanted anew."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from letsencrypt.certonly import Directory
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import RESYNC, Issuer, Report

POLL = timedelta(seconds=1)
"""How often a sleep is interrupted to see whether anything is wanted anew: a look at one file."""


class Sleep(Protocol):
    """proxy_agent.daemon.wakeup.Wakeup."""

    @property
    def stopping(self) -> bool:
        """Whether the loop has to end."""
        ...

    def wait(self, timeout: float, /) -> frozenset[str]:
        """Sleep until rung; the reasons."""
        ...


class Loop:
    """Has every lineage looked after that is wanted, in one queue: certbot is made for one run at a time."""

    def __init__(
        self,
        wanted: Callable[[], Lineages],
        issuer_of: Callable[[Directory], Issuer],
        tidy: Callable[[], None],
        sleep: Sleep,
        promise: Callable[[timedelta | None], None],
        now: Callable[[], datetime],
    ) -> None:
        self._wanted = wanted
        self._issuer_of = issuer_of
        self._tidy = tidy
        self._sleep = sleep
        self._promise = promise
        self._now = now
        self._issuers: dict[Directory, Issuer] = {}
        self._lineages: Lineages = {}

    def run(self) -> None:
        """Cycle until stopped; a run of certbot that is under way is waited for. SIGHUP: try all again now."""
        while not self._sleep.stopping:
            report = self.cycle()
            self._promise(report.pause)
            if "SIGHUP" in self._rest(report.pause):
                for issuer in self._issuers.values():
                    issuer.retry_now()

    def cycle(self) -> Report:
        """See what is wanted, and look after all of it once."""
        self._lineages = self._wanted()
        for directory in self._lineages:
            if directory not in self._issuers:
                self._issuers[directory] = self._issuer_of(directory)
        reports = []
        for directory, issuer in self._issuers.items():
            issuer.want(self._lineages.get(directory, ()))
            reports.append(issuer.cycle())
        self._tidy()
        return Report(
            tuple(sentence for report in reports for sentence in report.sentences),
            min((report.pause for report in reports), default=RESYNC),
        )

    def _rest(self, pause: timedelta) -> frozenset[str]:
        """Sleep for *pause*, until rung, or until something else is wanted than before; the reasons of a ring."""
        end = self._now() + pause
        while not self._sleep.stopping and self._wanted() == self._lineages:
            left = end - self._now()
            if left <= timedelta():
                break
            if reasons := self._sleep.wait(min(left, POLL).total_seconds()):
                return reasons
        return frozenset()
