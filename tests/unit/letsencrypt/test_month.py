"""A month in seconds: five hundred certificates of mixed lifetimes, with failures, restarts and a clock that jumps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from letsencrypt.budget import LETS_ENCRYPT
from letsencrypt.edges import Edges
from letsencrypt.issuer import Issuer
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.permit import Permit
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.state import Interrupted, State, format_state, parse_state
from proxy_agent.daemon.errors import Skipped
from proxy_agent.tls.bundle import Bundle
from tests.unit.letsencrypt.certificates import NOW
from tests.unit.letsencrypt.world import Inline

pytestmark = pytest.mark.slow

DAY, HOUR, STEP = timedelta(days=1), timedelta(hours=1), timedelta(minutes=30)
LIFETIMES = (90 * DAY, 64 * DAY, 45 * DAY, timedelta(hours=160))
SERVERS = 10
"""Fifty of the lineages come from each; that only makes the test ten times as fast."""
MONTH = 30 * DAY
LOOKS = 2 * DAY
"""RENEWAL_INTERVAL."""
OUTAGE = (12 * DAY, 6 * HOUR)
JUMPS = ((8 * DAY, DAY), (20 * DAY, -DAY))
"""When the container's clock goes wrong, and by how much, for JUMP_LASTS."""
JUMP_LASTS = 3 * HOUR
FAILS_ONE_IN = 20


class Killed(Exception):
    """The container was."""


@dataclass(frozen=True)
class Window:
    """When the CA advises to renew (RFC 9773), as Let's Encrypt does."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Order:
    """One that reached the CA."""

    time: datetime
    name: str
    renewal: bool
    issued: bool = False
    refused: bool = False


@dataclass
class Volume:
    """The state as it would be on a disk; what is read is only taken apart at a start."""

    state: State | None = None
    begun: dict[str, Interrupted] = field(default_factory=dict)

    def load(self, _now: datetime, /) -> tuple[State | None, str]:
        """What was saved."""
        return self.state and parse_state(format_state(self.state)), ""

    def lost(self, _now: datetime, /) -> tuple[datetime, ...]:
        """Nothing."""
        return ()

    def save(self, state: State, /) -> None:
        """Keep it."""
        self.state = state

    def begin(self, name: str, now: datetime, /) -> Path:
        """Note a run."""
        self.begun[name] = Interrupted(now, ordered=False, finalized=False)
        return Path(name)

    def end(self, name: str, /) -> None:
        """Its end."""
        self.begun.pop(name, None)

    def interrupted(self, _now: datetime, /) -> dict[str, Interrupted]:
        """What did not end."""
        return dict(self.begun)


class Month:
    """The CAs, certbot, and the container that lives through it."""

    def __init__(self, seed: int, many: int, new: int, servers: int) -> None:
        self.random = Random(seed)
        self.time = self._clock = NOW
        self.volumes = [Volume() for _ in range(servers)]
        self.lineages = parse_domains("; ".join(f"www.n{number}.com" for number in range(many))).lineages
        self.lifetimes = {lineage.name: LIFETIMES[each % 4] for each, lineage in enumerate(self.lineages)}
        self.held: dict[str, Bundle] = {}
        self.windows: dict[str, Window] = {}
        self.chosen: dict[str, datetime] = {}
        self.orders: list[Order] = []
        self.renewals: list[tuple[str, datetime, Window]] = []
        """Each with the container's time, and the window it had to be in."""
        self.expired: set[str] = set()
        self.kills = 0
        for lineage in self.lineages[new:]:
            age = self.random.random() * self._share(lineage.name) * self.lifetimes[lineage.name]
            self._issue(lineage, self.time - age)

    def clock(self) -> datetime:
        """The container's."""
        return self._clock

    def _pass(self, pause: timedelta) -> None:
        self.time += pause
        since = self.time - NOW
        self._clock = self.time + sum((by for at, by in JUMPS if at <= since < at + JUMP_LASTS), timedelta())

    def live(self, lasts: timedelta) -> None:
        """From the first second to the last."""
        restart = self.time
        issuers: list[Issuer] = []
        while self.time < NOW + lasts:
            if not issuers or self.time >= restart:
                issuers = [self._start(each) for each in range(len(self.volumes))]
                restart = self.time + 3 * DAY * self.random.random()
            try:
                pause = min(issuer.cycle().pause for issuer in issuers)
            except Killed:
                issuers, pause = [], timedelta()
            self._pass(max(pause, STEP))
            self.expired |= {name for name, bundle in self.held.items() if bundle.not_after <= self.time}

    def certbot(self, lineage: Lineage, permit: Permit, /) -> Outcome:
        """One run."""
        name = lineage.name
        if name in self.held and self.clock() < self.chosen[name]:
            return Outcome()
        if self._is_down():
            return Outcome(Failure.NETWORK, "Connection refused")
        if permit.refusal:
            return Outcome(Failure.BUDGET, permit.refusal)
        if self.random.randrange(FAILS_ONE_IN) == 0:
            return self._misfortune(lineage)
        self._order(lineage, issued=True)
        if name in self.held:
            self.renewals.append((name, self.clock(), self.windows[name]))
        self._issue(lineage, self.time)
        return Outcome(ordered=True, finalized=True)

    def after(self, lineage: Lineage, /) -> Bundle:
        """What is held."""
        return self.held[lineage.name]

    def most_within(self, window: timedelta, orders: Iterable[Order]) -> int:
        """How many of *orders* lie in the fullest *window*."""
        times = sorted(order.time for order in orders)
        first = most = 0
        for last, time in enumerate(times):
            while times[first] + window <= time:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _misfortune(self, lineage: Lineage) -> Outcome:
        def fails(failure: Failure, *, issued: bool = False, wait: timedelta | None = None) -> Callable[[], Outcome]:
            def fail() -> Outcome:
                self._order(lineage, issued=issued, refused=failure is Failure.VALIDATION)
                return Outcome(failure, "no", (Skipped(lineage.name, "no"),), wait, ordered=True, finalized=issued)

            return fail

        def dies() -> Outcome:
            finalized = self.random.random() < 0.5
            self._order(lineage, issued=finalized)
            volume = next(volume for volume in self.volumes if lineage.name in volume.begun)
            volume.begun[lineage.name] = Interrupted(self.clock(), ordered=True, finalized=finalized)
            self.kills += 1
            raise Killed

        fates = (
            lambda: Outcome(Failure.NETWORK, "Connection reset by peer"),
            fails(Failure.BUSY, wait=timedelta(minutes=3)),
            fails(Failure.SERVER),
            fails(Failure.NONCE),
            fails(Failure.CRASH),
            fails(Failure.VALIDATION),
            fails(Failure.AFTER_FINALIZE, issued=True),
            dies,
        )
        return self.random.choice(fates)()

    def _order(self, lineage: Lineage, issued: bool, refused: bool = False) -> None:
        self.orders.append(Order(self.time, lineage.name, lineage.name in self.held, issued, refused))

    def _issue(self, lineage: Lineage, time: datetime) -> None:
        name, life = lineage.name, self.lifetimes[lineage.name]
        self.held[name] = Bundle(
            name, b"", frozenset(lineage.identifiers), len(self.orders), f"{name} {time}", "CA", time, time + life, 1
        )
        middle = time + life * self._share(name)
        self.windows[name] = window = Window(middle - life * 0.01, middle + life * 0.01)
        self.chosen[name] = window.start + (window.end - window.start) * self.random.random()

    def _share(self, name: str) -> float:
        return 1 / 2 if self.lifetimes[name] < 10 * DAY else 2 / 3

    def _is_down(self) -> bool:
        at, lasts = OUTAGE
        return at <= self.time - NOW < at + lasts

    def _start(self, server: int) -> Issuer:
        edges = Edges(
            certbot=self.certbot,
            checkup=_Well(self),
            publisher=_Well(self),
            load_balancer=_Well(self),
            sleep=_Well(self),
            crew=Inline(),
            keeper=self.volumes[server],
            configuration=str,
            promise=lambda _: None,
            now=self.clock,
            random=self.random.random,
        )
        issuer = Issuer("ca.example", LOOKS, edges, LETS_ENCRYPT)
        issuer.want(self.lineages[server :: len(self.volumes)])
        return issuer


