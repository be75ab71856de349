"""A sleep that can be rung: by events, signals and threads, none of which carry anything but a reason."""

import signal
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

STOP = "stop"


class Wakeup:
    """Where a loop sleeps between two looks at the world.

    A burst of rings is one awakening: wait() returns once *quiet* seconds passed without a further ring, and at
    the latest *at_most* seconds after the first. SimpleQueue is the one queue whose put() may interrupt itself,
    so ring() is safe in a signal handler (Python library reference, queue.SimpleQueue.put).
    """

    def __init__(self, quiet: float = 0.2, at_most: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rings: SimpleQueue[str] = SimpleQueue()
        self._quiet = quiet
        self._at_most = at_most
        self._clock = clock
        self.stopping = False

    def ring(self, reason: str) -> None:
        """End the current or the next wait(); from any thread or signal handler."""
        self._rings.put(reason)

    def stop(self) -> None:
        """End the loop: the current and every later wait() returns at once."""
        self.stopping = True
        self.ring(STOP)

    def wait(self, timeout: float) -> frozenset[str]:
        """Sleep until rung or for *timeout* seconds; the reasons of all rings that it sums up."""
        if self.stopping:
            return frozenset({STOP})
        try:
            reasons = {self._rings.get(timeout=max(timeout, 0))}
        except Empty:
            return frozenset()
        latest = self._clock() + self._at_most
        while STOP not in reasons and (left := latest - self._clock()) > 0:
            try:
                reasons.add(self._rings.get(timeout=min(self._quiet, left)))
            except Empty:
                break
        return frozenset(reasons)

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop the loop, SIGHUP makes it look again; only the main thread may call this."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.stop()

        def look_again(_signal: int, _frame: FrameType | None) -> None:
            self.ring("SIGHUP")

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, look_again)
