"""While all wait: cheap looks at what the last try failed of, and a try at once where that has passed.

A look asks no CA for anything that it counts: an unsigned GET of the URL that failed, which RFC 8555 section 6.3 has
it refuse, or a question to our own DNS servers. Whatever the CA asked for itself, with Retry-After, is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import requests

from letsencrypt.directory import read_directory
from letsencrypt.lineages import Lineage
from letsencrypt.preflight_run import together
from letsencrypt.resolver import Resolver, Unanswered
from letsencrypt.schedule import Failure
from letsencrypt.standing import Standing
from letsencrypt.timetable import Timetable

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=10)
"""Between two looks, and after the first minute."""
LOOK_LIMIT = 2.0
"""Seconds for all looks at one moment; a stop waits so long for them at most."""
_LIMITS = (1.5, 1.5)
_HEADERS = {"User-Agent": "preflight"}
_MOST_NAMES = 20
"""Of one lineage."""
_MOST_CALLS = 40
"""At one moment, about; what is more waits for the next second."""
_MINUTE = timedelta(minutes=1)
_BLIND_TRIES = 3
"""At what a look cannot see, tries before their time; each waits twice as long as the one before."""
_QUICK_TRIES = 3
"""After a fault that was seen to end; each further one waits, too, lest a fault that comes and goes costs orders."""
_ALL = ""
"""In place of a lineage: what all of them wait for."""
_OF_CA = frozenset({Failure.NETWORK, Failure.BUSY, Failure.SERVER})
_OF_DNS = frozenset({Failure.PREFLIGHT, Failure.VALIDATION})
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500

Addresses = tuple[str, ...]


class Looking(Protocol):
    """Outside."""

    def answers(self, url: str, /) -> bool:
        """Whether an ACME server answers at *url*, or at its directory, if that is empty."""
        ...

    def addresses(self, name: str, /) -> Addresses:
        """Where DNS leads; nowhere, too, if it does not answer."""
        ...


@dataclass
class Watch:
    """What one try failed of."""

    standing: Standing
    """As the failure left it: with another one, this is over."""
    since: datetime
    next: datetime
    url: str = ""
    names: tuple[str, ...] = ()
    first: Mapping[str, Addresses] = field(default_factory=dict)
    """Where DNS led just after the failure, as far as it was looked up yet."""
    seen: bool = False
    """Whether a look met the fault, too."""


class Recovery:
    """Shortens the pauses of one *timetable*."""

    def __init__(self, timetable: Timetable, looking: Looking, now: Callable[[], datetime]) -> None:
        self._timetable = timetable
        self._looking = looking
        self._now = now
        self._watches: dict[str, Watch] = {}
        self._urls: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        """How many tries came before their time since all was well."""

    def failed(self, name: str, url: str) -> None:
        """A try of the lineage *name* failed at *url*, if that is known."""
        self._urls[name] = self._urls[_ALL] = url

    def look(self, lineages: Mapping[str, Lineage]) -> bool:
        """Whether any of *lineages*, which are all that are wanted, may be tried at once now.

        Takes no longer than LOOK_LIMIT, and most times nothing at all: made to be called each second.
        """
        self._attune(lineages)
        now = self._now()
        due = [key for key, watch in self._watches.items() if not now < watch.next <= now + LONGEST_PAUSE]
        if not due:
            return False
        calls: dict[str, Callable[[], Addresses | bool]] = {}
        while due and len(calls) < _MOST_CALLS:
            calls |= self._calls(self._watches[due.pop(0)])
        found = together(calls, LOOK_LIMIT)
        looked = [key for key, watch in self._watches.items() if {watch.url, *watch.names} & calls.keys()]
        over = [key for key in looked if self._is_over(key, found)]
        return bool(over)

    def _attune(self, lineages: Mapping[str, Lineage]) -> None:
        """Watch what stands as failed now, and nothing else."""
        standings = {name: self._timetable.standing(name) for name in lineages} | {_ALL: self._timetable.directory}
        self._tries = {key: tries for key, tries in self._tries.items() if key in standings and standings[key].failure}
        waiting = {key: standing for key, standing in standings.items() if self._is_waiting(standing)}
        watches = {key: watch for key, watch in self._watches.items() if watch.standing == waiting.get(key)}
        for key in waiting.keys() - watches.keys():
            watches[key] = self._watch(key, waiting[key], lineages.get(key))
        self._watches = watches

    def _is_waiting(self, standing: Standing) -> bool:
        is_ours = standing.failure in _OF_CA | _OF_DNS and not standing.by_ca
        return is_ours and standing.not_before > self._now()

    def _watch(self, key: str, standing: Standing, lineage: Lineage | None) -> Watch:
        now = self._now()
        since = min(now, standing.not_before - standing.pause)
        if lineage and standing.failure in _OF_DNS:
            hosts = tuple(name for name in lineage.identifiers if isinstance(name, str))
            return Watch(standing, since, now, names=hosts[:_MOST_NAMES])
        return Watch(standing, since, since + FIRST_PAUSE, url=self._urls.get(key, ""))

    def _calls(self, watch: Watch) -> Mapping[str, Callable[[], Addresses | bool]]:
        if watch.names:
            return {name: lambda name=name: self._looking.addresses(name) for name in watch.names}  # type: ignore[misc]
        return {watch.url: lambda: self._looking.answers(watch.url)}

    def _is_over(self, key: str, found: Mapping[str, Addresses | bool]) -> bool:
        """Whether what was *found* allows a try before its time, which is used then."""
        watch = self._watches[key]
        now = self._now()
        watch.next = now + (FIRST_PAUSE if now - watch.since < _MINUTE else LONGEST_PAUSE)
        if not (self._dns_changed(watch, found) if watch.names else self._ca_answers(watch, found)):
            return False
        tries = self._tries.get(key, 0)
        if not watch.seen and (key != _ALL or tries >= _BLIND_TRIES):
            return False
        doublings = tries - _QUICK_TRIES if watch.seen else tries
        if doublings >= 0 and now - watch.since < FIRST_PAUSE * 2**doublings:
            return False
        self._tries[key] = tries + 1
        self._timetable.hasten(key)
        return True

    def _ca_answers(self, watch: Watch, found: Mapping[str, Addresses | bool]) -> bool:
        answers = found.get(watch.url) is True
        watch.seen = watch.seen or not answers
        return answers

    def _dns_changed(self, watch: Watch, found: Mapping[str, Addresses | bool]) -> bool:
        """Whether a name leads somewhere that led nowhere before; or somewhere else, where that was the fault."""
        led = {name: answer for name in watch.names if not isinstance(answer := found.get(name, ()), bool)}
        watch.first = watch.first or led
        moved = {name for name, answer in led.items() if answer and answer != watch.first[name]}
        if watch.standing.failure is Failure.VALIDATION:
            moved = {name for name in moved if not watch.first[name]}
        watch.seen = watch.seen or bool(moved)
        return bool(moved)


@dataclass(frozen=True)
class Outside:
    """The CA at *directory_url*, and DNS as *resolver* tells it."""

    directory_url: str
    resolver: Resolver
    now: Callable[[], datetime]

    def answers(self, url: str) -> bool:
        """Whether an ACME server that is not out of order answers at *url*; never raises.

        Any other URL than the directory's refuses a GET, in its way: with a problem document, or a nonce (RFC 8555
        sections 6.3, 6.7, 7.2).
        """
        if url in ("", self.directory_url):
            return not read_directory(self.directory_url, self.now).problem
        try:
            with requests.get(url, timeout=_LIMITS, headers=_HEADERS, allow_redirects=False, stream=True) as response:
                is_acme = "json" in response.headers.get("Content-Type", "") or "Replay-Nonce" in response.headers
                is_well = response.status_code < _SERVER_ERROR and response.status_code != _TOO_MANY_REQUESTS
                return is_acme and is_well
        except (requests.RequestException, ValueError):
            # A redirect to what is no URL is a ValueError, even where none is followed (requests 2.34, Session.send).
            return False

    def addresses(self, name: str) -> Addresses:
        """Where DNS leads, in an order of its own; nowhere if it does not answer."""
        try:
            return tuple(sorted(map(str, self.resolver.addresses(name) or ())))
        except Unanswered:
            return ()


class Nowhere:
    """Sees nothing get better."""

    def answers(self, _url: str, /) -> bool:
        """Never."""
        return False

    def addresses(self, _name: str, /) -> Addresses:
        """None."""
        return ()
