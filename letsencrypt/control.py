"""What the operator asks of the running loop: one file for each wish, in a folder that the loop looks into."""

import contextlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import TEMPORARY_PREFIX, write_whole


class Verb(StrEnum):
    """What can be asked of one certificate."""

    RETRY = "retry"
    FORGET = "forget"


@dataclass(frozen=True, order=True)
class Order:
    """One wish of the operator's."""

    verb: Verb
    name: str
    """Of a lineage."""


class Control:
    """The folder, in memory: no wish outlives the container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, order: Order) -> None:
        """Leave *order* for the loop; the same one twice is one. Raises OperationalError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot make {self._folder}: {error.strerror}.") from error
        place = self._folder / re.sub(r"[^A-Za-z0-9.-]", "_", f"{order.verb}-{order.name}"[:200])
        write_whole(place, json.dumps([order.verb, order.name]).encode())

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._paths())

    def take(self) -> tuple[Order, ...]:
        """All that was asked since the last time, sorted; each is handed out once, and what is none is dropped."""
        orders: set[Order] = set()
        for path in self._paths():
            with contextlib.suppress(OSError, ValueError, TypeError):
                verb, name = json.loads(path.read_bytes())
                orders.add(Order(Verb(verb), str(name)))
            with contextlib.suppress(OSError):
                path.unlink()
        return tuple(sorted(orders))

    def _paths(self) -> Collection[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if not path.name.startswith(TEMPORARY_PREFIX))
        except OSError:
            return ()
