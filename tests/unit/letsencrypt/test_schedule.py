"""When to try again."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.schedule import (
    DELAYS,
    LONGEST_RETRY_AFTER,
    OF_DIRECTORY,
    Failure,
    next_attempt,
    next_look,
    parse_retry_after,
)
from letsencrypt.standing import Ask
from letsencrypt.timetable import ACCOUNT_SCOPE, Timetable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILURES = st.sampled_from(Failure)
FRACTIONS = st.floats(0, 1, exclude_max=True)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        """The time that was set."""
        return self.time


def timetable(clock: Clock) -> Timetable:
    """A timetable without chance."""
    return Timetable(clock.now, lambda: 0.0)


def pauses(failure: Failure, count: int) -> list[int]:
    """The pauses after the first *count* failures in seconds, without the part that is left to chance."""
    moments = [next_attempt(failure, n, NOW, lambda: 0.0) for n in range(1, count + 1)]
    return [round((moment - NOW).total_seconds() / 1.01) for moment in moments]


def test_every_failure_has_its_pauses() -> None:
    """No kind of failure was forgotten, and none is ever retried without a pause."""
    assert set(DELAYS) == set(Failure)
    assert all(delay > timedelta() for delays in DELAYS.values() for delay in delays)


def test_a_silent_server_is_asked_often_but_ever_less() -> None:
    """From half a minute the pause doubles up to a quarter of an hour."""
    assert pauses(Failure.NETWORK, 8) == [30, 60, 120, 240, 480, 900, 900, 900]


def test_validation_spends_three_of_five_failures_an_hour() -> None:
    """After 1, 10 and 100 minutes a name is tried once a day, so that five failures never fit into an hour."""
    assert pauses(Failure.VALIDATION, 5) == [60, 600, 6000, 86400, 86400]


def test_a_lost_certificate_is_not_ordered_again_soon() -> None:
    """Where a certificate may have been issued, the next order fits the five that a week allows."""
    assert pauses(Failure.AFTER_FINALIZE, 4) == [600, 6 * 3600, 34 * 3600, 34 * 3600]


def test_a_lock_is_tried_for_ten_minutes() -> None:
    """Another certbot is waited for every ten seconds, then every ten minutes."""
    assert pauses(Failure.LOCK, 62)[:2] + pauses(Failure.LOCK, 62)[59:] == [10, 10, 10, 600, 600]


@pytest.mark.parametrize("failure", [Failure.USAGE, Failure.REFUSED, Failure.ACCOUNT, Failure.RATE_LIMITED])
def test_what_only_the_operator_can_mend_waits_a_day(failure: Failure) -> None:
    """Nothing that needs other settings is tried more often than daily."""
    assert pauses(failure, 2) == [86400, 86400]


def test_the_ca_decides_how_long_a_rate_limit_lasts() -> None:
    """Retry-After takes the place of the day, shorter or longer."""
    for asked in (timedelta(minutes=3), timedelta(days=3)):
        assert next_attempt(Failure.RATE_LIMITED, 1, NOW, lambda: 0.0, asked) == NOW + asked * 1.01


def test_retry_after_lengthens_other_pauses_only() -> None:
    """A server that asks for less patience than we have does not get more requests."""
    assert next_attempt(Failure.BUSY, 5, NOW, lambda: 0.0, timedelta(seconds=1)) > NOW + timedelta(minutes=15)
    assert next_attempt(Failure.BUSY, 1, NOW, lambda: 0.0, timedelta(hours=2)) > NOW + timedelta(hours=2)


@given(FAILURES, st.integers(1, 1000), FRACTIONS, st.none() | st.timedeltas(timedelta(), timedelta(days=100_000)))
def test_every_pause_is_bounded(failure: Failure, attempts: int, chance: float, asked: timedelta | None) -> None:
    """Whatever a CA asks for and however often it failed: there is a next try, never at once, never in weeks."""
    pause = next_attempt(failure, attempts, NOW, lambda: chance, asked) - NOW

    assert timedelta() <= pause <= LONGEST_RETRY_AFTER * 1.1
    assert pause > timedelta(seconds=1) or asked is not None


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=2)), FRACTIONS)
def test_a_look_is_never_later_than_its_interval(interval: timedelta, chance: float) -> None:
    """RENEWAL_INTERVAL is the most that passes between two looks, and chance takes a tenth at most."""
    assert interval * 0.9 <= next_look(NOW, interval, lambda: chance) - NOW <= interval


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("0", timedelta()),
        ("90", timedelta(seconds=90)),
        ("99999999999999999999", LONGEST_RETRY_AFTER),
        ("Mon, 01 Jun 2026 13:00:00 GMT", timedelta(hours=1)),
        ("Mon, 01 Jun 2026 11:00:00 GMT", timedelta()),
        ("Mon, 01 Jun 2026 13:00:00 -0000", timedelta(hours=1)),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, pause: timedelta) -> None:
    """Both forms of the header are read; one that is over means now."""
    assert parse_retry_after(text, NOW) == pause


@given(st.text())
def test_any_retry_after_is_read_or_refused(text: str) -> None:
    """Garbage is a ValueError, nothing else."""
    try:
        assert parse_retry_after(text, NOW) >= timedelta()
    except ValueError as error:
        assert repr(text[:100]) in str(error)  # noqa: PT017 - both ends are fine


def test_the_healthy_come_first() -> None:
    """A lineage that failed before is tried after all that did not."""
    clock = Clock()
    table = timetable(clock)
    table.failed("a", Failure.VALIDATION, "no answer")
    clock.time += timedelta(minutes=2)

    assert table.due(["a", "b", "c"]) == ["b", "c", "a"]


def test_a_failing_lineage_waits_alone() -> None:
    """One lineage's failure puts off nobody else, and its own time comes."""
    clock = Clock()
    table = timetable(clock)
    table.failed("a", Failure.VALIDATION, "no answer")

    assert table.due(["a", "b"]) == ["b"]
    clock.time = table.next(["a"]) or NOW
    assert table.due(["a", "b"]) == ["b", "a"]


