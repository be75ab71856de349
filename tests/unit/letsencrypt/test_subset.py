"""Names that the CA cannot validate, beside others in one certificate."""

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letsencrypt.budget import LETS_ENCRYPT
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.bundle import Bundle
from tests.examples import examples
from tests.unit.letsencrypt.certificates import NOW, bundle, issue
from tests.unit.letsencrypt.world import OK, World


@dataclass
class Authority(World):
    """One that validates every name of every order; certbot orders where other names are wanted than held."""

    unwell: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """The names of each order."""
    rehearsed: list[tuple[str, ...]] = field(default_factory=list)
    subset: bool = True

    def certbot(self, lineage: Lineage, permit: Permit, /) -> Outcome:
        """One run."""
        names = tuple(map(str, lineage.identifiers))
        held = self.held.get(lineage.name)
        if held is not None and held.identifiers == frozenset(lineage.identifiers):
            return Outcome()
        if permit.refusal:
            return Outcome(Failure.BUDGET, permit.refusal)
        self.asked.append(names)
        if failed := self.failing(names):
            return failed
        self.held[lineage.name] = bundle(lineage.name, issue(names, FAR))
        return OK

    def failing(self, names: tuple[str, ...]) -> Outcome | None:
        """What is said of an order for *names*."""
        bad = tuple(Skipped(name, "no answer") for name in names if name in self.unwell)
        return Outcome(Failure.VALIDATION, "some failed", bad, ordered=True) if bad else None

    def preflight(self, lineage: Lineage, _held: Bundle | None, _now: object, /) -> Clearance:
        """Nothing is seen from here."""
        return Clearance(lineage, may_leave_out=self.subset)

    def live(self, minutes: float) -> None:
        """Let a loop run for so long."""
        issuer, end = self.issuer(), self.time + timedelta(minutes=minutes)
        while self.time < end:
            pause = issuer.cycle().pause
            self.time += min(max(pause, timedelta(seconds=1)), end - self.time)


def authority(names: str, *unwell: str, subset: bool = True) -> Authority:
    """One to which *unwell* names are unreachable."""
    return Authority(parse_domains(names).lineages, unwell=set(unwell), subset=subset)


ABC = ("a.example", "b.example", "c.example")
AB, A = ABC[:2], ABC[:1]
FAR = NOW + timedelta(days=400)
"""A certificate that is not near its end."""


def test_the_others_are_issued_in_the_same_go(caplog: pytest.LogCaptureFixture) -> None:
    """One order fails, the next one is for the rest, at once; what is left out, and why, is one line."""
    ca = authority("a.example, b.example", "b.example")
    ca.live(0.5)
    assert ca.asked == [AB, A]
    assert set(ca.published) == {"a.example"}
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "Left out of the certificate for a.example, b.example, which goes on without: b.example: no answer. "
        "Next try in 61 seconds."
    ]


def test_a_name_is_tried_again_ever_later_and_never_in_a_loop() -> None:
    """After 1, 10 and 100 minutes, then daily: one order each, and the certificate of the others stays as it is."""
    ca = authority("a.example, b.example", "b.example")
    ca.live(5)
    first = ca.published["a.example"]
    assert ca.asked == [AB, A, AB]
    ca.live(20)
    assert ca.asked == [AB, A, AB, AB]
    ca.live(60 * 24 * 2)
    assert ca.asked[4:] == [AB] * 2
    assert ca.published["a.example"] == first


def test_a_name_that_healed_is_added_with_one_order() -> None:
    """At its time; then all is as if nothing had been."""
    ca = authority("a.example, b.example", "b.example")
    ca.live(0.5)
    ca.unwell.clear()
    ca.live(60 * 24 * 3)
    assert ca.asked == [AB, A, AB]
    assert {str(name) for name in ca.published["a.example"].identifiers} == set(AB)
    assert ca.keeper.state is not None
    assert ca.keeper.state.ailing == {}


def test_what_is_left_out_is_remembered_by_the_next_process() -> None:
    """A restart within the minute orders nothing at all; nor do a hundred."""
    ca = authority("a.example, b.example", "b.example")
    for _ in range(100):
        ca.issuer().cycle()
    assert ca.asked == [AB, A]


