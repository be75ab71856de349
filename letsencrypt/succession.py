"""The ACME servers in line: hands each lineage to those whose turn it is, and keeps them out of each other's way."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from letsencrypt.certonly import Directory
from letsencrypt.discovery import Lineages
from letsencrypt.edges import CertbotRunner, Edges, Publisher
from letsencrypt.fallback import OWN_FAULT, Tier, Turn, best_place, is_whole, take_turns
from letsencrypt.fallback_servers import FallbackServer
from letsencrypt.lineages import Lineage
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.standing import Obstacle
from proxy_agent.tls.bundle import Bundle

log = logging.getLogger(__name__)

ObstacleOf = Callable[[Directory, str], Obstacle | None]
_ONLY_LOOKS = "the certificate is due, and the first ACME server is asked before this one"
_MOST_NAMED = 3


class Held(Protocol):
    """publish.Publisher."""

    def servable(self, lineage: Lineage, /) -> Bundle | None:
        """What certbot holds, if it could be published now."""
        ...


@dataclass(frozen=True)
class _Guarded:
    """A publisher that leaves a lineage to the server whose certificate is the right one."""

    publisher: Publisher
    publishes: Callable[[Lineage], bool]

    def held(self, lineage: Lineage) -> Bundle | None:
        """What certbot holds here."""
        return self.publisher.held(lineage)

    def publish(self, lineage: Lineage) -> Bundle | None:
        """Publish what is held here, where that is the right one."""
        return self.publisher.publish(lineage) if self.publishes(lineage) else None


class Succession:
    """Knows whose turn it is for each lineage that the first server is wanted for.

    Nothing of it is kept: after a restart it follows again from what certbot holds and what each server's own
    timetable says.
    """

    def __init__(
        self,
        first: Directory,
        fallbacks: Sequence[FallbackServer],
        held: Callable[[Directory], Held],
        now: Callable[[], datetime],
    ) -> None:
        self._line = (first, *(server.directory for server in fallbacks))
        self._servers = {server.directory: server for server in fallbacks}
        self._held = {directory: held(directory) for directory in self._line}
        self._now = now
        self._turns: Mapping[str, Turn] = {}
        self._due: dict[tuple[Directory, str], str] = {}
        """The certificates that certbot would have renewed, by their fingerprints."""
        self._passed_over: set[tuple[Directory, str]] = set()
        """What was due at a look at which it was not that server's turn to order."""
        self._recalled: set[str] = set()
        """For whom the first one is to be asked, whoever serves."""
        self._pressing: Set[str] = frozenset()
        """Whose certificate must be replaced, as it is to be revoked."""
        self._called: dict[str, int] = {}
        """Who was called in for whom, as far as that was said."""

    def share(self, lineages: Lineages, obstacle: ObstacleOf) -> Lineages:
        """*lineages* by the servers whose turn it is, the first one's always among them.

        Only those of the first server are shared out; whoever chose another one means that one. Says when somebody is
        called in, and when the first is back.
        """
        if len(self._line) == 1 or self._line[0] not in lineages:
            return lineages
        before = self._turns
        turns: dict[str, Turn] = {}
        shared: dict[Directory, list[Lineage]] = {each: [] for each in lineages}
        for lineage in lineages[self._line[0]]:
            turns[lineage.name] = self._turn(lineage, obstacle)
            for place in sorted(turns[lineage.name].attending):
                shared.setdefault(self._line[place], []).append(lineage)
        self._turns = turns
        for name in tuple(self._recalled - turns.keys()):
            self._recalled.discard(name)
        self._tell(lineages[self._line[0]], before, obstacle)
        own = {each: wanted for each, wanted in lineages.items() if each != self._line[0]}
        return {each: (*own.get(each, ()), *lent) for each, lent in shared.items()}

    def recall(self, name: str) -> None:
        """The operator's wish: the first one is asked for *name* once, though a fallback rests on what it issued."""
        self._recalled.add(name)

    def press(self, names: Set[str]) -> None:
        """Have what is served for *names*, and for no others, replaced by whoever in line can."""
        self._pressing = frozenset(names)

    def passed_over(self, directory: Directory) -> set[str]:
        """The lineages that *directory* may order now, but might not when it found them due."""
        place = self._line.index(directory) if directory in self._line else None
        passed_over = {name for each, name in tuple(self._passed_over) if each == directory and name in self._turns}
        return {name for name in passed_over if place in self._turns[name].asked}

    def lent(self, directory: Directory, lineage: Lineage) -> Lineage:
        """*lineage* as it is asked for at *directory*."""
        is_lent = directory in self._servers and lineage.name in self._turns
        return self._servers[directory].lent(lineage) if is_lent else lineage

    def fitted(self, directory: Directory, edges: Edges) -> Edges:
        """*edges* of the issuer for *directory*, which orders and publishes only when that is its turn."""
        if len(self._line) == 1 or directory not in self._line:
            return edges
        return replace(
            edges,
            certbot=self.in_turn(directory, edges.certbot),
            publisher=_Guarded(edges.publisher, lambda lineage: self._publishes(directory, lineage)),
            preflight=self._preflight(directory, edges.preflight),
        )

    def in_turn(self, directory: Directory, run: CertbotRunner) -> CertbotRunner:
        """*run* for *directory*, which only looks what is due while it is not its turn to order."""

        def run_in_turn(lineage: Lineage, permit: Permit) -> Outcome:
            if self._only_looks(directory, lineage):
                return self._look(directory, lineage, run, permit)
            self._passed_over.discard((directory, lineage.name))
            outcome = run(lineage, permit)
            if directory == self._line[0]:
                self._recalled.discard(lineage.name)
            return outcome

        return run_in_turn

    def _look(self, directory: Directory, lineage: Lineage, run: CertbotRunner, permit: Permit) -> Outcome:
        outcome = run(lineage, replace(permit, refusal=_ONLY_LOOKS, words=()))
        held = self._servable(directory, lineage)
        if outcome.failure is not Failure.BUDGET or held is None:
            return outcome
        self._due[directory, lineage.name] = held.fingerprint
        self._passed_over.add((directory, lineage.name))
        return Outcome(secs=outcome.secs)

    def _turn(self, lineage: Lineage, obstacle: ObstacleOf) -> Turn:
        first = obstacle(self._line[0], lineage.name)
        is_well = first is None or first.failure not in OWN_FAULT
        if is_well and lineage.name not in self._called and self._nobody_came_in(lineage):
            return Turn(frozenset({0}))
        recalled, must_go = lineage.name in self._recalled, lineage.name in self._pressing
        return take_turns(lineage, self._tiers(lineage, obstacle), self._now(), recalled, must_go)

    def _nobody_came_in(self, lineage: Lineage) -> bool:
        """Whether no fallback holds anything that could be served: the rule, which costs no look at the first one."""
        return all(self._servable(each, lineage) is None for each in self._line[1:])

    def _tiers(self, lineage: Lineage, obstacle: ObstacleOf | None = None) -> list[Tier]:
        tiers = []
        for each in self._line:
            held = self._servable(each, lineage)
            is_due = held is not None and self._due.get((each, lineage.name)) == held.fingerprint
            tiers.append(Tier(held, obstacle(each, lineage.name) if obstacle else None, is_due))
        return tiers

    def _servable(self, directory: Directory, lineage: Lineage) -> Bundle | None:
        return self._held[directory].servable(lineage)

    def _only_looks(self, directory: Directory, lineage: Lineage) -> bool:
        turn = self._turns.get(lineage.name)
        return turn is not None and self._line.index(directory) not in turn.asked

    def _publishes(self, directory: Directory, lineage: Lineage) -> bool:
        """Asked of what is held at this moment: a certificate may have come in since the turns were taken."""
        if lineage.name not in self._turns or self._nobody_came_in(lineage):
            return True
        place = best_place(lineage, self._tiers(lineage), self._now())
        return place is None or self._line[place] == directory

    def _preflight(
        self, directory: Directory, look: Callable[[Lineage, Bundle | None, datetime], Clearance]
    ) -> Callable[[Lineage, Bundle | None, datetime], Clearance]:
        def look_in_turn(lineage: Lineage, held: Bundle | None, now: datetime) -> Clearance:
            tiers = self._tiers(lineage)
            if self._only_looks(directory, lineage):
                # Nothing is ordered, so no name needs a look, unless certbot would take other names for a change.
                return Clearance(lineage if is_whole(tiers[self._line.index(directory)], lineage) else None)
            place = best_place(lineage, tiers, now) if lineage.name in self._turns else None
            return look(lineage, held if place is None else tiers[place].held, now)

        return look_in_turn

    def _tell(self, lineages: Iterable[Lineage], before: Mapping[str, Turn], obstacle: ObstacleOf) -> None:
        called: dict[tuple[int, str], list[Lineage]] = defaultdict(list)
        back: dict[int, list[Lineage]] = defaultdict(list)
        self._called = {name: place for name, place in self._called.items() if name in self._turns}
        for lineage in lineages:
            turn, earlier = self._turns[lineage.name], before.get(lineage.name)
            if earlier and earlier.serves and turn.serves == 0:
                back[earlier.serves].append(lineage)
            if not turn.urgent:
                self._called.pop(lineage.name, None)
            last = max(turn.asked, default=0)
            if last > self._called.get(lineage.name, 0):
                self._called[lineage.name] = last
                fault = obstacle(self._line[last - 1], lineage.name)
                called[last, fault.failure if fault else ""].append(lineage)
        for (place, fault_name), concerned in called.items():
            log.warning(
                "%s does not issue now (%s): the fallback %s is asked for the certificate for %s.",
                *(self._line[place - 1].host, fault_name, self._line[place].host, _listed(concerned)),
            )
        for place, concerned in back.items():
            log.info(
                "%s issues again: the certificate for %s comes from there, and no longer from the fallback %s.",
                *(self._line[0].host, _listed(concerned), self._line[place].host),
            )


def _listed(lineages: Sequence[Lineage]) -> str:
    """The titles of the first few, and how many more there are."""
    more = len(lineages) - _MOST_NAMED
    text = "; ".join(lineage.title for lineage in lineages[:_MOST_NAMED])
    return f"{text} and {more} more" if more > 0 else text
