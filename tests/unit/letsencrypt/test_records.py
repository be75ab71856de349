"""What survives the end of a process: with fakes of everything outside, time being a parameter."""

import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from letsencrypt.budget import LETS_ENCRYPT
from letsencrypt.lineages import parse_domains
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.state import Interrupted
from proxy_agent.daemon.errors import Skipped
from tests.examples import examples
from tests.unit.letsencrypt.certificates import NOW, bundle, issue
from tests.unit.letsencrypt.test_budget import most_within
from tests.unit.letsencrypt.world import OK, World, errors, world

REFUSED = Outcome(Failure.VALIDATION, "404", ordered=True)
LOST = Outcome(Failure.AFTER_FINALIZE, "reset", ordered=True, finalized=True)


class KilledError(BaseException):
    """The container is killed: nothing of ours runs after this."""


def restart(these: World, times: int, every: timedelta) -> None:
    """Start the container *times* times, and end it hard or not, as the world says."""
    for _ in range(times):
        with contextlib.suppress(KilledError):
            these.issuer().cycle()
        these.time += every


def killed_while(these: World, *, ordered: bool, finalized: bool) -> Callable[[str], None]:
    """What a run does that is killed after it noted so much."""

    def die(name: str) -> None:
        these.keeper.begun[name] = Interrupted(these.time, ordered, finalized)
        raise KilledError

    return die


@pytest.mark.parametrize("outcome", [REFUSED, LOST, Outcome(Failure.CRASH, "?", ordered=True)], ids=str)
def test_a_hundred_restarts_place_three_orders(outcome: Outcome) -> None:
    """However an order fails, a container that is started again every ten seconds does not spend the limits."""
    these = world("a.example")
    these.outcomes["a.example"] = outcome
    restart(these, 100, timedelta(seconds=10))
    assert 1 <= len(these.orders) <= 3


@pytest.mark.parametrize("finalized", [False, True])
def test_a_hundred_kills_place_three_orders(finalized: bool) -> None:
    """The same where each start is killed in the middle of its order, by what the run noted before it ordered."""
    these = world("a.example")
    these.after_run = killed_while(these, ordered=True, finalized=finalized)
    restart(these, 100, timedelta(seconds=10))
    assert 1 <= len(these.orders) <= 3


def test_a_hundred_damaged_states_place_three_orders() -> None:
    """A state that is never whole is never a fresh start."""
    these = world("a.example")
    these.outcomes["a.example"] = REFUSED
    for _ in range(100):
        these.keeper.damaged = True
        restart(these, 1, timedelta(minutes=2))
    assert len(these.orders) <= 3


def test_a_kill_before_any_order_costs_nothing() -> None:
    """A run that only looked is taken up at once."""
    these = world("a.example")
    these.after_run = killed_while(these, ordered=False, finalized=False)
    restart(these, 1, timedelta(seconds=1))
    these.after_run = lambda _name: None
    restart(these, 1, timedelta(seconds=1))
    assert "a.example" in these.published


def test_a_pause_outlives_the_process() -> None:
    """The schedule goes on where it was, with the attempts counted on."""
    these = world("a.example")
    these.outcomes["a.example"] = REFUSED
    restart(these, 60 * 24 * 2, timedelta(minutes=1))
    minutes = [round((time - NOW) / timedelta(minutes=1)) for _, time in these.orders]
    assert minutes[:4] == [0, 2, 13, 114]
    assert len(minutes) == 5


def test_what_is_well_is_looked_at_after_a_restart() -> None:
    """A look costs nothing, and the operator may have restarted for it."""
    these = world("a.example")
    restart(these, 1, timedelta(seconds=1))
    these.outcomes["a.example"] = None
    restart(these, 1, timedelta(seconds=1))
    assert these.runs == ["a.example"] * 2
    assert len(these.orders) == 1


def test_an_unreachable_server_is_asked_soon_after_a_restart() -> None:
    """That costs nothing either; but a pause that a busy server asked for is kept."""
    these = world("a.example")
    for failure, runs in ((Failure.NETWORK, 1), (Failure.BUSY, 0)):
        these.keeper.state = None
        these.outcomes["a.example"] = Outcome(failure, "no", retry_after=timedelta(minutes=14))
        restart(these, 1, timedelta(seconds=1))
        these.issuer().cycle()
        these.time += timedelta(seconds=31)
        these.runs.clear()
        restart(these, 1, timedelta(seconds=1))
        assert len(these.runs) == runs


