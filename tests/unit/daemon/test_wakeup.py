"""proxy_agent.daemon.wakeup."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from proxy_agent.daemon.wakeup import STOP, Wakeup

NEVER = 60.0
"""Seconds; the test fails by its timeout long before."""


@pytest.fixture
def signals() -> Iterator[Wakeup]:
    """A wakeup that listens to signals; what was there before listens again afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    wakeup = Wakeup(quiet=0)
    wakeup.listen_to_signals()
    yield wakeup
    for number, listener in zip(numbers, before, strict=True):
        signal.signal(number, listener)


def test_without_a_ring_the_sleep_ends_by_itself_and_has_no_reason() -> None:
    """That is how a loop knows that it was the clock."""
    assert Wakeup().wait(0) == frozenset()


def test_a_negative_sleep_is_none() -> None:
    """Whoever is late does not wait, and does not fail either."""
    assert Wakeup().wait(-1) == frozenset()


def test_a_ring_before_the_sleep_is_not_lost() -> None:
    """An event between the look and the sleep causes the next look."""
    wakeup = Wakeup(quiet=0)
    wakeup.ring("container start")
    assert wakeup.wait(NEVER) == {"container start"}
    assert wakeup.wait(0) == frozenset()


def test_a_burst_is_one_awakening() -> None:
    """Ten containers that start together cause one look, which knows all reasons."""
    wakeup = Wakeup(quiet=0.01)
    for number in range(10):
        wakeup.ring(f"container {number % 3}")
    assert wakeup.wait(NEVER) == {"container 0", "container 1", "container 2"}
    assert wakeup.wait(0) == frozenset()


def test_a_burst_of_thousands_is_one_awakening_too() -> None:
    """Ten thousand files that are published ring some forty thousand times, and nobody waits for all that."""
    wakeup = Wakeup(quiet=NEVER, at_most=NEVER)
    for _ in range(40_000):
        wakeup.ring("issued certificates changed")
    wakeup.ring(STOP)
    begun = time.process_time()
    assert wakeup.wait(NEVER) == {"issued certificates changed", STOP}
    assert time.process_time() - begun < 1


def test_an_endless_burst_is_cut_off() -> None:
    """A container that restarts all the time does not keep the agent from looking: *at_most* after the first ring."""
    times = iter([100.0, 100.5, 101.5, 102.0, 102.0])
    wakeup = Wakeup(quiet=NEVER, at_most=2.0, clock=lambda: next(times))
    for reason in "abcd":
        wakeup.ring(reason)
    assert wakeup.wait(NEVER) == {"a", "b", "c"}
    wakeup.stop()
    assert wakeup.wait(NEVER) == {STOP}


def test_what_hurries_does_not_wait_for_the_end_of_a_burst() -> None:
    """A container is told to stop: the next request may already be one too many."""
    wakeup = Wakeup(quiet=NEVER, at_most=NEVER)
    wakeup.ring("container start")
    wakeup.hurry("container kill")
    wakeup.hurry("container kill of another")
    assert wakeup.wait(NEVER) == {"container start", "container kill", "container kill of another"}


def test_what_hurries_is_looked_at_once_more_when_it_is_quiet() -> None:
    """Docker tells of the end of a container a moment before it lists it no more."""
    wakeup = Wakeup(quiet=0.01)
    wakeup.hurry("container die")
    assert wakeup.wait(NEVER) == {"container die"}
    wakeup.ring("network disconnect")
    assert wakeup.wait(NEVER) == {"container die", "network disconnect"}
    assert wakeup.wait(0) == frozenset()


def test_what_hurries_is_held_to_a_pace() -> None:
    """A hundred containers that are told to stop one after another do not cause a hundred looks."""
    now = 100.0
    wakeup = Wakeup(quiet=0.05, at_most=NEVER, clock=lambda: now)
    wakeup.hurry("one")
    assert wakeup.wait(NEVER) == {"one"}
    wakeup.hurry("two")
    soon = threading.Timer(0.01, wakeup.hurry, ["three"])
    soon.start()
    assert {"two", "three"} <= wakeup.wait(NEVER), "within the pace of the awakening before"
    soon.join()
    now = 200.0
    wakeup.hurry("four")
    assert "four" in wakeup.wait(NEVER)


def test_a_thread_ends_the_sleep_of_another() -> None:
    """Watchers live in threads, and only ring."""
    wakeup = Wakeup(quiet=0)
    watcher = threading.Thread(target=wakeup.ring, args=("certificates changed",))
    watcher.start()
    assert wakeup.wait(NEVER) == {"certificates changed"}
    watcher.join()


def test_stop_ends_this_sleep_and_all_later_ones() -> None:
    """Once told to stop, a loop never sleeps again, however often it asks."""
    wakeup = Wakeup(quiet=NEVER)
    wakeup.ring("container start")
    wakeup.stop()
    assert wakeup.stopping
    assert wakeup.wait(NEVER) == {STOP}
    assert wakeup.wait(NEVER) == {STOP}


def test_stop_during_a_burst_does_not_wait_for_its_end() -> None:
    """The end is not put off until it is quiet."""
    wakeup = Wakeup(quiet=NEVER, at_most=NEVER)
    ended = threading.Thread(target=wakeup.stop)
    wakeup.ring("container start")
    ended.start()
    assert STOP in wakeup.wait(NEVER)
    ended.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_stops_the_loop(signals: Wakeup, number: signal.Signals) -> None:
    """SIGTERM and SIGINT are orderly ends."""
    os.kill(os.getpid(), number)
    assert signals.wait(NEVER) == {STOP}
    assert signals.stopping


def test_hangup_makes_it_look_again(signals: Wakeup) -> None:
    """SIGHUP is an operator's ring, and no end; it reaches a sleeper too."""
    sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGHUP))
    sender.start()
    assert signals.wait(NEVER) == {"SIGHUP"}
    assert not signals.stopping
    sender.join()
