"""What the operator asks of the running loop, and what comes of it: one file for each wish, one for each answer."""

import contextlib
import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import TEMPORARY_PREFIX, write_whole

FORCE, DROP = "force", "drop"
"""Words of orders to renew and to revoke."""
_ANSWERS = "answers"
_LARGEST = 64 * 1024


class Verb(StrEnum):
    """What can be asked of one certificate."""

    RETRY = "retry"
    FORGET = "forget"
    ISSUE = "issue"
    RENEW = "renew"
    REVOKE = "revoke"


@dataclass(frozen=True, order=True)
class Order:
    """One wish of the operator's."""

    verb: Verb
    name: str
    """Of a lineage."""
    words: tuple[str, ...] = ()
    """What else was said; each verb has its own."""


class Answer(BaseModel):
    """What came of a wish."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str
    """In sentences."""
    is_well: bool = True
    """Whether it came as the operator wished."""


class Control:
    """The folder, in memory: neither wishes nor answers outlive the container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, order: Order) -> None:
        """Leave *order* for the loop; the same one twice is one. Raises OperationalError."""
        self._write(self._folder / _stem(order), [order.verb, order.name, list(order.words)])

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._paths())

    def take(self) -> tuple[Order, ...]:
        """All that was asked since the last time, sorted; each is handed out once, and what is none is dropped."""
        orders: set[Order] = set()
        for path in self._paths():
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                verb, name, words = json.loads(path.read_bytes())
                orders.add(Order(Verb(verb), str(name), tuple(map(str, words))))
            with contextlib.suppress(OSError):
                path.unlink()
        return tuple(sorted(orders))

    def answer(self, order: Order, answer: Answer) -> None:
        """Leave *answer* for whoever asked *order*, in place of an earlier one. Raises OperationalError."""
        self._write(self._answer_path(order), answer.model_dump())

    def last_answer(self, order: Order) -> tuple[int, Answer] | None:
        """The last answer to such an *order*, and its moment, by which two are told apart; None: none ever."""
        with contextlib.suppress(OSError, ValidationError), self._answer_path(order).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns, Answer.model_validate_json(file.read(_LARGEST))
        return None

    def _answer_path(self, order: Order) -> Path:
        return self._folder / _ANSWERS / _stem(order)

    def _write(self, path: Path, content: object) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot make {path.parent}: {error.strerror}.") from error
        write_whole(path, json.dumps(content).encode())

    def _paths(self) -> Collection[Path]:
        try:
            paths = sorted(path for path in self._folder.iterdir() if not path.name.startswith(TEMPORARY_PREFIX))
        except OSError:
            return ()
        return [path for path in paths if path.name != _ANSWERS]


def _stem(order: Order) -> str:
    """Whatever was typed is no path, and wishes that differ in anything do not meet."""
    words = json.dumps([order.name, *order.words])
    return f"{order.verb}-{hashlib.sha256(words.encode()).hexdigest()[:24]}"
