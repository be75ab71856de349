"""What is done after all that may have changed something: a look for events, and now and then the withdrawals."""

from collections.abc import Callable
from datetime import datetime, timedelta

PAUSE = timedelta(minutes=1)
"""Between two looks for what is to be withdrawn, which read every certificate."""


class Tidying:
    """Called as often as anything ends; the look for events costs little where nothing is new."""

    def __init__(
        self,
        withdraw: Callable[[], None],
        look: Callable[[], None],
        now: Callable[[], datetime],
        pause: timedelta = PAUSE,
    ) -> None:
        self._withdraw = withdraw
        self._look = look
        self._now = now
        self._pause = pause
        self._withdrew: datetime | None = None

    def __call__(self) -> None:
        """Do what there is to do now."""
        now = self._now()
        if self._withdrew is None or not self._withdrew <= now < self._withdrew + self._pause:
            self._withdraw()
            self._withdrew = now
        self._look()
