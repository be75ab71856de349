"""proxy_agent.handshakes."""

import logging

import pytest

from proxy_agent.actions import Verify
from proxy_agent.handshakes import Handshakes
from tests.unit.agent.fakes import bundle

A, B = bundle("issued/a", "a.test"), bundle("issued/b", "b.test")


class Slow:
    """A listener each of whose handshakes takes the same time, and its clock."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.shown = {"a.test": A.serial, "b.test": B.serial}
        self._seconds = seconds

    def serial(self, server_name: str | None) -> int:
        """What is shown."""
        self.now += self._seconds
        return self.shown[server_name or ""]


def no_reload() -> None:
    """There is no reason for one here."""
    raise AssertionError


def proofs(listener: Slow, *rounds: tuple[Verify, ...]) -> tuple[Handshakes, list[bool]]:
    """What is known after so many looks, and whether each of them left something."""
    handshakes = Handshakes(listener, lambda: listener.now)
    left = []
    for some in rounds:
        handshakes.begin()
        for proof in some:
            handshakes.verify(proof, no_reload)
        left.append(handshakes.postponed)
    return handshakes, left


def test_within_its_time_a_look_proves_all() -> None:
    """None is left."""
    handshakes, left = proofs(Slow(0.1), (Verify("a.test", A), Verify("b.test", B)))
    assert (handshakes.seen, left) == ({A.name: A.serial, B.name: B.serial}, [False])


def test_each_look_proves_at_least_one_and_leaves_the_rest_to_the_next() -> None:
    """However slow a handshake is."""
    both = (Verify("a.test", A, news=False), Verify("b.test", B, news=False))
    handshakes, left = proofs(Slow(5), both, both[1:])
    assert (handshakes.seen, left) == ({A.name: A.serial, B.name: B.serial}, [True, False])


def test_what_is_postponed_is_news_when_it_is_proved(caplog: pytest.LogCaptureFixture) -> None:
    """The look that proves it finds nothing that has changed; the line in the log is not lost, and there is one."""
    caplog.set_level(logging.INFO)
    later = Verify("b.test", B, news=False)
    proofs(Slow(5), (Verify("a.test", A), Verify("b.test", B)), (later,), (later,))
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "Clients of a.test now get the certificate issued/a",
        "Clients of b.test now get the certificate issued/b",
    ]


def test_until_then_nothing_is_said_of_it() -> None:
    """What clients were shown before it changed is no proof that they are shown the wrong one."""
    listener = Slow(5)
    handshakes, _ = proofs(listener, (Verify("b.test", B),), (Verify("a.test", A), Verify("b.test", B)))
    assert handshakes.seen == {A.name: A.serial}


def test_while_more_is_to_come_proofs_take_less_time() -> None:
    """What nobody is served with yet comes first."""
    listener = Slow(0.3)
    handshakes = Handshakes(listener, lambda: listener.now)
    for short, proved in ((True, 1), (False, 2)):
        handshakes.seen.clear()
        handshakes.begin(short)
        for proof in (Verify("a.test", A), Verify("b.test", B)):
            handshakes.verify(proof, no_reload)
        assert len(handshakes.seen) == proved
