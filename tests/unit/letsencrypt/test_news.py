"""What happened between two looks: every event once, also with a restart in between."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.events import Certificate, Directory, Event, Kind, Memory, Seen, Snapshot
from letsencrypt.news import baseline, compare, endings
from letsencrypt.schedule import Failure
from letsencrypt.timetable import Standing
from tests.unit.letsencrypt.certificates import NOW

LIFE = timedelta(days=90)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def certificate(fingerprint: str, begin: datetime = NOW, *names: str, life: timedelta = LIFE) -> Certificate:
    """One that is published."""
    return Certificate(fingerprint, names or ("a.test",), begin, begin + life)


def well(now: datetime) -> Standing:
    """Tried just now, and to be looked at again."""
    return Standing(not_before=now + 12 * HOUR, pause=12 * HOUR)


def failed(now: datetime, failure: Failure, times: int, pause: timedelta = HOUR, reason: str = "no answer") -> Standing:
    """Tried just now, in vain."""
    return Standing(not_before=now + pause, pause=pause, attempts={failure: times}, failure=failure, reason=reason)


NEVER = Standing(not_before=NOW)


@dataclass
class Watched:
    """One lineage that is looked at again and again; the memory is read anew each time, as after a restart."""

    memory: Memory = field(default_factory=Memory)
    time: datetime = NOW
    certificates: dict[str, Certificate] = field(default_factory=dict)
    standing: Standing = NEVER
    server: Standing | None = None
    wanted: bool = True
    ids: set[str] = field(default_factory=set)

    def snapshot(self) -> Snapshot:
        """What is there."""
        seen = Seen("a.test", ("a.test",), "production", self.standing, "/live/a.test")
        return Snapshot(
            seen=(seen,) if self.wanted else (),
            directories={"production": Directory("ca.test", self.server)},
            certificates=self.certificates,
            known=frozenset({"a.test"}),
        )

    def events(self, after: timedelta = timedelta()) -> tuple[Event, ...]:
        """What happened until *after* later; no two events have one id."""
        self.time += after
        memory = Memory.model_validate_json(self.memory.model_dump_json(exclude_defaults=True))
        self.memory, events = compare(memory, self.snapshot(), self.time)
        fresh = {event.id for event in events}
        assert len(fresh) == len(events)
        assert not fresh & self.ids
        self.ids |= fresh
        return events

    def kinds(self, after: timedelta = timedelta()) -> list[str]:
        """Their kinds."""
        return [str(event.event) for event in self.events(after)]


def test_a_certificate_is_issued_once_and_then_renewed() -> None:
    """The first one is new, the next one with the same names a renewal, one with other names new again."""
    house = Watched(standing=well(NOW))
    assert house.kinds() == []
    house.certificates = {"a.test": certificate("A")}
    [event] = house.events()
    assert event.text == "The certificate for a.test is new: valid until 2026-08-30 12:00 UTC, from ca.test."
    assert (event.event, event.lineage, event.names, event.source) == (Kind.ISSUED, "a.test", ("a.test",), "ca.test")
    assert (event.not_after, event.next_try, event.reason) == (NOW + LIFE, None, "")
    assert house.kinds(HOUR) == []
    house.certificates = {"a.test": certificate("B", NOW + HOUR)}
    assert house.kinds() == ["renewed"]
    house.certificates = {"a.test": certificate("C", NOW + HOUR, "a.test", "b.test")}
    assert house.kinds() == ["issued"]
    assert house.kinds() == []


def test_what_was_there_before_is_no_news() -> None:
    """Who begins to look is told of nothing but what is wrong."""
    house = Watched(standing=well(NOW), certificates={"a.test": certificate("A", NOW - 80 * DAY)})
    house.memory = baseline(house.snapshot())
    assert house.kinds() == ["expiring"]


def test_an_end_is_told_at_each_step_whatever_the_life() -> None:
    """In the last sixth, in the last twelfth and at the end: once each, for lives of days and of months."""
    for life in (timedelta(hours=160), LIFE):
        house = Watched(certificates={"a.test": certificate("A", life=life)})
        house.memory = baseline(house.snapshot())
        house.standing = failed(NOW, Failure.NETWORK, 1)
        told = [part for part in range(1, 30) if "expiring" in house.kinds(life / 24)]
        assert told == [20, 22, 24]


def test_the_warning_says_when_and_why() -> None:
    """A clock that is set back repeats nothing, and a certificate that nobody wants ends in silence."""
    house = Watched(certificates={"a.test": certificate("A")}, standing=failed(NOW, Failure.VALIDATION, 1))
    house.memory = baseline(house.snapshot())
    [event] = house.events(80 * DAY)
    assert event.text == "The certificate for a.test expires in 10 days and was not renewed: no answer."
    assert house.kinds(-20 * DAY) == []
    assert house.kinds(20 * DAY) == []
    house.wanted = False
    assert house.kinds(20 * DAY) == []


def test_a_failure_is_told_when_it_lasts() -> None:
    """After three tries and an hour, then daily while it lasts; its end is told once."""
    house = Watched()
    house.standing = failed(NOW, Failure.VALIDATION, 1)
    assert house.kinds() == []
    house.standing = failed(NOW, Failure.VALIDATION, 3)
    assert house.kinds(HOUR / 2) == []
    [event] = house.events(HOUR / 2)
    assert event.text == (
        "No certificate for a.test from ca.test after 3 tries: no answer. Next try 2026-06-01 13:00 UTC."
    )
    assert (event.event, event.attempts, event.reason) == (Kind.FAILING, 3, "no answer")
    assert event.next_try == NOW + HOUR
    assert house.kinds(23 * HOUR) == []
    assert house.kinds(HOUR) == ["failing"]
    house.standing, house.certificates = well(house.time), {"a.test": certificate("A", house.time)}
    assert house.kinds() == ["issued", "recovered"]
    assert house.kinds(DAY) == []


def test_a_failure_that_heals_soon_is_not_told() -> None:
    """Neither is its end."""
    house = Watched(standing=failed(NOW, Failure.VALIDATION, 2))
    assert house.kinds() == []
    house.standing, house.certificates = well(NOW), {"a.test": certificate("A")}
    assert house.kinds(HOUR / 2) == ["issued"]


def test_what_only_the_operator_can_mend_is_told_at_once() -> None:
    """A try that is a day away is no quick one."""
    house = Watched(standing=failed(NOW, Failure.REFUSED, 1, pause=timedelta(days=1)))
    assert house.kinds() == ["failing"]
    assert house.kinds(HOUR) == []


def test_a_renewal_that_fails_says_so() -> None:
    """What is held is still good."""
    house = Watched(certificates={"a.test": certificate("A")}, standing=failed(NOW, Failure.REFUSED, 1, pause=DAY))
    house.memory = baseline(house.snapshot())
    [event] = house.events()
    assert event.text.startswith("The certificate for a.test cannot be renewed from ca.test after 1 try: ")


@pytest.mark.parametrize("failure", [Failure.RATE_LIMITED, Failure.BUDGET])
def test_a_limit_is_told_at_once_and_daily(failure: Failure) -> None:
    """The CA's and our own; it is not also a failure."""
    house = Watched(standing=failed(NOW, failure, 5))
    assert house.kinds() == ["rate-limited"]
    assert house.kinds(23 * HOUR) == []
    assert house.kinds(HOUR) == ["rate-limited"]
    assert house.memory.lineages["a.test"].warned


