"""One preflight: everything that names need is looked at from here, at once and within a limit of time."""

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol, TypeVar

from letsencrypt.caa import parents
from letsencrypt.directory import DirectoryFacts
from letsencrypt.preflight import (
    Address,
    Authority,
    Kind,
    Probe,
    Verdict,
    judge_addresses,
    judge_authority,
    judge_caa,
    judge_failed_lookup,
    judge_name,
    judge_probe,
    judge_unknown_caa,
)
from letsencrypt.resolver import ServerFailed, Unanswered
from proxy_agent.tls.names import Identifier, parse_identifier

LOOKUP_LIMIT = 4.0
PROBE_LIMIT = 5.5
"""Seconds for all lookups, and then for all probes, of one preflight: less than ten together."""
FRESH = timedelta(minutes=5)
"""So long what a directory said holds."""
_WORKERS = 16
_DIRECTORY = "the directory"
"""No name is called so."""

K = TypeVar("K")
V = TypeVar("V")


class Lookup(Protocol):
    """resolver.Resolver."""

    def addresses(self, name: str) -> Sequence[Address] | None:
        """All addresses of *name*, None where there is no such name; or Unanswered."""
        ...

    def caa(self, name: str) -> tuple[bytes, ...]:
        """The CAA records at *name*; or Unanswered."""
        ...


class Probing(Protocol):
    """probe.Prober."""

    def probe(self, name: Identifier, address: Address, token: str, content: bytes) -> Probe:
        """Fetch *token* as a CA would."""
        ...


class Tokens(Protocol):
    """webroot.ChallengeFolder."""

    def offering(self, token: str, content: bytes) -> AbstractContextManager[None]:
        """Serve *content* under *token* for a while."""
        ...


def together(calls: Mapping[K, Callable[[], V]], seconds: float) -> dict[K, V]:
    """What those of *calls* return that end within *seconds*, some at a time; whoever is late is left behind.

    An exception is the caller's. Threads that a stranger's slow server holds up keep nobody, not even at the end of
    the process: a pool of the standard library would wait for them.
    """
    waiting: SimpleQueue[tuple[K, Callable[[], V]]] = SimpleQueue()
    results: SimpleQueue[tuple[K, V | None, Exception | None]] = SimpleQueue()
    for item in calls.items():
        waiting.put(item)
    end = monotonic() + seconds

    def work() -> None:
        while monotonic() < end:
            try:
                key, call = waiting.get_nowait()
            except Empty:
                return
            try:
                results.put((key, call(), None))
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                results.put((key, None, error))

    for _ in range(min(_WORKERS, len(calls))):
        threading.Thread(target=work, name="preflight", daemon=True).start()
    return dict(_collected(results, len(calls), end))


def _collected(
    results: "SimpleQueue[tuple[K, V | None, Exception | None]]", count: int, end: float
) -> Iterator[tuple[K, V]]:
    for _ in range(count):
        try:
            key, value, error = results.get(timeout=max(end - monotonic(), 0))
        except Empty:
            return
        if error is not None:
            raise error
        yield key, value  # type: ignore[misc]  # without an error there is a value


@dataclass(frozen=True)
class _Found:
    """What DNS said of one name."""

    addresses: tuple[Address, ...] | None = ()
    problem: str = ""
    failed: bool = False
    """Whether a server told that problem."""


_LATE = _Found(problem="no answer came in time")


