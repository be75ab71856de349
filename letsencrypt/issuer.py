"""Has certbot look after every lineage of one ACME directory in time, and publishes what comes of it."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from letsencrypt.budget import ELSEWHERE, Limits
from letsencrypt.edges import Edges
from letsencrypt.lineages import Lineage
from letsencrypt.preflight_gate import HEALS
from letsencrypt.records import Records
from letsencrypt.recovery import Recovery
from letsencrypt.runner import Outcome
from letsencrypt.schedule import OF_DIRECTORY, Failure, in_words
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.bundle import Bundle

log = logging.getLogger(__name__)

RESYNC = timedelta(minutes=5)
"""The longest sleep: so old may a bundle be that somebody removed, or a clock that was set."""
PUBLISH_AGAIN = timedelta(seconds=30)
"""The pause after a bundle could not be written; nothing is ordered again for that."""
LOOKS = 8
"""In the life of a certificate at least, so that one of hours is renewed in time, too."""
_QUIET_BELOW = timedelta(hours=1)
"""A failure that repeats more often than this is said once."""
_WHAT_FAILS = {
    Failure.NETWORK: "The ACME server {host} cannot be reached",
    Failure.BUSY: "The ACME server {host} is busy",
    Failure.USAGE: "OPTIONS cannot be used, so no certificate is ordered",
    Failure.LOCK: "No certificate can be ordered",
    Failure.STORAGE: "No certificate can be ordered",
    Failure.ACCOUNT: "The account at {host} cannot be used, so no certificate is ordered",
    Failure.BUDGET: "No certificate is ordered for {lineage} from {host} now",
}


@dataclass(frozen=True)
class Report:
    """What one cycle did, in sentences, and when the next is due."""

    sentences: tuple[str, ...]
    pause: timedelta


class Issuer:
    """One queue for all lineages of one directory, as certbot locks its folders (certbot/_internal/lock.py)."""

    def __init__(self, host: str, interval: timedelta, edges: Edges, limits: Limits = ELSEWHERE) -> None:
        self._lineages: dict[str, Lineage] = {}
        self._host = host
        self._interval = interval
        self._edges = edges
        self._records = Records(edges.keeper, host, edges.now, edges.random, limits)
        self._timetable = self._records.timetable
        self._recovery = Recovery(self._timetable, edges.looking, edges.now)
        self._notices = Notices(log)
        self._unwritten: set[str] = set()
        self._sentences: list[str] = []

    def want(self, lineages: Iterable[Lineage]) -> None:
        """Look after *lineages* from now on, and after no others; what those hold stays published.

        One that is new, or whose names or options changed, is looked at in the next cycle. One that was here before
        goes on waiting for its time: containers that come and go cost no tries.
        """
        self._lineages = {lineage.name: lineage for lineage in lineages}
        self._unwritten &= self._lineages.keys()
        self._records.expect({name: (each, self._edges.configuration(each)) for name, each in self._lineages.items()})

    def retry_now(self) -> None:
        """The operator's wish: try all again in the next cycle that the CA asked nobody to put off."""
        self._timetable.retry_now()

    def retry(self, name: str) -> str:
        """The same for the certificate *name* alone; what comes of the wish, in a sentence."""
        if name not in self._lineages:
            return ""
        if self._records.retry(name):
            return f"The certificate for {self._lineages[name]} is tried again now, as asked."
        return f"The certificate for {self._lineages[name]} is not tried before the CA's own pause is over."

    def forget(self, name: str) -> None:
        """Remember nothing more of the lineage *name*, which nobody wants; what the CA counts stays counted."""
        self._records.forget(name)

    @property
    def names(self) -> Collection[str]:
        """The lineages that are looked after."""
        return self._lineages.keys()

    def look_again(self) -> bool:
        """To be called each second while nothing is due: whether a fault has passed, so that something is."""
        return self._recovery.look(self._lineages)

    def cycle(self) -> Report:
        """Mend and publish what is held, then look after each lineage whose time has come, publishing what is new."""
        self._sentences = []
        self._edges.promise(None)
        due = self._timetable.due(self._lineages)
        if due and not self._ready(self._lineages[due[0]]):
            due = []
        mended = [name for name in due if self._mend(self._lineages[name])]
        for lineage in self._lineages.values():
            self._publish(lineage, tell=True)
        self._edges.promise(None)
        if mended and self._edges.load_balancer.wait():
            self._attend_all(mended)
        self._records.keep()
        return Report(tuple(self._sentences), self._pause())

    def _ready(self, first: Lineage) -> bool:
        """Whether our folders are fit for runs; if not, all wait."""
        try:
            self._say_all(logging.WARNING, self._edges.checkup.ready())
        except OperationalError as error:
            self._fail(first, Outcome(Failure.STORAGE, str(error)))
            return False
        return True

    def _mend(self, lineage: Lineage) -> bool:
        try:
            self._say_all(logging.WARNING, self._edges.checkup.before(lineage))
        except OperationalError as error:
            self._fail(lineage, Outcome(Failure.DAMAGED, str(error)))
            return False
        return True

    def _attend_all(self, due: Iterable[str]) -> None:
        for name in due:
            if self._edges.sleep.stopping or self._timetable.held_up:
                return
            self._edges.promise(None)
            self._attend(self._lineages[name])

    def _attend(self, lineage: Lineage) -> None:
        before = self._held(lineage)
        clearance = self._edges.preflight(lineage, before, self._edges.now())
        ordered = clearance.lineage
        if ordered is None:
            self._timetable.failed(lineage.name, Failure.PREFLIGHT, clearance.reason)
            return
        if failed := self._rehearse(ordered):
            self._fail(lineage, failed)
            return
        permit = self._records.permit(ordered, before)
        outcome = self._edges.certbot(ordered, permit)
        if outcome.code == "accountDoesNotExist" and self._account_dropped():
            self._edges.promise(None)
            outcome = self._edges.certbot(ordered, permit)
        if outcome.failure is Failure.BUDGET:
            wait = permit.until - self._edges.now() if permit.until else None
            outcome = replace(outcome, failure=permit.failure, retry_after=wait)
        if outcome.failure is None:
            outcome = self._accept(ordered, before, outcome)
        self._records.spend(ordered, permit, outcome)
        if outcome.failure is not None:
            self._fail(lineage, outcome)
        self._records.finish(lineage.name)

    def _account_dropped(self) -> bool:
        """Whether certbot can register anew at once; RFC 8555 section 6.2 leaves nothing else to do."""
        try:
            sentences = self._edges.checkup.drop_account()
        except OperationalError as error:
            sentences = ()
            self._say(logging.ERROR, str(error))
        self._say_all(logging.WARNING, sentences)
        return bool(sentences)

    def _rehearse(self, lineage: Lineage) -> Outcome | None:
        """What the CA would most likely say, of names that it refused before; None if it has to be asked itself."""
        failed_before = self._timetable.standing(lineage.name).attempts.get(Failure.VALIDATION)
        if self._edges.rehearse is None or not failed_before:
            return None
        outcome = self._edges.rehearse(lineage)
        self._edges.promise(None)
        if outcome.failure is not Failure.VALIDATION:
            return None
        return replace(outcome, detail=f"in a rehearsal, {_reason(outcome)}", names=())

    def _accept(self, lineage: Lineage, before: Bundle | None, outcome: Outcome) -> Outcome:
        """Look at what certbot says is well; the outcome, which is a failure if it is not."""
        try:
            held = self._edges.checkup.after(lineage)
        except ValueError as error:
            return replace(outcome, failure=Failure.AFTER_FINALIZE, detail=f"certbot ended well, but {error}")
        self._say_if_answering_again()
        whole = lineage.identifiers == self._lineages[lineage.name].identifiers
        interval = self._interval if whole else min(self._interval, HEALS)
        self._timetable.well(lineage.name, min(interval, (held.not_after - held.not_before) / LOOKS))
        if before is None or held.fingerprint != before.fingerprint:
            done = "Renewed the" if before and before.identifiers == held.identifiers else "Issued a"
            self._say(logging.INFO, f"{done} certificate for {lineage}: {self._validity(held)}.")
        self._publish(lineage)
        return outcome

    def _fail(self, lineage: Lineage, outcome: Outcome) -> None:
        """Put the next try off and say so; not again where that repeats itself within the hour."""
        failure = outcome.failure or Failure.CRASH
        reason = _reason(outcome)
        if failure not in OF_DIRECTORY:
            self._say_if_answering_again()
        self._recovery.failed(lineage.name, outcome.url)
        standing = self._records.failed(lineage, failure, reason, outcome)
        when = "after OPTIONS is changed" if failure is Failure.USAGE else f"in {in_words(standing.pause)}"
        quiet = standing.repeated and (standing.pause < _QUIET_BELOW or failure is Failure.USAGE)
        what = _WHAT_FAILS.get(failure, "No certificate for {lineage} from {host}")
        what = what.format(host=self._host, lineage=lineage.title)
        self._say(logging.DEBUG if quiet else logging.ERROR, f"{what}: {reason}. Next try {when}.")

    def _say_if_answering_again(self) -> None:
        if self._timetable.unreachable:
            self._say(logging.INFO, f"The ACME server {self._host} answers again.")

    def _publish(self, lineage: Lineage, tell: bool = False) -> None:
        unfit: list[str] = []
        unwritten: list[str] = []
        try:
            published = self._edges.publisher.publish(lineage)
            if published and tell:
                self._say(logging.INFO, f"Published the certificate for {lineage}: {self._validity(published)}.")
        except ValueError as error:
            unfit.append(f"What is held for {lineage} is not published: {error}.")
        except OperationalError as error:
            unwritten.append(str(error))
        self._notices.update(f"the certificate held for {lineage}", unfit)
        self._notices.update(f"the publishing for {lineage}", unwritten, logging.ERROR)
        self._sentences.extend(unfit + unwritten)
        (self._unwritten.add if unwritten else self._unwritten.discard)(lineage.name)

    def _held(self, lineage: Lineage) -> Bundle | None:
        try:
            return self._edges.publisher.held(lineage)
        except ValueError:
            return None

    def _validity(self, bundle: Bundle) -> str:
        return f"valid until {bundle.not_after:%Y-%m-%d %H:%M} UTC, from {self._host}"

    def _pause(self) -> timedelta:
        longest = PUBLISH_AGAIN if self._unwritten else RESYNC
        moment = self._timetable.next(self._lineages)
        return longest if moment is None else max(min(longest, moment - self._edges.now()), timedelta())

    def _say_all(self, level: int, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._say(level, sentence)

    def _say(self, level: int, sentence: str) -> None:
        self._sentences.append(sentence)
        log.log(level, "%s", sentence)


def _reason(outcome: Outcome) -> str:
    """What is said of each name, else of the whole."""
    return ("; ".join(str(name) for name in sorted(outcome.names)) or outcome.detail).removesuffix(".")
