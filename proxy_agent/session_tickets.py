"""Session tickets outlive a reload and a restart: the edge to the file that their keys are kept in."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import Base64Bytes, BaseModel, TypeAdapter, ValidationError

from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.daemon.files import write_whole
from proxy_agent.daemon.moments import Moment
from proxy_agent.tls.ticket_keys import LENGTH, TicketKey, rotated

_LARGEST = 65536


class _Kept(BaseModel):
    made_at: Moment
    secret: Base64Bytes


_FILE = TypeAdapter(tuple[_Kept, ...])


def _new_secret() -> bytes:
    return secrets.token_bytes(LENGTH)


@dataclass(frozen=True)
class AddTicketKey:
    """Give one more key to the running worker, which forgets its oldest and encrypts with the newest before this."""

    line: str = field(repr=False)


class SessionTickets:
    """Keeps the keys in *path*, which is its owner's alone."""

    def __init__(self, path: Path, make: Callable[[], bytes] = _new_secret) -> None:
        self._path = path
        self._make = make
        self._before: tuple[TicketKey, ...] = ()

    def keys(self, now: datetime) -> tuple[tuple[TicketKey, ...], tuple[Skipped, ...]]:
        """Those to use *now*, and what is wrong with them; without a change, none is written.

        Where new ones cannot be kept, those before go on; raises OperationalError where there are none.
        """
        kept = self._kept()
        keys = rotated(kept or self._before, now, self._make)
        if keys != kept:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._path, _FILE.dump_json(tuple(_written(keys))))
            except (OSError, OperationalError) as error:
                if not (self._before or kept):
                    raise OperationalError(f"Cannot keep keys of TLS sessions: {error}") from error
                return self._before or kept, (Skipped(str(self._path), "cannot be written, so old keys are used on"),)
        self._before = keys
        return keys, ()

    def _kept(self) -> tuple[TicketKey, ...]:
        """What the file holds; nothing where it holds something else."""
        try:
            with self._path.open("rb") as file:
                kept = _FILE.validate_json(file.read(_LARGEST))
        except (OSError, ValidationError):
            return ()
        return tuple(TicketKey(key.made_at, key.secret) for key in kept if len(key.secret) == LENGTH)


def ticket_changes(desired: Sequence[str], running: Sequence[str]) -> Iterator[AddTicketKey]:
    """The fewest additions that make a worker with the keys *running* have *desired*; none where it has no such keys.

    >>> [change.line for change in ticket_changes(["b", "c", "d"], ["a", "b", "c"])]
    ['d']
    """
    if not running:
        return
    known = next(n for n in range(len(desired), -1, -1) if list(desired[:n]) == list(running[len(running) - n :]))
    for line in desired[known:]:
        yield AddTicketKey(line)


def _written(keys: Sequence[TicketKey]) -> Iterator[_Kept]:
    for key in keys:
        yield _Kept.model_construct(made_at=key.made_at, secret=key.secret)