def test_a_restart_in_mid_trouble_tells_nothing_anew() -> None:
    """A new process forgets failures that cost nothing, and knows of no try yet: neither is an end of the trouble."""
    house = Watched(standing=failed(NOW, Failure.DAMAGED, 5, pause=DAY))
    assert house.kinds() == ["failing"]
    house.standing = Standing(not_before=NOW)
    assert house.kinds(HOUR) == []
    house.wanted = False
    assert house.kinds(HOUR) == []
    house.wanted, house.standing = True, failed(NOW, Failure.DAMAGED, 1)
    assert house.kinds(HOUR) == []


def test_trouble_of_the_server_is_one_event_for_all() -> None:
    """And its end is told once a try came through, not when a restart forgets about it."""
    house = Watched(standing=failed(NOW, Failure.VALIDATION, 9))
    house.server = failed(NOW, Failure.NETWORK, 4, reason="connection refused")
    assert house.kinds() == []
    [event] = house.events(HOUR)
    assert (event.event, event.lineage, event.source) == (Kind.FAILING, "", "ca.test")
    assert event.text == (
        "No certificate can be had from ca.test for now: connection refused. Next try 2026-06-01 13:00 UTC."
    )
    house.server = None
    assert house.kinds(HOUR) == []
    house.standing = failed(house.time, Failure.VALIDATION, 10)
    assert house.kinds() == ["recovered"]
    assert house.kinds() == []


