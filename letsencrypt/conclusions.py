"""What follows from the end of an attempt: when the next one is, and what is said."""

import logging
from dataclasses import replace
from datetime import timedelta

from letsencrypt.edges import Edges
from letsencrypt.lineages import Lineage
from letsencrypt.preflight_gate import HEALS
from letsencrypt.publishing import Publishing
from letsencrypt.records import Records
from letsencrypt.recovery import Recovery
from letsencrypt.runner import Outcome
from letsencrypt.schedule import OF_DIRECTORY, Failure, in_words
from letsencrypt.sentences import Sentences
from letsencrypt.subset import Reduction
from proxy_agent.tls.bundle import Bundle

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


class Conclusions:
    """For one directory; *since* is what the timetable's ``setbacks`` were when the attempt began."""

    def __init__(
        self,
        host: str,
        interval: timedelta,
        edges: Edges,
        records: Records,
        recovery: Recovery,
        publishing: Publishing,
        sentences: Sentences,
    ) -> None:
        self._host = host
        self._interval = interval
        self._edges = edges
        self._records = records
        self._recovery = recovery
        self._publishing = publishing
        self._sentences = sentences

    def accept(self, wanted: Lineage, ordered: Lineage, before: Bundle | None, outcome: Outcome, since: int) -> Outcome:
        """Look at what certbot says is well; the outcome, which is a failure if it is not."""
        try:
            held = self._edges.checkup.after(ordered)
        except ValueError as error:
            return replace(outcome, failure=Failure.AFTER_FINALIZE, detail=f"certbot ended well, but {error}")
        self._say_if_answering_again(since)
        self._records.subset.healed(ordered)
        interval = self._interval
        if ordered.identifiers != wanted.identifiers:
            interval = min(interval, self._records.subset.next_look(wanted) or HEALS)
        interval = min(interval, (held.not_after - held.not_before) / LOOKS)
        self._records.timetable.well(wanted.name, interval, since)
        if before is None or held.fingerprint != before.fingerprint:
            done = "Renewed the" if before and before.identifiers == held.identifiers else "Issued a"
            validity = self._publishing.validity(held)
            self._sentences.say(logging.INFO, f"{done} certificate for {ordered}: {validity}.")
        self._publishing.publish(ordered)
        return outcome

    def fail(self, lineage: Lineage, outcome: Outcome, since: int | None = None) -> None:
        """Put the next try off and say so; not again where that repeats itself within the hour."""
        failure = outcome.failure or Failure.CRASH
        reason = reason_of(outcome)
        if failure not in OF_DIRECTORY:
            self._say_if_answering_again(since)
        behind = self._is_behind(since)
        self._recovery.failed(lineage.name, outcome.url)
        standing = self._records.failed(lineage, failure, reason, outcome, since)
        when = "after OPTIONS is changed" if failure is Failure.USAGE else f"in {in_words(standing.pause)}"
        quiet = standing.repeated and (standing.pause < _QUIET_BELOW or failure is Failure.USAGE)
        quiet = quiet or (behind and standing is self._records.timetable.directory)
        what = _WHAT_FAILS.get(failure, "No certificate for {lineage} from {host}")
        what = what.format(host=self._host, lineage=lineage.title)
        self._sentences.say(logging.DEBUG if quiet else logging.ERROR, f"{what}: {reason}. Next try {when}.")

    def go_on(self, lineage: Lineage, reduction: Reduction, since: int | None) -> None:
        """Try the rest of *lineage* at once, and say what is left out."""
        self._say_if_answering_again(since)
        self._records.timetable.again(lineage.name, since)
        self._sentences.say(logging.WARNING if reduction.is_news else logging.DEBUG, reduction.sentence)

    def _say_if_answering_again(self, since: int | None) -> None:
        if self._records.timetable.unreachable and not self._is_behind(since):
            self._sentences.say(logging.INFO, f"The ACME server {self._host} answers again.")

    def _is_behind(self, since: int | None) -> bool:
        return self._records.timetable.is_behind(since)


def reason_of(outcome: Outcome) -> str:
    """What is said of each name, else of the whole."""
    return ("; ".join(str(name) for name in sorted(outcome.names)) or outcome.detail).removesuffix(".")
