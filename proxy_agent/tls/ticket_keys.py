"""The keys that session tickets are encrypted with (RFC 5077, RFC 8446 section 4.6.1), and when they are replaced.

Three at a time, as HAProxy has them: the last is known before it is used, the one before it encrypts, all of them
decrypt. So a ticket can be read before and after each rotation, and by a worker that has not heard of it yet.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LENGTH = 80
"""A name of 16 bytes, and 32 each for AES-256 and HMAC-SHA256 (configuration manual, "tls-ticket-keys")."""
ROTATION = timedelta(hours=8)
_AT_A_TIME = 3
_OLDEST = _AT_A_TIME * ROTATION
"""Whoever steals a key reads no session that began more than this before or after."""


@dataclass(frozen=True)
class TicketKey:
    """One key, with its age."""

    made_at: datetime
    secret: bytes = field(repr=False)

    def line(self, client_ca: bytes) -> str:
        """What HAProxy reads, of a key that is good for the clients of one CA only.

        A resumed session shows no certificate again: who was let in by a CA that counts no more starts anew.
        """
        return b64encode(HKDF(SHA256(), LENGTH, salt=None, info=client_ca).derive(self.secret)).decode()


def rotated(keys: Iterable[TicketKey], now: datetime, make: Callable[[], bytes]) -> tuple[TicketKey, ...]:
    """The three keys to have *now*, the oldest first: *keys* themselves, unless it is time for one that *make* makes.

    A key from the future is as useless as one that is too old: the clock was wrong once, and it would never age.
    """
    young = [key for key in keys if now - _OLDEST < key.made_at <= now]
    if not young or young[-1].made_at <= now - ROTATION:
        young.append(TicketKey(now, make()))
    # What fills the gaps is to go first: it counts for as old as the oldest.
    missing = (TicketKey(young[0].made_at, make()) for _ in range(_AT_A_TIME - len(young)))
    return (*missing, *young[-_AT_A_TIME:])