def test_words_of_strangers_ring_nobody() -> None:
    """What chats take for a mark-up is written in other characters, and everything is one line."""
    house = Watched(standing=failed(NOW, Failure.REFUSED, 1, DAY, reason="<!channel>\n@everyone"))
    [event] = house.events()
    assert not set("<>@\n") & set(event.text)


def test_a_look_that_could_not_see_all_forgets_nothing() -> None:
    """A bundle that cannot be read for a moment is not issued again when it can."""
    house = Watched(standing=well(NOW), certificates={"a.test": certificate("A")})
    assert house.kinds() == ["issued"]
    house.memory, _ = compare(house.memory, Snapshot(complete=False), NOW)
    assert house.kinds() == []
    house.memory, _ = compare(house.memory, Snapshot(), NOW)
    assert house.memory.lineages == {}


def test_a_line_for_the_log_changes_only_with_the_step() -> None:
    """So that whoever says each once says three in all."""
    house = Watched(certificates={"a.test": certificate("A")}, standing=failed(NOW, Failure.NETWORK, 1))
    keys: list[Mapping[str, tuple[str, str]]] = [endings(house.snapshot(), NOW + n * DAY) for n in range(100)]
    assert len({key for each in keys for key, _ in each.values()}) == 3
    assert [each for each in keys[:75] if each] == []


def test_many_names_are_told_shortly() -> None:
    """The sentence has the first ones, the field has all."""
    house = Watched(standing=well(NOW))
    seen = house.snapshot().seen[0]
    names = tuple(f"{n}.test" for n in range(9))
    snapshot = replace(house.snapshot(), seen=(replace(seen, names=names),), certificates={"a.test": certificate("A")})
    [event] = compare(Memory(), snapshot, NOW)[1]
    assert "for 0.test, 1.test, 2.test, 3.test, 4.test and 4 more is new" in event.text
    assert event.names == names


STEPS = st.one_of(
    st.tuples(st.just("time"), st.integers(1, 40 * 24)),
    st.tuples(st.just("fail"), st.sampled_from([Failure.VALIDATION, Failure.REFUSED, Failure.BUDGET, Failure.DAMAGED])),
    st.tuples(st.just("server"), st.sampled_from([Failure.NETWORK, None])),
    st.tuples(st.just("well"), st.booleans()),
    st.tuples(st.just("restart"), st.none()),
)


@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_is_told_once(steps: list[tuple[str, object]]) -> None:
    """Each certificate is new once and nears its end three times; trouble is told daily at most; well follows bad."""
    house = Watched()
    told: list[Event] = []
    times = 0
    for step, value in steps:
        house.time += timedelta(seconds=1)
        match step, value:
            case "time", int(hours):
                house.time += hours * HOUR
            case "fail", Failure() as failure:
                times += 1
                house.standing = failed(house.time, failure, times, DAY if failure is Failure.REFUSED else HOUR)
            case "server", failure:
                house.server = failed(house.time, failure, 3) if isinstance(failure, Failure) else None
            case "well", issued:
                times, house.server, house.standing = 0, None, well(house.time)
                if issued:
                    house.certificates = {"a.test": certificate(str(len(told)) + str(house.time), house.time)}
            case _:
                house.standing, house.server = Standing(not_before=house.time), None
        told += house.events()
        assert house.kinds() == []
    _check(told)


def _check(told: list[Event]) -> None:
    for about in ("a.test", ""):
        of = [event for event in told if event.lineage == about]
        for kind in (Kind.FAILING, Kind.RATE_LIMITED):
            moments = [event.time for event in of if event.event in {kind, Kind.RECOVERED}]
            kinds = [event.event for event in of if event.event in {kind, Kind.RECOVERED}]
            repeats = [
                later - sooner
                for (sooner, later), pair in zip(pairwise(moments), pairwise(kinds), strict=True)
                if pair == (kind, kind)
            ]
            assert all(pause >= DAY for pause in repeats) or about
        bad = {Kind.FAILING, Kind.RATE_LIMITED, Kind.EXPIRING}
        for number, event in enumerate(of):
            if event.event is Kind.RECOVERED:
                since = [each.event for each in of[:number]]
                after = since[len(since) - since[::-1].index(Kind.RECOVERED) :] if Kind.RECOVERED in since else since
                assert bad & set(after)
    ends = [event.not_after for event in told if event.event is Kind.EXPIRING]
    assert all(ends.count(end) <= 3 for end in ends)
