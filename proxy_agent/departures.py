"""Which containers were told to stop: Docker says so once, in an event, and lists them as running until they end."""

import re
import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

_AT_LEAST = 600.0
"""Seconds that ``docker stop --time`` may grant without anybody being told."""
_GRACE = 60.0
_LISTED_LATE = 10.0
"""Seconds for which the word of an event counts more than the listing: Docker says "die" before it stops listing."""
_RTMIN, _RTMAX = 34, 64
_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?")


@dataclass(frozen=True)
class _Note:
    container: str
    action: str
    signal: int
    at: float


class Departures:
    """Fed by the thread that follows Docker's events, asked by the one that looks.

    An event that is missed costs the drain and nothing else: the container is forgotten when it is listed no more. One
    that ignores its stop signal counts as staying again after ten minutes, or a minute after its own stop timeout.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The thread only appends; what follows from it is worked out where it is asked for, so nothing needs a lock.
        self._notes: SimpleQueue[_Note] = SimpleQueue()
        self._told: dict[str, dict[int, float]] = {}
        self._ended: dict[str, float] = {}

    def note(self, event: Mapping[str, Any]) -> None:
        """Take down what an event of Docker's says about a container that goes or comes; from any thread."""
        actor = event.get("Actor") or {}
        action, container = event.get("Action"), actor.get("ID")
        if event.get("Type") == "container" and container and action in ("kill", "die", "start"):
            number = parse_signal((actor.get("Attributes") or {}).get("signal", ""))
            self._notes.put(_Note(container, action, number, self._clock()))

    def catch_up(self) -> None:
        """Read what was noted so far; call it before Docker is asked for a list, which is then no older."""
        for _ in range(self._notes.qsize()):
            note = self._notes.get()
            if note.action == "kill":
                self._told.setdefault(note.container, {})[note.signal] = note.at
                continue
            # Whatever it was told before is over.
            self._told.pop(note.container, None)
            self._ended.pop(note.container, None)
            if note.action == "die":
                self._ended[note.container] = note.at

    def forget_all_but(self, listed: Collection[str]) -> None:
        """Containers that are not *listed* any more need not be remembered."""
        self._told = {container: told for container, told in self._told.items() if container in listed}
        self._ended = {container: at for container, at in self._ended.items() if container in listed}

    def has_ended(self, container: str) -> bool:
        """Whether a container ended a moment ago and is only still listed."""
        return container in self._ended and self._clock() - self._ended[container] < _LISTED_LATE

    def is_leaving(self, container: str, config: Mapping[str, Any]) -> bool:
        """Whether a container was told to stop and may still be at it; *config* is what inspecting it showed."""
        told = self._told.get(container, {})
        patience = max(_AT_LEAST, float(config.get("StopTimeout") or 0) + _GRACE)
        # Other signals have other meanings, such as to read a configuration anew.
        final = {parse_signal(config.get("StopSignal") or "TERM"), signal.SIGKILL}
        return any(self._clock() - at < patience for number, at in told.items() if number in final)


def parse_signal(text: str) -> int:
    """The number of a signal, as Docker reads it: what is no signal stands for SIGTERM.

    >>> [int(parse_signal(text)) for text in ("15", "SIGQUIT", "hup", "SIGRTMIN+3", "nonsense")]
    [15, 3, 1, 37, 15]
    """
    name = str(text).strip().upper().removeprefix("SIG")
    if name.isascii() and name.isdigit():
        return int(name[:4])
    if match := _REAL_TIME.fullmatch(name):
        offset = int(match[3] or 0)
        return (_RTMIN if match[1] == "MIN" else _RTMAX) + (-offset if match[2] == "-" else offset)
    named = getattr(signal, f"SIG{name}", signal.SIGTERM)
    return named if isinstance(named, signal.Signals) else signal.SIGTERM
