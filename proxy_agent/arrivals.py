"""Certificates that arrive by the thousand: as many at each look as leave time for containers, the most urgent first.

Each goes into the running HAProxy by itself. A reload would take all of them in the same processor time, but nobody
would be served before the last was there, and a worker of the same size would stay beside it for its open connections.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from proxy_agent.certificates import Found
from proxy_agent.decision import Decision, World
from proxy_agent.reconcile import changed_certificates
from proxy_agent.runtime import Running
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import DnsName, Identifier
from proxy_agent.turns import in_turns

FEWEST = 50
"""They take a second where the disk and the processors are busy with other work."""
_MOST = 4000
_SECONDS = 2.0
"""What installing the share of a look is to take."""
_STEEPEST = 4.0

_Remembered = dict[str, tuple[bytes, Bundle | None]]


class Arrivals:
    """Divides what is to be installed, in shares that follow the pace of disk and processors."""

    def __init__(self) -> None:
        self.share = FEWEST
        """How many one look installs."""
        self._shared = False
        self._predecessors: _Remembered = {}
        """What was kept under the names of those that wait, by name: each is parsed once."""

    def of_this_look(
        self,
        decision: Decision,
        stored: Mapping[str, bytes],
        running: Running | None,
        decided: Callable[[World], Decision],
    ) -> tuple[Decision, bool]:
        """*decision*, or what of it one look may install, and whether that leaves something for the next.

        Nothing is divided where HAProxy is not running, as nobody waits. *decided* tells what follows from a world.
        """
        world = decision.world
        unread = bool(world.found.unread)
        pending = changed_certificates(decision.desired.certificates, stored, running) if running else {}
        self._shared = len(pending) > self.share
        if not self._shared:
            self._predecessors = {}
            return decision, unread
        before = dict(self._kept_before(world))
        waiting = {bundle.name: bundle for bundle in pending.values()}
        served = {line.path for line in running.crt_list} if running else set()
        named = frozenset(bundle.name for path, bundle in pending.items() if path in served)
        installed = Installed(world.kept, waiting, before, named, world.now)
        fewer = decided(replace(world, found=first_arrivals(world.found, installed, self.share)))
        # What waits is neither missing nor wanting.
        return replace(fewer, skipped=decision.skipped, wanted=decision.wanted), True

    def took(self, seconds: float) -> None:
        """The look is over; where it had a whole share, the next one gets what would have taken the time it should."""
        if self._shared:
            pace = min(max(_SECONDS / max(seconds, 0.001), 1 / _STEEPEST), _STEEPEST)
            self.share = min(max(int(self.share * pace), FEWEST), _MOST)

    def _kept_before(self, world: World) -> Iterator[tuple[str, Bundle]]:
        """What was installed under the names of those that are found and not installed."""
        known, self._predecessors = self._predecessors, {}
        for bundle in (bundle for bundles in world.found.sources.values() for bundle in bundles):
            pem = world.kept.get(bundle.name)
            if pem is None or pem == bundle.pem:
                continue
            remembered = known.get(bundle.name)
            entry = remembered if remembered and remembered[0] == pem else (pem, _parsed(bundle.name, pem))
            self._predecessors[bundle.name] = entry
            if entry[1] and entry[1].fingerprint not in world.refused:
                yield bundle.name, entry[1]


@dataclass(frozen=True)
class Installed:
    """What HAProxy has on disk and in memory, by the name of the bundle."""

    kept: Mapping[str, bytes]
    pending: Mapping[str, Bundle]
    """What is to be installed, and is not yet."""
    before: Mapping[str, Bundle]
    """The predecessors of those that are found."""
    named: frozenset[str]
    """Those of *pending* that HAProxy chooses from already, whatever it has in their place."""
    now: datetime


def first_arrivals(found: Found, installed: Installed, share: int) -> Found:
    """*found* with no more than *share* of what is pending; in place of a renewal that waits, its predecessor.

    What is neither installed nor pending is left out as well: once the share is gone, it might win names for a while.
    """
    urgent = sorted(installed.pending.values(), key=_urgency(found, installed))
    admitted = {bundle.name for bundle in in_turns(urgent, lambda bundle: bundle.name in installed.before)[:share]}

    def admit(bundle: Bundle) -> Bundle | None:
        if bundle.name in admitted or _is_installed(bundle, installed):
            return bundle
        # Without a predecessor that could be kept, it stays: what is served does not vanish for want of a share.
        return installed.before.get(bundle.name) or (bundle if bundle.name in installed.named else None)

    return replace(
        found,
        sources={
            source: tuple(one for bundle in bundles if (one := admit(bundle)))
            for source, bundles in found.sources.items()
        },
    )


def _is_installed(bundle: Bundle, installed: Installed) -> bool:
    return bundle.name not in installed.pending and installed.kept.get(bundle.name) == bundle.pem


def _parsed(name: str, pem: bytes) -> Bundle | None:
    try:
        return parse_bundle(name, pem)
    except ValueError:
        return None


def _urgency(found: Found, installed: Installed) -> Callable[[Bundle], tuple[bool, datetime, str]]:
    """Sorts those first that have a name for which there is no valid certificate, then by what expires first."""
    there = [b for bundles in found.sources.values() for b in bundles if _is_installed(b, installed)]
    valid = [bundle for bundle in (*there, *installed.before.values()) if bundle.not_after > installed.now]
    covered: set[Identifier] = {identifier for bundle in valid for identifier in bundle.identifiers}

    def is_covered(identifier: Identifier) -> bool:
        above = isinstance(identifier, str) and DnsName(f"*.{identifier.partition('.')[2]}") in covered
        return identifier in covered or above

    def urgency(bundle: Bundle) -> tuple[bool, datetime, str]:
        before = installed.before.get(bundle.name, bundle)
        return all(map(is_covered, bundle.identifiers)), before.not_after, bundle.name

    return urgency
