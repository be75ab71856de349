"""Several attempts at a time: the real crew, and runs of certbot that end when a test lets them."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from letsencrypt.budget import ELSEWHERE, Limit, Limits
from letsencrypt.crew import Crew
from letsencrypt.issuer import Issuer
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.state import Interrupted
from letsencrypt.urgency import Urgency, urgency
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.tls.bundle import Bundle
from tests.certificate_authority import CertificateAuthority
from tests.unit.letsencrypt.certificates import NOW, bundle, issue
from tests.unit.letsencrypt.world import OK, World, errors
from tests.waiting import until

UNKNOWN = Outcome(Failure.ACCOUNT, "unknown account", code="accountDoesNotExist")
DOWN = Outcome(Failure.NETWORK, "Connection refused")


@dataclass
class Busy(World):
    """A world in which work goes on beside the loop, and what a test holds does not end before it is let go."""

    held_up: dict[str, threading.Event] = field(default_factory=dict)
    looking: dict[str, threading.Event] = field(default_factory=dict)
    """The same for preflights."""
    now_running: set[str] = field(default_factory=set)
    most: int = 0
    """Runs at a time."""

    def certbot(self, lineage: Lineage, permit: Permit, /) -> Outcome:
        """One run, as long as it is held."""
        self.now_running.add(lineage.name)
        self.most = max(self.most, len(self.now_running))
        if gate := self.held_up.get(lineage.name):
            assert gate.wait(20)
        outcome = super().certbot(lineage, permit)
        self.now_running.discard(lineage.name)
        return outcome

    def preflight(self, lineage: Lineage, held: Bundle | None, now: datetime, /) -> Clearance:
        """A look, as long as it is held."""
        if gate := self.looking.get(lineage.name):
            assert gate.wait(20)
        return super().preflight(lineage, held, now)

    def hold(self, *names: str) -> None:
        """Let their runs not end."""
        self.held_up |= {name: threading.Event() for name in names}

    def let_go(self, *names: str) -> None:
        """Let their runs end."""
        for name in names:
            self.held_up.pop(name).set()


def busy(domains: str, at_a_time: int) -> Busy:
    """Such a world, with so many places."""
    return Busy(parse_domains(domains).lineages, crew=Crew(lambda _: None), at_a_time=at_a_time)


def goes_on(issuer: Issuer, when: Callable[[], bool], what: str) -> None:
    """The loop goes on until it is so."""

    def look() -> bool:
        issuer.advance(0.01)
        return when()

    until(look, what, pause=0.001)


def test_one_that_hangs_holds_up_no_other() -> None:
    """While its run does not end, all others are issued and published, and it is not begun again."""
    these = busy("hang.example; a.example; b.example; c.example; d.example", 2)
    these.hold("hang.example")
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: len(these.published) == 4, "the others are published")

    these.time += timedelta(days=1)
    issuer.cycle()
    goes_on(issuer, lambda: len(these.runs) == 8, "the others are looked at again")
    goes_on(issuer, lambda: these.now_running == {"hang.example"}, "their runs end")
    these.let_go("hang.example")
    goes_on(issuer, lambda: not issuer.under_way, "its end")
    assert "hang.example" in these.published
    assert these.most == 2


def test_a_preflight_that_hangs_holds_up_no_other() -> None:
    """Looks are taken beside the loop, too."""
    these = busy("slow.example; a.example; b.example", 2)
    these.looking["slow.example"] = threading.Event()
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: len(these.published) == 2, "the others are published")
    these.looking["slow.example"].set()
    assert issuer.settle().sentences
    assert len(these.published) == 3


def test_the_most_urgent_come_first() -> None:
    """Expired, soon to expire, missing, held, and at last what failed before."""
    these = busy("failing.example; held.example; missing.example; expiring.example; expired.example", 1)
    issuer = these.issuer()
    these.outcomes["failing.example"] = Outcome(Failure.VALIDATION, "404")
    issuer.want(these.lineages[:1])
    issuer.cycle()
    issuer.settle()
    these.runs.clear()
    for name, age in (("held", 1), ("expiring", 50), ("expired", 91)):
        begin = NOW - timedelta(days=age)
        issued = CertificateAuthority(begin).issue(
            f"{name}.example", not_before=begin, not_after=begin + timedelta(days=90 if name != "expiring" else 55)
        )
        these.held[f"{name}.example"] = bundle(f"{name}.example", issued)
    these.time += timedelta(hours=1)
    issuer.want(these.lineages)
    issuer.cycle()
    issuer.settle()

    assert these.runs == [f"{name}.example" for name in ("expired", "expiring", "missing", "held", "failing")]


def test_urgency_knows_no_number_of_days() -> None:
    """The last third of a life is soon, however long the life is."""
    for life in (timedelta(hours=160), timedelta(days=90)):
        issued = CertificateAuthority(NOW).issue("a.example", not_before=NOW, not_after=NOW + life)
        held = bundle("a.example", issued)
        parts = [urgency(held, False, NOW + life * part) for part in (0.6, 0.7, 1.0)]
        assert parts == [Urgency.HELD, Urgency.EXPIRING, Urgency.EXPIRED]


def test_an_outage_that_several_meet_is_one(caplog: pytest.LogCaptureFixture) -> None:
    """Runs under way together that all find the CA away are one failure and one line, and nothing more is begun."""
    these = busy("a.example; b.example; c.example; d.example", 3)
    these.hold("a.example", "b.example", "c.example")
    these.outcomes = dict.fromkeys(("a.example", "b.example", "c.example"), DOWN)
    issuer = these.issuer()
    issuer.cycle()
    until(lambda: these.most == 3, "three runs")
    these.let_go("a.example", "b.example", "c.example")
    issuer.settle()

    assert errors(caplog) == [
        "The ACME server ca.example cannot be reached: Connection refused. Next try in 30 seconds."
    ]
    assert "d.example" not in these.runs
    assert these.keeper.state
    assert these.keeper.state.standing
    assert these.keeper.state.standing.attempts == {Failure.NETWORK: 1}


def test_what_began_before_an_outage_does_not_end_it() -> None:
    """A pause that a busy server asked for is kept, whatever an older run comes to; the longest that was asked."""
    these = busy("a.example; b.example; c.example; d.example", 3)
    these.hold("a.example", "b.example", "c.example")
    these.outcomes["a.example"] = Outcome(Failure.BUSY, "503", retry_after=timedelta(minutes=10))
    these.outcomes["b.example"] = Outcome(Failure.BUSY, "503", retry_after=timedelta(minutes=20))
    issuer = these.issuer()
    issuer.cycle()
    for name in ("a.example", "b.example", "c.example"):
        these.let_go(name)
        goes_on(issuer, lambda name=name: name not in issuer.under_way, f"the end of {name}")  # type: ignore[misc]

    assert set(these.published) == {"c.example"}
    assert len(these.runs) == 3
    assert issuer.cycle().pause == timedelta(minutes=5)
    these.time += timedelta(minutes=19)
    issuer.cycle()
    assert len(these.runs) == 3


def test_after_an_outage_one_asks_again() -> None:
    """The others wait for what comes of it, but not for one that hangs for its own sake."""
    these = busy("a.example; b.example; c.example", 3)
    these.outcomes = dict.fromkeys(("a.example", "b.example", "c.example"), DOWN)
    issuer = these.issuer()
    issuer.cycle()
    issuer.settle()
    begun = len(these.runs)
    these.time += timedelta(minutes=1)
    these.outcomes.clear()
    these.hold("a.example")
    issuer.cycle()
    goes_on(issuer, lambda: these.now_running == {"a.example"}, "the trial")
    assert issuer.under_way == {"a.example"}

    these.time += timedelta(seconds=31)
    goes_on(issuer, lambda: len(these.published) == 2, "the others are issued")
    these.let_go("a.example")
    issuer.settle()
    assert len(these.runs) == begun + 3


def test_the_first_run_registers_alone() -> None:
    """As long as there is no account, one run alone makes it; the others are looked at, and begin when it is there."""
    these = busy("a.example; b.example; c.example", 3)
    these.registers = False
    these.hold("a.example")
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: len(issuer.under_way) == 3, "all are looked at")
    assert these.most == 1

    these.registers = True
    goes_on(issuer, lambda: set(these.published) == {"b.example", "c.example"}, "the others are issued")
    assert these.now_running == {"a.example"}
    these.let_go("a.example")
    issuer.settle()


def test_an_unknown_account_that_several_meet_is_replaced_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first who meets it waits for the others, sets the account aside and registers anew; they are tried again."""
    these = busy("a.example; b.example; c.example", 3)
    these.account = ["The account was set aside."]
    names = ("a.example", "b.example", "c.example")
    these.hold(*names)
    these.outcomes = dict.fromkeys(names, UNKNOWN)
    issuer = these.issuer()
    issuer.cycle()
    until(lambda: these.most == 3, "three runs")

    these.let_go("b.example")
    goes_on(issuer, lambda: "b.example" not in these.now_running, "the first end")
    these.let_go("a.example")
    goes_on(issuer, lambda: issuer.under_way == {"b.example", "c.example"}, "the second end")
    assert these.account, "nothing is moved while certbot runs"
    these.outcomes["b.example"] = OK
    these.let_go("c.example")
    issuer.settle()
    assert these.account == []
    these.outcomes.clear()
    issuer.cycle()
    issuer.settle()

    assert set(these.published) == set(names)
    assert errors(caplog) == []


