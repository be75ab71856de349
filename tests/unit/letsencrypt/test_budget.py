"""No sequence of events makes us cross a limit of the CA."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letsencrypt.budget import (
    ELSEWHERE,
    LETS_ENCRYPT,
    WEEK,
    Limit,
    Limits,
    Plan,
    Spent,
    limits_of,
    refusal,
    registered_domain,
    scopes_of,
    spent_scopes,
)
from letsencrypt.certonly import PRODUCTION, STAGING, Directory
from tests.examples import examples
from tests.unit.letsencrypt.certificates import NOW

HOUR = timedelta(hours=1)
SMALL = Limits(Limit(2, 3, WEEK), Limit(4, 6, WEEK), Limit(2, 3, HOUR), Limit(5, 7, 3 * HOUR))
SETS = (("a.test",), ("b.test",), ("a.test", "b.test"), ("www.a.test",), ("a.other",))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[timedelta, Plan, str]]:
    """What a confused loop may want to do: pauses, plans, and how each order would end."""
    step = st.tuples(
        st.one_of(st.timedeltas(timedelta(), timedelta(minutes=20)), st.timedeltas(timedelta(), timedelta(days=3))),
        st.builds(Plan, st.sampled_from(SETS), renewal=st.just(False), by_operator=st.booleans()),
        st.sampled_from(("issued", "failed", "nothing")),
    )
    return draw(st.lists(step, max_size=60))


def live(history: Sequence[tuple[timedelta, Plan, str]], limits: Limits) -> list[Spent]:
    """The orders that were placed, each after asking."""
    now = NOW
    placed: list[Spent] = []
    for pause, plan, end in history:
        now += pause
        if refusal(plan, placed, (), limits, now) is None:
            failed = plan.names if end == "failed" else ()
            placed.append(Spent(time=now, names=plan.names, failed=failed, issued=end == "issued"))
    return placed


def most_within(times: list[datetime], window: timedelta) -> int:
    """The most of *times* that any window holds."""
    return max((sum(start <= time < start + window for time in times) for start in times), default=0)


@settings(max_examples=examples(200))
@given(histories())
def test_no_window_ever_holds_more_than_the_limit(history: list[tuple[timedelta, Plan, str]]) -> None:
    """Whatever is wanted and whenever, by whomever: each limit holds in each window."""
    placed = live(history, SMALL)

    assert most_within([order.time for order in placed], SMALL.orders.window) <= SMALL.orders.theirs
    for names in SETS:
        same = [order.time for order in placed if order.issued and order.names == names]
        assert most_within(same, WEEK) <= SMALL.same_names.theirs
    for name in {name for names in SETS for name in names}:
        failed = [order.time for order in placed if name in order.failed]
        assert most_within(failed, HOUR) <= SMALL.failures.theirs
    for domain in ("a.test", "b.test", "a.other"):
        within = [o.time for o in placed if o.issued and domain in map(registered_domain, o.names)]
        assert most_within(within, WEEK) <= SMALL.domain.theirs


@settings(max_examples=examples(200))
@given(histories())
def test_a_refusal_ends_when_it_says(history: list[tuple[timedelta, Plan, str]]) -> None:
    """Before the moment that a refusal names the same is refused again, and at that moment it is not."""
    placed = live(history, SMALL)
    now = max((order.time for order in placed), default=NOW)
    for names in SETS:
        if refused := refusal(Plan(names), placed, (), SMALL, now):
            assert refused.until > now
            assert refusal(Plan(names), placed, (), SMALL, refused.until - timedelta(seconds=1))
            assert refusal(Plan(names), placed, (), SMALL, refused.until) is None


def test_the_fourth_certificate_for_the_same_names_is_the_operators() -> None:
    """Let's Encrypt gives five a week; three are spent by ourselves, two when the operator asks."""
    spent = [Spent(time=NOW, names=("b.test", "a.test"), issued=True)] * 3
    refused = refusal(Plan(("a.test", "b.test")), spent, (), LETS_ENCRYPT, NOW)

    assert refused is not None
    assert refused.until == NOW + WEEK
    assert refused.reason.startswith("enough certificates for the same names were issued within seven days")
    assert refusal(Plan(("a.test", "b.test"), by_operator=True), spent, (), LETS_ENCRYPT, NOW) is None
    assert refusal(Plan(("a.test", "b.test"), by_operator=True), spent[:1] * 5, (), LETS_ENCRYPT, NOW)
    assert refusal(Plan(("a.test",)), spent, (), LETS_ENCRYPT, NOW) is None


