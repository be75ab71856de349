"""Waiting for a condition with a deadline, the only waiting that tests do."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = threading.Event()


def until(probe: Callable[[], T], what: str, within: float = 30.0, pause: float = 0.05) -> T:
    """Call *probe* until it returns something true, and return that; fails after *within* seconds, saying *what*."""
    deadline = time.monotonic() + within
    while True:
        outcome = probe()
        if outcome:
            return outcome
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {within:g} s in vain: {what}; the last answer was {outcome!r}.")
        _PAUSE.wait(pause)