@pytest.mark.parametrize("limit", ["orders", "domain", "same_names"])
def test_permits_do_not_cross_a_limit_together(limit: str) -> None:
    """Runs under way count as all that they may come to; what of that did not happen is free again."""
    most = {"same_names": Limit(9, 9, timedelta(days=7)), limit: Limit(2, 2, timedelta(days=7))}
    kept = {name: getattr(ELSEWHERE, name) for name in ("same_names", "domain", "failures", "orders")}
    these = busy("a.x.example; b.x.example; c.x.example; d.x.example; e.x.example", 5)
    these.limits = Limits(**(kept | most))
    if limit == "same_names":
        # Lineages of other names for the same set.
        lineages = parse_domains("a.x.example, z.x.example; b.x.example; c.x.example").lineages
        these.lineages = tuple(Lineage(each.name, lineages[0].identifiers, services=each.services) for each in lineages)
    names = [lineage.name for lineage in these.lineages]
    these.hold(names[0])
    these.outcomes[names[0]] = Outcome(Failure.REFUSED, "no", ordered=False)
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: len(these.runs) >= 1, "the second is issued")
    assert these.most <= 2
    these.let_go(names[0])
    issuer.settle()
    assert len(these.published) == 2


def test_what_is_wanted_changes_after_the_run() -> None:
    """A lineage that has an attempt keeps its names until that has ended, and is ordered with the others then."""
    these = busy("a.example", 2)
    these.hold("a.example")
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: "a.example" in these.now_running, "the run")
    issuer.want(parse_domains("a.example, www.a.example").lineages)
    issuer.cycle()
    these.let_go("a.example")
    issuer.settle()
    assert {str(name) for name in these.published["a.example"].identifiers} == {"a.example"}

    issuer.cycle()
    issuer.settle()
    assert {str(name) for name in these.published["a.example"].identifiers} == {"a.example", "www.a.example"}
    assert these.runs == ["a.example"] * 2