@pytest.mark.parametrize("failure", sorted(OF_DIRECTORY))
def test_what_all_would_meet_stops_all(failure: Failure) -> None:
    """A failure that is not the lineage's own holds up every lineage, until an attempt of any one ends otherwise."""
    clock = Clock()
    table = timetable(clock)
    table.failed("a", failure, "away")
    assert table.due(["a", "b"]) == []

    clock.time = table.next(["a", "b"]) or NOW
    assert table.due(["a", "b"]) == ["a", "b"]
    table.well("a", DAY)
    assert table.due(["a", "b"]) == ["b"]


def test_each_kind_of_failure_counts_for_itself() -> None:
    """After a night without network, a validation that fails begins with its first pause."""
    clock = Clock()
    table = timetable(clock)
    for _ in range(50):
        table.failed("a", Failure.SERVER, "500")
    standing = table.failed("a", Failure.VALIDATION, "no answer")

    assert standing.not_before == next_attempt(Failure.VALIDATION, 1, NOW, lambda: 0.0)


def test_success_forgets_the_failures() -> None:
    """The first failure after a success is the first again."""
    table = timetable(Clock())
    table.failed("a", Failure.VALIDATION, "no answer")
    table.well("a", DAY)

    assert table.failed("a", Failure.VALIDATION, "no answer").attempts == {Failure.VALIDATION: 1}


def test_the_same_failure_again_is_told_from_a_new_one() -> None:
    """Only kind and reason together make a repetition."""
    table = timetable(Clock())
    repeated = [
        table.failed("a", failure, reason).repeated
        for failure, reason in (
            (Failure.VALIDATION, "x"),
            (Failure.VALIDATION, "x"),
            (Failure.VALIDATION, "y"),
            (Failure.SERVER, "y"),
        )
    ]
    assert repeated == [False, True, False, False]


