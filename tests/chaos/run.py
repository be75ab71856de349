"""One fault under load, and what came of it."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from proxy_agent.routing.render import CONFIGURATION, TICKET_KEYS
from tests.certificate_authority import CertificateAuthority
from tests.chaos.clients import Tally
from tests.chaos.fault import Fault
from tests.chaos.site import Site, site
from tests.chaos.world import World, world
from tests.waiting import until

Picture = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A row of figures."""

    fault: Fault
    times: int
    tally: Tally
    seconds: tuple[float, ...]
    """Until each was over and done with."""
    differences: tuple[str, ...] | None
    """In which the installation differs from one that starts on the same world; none, if all is well. None where that
    was not looked at."""

    @property
    def good(self) -> bool:
        """Whether no client noticed what need not be noticed, and nothing was left behind."""
        return not (self.unexplained or self.tally.wrong_certificates or self.differences)

    @property
    def unexplained(self) -> Mapping[str, int]:
        """The failures for which there is no physical reason."""
        fault = self.fault
        return {
            failure: count
            for failure, count in self.tally.failures.items()
            if not (fault.unavoidable and failure.startswith(fault.excused))
        }

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)


def outcome_of(fault: Fault, times: int, authority: CertificateAuthority) -> Outcome:
    """Have a fault happen *times* times to an installation of its own, under load."""
    with site(authority, fault.small_disk, fault.other_clock) as installation, world(installation) as around:
        tally, seconds = suffered(around, fault, times)
        return Outcome(fault, times, tally, seconds, differences(around))


def suffered(around: World, fault: Fault, times: int) -> tuple[Tally, tuple[float, ...]]:
    """What clients met with meanwhile, and the seconds that each of *times* took."""
    with around.load() as tally:
        return tally, tuple(fault.act(around, times))


def differences(around: World) -> tuple[str, ...]:
    """What a start on the same world, with nothing remembered, would show otherwise than what runs now."""
    around.site.look_again()
    live = _at_rest(around.site)
    around.site.start_cold()
    cold = _at_rest(around.site)
    return tuple(f"{part}: {_changes(live[part], cold[part])}" for part in live if live[part] != cold[part])


def _at_rest(installation: Site) -> Picture:
    """The picture that stays the same."""
    found: list[Picture] = [{}]

    def settled() -> bool:
        found.append(picture_of(installation))
        status = installation.status()
        # Of thousands of certificates, some handshakes are left to the next looks.
        proved = status is not None and all(one.served is not None for one in status.certificates)
        return proved and found[-2] == found[-1]

    until(settled, "an installation that has come to rest", within=1200, pause=0.5)
    return found[-1]


def _changes(live: object, cold: object) -> str:
    """Line by line, where *cold* is another."""
    return "\n".join(unified_diff(_lines(live), _lines(cold), "live", "cold", lineterm="", n=0))


def _lines(value: object) -> list[str]:
    return repr(value).replace("\\n", "\n").replace("), ", "),\n").splitlines()


def picture_of(installation: Site) -> Picture:
    """All that is to be the same: files, what HAProxy holds, and what the agent says; secrets of chance are not."""
    running, status = installation.running, installation.status()
    assert status
    files = {**installation.deployment.files()}
    files.pop(TICKET_KEYS, None)
    return {
        "configuration": (running.configuration, files[CONFIGURATION]),
        "files": files,
        "bundles": installation.deployment.certificates(),
        "loaded certificates": running.certificates,
        "crt-list": sorted((line.path, sorted(line.names), line.options) for line in running.crt_list),
        "maps": running.maps,
        "servers": running.servers,
        "status": (status.certificates, status.routes, status.problems, status.haproxy_running),
    }