class Preflight:
    """Looks at names from here, on behalf of one ACME server."""

    def __init__(
        self,
        host: str,
        read_directory: Callable[[], DirectoryFacts],
        lookup: Lookup,
        probing: Probing,
        tokens: Tokens,
        now: Callable[[], datetime],
        probe_limit: float = PROBE_LIMIT,
    ) -> None:
        self._host = host
        self._read_directory = read_directory
        self._lookup = lookup
        self._probing = probing
        self._tokens = tokens
        self._now = now
        self._probe_limit = probe_limit
        self._facts: DirectoryFacts | None = None
        self._facts_since = now()

    def look(self, names: Iterable[Identifier]) -> tuple[Verdict, ...]:
        """The verdicts on what all need and on each of *names*, in that order; within ten seconds.

        Raises OperationalError if no token can be put into the webroot.
        """
        names = tuple(dict.fromkeys(names))
        found, authority = self._look_up([name for name in names if isinstance(name, str)])
        verdicts = judge_authority(authority)
        if authority.dns_problem:
            return tuple(verdicts)
        strange = [verdict for name in names if (verdict := judge_name(name, authority))]
        refused = {verdict.name for verdict in strange}
        led = {name: found.get(name, _LATE) if isinstance(name, str) else _Found((name,)) for name in names}
        led = {name: said for name, said in led.items() if str(name) not in refused}
        verdicts += strange
        for name, said in led.items():
            verdicts += _on_lookup(name, said, authority)
        verdicts += self._probe({name: said.addresses or () for name, said in led.items()}, authority)
        order = {str(name): position for position, name in enumerate(names)}
        return tuple(sorted(verdicts, key=lambda verdict: order.get(verdict.name, -1)))

    def _look_up(self, names: Sequence[str]) -> tuple[dict[str, _Found], Authority]:
        """What DNS says of each of *names* and of the CA's, and what its directory says, all at once.

        The CA's name is asked for each time: where that fails too, it is DNS that fails and not a name.
        """
        calls: dict[str, Callable[[], _Found | DirectoryFacts]] = {
            name: lambda name=name: self._found(name)  # type: ignore[misc]
            for name in (*names, _hostname(self._host))
        }
        facts = self._facts if timedelta() <= self._now() - self._facts_since < FRESH else None
        if facts is None:
            calls[_DIRECTORY] = self._read_directory
        results = together(calls, LOOKUP_LIMIT)
        found = {name: said for name, said in results.items() if isinstance(said, _Found)}
        if facts is None:
            read = results.get(_DIRECTORY)
            facts = read if isinstance(read, DirectoryFacts) else DirectoryFacts("it does not answer in time")
            self._facts, self._facts_since = None if facts.problem else facts, self._now()
        ca = found.get(_hostname(self._host), _LATE)
        is_public = any(address.is_global for address in ca.addresses or ())
        return found, Authority(self._host, ca.problem, is_public, facts.problem, facts.skew, facts.caa_identities)

    def _found(self, name: str) -> _Found:
        try:
            identifier = parse_identifier(name)
            addresses = self._lookup.addresses(identifier) if isinstance(identifier, str) else (identifier,)
        except Unanswered as error:
            return _Found((), str(error), isinstance(error, ServerFailed))
        except ValueError:
            return _Found(None)
        return _Found(None if addresses is None else tuple(addresses))

    def _probe(self, led: Mapping[Identifier, Sequence[Address]], authority: Authority) -> list[Verdict]:
        """The verdicts on CAA records and on each address where a CA would come."""
        token, content = f"probe-{secrets.token_urlsafe(16)}", secrets.token_urlsafe(32).encode()
        calls: dict[tuple[Identifier, object], Callable[[], Verdict | None]] = {}
        for name, addresses in led.items():
            for address in addresses:
                if address.is_global or not authority.is_public:
                    calls[name, address] = lambda name=name, address=address: judge_probe(  # type: ignore[misc]
                        name, self._probing.probe(name, address, token, content), authority
                    )
            if addresses and authority.is_public and isinstance(name, str):
                calls[name, "CAA"] = lambda name=name: self._caa(name, authority)  # type: ignore[misc]
        with self._tokens.offering(token, content):
            results = together(calls, self._probe_limit)
        late = [key for key in calls if key not in results]
        return [verdict for verdict in results.values() if verdict] + [_too_late(name, what) for name, what in late]

    def _caa(self, name: str, authority: Authority) -> Verdict | None:
        identifier = parse_identifier(name)
        for where in parents(name):
            try:
                records = self._lookup.caa(where)
            except Unanswered as error:
                return judge_unknown_caa(identifier, where, str(error))
            if records:
                return judge_caa(identifier, where, records, authority)
        return None


def _on_lookup(name: Identifier, said: _Found, authority: Authority) -> list[Verdict]:
    if said.problem:
        return [judge_failed_lookup(name, said.problem, said.failed, authority)]
    return judge_addresses(name, said.addresses, authority)


def _too_late(name: Identifier, what: object) -> Verdict:
    where = "its CAA record" if what == "CAA" else f"what answers at {what}"
    return Verdict(str(name), Kind.DOUBTFUL, f"{name}: {where} could not be checked in time.")


def _hostname(host: str) -> str:
    """Without the port; an IPv6 address without its brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