@pytest.mark.parametrize(("days", "most"), [(90, 3), (64, 3), (45, 3), (160 / 24, 4), (3, 5)])
def test_short_lives_are_renewed_more_often(days: float, most: int) -> None:
    """The room for renewals follows the lifetime, up to what the CA allows."""
    plan = Plan(("a.test",), renewal=True, lifetime=timedelta(days=days))
    spent = [Spent(time=NOW, names=("a.test",), issued=True, renewal=True)]
    assert refusal(plan, spent * (most - 1), (), LETS_ENCRYPT, NOW) is None
    assert refusal(plan, spent * most, (), LETS_ENCRYPT, NOW)


def test_renewals_do_not_count_where_the_ca_does_not_count_them() -> None:
    """Neither in the orders of the account nor in the certificates of a domain; a new name there has to wait."""
    spent = [Spent(time=NOW, names=(f"{n}.a.test",), issued=True) for n in range(46)]
    assert refusal(Plan(("1.a.test",), renewal=True), spent, (), LETS_ENCRYPT, NOW) is None
    refused = refusal(Plan(("new.a.test",)), spent, (), LETS_ENCRYPT, NOW)
    assert refused is not None
    assert "within a.test" in refused.reason
    renewed = [order.model_copy(update={"renewal": True}) for order in spent]
    assert refusal(Plan(("new.a.test",)), renewed, (), LETS_ENCRYPT, NOW) is None


def test_a_lost_count_is_half_spent() -> None:
    """One loss leaves room for two orders, two leave room for one, and a week later all is forgotten."""
    plan, issued = Plan(("a.test",)), Spent(time=NOW, names=("a.test",), issued=True)
    assert refusal(plan, [issued], [NOW], LETS_ENCRYPT, NOW) is None
    assert refusal(plan, [issued] * 2, [NOW], LETS_ENCRYPT, NOW)
    assert refusal(plan, [], [NOW] * 3, LETS_ENCRYPT, NOW)
    assert refusal(plan, [], [NOW] * 3, LETS_ENCRYPT, NOW + WEEK) is None


def test_a_clock_that_was_set_back_does_not_block_for_ever() -> None:
    """What seems to lie in the future counts as of now."""
    spent = [Spent(time=NOW + timedelta(days=400), names=("a.test",), issued=True)] * 3
    refused = refusal(Plan(("a.test",)), spent, (), LETS_ENCRYPT, NOW)
    assert refused is not None
    assert refused.until == NOW + WEEK


def test_lets_encrypts_limits_are_for_its_production_server() -> None:
    """Staging and other servers are looked at with more patience."""
    assert limits_of(Directory(PRODUCTION)) is LETS_ENCRYPT
    assert limits_of(Directory(STAGING)) is ELSEWHERE


@pytest.mark.parametrize(
    ("link", "scopes"),
    [
        ("new-certificates-per-exact-set-of-identifiers", set()),
        ("new-certificates-per-registered-domain", {"domain a.test"}),
        ("authorization-failures-per-identifier-per-account", {"name a.test", "name www.a.test"}),
        ("new-orders-per-account", {"account"}),
        ("new-registrations-per-ip-address-range", {"account"}),
        ("something-new", set()),
    ],
)
def test_the_link_tells_what_a_rate_limit_is_about(link: str, scopes: set[str]) -> None:
    """Who shares the limit waits, too, and nobody else."""
    message = f"too many things: see https://letsencrypt.org/docs/rate-limits/#{link}"
    names = ("a.test", "www.a.test")
    assert spent_scopes(message, names) == scopes
    assert scopes == {"account"} or scopes <= scopes_of(names)