def test_the_operator_may_cut_pauses_short_but_not_the_cas() -> None:
    """A wish to try now ends every pause, except where the CA said how long to stay away."""
    table = timetable(Clock())
    table.failed("a", Failure.VALIDATION, "no answer")
    table.failed("b", Failure.RATE_LIMITED, "too many", timedelta(hours=1))
    table.well("c", DAY)

    table.retry_now()

    assert table.due(["a", "b", "c"]) == ["c", "a"]


def test_the_operator_may_not_hurry_a_busy_ca() -> None:
    """A wish to try now does not end the pause that a busy CA was given."""
    table = timetable(Clock())
    table.failed("a", Failure.BUSY, "503")
    table.retry_now()
    assert table.held_up


def test_who_comes_and_goes_is_put_off_like_who_stays() -> None:
    """A name that fails and whose container starts every two minutes is tried no more often than the CA advises."""
    clock = Clock()
    table = timetable(clock)
    tries = 0
    for _ in range(30):
        table.expect({"a": Ask("list")})
        if table.due(["a"]):
            tries += 1
            table.failed("a", Failure.VALIDATION, "no answer")
        clock.time += timedelta(minutes=1)
        table.expect({})
        clock.time += timedelta(minutes=1)
    assert tries == 3


def test_another_list_is_tried_at_once() -> None:
    """Whoever corrects a list need not wait for the pause of the wrong one, unless the CA ordered it."""
    table = timetable(Clock())
    for name, failure in (("a", Failure.VALIDATION), ("b", Failure.RATE_LIMITED)):
        table.expect({"a": Ask("list"), "b": Ask("list")})
        table.failed(name, failure, "no", timedelta(hours=1))
    table.expect({"a": Ask("other"), "b": Ask("other")})
    assert table.due(["a", "b"]) == ["a"]


def test_who_stays_away_is_forgotten() -> None:
    """A day after its time has come: the table does not grow for ever."""
    clock = Clock()
    table = timetable(clock)
    table.expect({"a": Ask("list")})
    first = table.failed("a", Failure.VALIDATION, "no answer")
    clock.time = first.not_before + DAY
    table.expect({})
    table.expect({"a": Ask("list")})
    assert table.failed("a", Failure.VALIDATION, "no answer").attempts == {Failure.VALIDATION: 1}


def test_many_that_were_well_together_are_not_looked_at_together() -> None:
    """Five hundred certificates that were looked at in one second come back over more than an hour."""
    clock = Clock()
    table = Timetable(clock.now, random.Random(7).random)
    for number in range(500):
        table.well(f"{number}.example", timedelta(hours=12))
    moments = [table.moment(f"{number}.example") for number in range(500)]
    assert max(moments) - min(moments) > timedelta(hours=1)
    assert max(Counter(moment.replace(microsecond=0) for moment in moments).values()) <= 4


def test_a_limit_of_the_account_does_not_hold_up_who_is_exempt() -> None:
    """Renewals that the CA counts nowhere go on while new ones wait; one that the CA counts all the same waits too."""
    clock = Clock()
    table = timetable(clock)
    table.is_exempt = lambda name: name.startswith("renewed")
    names = ["new", "renewed", "renewed too"]
    table.expect({name: Ask("x") for name in names})
    table.failed("new", Failure.RATE_LIMITED, "too many", timedelta(hours=1), [ACCOUNT_SCOPE])
    assert table.due(names) == ["renewed", "renewed too"]
    assert table.next(names) == NOW
    table.well("renewed", timedelta(hours=12))
    assert table.due(names) == ["renewed too"], "what went well says nothing of the limit"
    table.failed("renewed too", Failure.RATE_LIMITED, "too many", timedelta(hours=1), [ACCOUNT_SCOPE])
    assert table.due(names) == []
    assert table.moment("renewed too") > NOW + timedelta(hours=1)


def test_an_outage_holds_up_who_is_exempt_from_limits_too() -> None:
    """Nobody can be asked then."""
    table = timetable(Clock())
    table.is_exempt = lambda _name: True
    table.failed("a", Failure.NETWORK, "down")
    assert table.due(["a", "b"]) == []
