"""All lineages that are wanted at this moment: those of DOMAINS, and what discovered containers want."""

import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from datetime import datetime

from letsencrypt.admission import Admission, Wish
from letsencrypt.certonly import Directory
from letsencrypt.lineages import Lineage
from letsencrypt.settings import Settings
from letsencrypt.settling import Settling
from letsencrypt.wanted import Request, WantedFile
from proxy_agent.daemon.log import Notices
from proxy_agent.tls.names import Identifier, parse_identifier

log = logging.getLogger(__name__)

Lineages = Mapping[Directory, tuple[Lineage, ...]]
"""What to look after, by the server it is to come from."""


Commanded = Callable[[], tuple[Wish, ...]]
"""What the operator asked for by a command, as manual.Commissions tells it."""


class Nothing:
    """Where OPTIONS is not understood."""

    def lineages(self) -> Lineages:
        """None."""
        return {}

    def names(self) -> Set[Identifier] | None:
        """Not known."""
        return None


class Fixed:
    """What DOMAINS and the operator ask for, where nothing else counts."""

    def __init__(self, admission: Admission, commanded: Commanded) -> None:
        self._admission = admission
        self._commanded = commanded

    def lineages(self) -> Lineages:
        """Always the same, but for what the operator asks for."""
        return by_directory(replace(self._admission, commanded=self._commanded()), {})

    def names(self) -> Set[Identifier] | None:
        """What containers want is not known."""
        return None


def source_of(
    settings: Settings, now: Callable[[], datetime], commanded: Commanded = tuple
) -> "Discovery | Fixed | Nothing":
    """Tells what is to be looked after at each moment: nothing at all while OPTIONS is not understood."""
    if settings.options.refused:
        return Nothing()
    if settings.auto_domains:
        return Discovery(WantedFile(settings.wanted_file), settings.admission, now, commanded)
    return Fixed(settings.admission, commanded)


class Discovery:
    """Looks at the file of the agent, holds it against the rules, and waits until it has settled."""

    def __init__(
        self, file: WantedFile, admission: Admission, now: Callable[[], datetime], commanded: Commanded = tuple
    ) -> None:
        self._file = file
        self._admission = admission
        self._commanded = commanded
        self._now = now
        self._settling = Settling()
        self._notices = Notices(log)
        self._requests: tuple[Request, ...] = ()
        self._wishes: Mapping[str, Wish] = {}

    def names(self) -> Set[Identifier] | None:
        """Everything that anybody wants, granted or not; None as long as containers may want what is not known."""
        if not self._file.is_known:
            return None
        wanted = {parse_identifier(name) for request in self._file.read() for name in request.names}
        return wanted.union(self._admission.ours)

    def lineages(self) -> Lineages:
        """What to look after, by the server it is to come from; equal as long as nothing changed. Never raises.

        Each refusal is said once while it lasts. A lineage that nobody wants any more is left out at once.
        """
        requests, commanded = self._file.read(), self._commanded()
        self._notices.update("the file of wanted certificates", self._file.problems)
        if requests is not self._requests or commanded != self._admission.commanded:
            self._admission = replace(self._admission, commanded=commanded)
            self._wishes, refused = self._admission.admit(requests)
            sentences = [f"No certificate is obtained for what a container wants: {item}." for item in refused]
            self._notices.update("what containers want", sentences)
            self._requests = requests
        settled = self._settling.settled(self._wishes, self._now())
        self._notices.update("certificates that change back and forth", self._settling.unsettled(self._wishes))
        return by_directory(self._admission, settled)


def by_directory(admission: Admission, wishes: Mapping[str, Wish]) -> Lineages:
    """The lineages of DOMAINS, those of commands, and those of *wishes*, sorted by name after them."""
    found: dict[Directory, list[Lineage]] = {admission.directory: list(admission.domains)}
    for wish in (*admission.commanded, *(wish for _, wish in sorted(wishes.items()))):
        found.setdefault(wish.directory, []).append(wish.lineage)
    return {directory: tuple(lineages) for directory, lineages in found.items()}
