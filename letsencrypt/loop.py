"""The loop: one issuer for each ACME server, whenever something is due or wanted anew, or certbot is done."""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from letsencrypt.certonly import Directory
from letsencrypt.control import Order, Verb
from letsencrypt.crew import RING
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import RESYNC, Issuer, Report

log = logging.getLogger(__name__)

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
    """Has every lineage looked after that is wanted; what takes long goes on beside it, and rings when it ends."""

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
        self._tidied = now()
        self._held_back: tuple[Order, ...] = ()
        """Wishes about lineages that have an attempt under way."""

    def run(self) -> None:
        """Cycle until stopped; runs of certbot that are under way are waited for. SIGHUP: try all again now."""
        while not self._sleep.stopping:
            report = self.cycle()
            self._promise(report.pause)
            if "SIGHUP" in self._rest(report.pause):
                for issuer in self._issuers.values():
                    issuer.retry_now()
        self.settle()

    def settle(self) -> Report:
        """Wait until nothing is under way; what came of it."""
        report = _sum([issuer.settle() for issuer in self._issuers.values()])
        self._tidy()
        return report

    def cycle(self) -> Report:
        """See what is wanted, and begin to look after all of it that is due."""
        self._lineages = self._wanted()
        for directory in self._lineages:
            if directory not in self._issuers:
                self._issuers[directory] = self._issuer_of(directory)
        for directory, issuer in self._issuers.items():
            issuer.want(self._lineages.get(directory, ()))
        orders = (*self._held_back, *self._inbox.take())
        self._held_back = tuple(order for order in orders if self._is_busy(order.name))
        for order in orders:
            if order not in self._held_back:
                log.info("%s", self._obey(order))
        reports = [issuer.cycle() for issuer in self._issuers.values()]
        self._tidy()
        self._tidied = self._now()
        return _sum(reports)

    def _is_busy(self, name: str) -> bool:
        return any(name in issuer.under_way for issuer in self._issuers.values())

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
        """Sleep for *pause*, until rung, or until something else is wanted than before; the reasons of a ring.

        What ends meanwhile is concluded, and its place given to another.
        """
        end = self._now() + pause
        untidy = False
        while not self._sleep.stopping and not self._has_wish and self._wanted() == self._lineages:
            left = end - self._now()
            if left <= timedelta():
                break
            reasons = self._sleep.wait(min(left, POLL).total_seconds())
            if reasons - {RING}:
                return reasons
            if reasons or any(issuer.under_way for issuer in self._issuers.values()):
                pause = _sum([issuer.advance() for issuer in self._issuers.values()]).pause
                self._promise(pause)
                end = min(end, self._now() + pause)
            untidy |= bool(reasons)
            if untidy and self._now() - self._tidied >= TIDY_PAUSE:
                self._tidy()
                self._tidied, untidy = self._now(), False
            looks = [issuer.look_again() for issuer in self._issuers.values()]
            if any(looks):
                break
        return frozenset()

    @property
    def _has_wish(self) -> bool:
        return self._inbox.is_waiting or any(not self._is_busy(order.name) for order in self._held_back)


def _sum(reports: Collection[Report]) -> Report:
    """Of all issuers."""
    return Report(
        tuple(sentence for report in reports for sentence in report.sentences),
        min((report.pause for report in reports), default=RESYNC),
    )