def test_other_options_or_names_reset_their_lineage_only() -> None:
    """The corrected one is tried at once, the other one goes on waiting."""
    these = world("a.example; b.example")
    these.outcomes = dict.fromkeys(("a.example", "b.example"), Outcome(Failure.REFUSED, "policy", ordered=True))
    restart(these, 1, timedelta(seconds=1))
    these.lineages = parse_domains("a.example, www.a.example; b.example").lineages
    restart(these, 1, timedelta(seconds=1))
    assert [name for name, _ in these.orders] == ["a.example", "b.example", "a.example"]


def test_a_full_disk_lets_a_look_pass_but_no_order(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be counted is not ordered; what only looks goes on."""
    these = world("held.example; new.example")
    these.outcomes["held.example"] = None
    these.held["held.example"] = bundle("held.example", issue(["held.example"]))
    these.keeper.full = True
    issuer = these.issuer()
    issuer.cycle()

    assert these.runs == ["held.example", "new.example"]
    assert these.orders == []
    order, state = sorted(errors(caplog), key=lambda line: "Next try" not in line)
    assert order.startswith("No certificate can be ordered: Cannot write the state: No space left on device.")
    assert state.endswith("Until that is mended, no certificate is ordered.")

    these.keeper.full = False
    these.time += timedelta(minutes=2)
    issuer.cycle()
    assert [name for name, _ in these.orders] == ["new.example"]


def test_an_order_is_counted_although_the_disk_filled_up_meanwhile() -> None:
    """What could not be saved after the order is still in memory, and in the journal if the process ends."""
    these = world("a.example")
    these.outcomes["a.example"] = LOST

    def fill(name: str) -> None:
        these.keeper.full = True
        these.keeper.begun[name] = Interrupted(these.time, ordered=True, finalized=True)

    these.after_run = fill
    restart(these, 1, timedelta(seconds=1))
    these.keeper.full = False
    restart(these, 1, timedelta(seconds=1))
    assert len(these.orders) == 1
    assert these.keeper.state is not None
    assert [order.issued for order in these.keeper.state.spent] == [True]


def test_the_budget_stops_what_the_schedule_would_allow(caplog: pytest.LogCaptureFixture) -> None:
    """Certificates that are lost again and again end at the limit, and the line says until when."""
    these = world("a.example")
    these.outcomes["a.example"] = LOST
    issuer = these.issuer()
    for _ in range(30):
        these.time += timedelta(minutes=1)
        issuer.retry_now()
        issuer.cycle()
    assert len(these.orders) == 10
    assert errors(caplog)[-1].startswith(
        "No certificate is ordered for a.example from ca.example now: enough certificates for the same names were "
        "issued within seven days, and the limit of the CA is near. Next try in 1"
    )


def test_a_renewal_that_the_budget_stopped_stays_due() -> None:
    """Also a run that may only look asks the CA for its advice anew, or certbot would find nothing due for hours."""
    these = world("a.example")
    these.outcomes["a.example"] = LOST
    issuer = these.issuer()
    for _ in range(30):
        these.time += timedelta(minutes=1)
        issuer.retry_now()
        issuer.cycle()
    assert not these.permits[0].ask_anew
    assert these.permits[-1].refusal
    assert all(permit.ask_anew for permit in these.permits[1:])


def test_a_limit_of_a_domain_holds_up_its_names_only() -> None:
    """Who shares the registered domain waits for the CA's moment, and others go on."""
    these = world("a.one.test; b.one.test; c.two.test")
    link = "see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain"
    limited = Outcome(
        Failure.RATE_LIMITED, f"too many certificates: {link}", retry_after=timedelta(hours=3), ordered=True
    )
    these.outcomes["a.one.test"] = limited
    issuer = these.issuer()
    issuer.cycle()
    these.outcomes["b.one.test"] = None
    these.runs.clear()
    issuer.retry_now()
    issuer.cycle()
    assert set(these.runs) == {"c.two.test"}


def test_failed_names_are_counted_each() -> None:
    """Only the names that failed are nearer to their limit."""
    these = world("a.example, b.example")
    these.outcomes["a.example"] = Outcome(Failure.VALIDATION, "", (Skipped("b.example", "404"),), ordered=True)
    restart(these, 1, timedelta(seconds=1))
    assert these.keeper.state is not None
    assert [order.failed for order in these.keeper.state.spent] == [("b.example",)]


def test_the_operator_asks_for_one_certificate() -> None:
    """Its pause ends, those of others do not; a pause of the CA's does not end."""
    these = world("a.example; b.example; c.example")
    these.outcomes = dict.fromkeys(("a.example", "b.example"), Outcome(Failure.REFUSED, "policy"))
    these.outcomes["c.example"] = Outcome(Failure.RATE_LIMITED, "later", retry_after=timedelta(hours=1))
    issuer = these.issuer()
    issuer.cycle()
    these.runs.clear()
    said = [issuer.retry(name) for name in ("a.example", "c.example", "d.example")]
    issuer.cycle()
    assert these.runs == ["a.example"]
    assert said == [
        "The certificate for a.example is tried again now, as asked.",
        "The certificate for c.example is not tried before the CA's own pause is over.",
        "",
    ]


def test_a_clock_set_back_keeps_nobody_waiting_for_years() -> None:
    """No pause grows beyond what it was meant to be."""
    these = world("a.example")
    these.time = NOW + timedelta(days=3650)
    these.outcomes["a.example"] = REFUSED
    restart(these, 1, timedelta())
    these.time = NOW
    issuer = these.issuer()
    issuer.cycle()
    these.time = NOW + timedelta(minutes=3)
    issuer.cycle()
    assert len(these.orders) == 2


def test_who_is_forgotten_is_still_counted() -> None:
    """The CA does not forget."""
    these = world("a.example")
    issuer = these.issuer()
    issuer.cycle()
    issuer.want(())
    issuer.forget("a.example")
    issuer.cycle()
    assert these.keeper.state is not None
    assert these.keeper.state.lineages == {}
    assert len(these.keeper.state.spent) == 1


def test_nothing_changes_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """The same world is the same state."""
    caplog.set_level(logging.INFO)
    these = world("a.example")
    issuer = these.issuer()
    issuer.cycle()
    before, time = these.keeper.state, these.time
    these.time = time + timedelta(minutes=5)
    issuer.cycle()
    assert these.keeper.state == before


ENDS = (
    REFUSED,
    LOST,
    Outcome(Failure.CRASH, "?", ordered=True),
    Outcome(Failure.SERVER, "500", ordered=True),
    Outcome(Failure.NONCE, "nonce", ordered=True),
    Outcome(Failure.NETWORK, "reset", ordered=True),
    Outcome(Failure.RATE_LIMITED, "too many", retry_after=timedelta(), ordered=True),
    OK,
)


@settings(max_examples=examples(60))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ENDS),
            st.sampled_from(("restart", "operator", "hangup", "kill", "renames", "nothing")),
            st.one_of(st.timedeltas(timedelta(), timedelta(minutes=15)), st.timedeltas(timedelta(), timedelta(days=2))),
        ),
        max_size=60,
    )
)
@example([(LOST, "operator", timedelta(minutes=1))] * 9)
@example([(LOST, "kill", timedelta(minutes=11)), (OK, "operator", timedelta(minutes=1))] * 9)
@example([(REFUSED, "operator", timedelta(minutes=1))] * 9)
def test_nothing_that_happens_crosses_a_limit(events: list[tuple[Outcome, str, timedelta]]) -> None:
    """Whatever orders come to, and however often the container is started, killed, asked or told of other names: no
    window holds more than Let's Encrypt allows.
    """
    these = world("a.example")
    these.limits = LETS_ENCRYPT
    issuer = these.issuer()
    placed: list[tuple[Outcome, tuple[str, ...]]] = []
    for outcome, event, pause in events:
        these.outcomes["a.example"] = outcome
        these.after_run = killed_while(these, ordered=True, finalized=outcome.finalized) if event == "kill" else quiet
        match event:
            case "renames":
                names = "a.example" if len(these.lineages[0].identifiers) > 1 else "a.example, b.example"
                these.lineages = parse_domains(names).lineages
                issuer.want(these.lineages)
            case "operator":
                issuer.retry("a.example")
            case "hangup":
                issuer.retry_now()
            case "restart":
                issuer = these.issuer()
        before = len(these.orders)
        with contextlib.suppress(KilledError):
            issuer.cycle()
        names_now = tuple(str(name) for name in these.lineages[0].identifiers)
        placed += [(outcome, names_now)] * (len(these.orders) - before)
        if event == "kill":
            issuer = these.issuer()
        these.time += pause

    times = [time for _, time in these.orders]
    for each in (("a.example",), ("a.example", "b.example")):
        issued = [t for t, (end, of) in zip(times, placed, strict=True) if end.finalized and of == each]
        assert most_within(issued, timedelta(days=7)) <= 5
    failed = [t for t, (end, _) in zip(times, placed, strict=True) if end is REFUSED]
    assert most_within(failed, timedelta(hours=1)) <= 5


def quiet(_name: str) -> None:
    """Nothing happens after a run."""
