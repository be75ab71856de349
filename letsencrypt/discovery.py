"""All lineages that are wanted at this moment: those of DOMAINS, and what discovered containers want."""

import logging
from collections.abc import Callable, Mapping, Set
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


class Fixed:
    """What DOMAINS asks for, where nothing else counts."""

    def __init__(self, lineages: Lineages) -> None:
        self._lineages = lineages

    def lineages(self) -> Lineages:
        """Always the same."""
        return self._lineages

    def names(self) -> Set[Identifier] | None:
        """What containers want is not known."""
        return None


def source_of(settings: Settings, now: Callable[[], datetime]) -> "Discovery | Fixed":
    """Tells what is to be looked after at each moment: nothing at all while OPTIONS is not understood."""
    if settings.options.refused:
        return Fixed({})
    if settings.auto_domains:
        return Discovery(WantedFile(settings.wanted_file), settings.admission, now)
    return Fixed(by_directory(settings.admission, {}))


class Discovery:
    """Looks at the file of the agent, holds it against the rules, and waits until it has settled."""

    def __init__(self, file: WantedFile, admission: Admission, now: Callable[[], datetime]) -> None:
        self._file = file
        self._admission = admission
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
        return wanted.union(*(lineage.identifiers for lineage in self._admission.domains))

    def lineages(self) -> Lineages:
        """What to look after, by the server it is to come from; equal as long as nothing changed. Never raises.

        Each refusal is said once while it lasts. A lineage that nobody wants any more is left out at once.
        """
        requests = self._file.read()
        self._notices.update("the file of wanted certificates", self._file.problems)
        if requests is not self._requests:
            self._wishes, refused = self._admission.admit(requests)
            sentences = [f"No certificate is obtained for what a container wants: {item}." for item in refused]
            self._notices.update("what containers want", sentences)
            self._requests = requests
        settled = self._settling.settled(self._wishes, self._now())
        self._notices.update("certificates that change back and forth", self._settling.unsettled(self._wishes))
        return by_directory(self._admission, settled)


def by_directory(admission: Admission, wishes: Mapping[str, Wish]) -> Lineages:
    """The lineages of DOMAINS, but for those that cannot be had, with those of *wishes*, sorted by name after them."""
    first = admission.directory
    found = {first: [lineage for lineage in admission.domains if not admission.objection(lineage, first)]}
    for _, wish in sorted(wishes.items()):
        found.setdefault(wish.directory, []).append(wish.lineage)
    return {directory: tuple(lineages) for directory, lineages in found.items()}
