"""A sleep that can be rung: by events, signals and threads, none of which carry anything but a reason."""

import contextlib
import signal
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

STOP = "stop"


class Wakeup:
    """Where a loop sleeps between two looks at the world.

    A burst of rings is one awakening: wait() returns once *quiet* seconds passed without a further ring, and at
    the latest *at_most* seconds after the first. What cannot wait hurries: then wait() returns at once, but not within
    *quiet* seconds of the awakening before, and once more when it is quiet, because who is fast may come too early
    to see all of it. SimpleQueue is the one queue whose put() may interrupt itself,
    so ring() is safe in a signal handler (Python library reference, queue.SimpleQueue.put).
    """

    def __init__(self, quiet: float = 0.2, at_most: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rings: SimpleQueue[tuple[str, bool]] = SimpleQueue()
        self._quiet = quiet
        self._at_most = at_most
        self._clock = clock
        self._rested = float("-inf")
        """From when on it may be hurried."""
        self.stopping = False

    def ring(self, reason: str) -> None:
        """End the current or the next wait(); from any thread or signal handler."""
        self._rings.put((reason, False))

    def hurry(self, reason: str) -> None:
        """The same for what cannot wait until a burst is over."""
        self._rings.put((reason, True))

    def stop(self) -> None:
        """End the loop: the current and every later wait() returns at once."""
        self.stopping = True
        self.ring(STOP)

    def wait(self, timeout: float) -> frozenset[str]:
        """Sleep until rung or for *timeout* seconds; the reasons of all rings that it sums up."""
        if self.stopping:
            return frozenset({STOP})
        reasons: set[str] = set()
        hurried = False
        with contextlib.suppress(Empty):
            hurried = self._take(reasons, max(timeout, 0))
            latest = self._clock() + self._at_most
            while (pause := self._pause(STOP in reasons, hurried, latest)) > 0:
                hurried = self._take(reasons, pause) or hurried
        if hurried:
            # What came meanwhile is part of it. This is the only reader: what is there can be taken without waiting.
            for _ in range(self._rings.qsize()):
                self._take(reasons, 0)
            for reason in sorted(reasons):
                self.ring(reason)
        self._rested = self._clock() + self._quiet
        return frozenset(reasons)

    def _take(self, reasons: set[str], timeout: float) -> bool:
        """Add the next ring to *reasons*; whether it hurries. Raises Empty where none comes in time."""
        reason, hurries = self._rings.get(timeout=timeout)
        reasons.add(reason)
        return hurries

    def _pause(self, stopped: bool, hurried: bool, latest: float) -> float:
        """How long to wait for one more ring; not at all where the result is 0 or less."""
        if stopped:
            return 0
        if hurried:
            return min(self._rested, latest) - self._clock()
        return min(self._quiet, latest - self._clock())

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop the loop, SIGHUP makes it look again; only the main thread may call this."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.stop()

        def look_again(_signal: int, _frame: FrameType | None) -> None:
            self.ring("SIGHUP")

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, look_again)
