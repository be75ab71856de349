"""What is ordered after a preflight: the whole lineage, those of its names that pass, or nothing for now."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from letsencrypt.expiry import is_ending
from letsencrypt.lineages import Lineage
from letsencrypt.preflight import CLOCK, DNS, Kind, Mode, Verdict, failing
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import Identifier

log = logging.getLogger(__name__)

HEALS = timedelta(minutes=10)
"""How often is looked whether a name that was left out healed."""


class Looking(Protocol):
    """preflight_run.Preflight."""

    def look(self, names: Iterable[Identifier], /) -> tuple[Verdict, ...]:
        """The verdicts on *names*."""
        ...


@dataclass(frozen=True)
class Clearance:
    """What may be ordered now."""

    lineage: Lineage | None
    """With the names to order; None: nothing."""
    verdicts: tuple[Verdict, ...] = ()
    left_out: frozenset[str] = frozenset()
    """The names that are not ordered with the others."""
    may_leave_out: bool = False
    """Whether the others may be ordered without a name that fails."""

    @property
    def reason(self) -> str:
        """Why nothing or not all is ordered."""
        return " ".join(verdict.sentence for verdict in self.verdicts if verdict.kind is Kind.DEFINITE)


def cleared(lineage: Lineage, _held: Bundle | None, _now: datetime) -> Clearance:
    """Where nothing is looked at: all of it."""
    return Clearance(lineage)


def untold(_lineage: Lineage, _clearance: Clearance) -> None:
    """Where there is nothing to say."""


def decide(
    lineage: Lineage, verdicts: Sequence[Verdict], held: Bundle | None, now: datetime, subset_allowed: bool
) -> Clearance:
    """What to order of *lineage* after *verdicts*, where *held* is its present certificate.

    Names are left out only where no name loses its certificate by that: a name that is unwell for an hour must not
    cost what is held for it, unless that ends soon anyway.
    """
    bad = failing(verdicts)
    good = tuple(name for name in lineage.identifiers if str(name) not in bad)
    if len(good) == len(lineage.identifiers):
        return Clearance(lineage, tuple(verdicts))
    if not (subset_allowed and good and loses_nothing(good, held, now)):
        # Where we should be mistaken, a failed attempt is better than an expired certificate.
        runs_out = held is not None and is_ending(held, now) and now < held.not_after
        return Clearance(lineage if runs_out else None, tuple(verdicts))
    left_out = frozenset(str(name) for name in lineage.identifiers if name not in good)
    return Clearance(replace(lineage, identifiers=good), tuple(verdicts), left_out)


def loses_nothing(good: Sequence[Identifier], held: Bundle | None, now: datetime) -> bool:
    """Whether no name loses a certificate that is *held* and lasts, when only *good* ones are in the next."""
    if held is None or held.identifiers <= frozenset(good):
        return True
    return is_ending(held, now)


class Gate:
    """Lets through what a preflight has nothing against, and says once what it has against the rest."""

    def __init__(self, preflight: Looking, mode: Mode, allow_subset: bool | None) -> None:
        self._preflight = preflight
        self._mode = mode
        self._allow_subset = allow_subset
        self._notices = Notices(log)

    def __call__(self, lineage: Lineage, held: Bundle | None, now: datetime) -> Clearance:
        """Look at the names of *lineage*, and decide; takes at most ten seconds. From any thread: says nothing."""
        subset_allowed = lineage.is_discovered if self._allow_subset is None else self._allow_subset
        if self._mode == "off":
            return Clearance(lineage, may_leave_out=subset_allowed)
        verdicts = self._preflight.look(lineage.identifiers)
        clearance = Clearance(lineage, verdicts)
        if self._mode == "strict":
            clearance = decide(lineage, verdicts, held, now, subset_allowed)
        return replace(clearance, may_leave_out=subset_allowed)

    def tell(self, lineage: Lineage, clearance: Clearance) -> None:
        """Say what a look showed, where that is news.

        That the CA cannot be used is left to the run, which meets it for all lineages and has more to say.

        While DNS fails, nothing is known of names, so nothing about them is new.
        """
        if self._mode == "off":
            return
        names = {str(name) for name in lineage.identifiers}
        general = [verdict.sentence for verdict in clearance.verdicts if verdict.name in (DNS, CLOCK)]
        doubts = [v.sentence for v in clearance.verdicts if v.kind is Kind.DOUBTFUL and v.name in names]
        against = [v.sentence for v in clearance.verdicts if v.kind is Kind.DEFINITE]
        refused: list[str] = []
        if clearance.lineage is None:
            refused = [f"No certificate for {lineage.title} is ordered for now: {sentence}" for sentence in against]
        elif clearance.left_out:
            whole = f"the certificate for {lineage.title}"
            doubts += [f"A name is left out of {whole} for now: {sentence}" for sentence in against]
        else:
            doubts += against
        self._notices.update("DNS and clock", general)
        if any(verdict.name == DNS for verdict in clearance.verdicts):
            return
        self._notices.update(f"the names of {lineage}", doubts)
        self._notices.update(f"the order for {lineage}", refused, logging.ERROR)
