"""The CA's bad days: each fault at each of its resources, and what comes of it; real certbot, a proxy before Pebble."""

import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from letsencrypt.schedule import Failure
from letsencrypt.standing import Standing
from tests.acme.container import Container, Patient
from tests.acme.fault_proxy import Endpoint, Fault, FaultProxy, Mode, Seen
from tests.acme.pace import Pace
from tests.acme.pebble import PROFILES, Authorities, Dns
from tests.waiting import until

pytestmark = [pytest.mark.acme, pytest.mark.slow]

NAME = "met.example"
LASTS = timedelta(seconds=25)
"""From the first failure to the end of the fault."""
SOON = timedelta(seconds=10)
RETRY_AFTER = timedelta(seconds=120)
DAY, TEN_MINUTES, MINUTE, HALF_A_MINUTE = (timedelta(seconds=seconds) for seconds in (86400, 600, 60, 30))
BEFORE_ORDER = (Endpoint.DIRECTORY, Endpoint.NONCE, Endpoint.ACCOUNT)
AFTER_FINALIZE = (Endpoint.FINALIZE, Endpoint.ORDER_POLL, Endpoint.CERTIFICATE)
TO_ISSUE = (*BEFORE_ORDER, Endpoint.ORDER, Endpoint.AUTHORIZATION, Endpoint.CHALLENGE, *AFTER_FINALIZE)


@dataclass(frozen=True)
class Plan:
    """What has to come of a fault."""

    failure: Failure
    pause: timedelta
    """To the next try; but for the tenth that is left to chance."""
    heals: bool = False
    """Whether the end of the fault is seen, and the next try comes then."""
    for_all: bool = False


def problem(status: int, kind: str, **headers: str) -> Callable[[Endpoint], Fault]:
    """An answer as the CA itself gives (RFC 8555 section 6.7)."""
    document = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": "no", "status": status}
    headers = {"Content-Type": "application/problem+json", **headers}
    return lambda where: Fault(where, Mode.REPLY, status=status, body=json.dumps(document).encode(), headers=headers)


def page(status: int, **headers: str) -> Callable[[Endpoint], Fault]:
    """An answer as of the load balancer before it."""
    headers = {"Content-Type": "text/html", **headers}
    return lambda where: Fault(where, Mode.REPLY, status=status, body=b"<h1>No</h1>", headers=headers)


def mode(mode: Mode) -> Callable[[Endpoint], Fault]:
    """No answer, or none that makes sense."""
    return lambda where: Fault(where, mode)


later = {"Retry-After": str(round(RETRY_AFTER.total_seconds()))}
FAULTS: dict[str, tuple[Callable[[Endpoint], Fault], Plan, Plan]] = {
    "429-retry-after": (
        problem(429, "rateLimited", **later),
        Plan(Failure.BUSY, RETRY_AFTER, for_all=True),
        Plan(Failure.RATE_LIMITED, RETRY_AFTER),
    ),
    "429": (
        problem(429, "rateLimited"),
        Plan(Failure.BUSY, MINUTE, heals=True, for_all=True),
        Plan(Failure.RATE_LIMITED, DAY),
    ),
    "500": (
        problem(500, "serverInternal"),
        Plan(Failure.NETWORK, HALF_A_MINUTE, heals=True, for_all=True),
        Plan(Failure.SERVER, MINUTE, heals=True),
    ),
    "503": (page(503), *(Plan(Failure.BUSY, MINUTE, heals=True, for_all=True),) * 2),
    "503-retry-after": (page(503, **later), *(Plan(Failure.BUSY, RETRY_AFTER, for_all=True),) * 2),
    "reset": (mode(Mode.RESET), *(Plan(Failure.NETWORK, HALF_A_MINUTE, heals=True, for_all=True),) * 2),
    "hang": (mode(Mode.HANG), *(Plan(Failure.NETWORK, HALF_A_MINUTE, heals=True, for_all=True),) * 2),
    "garbage": (mode(Mode.GARBAGE), *(Plan(Failure.NETWORK, HALF_A_MINUTE, heals=True, for_all=True),) * 2),
}
"""Each with its plan before the order, and from the order on; after the finalization there is but one."""
LOST = Plan(Failure.AFTER_FINALIZE, TEN_MINUTES)


