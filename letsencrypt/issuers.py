"""One issuer for each ACME server, made when it is first needed, and each lineage with those whose turn it is."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from letsencrypt.certonly import Directory
from letsencrypt.discovery import Lineages
from letsencrypt.issuer import Issuer, Report
from letsencrypt.standing import Obstacle
from letsencrypt.succession import Succession


class Issuers:
    """All of them, in the order in which they were first needed."""

    def __init__(self, issuer_of: Callable[[Directory], Issuer], succession: Succession | None = None) -> None:
        self._issuer_of = issuer_of
        self._succession = succession
        self._issuers: dict[Directory, Issuer] = {}
        self._wanted: Lineages = {}
        self._shared: Lineages = {}

    def __iter__(self) -> Iterator[Issuer]:
        """Each of them."""
        return iter(tuple(self._issuers.values()))

    def want(self, lineages: Lineages) -> None:
        """Have *lineages* looked after from now on, and no others."""
        self._wanted = lineages
        self._share()
        for directory, issuer in self._issuers.items():
            issuer.want(self._shared[directory])

    def cycle(self) -> Iterator[Report]:
        """Let one after another look after what is its own; what the one could not do is the next one's turn."""
        done: set[Directory] = set()
        while left := [directory for directory in self._issuers if directory not in done]:
            yield self._issuers[left[0]].cycle()
            done.add(left[0])
            yield from self._soon(done & self._changed())

    def advance(self) -> Iterator[Report]:
        """Have all conclude what ended, and begin more."""
        for issuer in self:
            yield issuer.advance()
        yield from self._soon(self._changed())

    def settle(self) -> Iterator[Report]:
        """Have all wait until nothing is under way."""
        for issuer in self:
            yield issuer.settle()
        yield from self._soon(self._changed())

    def _soon(self, changed: set[Directory]) -> Iterator[Report]:
        """Whose turn it became is not to wait for the next look of the others."""
        if changed:
            yield Report((), timedelta())

    def _changed(self) -> set[Directory]:
        """Share anew; those that have something to look after now that they had not before."""
        before = self._shared
        self._share()
        more: set[Directory] = set()
        for directory, lineages in self._shared.items():
            issuer = self._issuers[directory]
            if lineages != before.get(directory, ()):
                issuer.want(lineages)
            passed_over = self._succession.passed_over(directory) if self._succession else set()
            is_due = [issuer.look_now(name) for name in passed_over.difference(issuer.under_way)]
            if set(lineages) - set(before.get(directory, ())) or any(is_due):
                more.add(directory)
        return more

    def _share(self) -> None:
        """Settle who looks after what, which may be nothing."""
        shared = self._succession.share(self._wanted, self._obstacle) if self._succession else self._wanted
        for directory in shared:
            if directory not in self._issuers:
                self._issuers[directory] = self._issuer_of(directory)
        self._shared = {directory: shared.get(directory, ()) for directory in self._issuers}

    def _obstacle(self, directory: Directory, name: str) -> Obstacle | None:
        return self._issuers[directory].obstacle(name) if directory in self._issuers else None
