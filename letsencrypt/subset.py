"""Names that the CA could not validate, which are left out of further orders until they may be tried again.

One name that is unwell must not keep the others of its certificate waiting; and whether it healed is asked with a
single order each time, as late as for a certificate of its own.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from letsencrypt.lineages import Lineage
from letsencrypt.preflight_gate import Clearance, loses_nothing
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure, in_words, next_attempt
from letsencrypt.state import Ailment
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import Identifier

OF_NAMES = frozenset({Failure.VALIDATION, Failure.REFUSED})
"""What the CA says of single names."""
_WORTH_A_WORD = timedelta(hours=1)


@dataclass(frozen=True)
class Reduction:
    """That names were left out."""

    sentence: str
    is_news: bool


def rest(lineage: Lineage, bad: Container[str], held: Bundle | None, now: datetime) -> tuple[Identifier, ...]:
    """The names of *lineage* without the *bad* ones; of those, it keeps what is *held* and would lose by that."""
    good = tuple(name for name in lineage.identifiers if str(name) not in bad)
    if held is None or loses_nothing(good, held, now):
        return good
    return tuple(name for name in lineage.identifiers if name in held.identifiers or str(name) not in bad)


@dataclass(frozen=True)
class Doubts:
    """What is known of the names of one lineage when an attempt begins."""

    waiting: frozenset[str]
    """Those whose time has not come."""
    suspects: frozenset[str]
    """Those that failed when they were tried last."""

    def without(self, clearance: Clearance, held: Bundle | None, now: datetime) -> Clearance:
        """What may be ordered of what is cleared: without the names that wait, where the rest may go alone."""
        lineage = clearance.lineage
        if lineage is None or not clearance.may_leave_out:
            return clearance
        good = rest(lineage, self.waiting, held, now)
        return replace(clearance, lineage=replace(lineage, identifiers=good)) if good else clearance

    def concern(self, lineage: Lineage) -> bool:
        """Whether one of the names to order is a suspect."""
        return not self.suspects.isdisjoint(map(str, lineage.identifiers))


class Subset:
    """The memory of them, by name: what is wrong with one is wrong in whatever lineage it stands."""

    def __init__(self, now: Callable[[], datetime], random: Callable[[], float]) -> None:
        self._now = now
        self._random = random
        self._ailments: dict[str, Ailment] = {}

    def restore(self, ailments: Mapping[str, Ailment]) -> None:
        """Take up where another process ended."""
        self._ailments = dict(ailments)

    @property
    def ailments(self) -> Mapping[str, Ailment]:
        """All that is known, sorted by name."""
        return dict(sorted(self._ailments.items()))

    def doubts(self, lineage: Lineage) -> Doubts:
        """What is known of the names of *lineage* now."""
        names = frozenset(map(str, lineage.identifiers))
        return Doubts(frozenset(filter(self._waits, names)), names & self._ailments.keys())

    def reduce(self, lineage: Lineage, held: Bundle | None, outcome: Outcome) -> Reduction | None:
        """Leave the names out that failed, so that the rest of *lineage*, as it was ordered, can be tried at once.

        None where that cannot be: it then failed as a whole. Each time at least one name fewer is left to order, so
        there is an end to it.
        """
        if outcome.failure not in OF_NAMES:
            return None
        failed = {skipped.what: skipped.reason for skipped in outcome.names}
        good = rest(lineage, failed, held, self._now())
        if not good or len(good) == len(lineage.identifiers):
            return None
        bad = [str(name) for name in lineage.identifiers if name not in good]
        news = [self._fail(name, outcome.failure or Failure.VALIDATION, failed[name]) for name in bad]
        wait = in_words(max(self._ailments[name].pause for name in bad))
        reasons = "; ".join(f"{name}: {failed[name]}" for name in bad)
        return Reduction(
            f"Left out of the certificate for {lineage.title}, which goes on without: {reasons}. Next try in {wait}.",
            any(news),
        )

    def next_look(self, lineage: Lineage) -> timedelta | None:
        """How long until another name of *lineage* may be tried; None if none is waiting."""
        waits = [self._ailments[str(name)].not_before for name in lineage.identifiers if self._waits(str(name))]
        return min(waits) - self._now() if waits else None

    def healed(self, lineage: Lineage) -> None:
        """All names of *lineage* are in a certificate."""
        for name in lineage.identifiers:
            self._ailments.pop(str(name), None)

    def hurry(self, lineage: Lineage) -> None:
        """The operator's wish: all names are tried the next time."""
        for name in map(str, lineage.identifiers):
            if name in self._ailments:
                self._ailments[name] = self._ailments[name].model_copy(update={"not_before": self._now()})

    def expect(self, wanted: Iterable[Lineage], changed: Iterable[Lineage]) -> None:
        """Forget what says nothing any more: of *changed* lineages, and of names that are not *wanted*, in time."""
        names = {str(name) for lineage in wanted for name in lineage.identifiers}
        anew = {str(name) for lineage in changed for name in lineage.identifiers}
        self._ailments = {
            name: ailment
            for name, ailment in self._ailments.items()
            if name not in anew and (name in names or self._waits(name))
        }

    def _waits(self, name: str) -> bool:
        """Whether it is too early for *name*; it never is for longer than its pause, wherever the clock was set."""
        ailment = self._ailments.get(name)
        return ailment is not None and self._now() < ailment.not_before <= self._now() + ailment.pause

    def _fail(self, name: str, failure: Failure, reason: str) -> bool:
        """Put *name* off; whether that is worth a word."""
        before = self._ailments.get(name)
        attempts = before.attempts + 1 if before else 1
        moment = next_attempt(failure, attempts, self._now(), self._random)
        pause = moment - self._now()
        self._ailments[name] = Ailment(attempts=attempts, not_before=moment, pause=pause, reason=reason)
        return before is None or before.reason != reason or pause > _WORTH_A_WORD