class Trial:
    """A container that meets a fault."""

    def __init__(self, container: Container, proxy: FaultProxy, pace: Pace) -> None:
        self.container, self.proxy, self.pace = container, proxy, pace
        self.options = f"--server {proxy.directory}"
        proxy.seen.clear()

    def standing(self) -> tuple[Standing, bool]:
        """Where it stands, and whether all wait."""
        state = self.container.state(self.proxy)
        if state.standing and state.standing.failure:
            return state.standing, True
        return state.lineages[NAME].standing, False

    def last_run(self) -> datetime:
        """When certbot was started last."""
        moment = self.container.state(self.proxy).lineages[NAME].last_run
        assert moment is not None
        return moment

    def is_issued(self) -> bool:
        """Whether there is a certificate."""
        return (self.container.certs / f"{NAME}.pem").exists()

    def pass_time(self, loop: Patient, at_most: timedelta) -> None:
        """Let the loop run, until there is a certificate."""
        self.pace.stop_when(self.is_issued, at_most)
        loop.run()

    def issue_in_time(self, loop: Patient, plan: Plan, standing: Standing) -> None:
        """Assert that the next try, after the fault has ended, comes in its time, and obtains the certificate."""
        ended = self.pace.now()
        if plan.heals:
            self.pass_time(loop, SOON * 2)
            assert self.last_run() - ended <= SOON
        else:
            failed = self.last_run()
            self.pass_time(loop, SOON * 2)
            assert self.last_run() == failed
            self.pace.ahead += max(standing.not_before - self.pace.now() - SOON, timedelta())
            self.pass_time(loop, SOON * 3)
            assert self.last_run() >= standing.not_before
        self.proxy.authority.verify(self.container.published(NAME).pem, NAME)


