"""Proofs by a handshake that a bundle is what clients get, as many in one look as its time allows."""

import logging
from collections.abc import Callable
from typing import Protocol

from proxy_agent.actions import Verify

log = logging.getLogger(__name__)

_SECONDS_OF_A_LOOK = 1.0
"""Containers come and go meanwhile: ten thousand handshakes take half a minute."""
_SECONDS_OF_A_SHORT_LOOK = 0.2
"""While there are certificates that nobody is served with yet, that comes first."""


class Listener(Protocol):
    """What is needed of the TLS listener."""

    def serial(self, server_name: str | None) -> int: ...


class Handshakes:
    """Remembers what was shown; who calls verify() again for what was postponed comes to an end some looks later."""

    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._clock = clock
        self._seconds = _SECONDS_OF_A_LOOK
        self._until: float | None = None
        """When the time of this look is over; it begins with the first handshake."""
        self._news: set[tuple[str, int]] = set()
        """What is postponed and was news, by name and serial number."""
        self.seen: dict[str, int] = {}
        """Serial number that the last handshake showed, by the name of the bundle that it was to show."""
        self.postponed = False
        """Whether anything was, since begin()."""

    def begin(self, short: bool = False) -> None:
        """A look begins, with all its time."""
        self._until, self.postponed = None, False
        self._seconds = _SECONDS_OF_A_SHORT_LOOK if short else _SECONDS_OF_A_LOOK

    def verify(self, proof: Verify, reload: Callable[[], None]) -> None:
        """Find out what clients get; where it is not what it should be, *reload* and find out again.

        Once the time of a look is over, nothing is done. Raises OperationalError where no handshake succeeds.
        """
        bundle, now = proof.bundle, self._clock()
        if self._until is None:
            self._until = now + self._seconds
        if now >= self._until:
            self._postpone(proof)
            return
        shown = self._listener.serial(proof.server_name)
        if shown != bundle.serial and self.seen.get(bundle.name) != shown:
            # Once: where a reload does not help, doing it again at every look would not either.
            reload()
            shown = self._listener.serial(proof.server_name)
        self.seen[bundle.name] = shown
        news = proof.news or (bundle.name, bundle.serial) in self._news
        self._news.discard((bundle.name, bundle.serial))
        if news and shown == bundle.serial:
            who, until = proof.server_name or "no known name", f"{bundle.not_after:%Y-%m-%d %H:%M} UTC"
            log.info("Clients of %s now get the certificate %s, valid until %s.", who, bundle.name, until)

    def _postpone(self, proof: Verify) -> None:
        self.postponed = True
        if proof.news:
            # What was shown before it changed says nothing of it.
            self.seen.pop(proof.bundle.name, None)
            self._news.add((proof.bundle.name, proof.bundle.serial))
