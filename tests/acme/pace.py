"""A container's clock and sleep that a test drives: a sleep is over at once, and the clock is so much ahead.

Only while work is done aside (letsencrypt/crew.py), which takes real time, it is a real sleep.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from proxy_agent.daemon.wakeup import Wakeup


class Pace(Wakeup):
    """Sleeps without spending time. What is planned happens in the first sleep that reaches its time."""

    def __init__(self) -> None:
        super().__init__(quiet=0.0)
        self.ahead = timedelta()
        """Of the real clock; may be negative."""
        self._plans: list[tuple[datetime, Callable[[], None]]] = []
        self._limit: datetime | None = None
        self._done: Callable[[], bool] = lambda: False

    def now(self) -> datetime:
        """The time, as the container knows it."""
        return datetime.now(UTC) + self.ahead

    def plan(self, delay: timedelta, act: Callable[[], None]) -> None:
        """Have *act* done after *delay*."""
        self._plans.append((self.now() + delay, act))

    def stop_when(self, done: Callable[[], bool], at_most: timedelta) -> None:
        """End the loop in the first sleep in which there is nothing planned and *done*, or after *at_most*."""
        self.stopping = False
        self._done, self._limit = done, self.now() + at_most

    def wait(self, timeout: float) -> frozenset[str]:
        """Sleep."""
        if any(thread.name == "crew" for thread in threading.enumerate()):
            return super().wait(timeout)
        self.ahead += timedelta(seconds=timeout)
        due = [plan for plan in self._plans if plan[0] <= self.now()]
        self._plans = [plan for plan in self._plans if plan not in due]
        for _, act in due:
            act()
        is_late = self._limit is not None and self.now() >= self._limit
        self.stopping = self.stopping or is_late or (not self._plans and self._done())
        return super().wait(0)
