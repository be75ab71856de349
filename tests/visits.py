"""Clients that never stop asking while a test changes the world, and remember every answer that was no good one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.waiting import until


class Visits:
    """What became of their requests."""

    def __init__(self, enough: int) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self.by_container: set[str] = set()
        """Who answered since this was last emptied, where answers tell that."""
        self._enough = enough

    def go_on(self, number: int | None = None) -> None:
        """Wait for so many more, or for enough to tell that they are answered."""
        enough = self.answered + (number or self._enough)
        until(lambda: self.failures or self.answered >= enough, "requests that are answered", pause=0.005)


Client = Callable[[Visits, threading.Event], None]
"""Asks until the event is set."""


@contextmanager
def visiting(clients: Sequence[Client], enough: int) -> Iterator[Visits]:
    """All *clients* at work, with *enough* answers before and after what the block does."""
    visits = Visits(enough)
    ended = threading.Event()
    threads = [threading.Thread(target=client, args=(visits, ended), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        visits.go_on()
        yield visits
        visits.go_on()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