@dataclass
class _Well:
    """All the rest, which works."""

    month: Month
    stopping: bool = False

    def ready(self, _alone: bool = True, /) -> tuple[str, ...]:
        return ()

    def registered(self) -> bool:
        return True

    def drop_account(self) -> tuple[str, ...]:
        return ()

    def before(self, _lineage: Lineage, /) -> tuple[str, ...]:
        return ()

    def after(self, lineage: Lineage, /) -> Bundle:
        return self.month.after(lineage)

    def held(self, lineage: Lineage, /) -> Bundle | None:
        return self.month.held.get(lineage.name)

    def publish(self, _lineage: Lineage, /) -> None:
        return None

    def wait(self, _patient: bool = True, /) -> bool:
        return True


@pytest.fixture(scope="module")
def month() -> Month:
    """One that is over."""
    lived = Month(seed=4, many=500, new=200, servers=SERVERS)
    lived.live(MONTH)
    return lived


def test_every_certificate_is_renewed_in_its_window(month: Month) -> None:
    """None before the CA advises it by the container's clock, none later than a look after the window's end but for
    what failed in between, and none expired.
    """
    assert month.expired == set()
    assert set(month.held) == {lineage.name for lineage in month.lineages}
    assert len(month.renewals) > 1000
    assert all(time >= window.start for _, time, window in month.renewals)
    late = [time - window.end for _, time, window in month.renewals if time > window.end + LOOKS]
    assert len(late) <= len(month.renewals) / 10
    assert max(late, default=timedelta()) < 2 * DAY


def test_no_limit_of_the_ca_is_met(month: Month) -> None:
    """Not even if all were of one account: at first, after an outage, a kill, a restart or a jump of the clock."""
    assert month.kills > 0
    new = [order for order in month.orders if not order.renewal]
    assert month.most_within(LETS_ENCRYPT.orders.window, new) <= LETS_ENCRYPT.orders.ours
    for lineage in month.lineages:
        ours = [order for order in month.orders if order.name == lineage.name]
        issued = [order for order in ours if order.issued]
        assert month.most_within(LETS_ENCRYPT.same_names.window, issued) <= LETS_ENCRYPT.same_names.theirs
        refused = [order for order in ours if order.refused]
        assert month.most_within(LETS_ENCRYPT.failures.window, refused) <= LETS_ENCRYPT.failures.ours


def test_no_order_is_wasted(month: Month) -> None:
    """What failed costs one order more each time, and nothing else does: restarts and clock jumps order nothing."""
    good = len(month.renewals) + 200
    failed = len(month.orders) - good
    assert failed <= len(month.orders) / FAILS_ONE_IN * 1.5


def test_many_new_ones_at_once_wait_for_the_limit() -> None:
    """Of 320 that are new, as many are ordered as the CA allows in three hours, and the others after that."""
    day = Month(seed=4, many=320, new=320, servers=1)
    day.live(8 * HOUR)
    assert len(day.held) == len(day.lineages)
    assert day.most_within(LETS_ENCRYPT.orders.window, day.orders) == LETS_ENCRYPT.orders.ours