def test_a_held_certificate_loses_no_name() -> None:
    """It fails as a whole then, and is tried as late as ever; in its last sixth the rest is worth more."""
    ca = authority("a.example, b.example", "b.example")
    # At the CA, something else is wanted of it than is held: a renewal is due.
    ca.held["a.example"] = bundle("a.example", issue(ABC, FAR))
    ca.live(5)
    assert ca.asked == [AB, AB]
    ca.held["a.example"] = bundle("a.example", issue(ABC, NOW + timedelta(days=1)))
    ca.live(15)
    assert ca.asked[2:4] == [AB, A]


def test_without_leave_the_whole_waits() -> None:
    """DOMAINS means all of its names, unless ALLOW_SUBSET says otherwise."""
    ca = authority("a.example, b.example", "b.example", subset=False)
    ca.live(5)
    assert ca.asked == [AB, AB]
    assert ca.published == {}


def test_if_all_fail_it_is_the_whole_that_failed() -> None:
    """Then there is no rest to order."""
    ca = authority("a.example, b.example", "a.example", "b.example")
    ca.live(0.5)
    assert ca.asked == [AB]


def test_names_fail_one_after_another() -> None:
    """One that is in the certificate already stays there, and does not keep the other from its ever longer pauses."""
    ca = authority("a.example, b.example, c.example", "b.example")
    ca.live(0.5)
    ca.unwell.add("c.example")
    ca.live(60)
    assert ca.asked == [ABC, ("a.example", "c.example"), ABC, ABC]
    assert len(ca.published["a.example"].identifiers) == 2


def test_a_name_that_failed_is_rehearsed_before_the_ca_is_asked() -> None:
    """Where the staging server cannot validate it either, no order is placed, and it is put off as if one had been."""
    ca = authority("a.example, b.example", "b.example")

    def rehearse(lineage: Lineage) -> Outcome:
        names = tuple(map(str, lineage.identifiers))
        ca.rehearsed.append(names)
        return ca.failing(names) or Outcome()

    ca.rehearse = rehearse
    ca.live(5)
    assert (ca.asked, ca.rehearsed) == ([AB, A], [AB])
    ca.unwell.clear()
    ca.live(10)
    assert (ca.asked, ca.rehearsed) == ([AB, A, AB], [AB, AB])


def test_the_operator_may_have_it_tried_at_once() -> None:
    """A retry means all names; what was changed in the settings does, too."""
    ca = authority("a.example, b.example", "b.example")
    issuer = ca.issuer()
    for _ in range(3):
        issuer.cycle()
    assert ca.asked == [AB, A]
    ca.unwell.clear()
    issuer.retry("a.example")
    issuer.cycle()
    assert ca.asked == [AB, A, AB]

    ca = authority("a.example, b.example", "b.example")
    ca.live(0.5)
    ca.unwell.clear()
    ca.lineages = (
        replace(ca.lineages[0], identifiers=parse_domains("a.example, b.example, c.example").lineages[0].identifiers),
    )
    ca.live(0.5)
    assert ca.asked[2:] == [ABC]


@settings(max_examples=examples(12))
@given(unwell=st.sets(st.sampled_from(["a.example", "b.example", "c.example", "d.example"])), hours=st.integers(1, 72))
def test_whatever_is_unwell_no_limit_of_the_ca_is_near(unwell: set[str], hours: int) -> None:
    """No name fails more than four times an hour, and all that are well are issued."""
    ca = authority("a.example, b.example, c.example, d.example", *unwell)
    ca.limits = LETS_ENCRYPT
    ca.live(60 * hours)
    assert ca.keeper.state is not None
    times = [order.time for order in ca.keeper.state.spent if order.failed]
    assert all(len([t for t in times if start <= t < start + timedelta(hours=1)]) <= 4 for start in times)
    well = {"a.example", "b.example", "c.example", "d.example"} - unwell
    assert {str(name) for each in ca.published.values() for name in each.identifiers} == well
