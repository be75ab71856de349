"""proxy_agent.departures: which containers were told to stop."""

from typing import Any

import pytest

from proxy_agent.departures import Departures, parse_signal

SHOP, BLOG = "a" * 64, "b" * 64


def event(action: str, container: str = SHOP, **attributes: str) -> dict[str, Any]:
    """What Docker says."""
    return {"Type": "container", "Action": action, "Actor": {"ID": container, "Attributes": attributes}}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time as the departures see it."""
    return Clock()


@pytest.fixture
def departures(clock: Clock) -> Departures:
    """What is tested."""
    return Departures(clock)


def leaving(departures: Departures, config: dict[str, Any] | None = None) -> bool:
    """Whether the shop leaves, at this look."""
    departures.catch_up()
    departures.forget_all_but({SHOP})
    return departures.is_leaving(SHOP, config or {})


@pytest.mark.parametrize(
    ("stop_signal", "sent", "leaves"),
    [
        (None, "15", True),
        ("SIGTERM", "15", True),
        ("SIGQUIT", "3", True),
        ("3", "3", True),
        ("SIGRTMIN+3", "37", True),
        ("SIGQUIT", "15", False),
        (None, "1", False),
        (None, "9", True),
        ("SIGQUIT", "SIGQUIT", True),
    ],
)
def test_only_the_stop_signal_means_to_leave(
    departures: Departures, stop_signal: str | None, sent: str, leaves: bool
) -> None:
    """And the one that nobody survives; ``docker kill -s HUP`` asks to read a configuration anew."""
    departures.note(event("kill", signal=sent))
    assert leaving(departures, {"StopSignal": stop_signal}) == leaves


def test_a_signal_that_means_nothing_is_no_fault(departures: Departures) -> None:
    """Docker itself takes what it does not know for SIGTERM."""
    assert [int(parse_signal(text)) for text in ("", "SIGNONSENSE", "SIG_IGN", "RTMAX-1", "²", "9" * 9)] == [
        *(15, 15, 15, 63, 15, 9999)
    ]
    departures.note(event("kill"))
    assert leaving(departures)


@pytest.mark.parametrize("action", ["start", "die"])
def test_whoever_ended_or_began_anew_does_not_leave(departures: Departures, action: str) -> None:
    """A restart is both; the events are read in their order."""
    departures.note(event("kill", signal="15"))
    departures.note(event(action))
    assert not leaving(departures)
    departures.note(event("kill", signal="15"))
    assert leaving(departures)


def test_whoever_ended_is_not_there_whatever_is_listed(departures: Departures, clock: Clock) -> None:
    """Docker lists it for a moment longer; but where a start was missed, the listing is right in the end."""
    departures.note(event("kill", signal="15"))
    departures.note(event("die"))
    assert not leaving(departures)
    assert departures.has_ended(SHOP)
    departures.note(event("start"))
    departures.catch_up()
    assert not departures.has_ended(SHOP)
    departures.note(event("die"))
    departures.catch_up()
    clock.now += 11
    assert not departures.has_ended(SHOP)


def test_a_restart_that_nobody_saw_is_the_end_of_it(departures: Departures) -> None:
    """It was not listed at some look: what it was told before is forgotten."""
    departures.note(event("kill", signal="15"))
    departures.catch_up()
    departures.forget_all_but({BLOG})
    assert not leaving(departures)


@pytest.mark.parametrize(("timeout", "patience"), [(None, 600), (10, 600), (3600, 3660)])
def test_whoever_ignores_the_signal_stays_after_a_while(
    departures: Departures, clock: Clock, timeout: int | None, patience: int
) -> None:
    """``docker kill -s TERM`` must not keep a container out for ever; a long stop timeout is respected."""
    departures.note(event("kill", signal="15"))
    clock.now += patience - 1
    assert leaving(departures, {"StopTimeout": timeout})
    clock.now += 2
    assert not leaving(departures, {"StopTimeout": timeout})


def test_other_events_are_none_of_its_business(departures: Departures) -> None:
    """Networks have ids too, and a daemon may leave out what it likes."""
    for odd in ({}, {"Type": "network", "Action": "kill"}, event("kill", ""), event("exec_die"), {"Actor": None}):
        departures.note(odd)
    departures.note({"Type": "container", "Action": "kill", "Actor": {"ID": SHOP, "Attributes": None}})
    assert leaving(departures)
