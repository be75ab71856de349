"""Certificates that arrive by the hundred: as many at each look as leave time for containers, the most urgent first."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from proxy_agent.certificates import Found
from proxy_agent.decision import Decision, World
from proxy_agent.reconcile import AT_ONCE, changed_certificates
from proxy_agent.runtime import Running
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import DnsName, Identifier

AT_EACH_LOOK = 50
"""They take about a second where the disk and the processors are busy with other work."""


def of_this_look(
    decision: Decision,
    stored: Mapping[str, bytes],
    running: Running | None,
    one_by_one: bool,
    decided: Callable[[World], Decision],
) -> tuple[Decision, bool]:
    """*decision*, or what of it one look may install, and whether that leaves something for the next.

    So many that a reload takes them all are not divided, unless they are to be offered *one_by_one*; nor are any where
    HAProxy is not running, as nobody waits. *decided* tells what follows from a world.
    """
    pending = changed_certificates(decision.desired.certificates, stored, running) if running else {}
    if not running or len(pending) <= AT_EACH_LOOK or (len(pending) > AT_ONCE and not one_by_one):
        return decision, False
    world = decision.world
    waiting = {bundle.name: bundle for bundle in pending.values()}
    installed = Installed(world.kept, waiting, world.refused, world.now)
    fewer = decided(replace(world, found=first_arrivals(world.found, installed)))
    # What waits is neither missing nor wanting.
    return replace(fewer, skipped=decision.skipped, wanted=decision.wanted), True


@dataclass(frozen=True)
class Installed:
    """What HAProxy has on disk and in memory, by the name of the bundle."""

    kept: Mapping[str, bytes]
    pending: Mapping[str, Bundle]
    """What is to be installed, and is not yet."""
    refused: Mapping[str, str]
    """Why HAProxy would not take a bundle, by fingerprint."""
    now: datetime


def first_arrivals(found: Found, installed: Installed) -> Found:
    """*found* with no more than a look's share of what is pending; in place of a renewal that waits, its predecessor.

    What is neither installed nor pending is left out as well: once the share is gone, it might win names for a while.
    """
    before = dict(_predecessors(found, installed))
    urgency = _urgency(found, installed, before)
    admitted = {bundle.name for bundle in sorted(installed.pending.values(), key=urgency)[:AT_EACH_LOOK]}

    def admit(bundle: Bundle) -> Bundle | None:
        if bundle.name in admitted or _is_installed(bundle, installed):
            return bundle
        return before.get(bundle.name)

    return replace(
        found,
        sources={
            source: tuple(one for bundle in bundles if (one := admit(bundle)))
            for source, bundles in found.sources.items()
        },
    )


def _is_installed(bundle: Bundle, installed: Installed) -> bool:
    return bundle.name not in installed.pending and installed.kept.get(bundle.name) == bundle.pem


def _predecessors(found: Found, installed: Installed) -> Iterator[tuple[str, Bundle]]:
    """What was installed under the names of those that are found and not installed."""
    for bundle in (bundle for bundles in found.sources.values() for bundle in bundles):
        pem = installed.kept.get(bundle.name)
        if pem is None or pem == bundle.pem:
            continue
        try:
            kept = parse_bundle(bundle.name, pem)
        except ValueError:
            continue
        if kept.fingerprint not in installed.refused:
            yield bundle.name, kept


def _urgency(
    found: Found, installed: Installed, before: Mapping[str, Bundle]
) -> Callable[[Bundle], tuple[bool, datetime, str]]:
    """Sorts those first that have a name for which there is no valid certificate, then by what expires first."""
    there = [b for bundles in found.sources.values() for b in bundles if _is_installed(b, installed)]
    valid = [bundle for bundle in (*there, *before.values()) if bundle.not_after > installed.now]
    covered: set[Identifier] = {identifier for bundle in valid for identifier in bundle.identifiers}

    def is_covered(identifier: Identifier) -> bool:
        above = isinstance(identifier, str) and DnsName(f"*.{identifier.partition('.')[2]}") in covered
        return identifier in covered or above

    def urgency(bundle: Bundle) -> tuple[bool, datetime, str]:
        return all(map(is_covered, bundle.identifiers)), before.get(bundle.name, bundle).not_after, bundle.name

    return urgency
