"""Waiting on a condition with a deadline, instead of sleeping and hoping."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = threading.Event()
"""Never set: its wait() is the pause between two looks."""


def wait_for(look: Callable[[], T], what: str, within: float = 10.0, every: float = 0.01) -> T:
    """Call *look* until it returns something true, and return that; AssertionError after *within* seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"in {within} s there was no {what}; seen last: {seen!r}"
        _PAUSE.wait(every)
    return seen