def test_what_leaves_in_mid_run_is_still_published() -> None:
    """Its run ends well, and nobody looks at it again."""
    these = busy("a.example", 2)
    these.hold("a.example")
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: "a.example" in these.now_running, "the run")
    issuer.want(())
    assert (set(issuer.names), set(issuer.under_way)) == (set(), {"a.example"})
    these.let_go("a.example")
    issuer.settle()
    assert set(these.published) == {"a.example"}
    these.time += timedelta(days=2)
    issuer.cycle()
    assert these.runs == ["a.example"]


def test_nothing_of_a_lineage_under_way_is_published_or_mended() -> None:
    """Certbot swaps its files one by one, so whoever looks meanwhile sees damage that is none."""
    these = busy("a.example", 2)
    these.hold("a.example")
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: "a.example" in these.now_running, "the run")
    these.held["a.example"] = bundle("a.example", issue(["a.example"], NOW - timedelta(days=1)))
    these.repairs = ["The lineage a.example was mended."]
    assert issuer.cycle().sentences == ()
    these.let_go("a.example")
    assert len(issuer.settle().sentences) == 1


def test_a_stop_waits_for_certbot_alone() -> None:
    """Runs under way end and are published; those that are only looked at, or wait, are left for the next start."""
    these = busy("a.example; b.example; slow.example; c.example", 3)
    these.hold("a.example", "b.example")
    these.looking["slow.example"] = threading.Event()
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: these.now_running == {"a.example", "b.example"}, "two runs")
    these.stopping = True
    these.let_go("a.example", "b.example")
    issuer.settle()

    assert set(these.published) == {"a.example", "b.example"}
    assert sorted(these.runs) == ["a.example", "b.example"]
    assert these.keeper.begun == {}
    these.looking["slow.example"].set()


def test_each_run_under_way_has_its_journal() -> None:
    """Whoever starts after a kill counts them all."""
    these = busy("a.example; b.example", 2)
    these.hold("a.example", "b.example")
    these.issuer().cycle()
    issuer = these.issuer()
    issuer.cycle()
    goes_on(issuer, lambda: len(these.keeper.begun) == 2, "two journals")
    these.keeper.begun = {name: Interrupted(NOW, ordered=True, finalized=True) for name in these.keeper.begun}
    after = Busy(these.lineages, crew=Crew(lambda _: None), keeper=these.keeper, at_a_time=2)
    after.issuer().cycle()
    assert after.runs == []
    assert these.keeper.state
    assert len([order for order in these.keeper.state.spent if order.issued]) == 2
    these.let_go("a.example", "b.example")


def test_a_webroot_that_takes_no_token_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    """What a look cannot do for want of room is a pause for all."""

    @dataclass
    class Full(Busy):
        def preflight(self, _lineage: Lineage, _held: Bundle | None, _now: datetime, /) -> Clearance:
            raise OperationalError("Cannot write the token: No space left on device.")

    these = Full(parse_domains("a.example; b.example").lineages, crew=Crew(lambda _: None), at_a_time=2)
    issuer = these.issuer()
    issuer.cycle()
    issuer.settle()
    assert len(errors(caplog)) == 1
    assert these.runs == []


def test_a_bug_beside_the_loop_ends_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody expected in a thread is raised where the process ends by it."""
    caplog.set_level(logging.DEBUG)
    crew = Crew(lambda _: None)

    def stumble() -> None:
        raise ZeroDivisionError

    crew.start(stumble, lambda _: None)
    with pytest.raises(ZeroDivisionError):
        crew.conclude(20)
