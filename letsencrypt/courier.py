"""Takes what waits in the outboxes to its receivers, once, in a process of its own beside the loop.

A process, because a receiver may hang in ways that no timeout knows, and nothing of that may hold up an order; not a
thread, because it can be ended, and because what it holds ends with it. It lives for one round, at most some minutes.
"""

import logging
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from letsencrypt.events import Event, Kind
from letsencrypt.outbox import Outbox, Waiting
from letsencrypt.receivers import DeployHooks, NotTaken, Program, Receiver, Webhook
from letsencrypt.rounds import Job, locked
from letsencrypt.watch import DEPLOY_HOOKS, Listeners
from proxy_agent.daemon import log as daemon_log
from proxy_agent.daemon.errors import OperationalError

log = logging.getLogger(__name__)

BUDGET = timedelta(minutes=3)
"""For the items of one receiver in one round, and the one that is under way then."""
_ENOUGH = 2
"""Failures in one round: who does not take two of them takes none now."""


def receivers_of(job: Job) -> list[Receiver]:
    """All who are told."""
    found: list[Receiver] = [Webhook(url, number, len(job.urls)) for number, url in enumerate(job.urls, 1)]
    if job.program:
        found.append(Program(job.program))
    return [*found, DeployHooks()]


class Round:
    """One look at the outboxes."""

    def __init__(
        self,
        now: Callable[[], datetime],
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        budget: timedelta = BUDGET,
    ) -> None:
        self._now = now
        self._random = random
        self._clock = clock
        self._budget = budget

    def deliver(self, receiver: Receiver, outbox: Outbox) -> None:
        """Hand over what is due, oldest first, until all is done, the time is up, or too much is not taken.

        Each item is put off before it is sent: where this process dies of it, the next round begins with another.
        """
        if dropped := outbox.overflow(self._now()):
            log.warning("%s did not take it for too long, dropped: %s", receiver.title, " ".join(dropped))
        end = self._clock() + self._budget.total_seconds()
        failures: list[str] = []
        taken = 0
        for waiting in list(outbox.due(self._now())):
            if len(failures) >= _ENOUGH or self._clock() > end:
                break
            outbox.begin(waiting, self._now(), self._random)
            reason = self._send(receiver, waiting)
            if reason:
                failures.append(reason)
            else:
                outbox.remove(waiting.path)
                taken += 1
        self._tell(receiver, outbox, failures, taken)

    def _send(self, receiver: Receiver, waiting: Waiting) -> str:
        try:
            receiver.send(waiting.item.body)
        except NotTaken as refused:
            return str(refused)
        return ""

    def _tell(self, receiver: Receiver, outbox: Outbox, failures: Sequence[str], taken: int) -> None:
        """Say what fails when it begins to, and when that is over."""
        before = outbox.trouble
        if failures and failures[-1] != before:
            log.warning("%s failed: %s. What it has not taken is kept and tried again.", receiver.title, failures[-1])
        elif taken and not failures and before:
            log.info("%s works again.", receiver.title)
        if failures or taken:
            outbox.tell_trouble(failures[-1] if failures else "")


def make_rounds(job: Job) -> None:
    """Deliver what is due to every receiver, unless another process does just that.

    What is put in meanwhile is looked for after the lock was let go: whoever found it taken started nobody.
    """
    known: set[Path] = set()
    while fresh := _due(job) - known:
        known |= fresh
        with locked(job.folder) as is_ours:
            if not is_ours:
                return
            _make_round(job)


def _make_round(job: Job) -> None:
    delivery = Round(_now, random.random)
    for receiver in receivers_of(job):
        try:
            delivery.deliver(receiver, Outbox(job.folder / receiver.folder))
        except OperationalError as error:
            log.error("%s", error)


def _due(job: Job) -> set[Path]:
    outboxes = (Outbox(job.folder / receiver.folder) for receiver in receivers_of(job))
    return {waiting.path for outbox in outboxes for waiting in outbox.due(_now())}


def _now() -> datetime:
    return datetime.now(UTC)


def tell_now(listeners: Listeners, now: datetime) -> Iterator[tuple[str, str]]:
    """Tell a test to everybody, past the outboxes; each one's title, and what failed. Raises OperationalError."""
    job = listeners.job(Path(), listeners.all_urls())
    receivers = [receiver for receiver in receivers_of(job) if receiver.folder != DEPLOY_HOOKS]
    if not receivers:
        raise OperationalError("Nobody is to be told: set NOTIFY_URL or NOTIFY_EXEC.")
    text = "This is a test: here arrives what happens to certificates."
    body = Event(id=f"test-{now.isoformat()}", event=Kind.TEST, time=now, text=text).model_dump(mode="json")
    for receiver in receivers:
        try:
            receiver.send(body)
        except NotTaken as refused:
            yield receiver.title, str(refused)
        else:
            yield receiver.title, ""


def main() -> None:
    """The process that hooks.start_courier() starts."""
    job = Job.model_validate_json(sys.stdin.buffer.read())
    daemon_log.configure(job.log_format, job.log_level)
    make_rounds(job)
