"""The loop: one issuer for each ACME server, one after another, whenever something is due or wanted anew."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from letsencrypt.certonly import Directory
from letsencrypt.control import Order, Verb
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import RESYNC, Issuer, Report

log = logging.getLogger(__name__)

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


class Inbox(Protocol):
    """control.Control."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything to take."""
        ...

    def take(self) -> tuple[Order, ...]:
        """What the operator asked since the last time."""
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
        inbox: Inbox,
        forget: Callable[[str], str],
    ) -> None:
        self._wanted = wanted
        self._issuer_of = issuer_of
        self._tidy = tidy
        self._sleep = sleep
        self._promise = promise
        self._now = now
        self._inbox = inbox
        self._forget = forget
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
        for directory, issuer in self._issuers.items():
            issuer.want(self._lineages.get(directory, ()))
        for order in self._inbox.take():
            log.info("%s", self._obey(order))
        reports = [issuer.cycle() for issuer in self._issuers.values()]
        self._tidy()
        return Report(
            tuple(sentence for report in reports for sentence in report.sentences),
            min((report.pause for report in reports), default=RESYNC),
        )

    def _obey(self, order: Order) -> str:
        """What became of the operator's wish, in a sentence."""
        asked = [issuer for issuer in self._issuers.values() if order.name in issuer.names]
        if order.verb is Verb.RETRY:
            sentences = [issuer.retry(order.name) for issuer in asked]
            return " ".join(sentences) or f"Asked to retry {order.name!r}, but nobody wants such a certificate."
        if asked:
            return f"The certificate {order.name} is not forgotten, as it is still wanted."
        sentence = self._forget(order.name)
        for issuer in self._issuers.values():
            issuer.forget(order.name)
        return sentence

    def _rest(self, pause: timedelta) -> frozenset[str]:
        """Sleep for *pause*, until rung, or until something else is wanted than before; the reasons of a ring."""
        end = self._now() + pause
        while not self._sleep.stopping and not self._inbox.is_waiting and self._wanted() == self._lineages:
            left = end - self._now()
            if left <= timedelta():
                break
            if reasons := self._sleep.wait(min(left, POLL).total_seconds()):
                return reasons
            looks = [issuer.look_again() for issuer in self._issuers.values()]
            if any(looks):
                break
        return frozenset()
