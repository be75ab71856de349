"""What is done after each change."""

from datetime import timedelta

from letsencrypt.tidying import PAUSE, Tidying
from tests.unit.letsencrypt.certificates import NOW


def test_events_are_looked_for_each_time_and_withdrawals_now_and_then() -> None:
    """A clock that was set back does not put them off."""
    time = [NOW]
    done: list[str] = []
    tidy = Tidying(lambda: done.append("withdraw"), lambda: done.append("look"), lambda: time[0])
    for step in (timedelta(), PAUSE / 2, PAUSE / 2, timedelta(days=-9)):
        time[0] += step
        tidy()
    assert done == ["withdraw", "look", "look", "withdraw", "look", "withdraw", "look"]