@pytest.fixture
def trial(container: Container, proxy: FaultProxy, pace: Pace) -> Trial:
    """A fresh one."""
    return Trial(container, proxy, pace)


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("where", TO_ISSUE, ids=lambda each: each.name.lower().replace("_", "-"))
def test_a_fault_on_the_way_to_a_certificate(
    trial: Trial, where: Endpoint, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of the right class and is tried again in time, which is within ten seconds after a fault that can be seen
    to end; what may have been issued is counted, there is one lineage in the end, and the CA was asked gently.
    """
    fault, before, ordered = FAULTS[kind]
    plan = LOST if where in AFTER_FINALIZE else before if where in BEFORE_ORDER else ordered
    if kind == "hang":
        monkeypatch.setenv("IMPATIENT_TIMEOUT", "1.5")
    with trial.container.started(NAME, trial.options) as loop:
        with trial.proxy.failing(fault(where)):
            loop.cycle()
            standing, for_all = trial.standing()
            assert (standing.failure, for_all) == (plan.failure, plan.for_all)
            assert plan.pause <= standing.pause <= plan.pause * 1.1
            trial.pass_time(loop, LASTS)
        monkeypatch.delenv("IMPATIENT_TIMEOUT", raising=False)
        assert not trial.is_issued()
        gentle = LASTS.total_seconds() / 5 + 3
        assert trial.proxy.count(where, "GET") <= gentle
        assert trial.proxy.count(Endpoint.ORDER, "POST") <= 1
        trial.issue_in_time(loop, plan, standing)

    issued = [spent.issued for spent in trial.container.state(trial.proxy).spent]
    assert issued == [True] * len(issued) if where in AFTER_FINALIZE else issued.count(True) == 1
    assert len(issued) <= 2
    assert trial.container.lineages(trial.proxy) == {NAME}


@pytest.mark.parametrize("kind", FAULTS)
def test_renewal_information_that_fails_orders_nothing(
    trial: Trial, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever becomes of that question, a certificate that is not due stays, the log is silent, and it is asked again
    at the next look.
    """
    if kind == "hang":
        monkeypatch.setenv("IMPATIENT_TIMEOUT", "1.5")
    trial.container.cycle(NAME, trial.proxy)
    before = trial.container.published(NAME)
    caplog.clear()
    with trial.proxy.failing(FAULTS[kind][0](Endpoint.RENEWAL_INFO)):
        trial.container.cycle(NAME, trial.proxy)

    assert trial.proxy.count(Endpoint.RENEWAL_INFO) == 1
    assert trial.proxy.count(Endpoint.ORDER, "POST") == 1
    assert trial.container.published(NAME) == before
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    standing, _ = trial.standing()
    assert standing.failure is None


def test_without_renewal_information_half_of_a_short_life_counts(
    container: Container, authorities: Authorities
) -> None:
    """A certificate is renewed while it is valid, though the CA gives no advice."""
    authority = authorities.start(profiles={**PROFILES, "seconds": {"description": "", "validityPeriod": 12}})
    proxy = FaultProxy(authority)
    words = ("--preferred-profile", "seconds")
    with proxy.failing(Fault(Endpoint.RENEWAL_INFO, Mode.RESET)):
        container.cycle(NAME, proxy, *words)
        first = container.published(NAME)

        def renewed() -> bool:
            container.cycle(NAME, proxy, *words)
            return container.published(NAME).serial != first.serial

        until(renewed, "the certificate is renewed")
    proxy.close()
    assert container.published(NAME).not_before < first.not_after


@pytest.mark.parametrize("where", [Endpoint.ORDER, Endpoint.CHALLENGE], ids=lambda each: each.name.lower())
def test_one_hiccup_costs_seconds(trial: Trial, where: Endpoint) -> None:
    """A connection that was reset once is tried again after five seconds."""
    with (
        trial.container.started(NAME, trial.options) as loop,
        trial.proxy.failing(Fault(where, Mode.RESET, times=1, method="POST")),
    ):
        loop.cycle()
        failed = trial.last_run()
        trial.pass_time(loop, timedelta(minutes=1))
    assert trial.last_run() - failed <= SOON
    assert trial.container.lineages(trial.proxy) == {NAME}


HICCUPS = [
    *((where, mode(Mode.RESET)) for where in AFTER_FINALIZE),
    *((where, page(502)) for where in AFTER_FINALIZE),
    (Endpoint.ORDER_POLL, problem(500, "serverInternal")),
]


@pytest.mark.parametrize(("where", "fault"), HICCUPS)
def test_one_hiccup_loses_no_certificate(
    trial: Trial, where: Endpoint, fault: Callable[[Endpoint], Fault], caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked for is polled again within the same run: one order, and nothing is said of it."""
    plan = replace(fault(where), times=1, method="POST")
    with trial.proxy.failing(plan), trial.container.started(NAME, trial.options) as loop:
        loop.cycle()
    assert plan.times is not None
    assert plan.times < 1
    assert trial.is_issued()
    assert trial.proxy.count(Endpoint.ORDER, "POST") == 1
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_one_hiccup_while_names_are_validated_costs_no_order(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same poll is sent again."""
    plan = Fault(Endpoint.AUTHORIZATION, Mode.RESET, times=1)
    with ExitStack() as stack:

        def begin(seen: Seen) -> None:
            if seen.endpoint is Endpoint.CHALLENGE:
                stack.enter_context(trial.proxy.failing(plan))

        monkeypatch.setattr(trial.proxy, "watch", begin)
        stack.enter_context(trial.container.started(NAME, trial.options)).cycle()
    assert plan.times == -1
    assert trial.is_issued()
    assert trial.proxy.count(Endpoint.ORDER, "POST") == 1


def test_a_finalization_without_an_answer_is_not_repeated(trial: Trial) -> None:
    """It may have been heard: the order tells, and the one certificate is there."""
    passed_on = Fault(Endpoint.FINALIZE, Mode.LOSE, times=1)
    with trial.proxy.failing(passed_on), trial.container.started(NAME, trial.options) as loop:
        loop.cycle()
    assert trial.is_issued()
    assert trial.proxy.count(Endpoint.FINALIZE) == 1


def test_a_fault_that_no_look_sees_is_not_hammered(trial: Trial) -> None:
    """Where orders fail and all else answers, three tries come early, each after twice the time; a quarter of
    an hour takes no more than nine, and the end of it is found out at the next.
    """
    with trial.container.started(NAME, trial.options) as loop:
        with trial.proxy.failing(Fault(Endpoint.ORDER, Mode.RESET, method="POST")):
            trial.pass_time(loop, timedelta(seconds=50))
            assert trial.proxy.count(Endpoint.ORDER, "POST") == 4
            trial.pass_time(loop, timedelta(minutes=14))
            assert trial.proxy.count(Endpoint.ORDER, "POST") <= 9
        standing, _ = trial.standing()
        trial.pace.ahead += standing.not_before - trial.pace.now()
        trial.pass_time(loop, timedelta(minutes=1))
    assert trial.is_issued()


def test_rejected_nonces_cost_seconds(container: Container, pace: Pace, authorities: Authorities) -> None:
    """Where 15 of 100 nonces are refused, each certificate comes all the same, with hardly an order more than that."""
    authority = authorities.start(rejected_nonces=15)
    names = [f"n{number}.example" for number in range(8)]
    with container.started("; ".join(names), f"--server {authority.directory}") as loop:
        pace.stop_when(lambda: len(list(container.certs.iterdir())) == len(names), timedelta(minutes=40))
        loop.run()
    assert container.lineages(authority) == set(names)
    state = container.state(authority)
    assert authority.orders() >= len(state.spent) >= len(names)
    assert len(state.spent) <= len(names) + 1


def test_a_name_is_tried_as_soon_as_dns_heals(trial: Trial, dns: Dns) -> None:
    """A name that DNS failed for, here as there, is tried again within ten seconds after DNS is mended; until then
    the CA is left alone.
    """
    dns.break_name(NAME)
    try:
        with trial.container.started(NAME, trial.options) as loop:
            loop.cycle()
            standing, _ = trial.standing()
            assert standing.failure is Failure.VALIDATION
            trial.pass_time(loop, LASTS)
            assert trial.proxy.count(Endpoint.ORDER, "POST") == 1
            dns.mend_name(NAME)
            trial.issue_in_time(loop, Plan(Failure.VALIDATION, MINUTE, heals=True), standing)
    finally:
        dns.mend_name(NAME)
    assert trial.proxy.count(Endpoint.ORDER, "POST") == 2


def test_what_preflight_blocked_is_ordered_as_soon_as_dns_heals(trial: Trial, dns: Dns) -> None:
    """A name that was not even ordered, as it could not be looked up, is so within ten seconds after it can be."""
    dns.lead("localhost", "9.9.9.9")
    dns.break_name("met.net")
    options = f"--server https://localhost:{trial.proxy.authority.port}/dir"
    published = trial.container.certs / "met.net.pem"
    with trial.container.started("met.net", options) as loop:
        trial.pace.stop_when(published.exists, LASTS)
        loop.run()
        assert not published.exists()
        dns.mend_name("met.net")
        trial.pace.stop_when(published.exists, SOON)
        loop.run()
    assert published.exists()
