"""The world around an issuer: everything outside of it, played by fakes of the Protocols it declares."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from letsencrypt.budget import ELSEWHERE, Limits
from letsencrypt.certonly import Directory
from letsencrypt.edges import Crew, Edges
from letsencrypt.issuer import Issuer
from letsencrypt.issuers import Issuers
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.loop import Loop
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance
from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.state import Interrupted, State, format_state, parse_state
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.tls.bundle import Bundle
from tests.unit.letsencrypt.certificates import NOW, bundle, issue

T = TypeVar("T")
INTERVAL = timedelta(hours=12)
UNTIL = "valid until 2026-07-31 12:00 UTC, from ca.example"
OK = Outcome(ordered=True, finalized=True)


@dataclass
class Memory:
    """A volume for the state, which lives as long as the test."""

    state: State | None = None
    begun: dict[str, Interrupted] = field(default_factory=dict)
    lost_at: list[datetime] = field(default_factory=list)
    damaged: bool = False
    full: bool = False

    def load(self, now: datetime, /) -> tuple[State | None, str]:
        """What was saved."""
        if not self.damaged:
            return self.state, ""
        self.state, self.damaged = None, False
        self.lost_at.append(now)
        return None, "The state cannot be used."

    def lost(self, _now: datetime, /) -> tuple[datetime, ...]:
        """When it was damaged."""
        return tuple(self.lost_at)

    def save(self, state: State, /) -> None:
        """Keep *state*, as it is after a way through the file; one that is there already needs no way."""
        if self.full:
            raise OperationalError("Cannot write the state: No space left on device.")
        if state != self.state:
            self.state = parse_state(format_state(state))

    def begin(self, name: str, now: datetime, /) -> Path:
        """Note a run."""
        if self.full:
            raise OperationalError("Cannot write the journal: No space left on device.")
        self.begun[name] = Interrupted(now, ordered=False, finalized=False)
        return Path(name)

    def end(self, name: str, /) -> None:
        """Its end."""
        self.begun.pop(name, None)

    def interrupted(self, _now: datetime, /) -> dict[str, Interrupted]:
        """What did not end."""
        return dict(self.begun)


class Inline:
    """A crew that does all work at once."""

    def __init__(self) -> None:
        self._ended: list[Callable[[], None]] = []

    def start(self, work: Callable[[], T], then: Callable[[T], None], /) -> None:
        """Do it."""
        result = work()
        self._ended.append(lambda: then(result))

    def conclude(self, _patience: float = 0.0, /) -> bool:
        """Hand it on."""
        ended, self._ended = self._ended, []
        for conclude in ended:
            conclude()
        return bool(ended)


@dataclass
class World:
    """All that the loop touches, and a record of what it did to it."""

    lineages: tuple[Lineage, ...]
    time: datetime = NOW
    held: dict[str, Bundle] = field(default_factory=dict)
    """What certbot keeps."""
    published: dict[str, Bundle] = field(default_factory=dict)
    outcomes: dict[str, Outcome | None] = field(default_factory=dict)
    """How runs end; where nothing is said, with a new certificate; None: nothing was due."""
    runs: list[str] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    promises: list[timedelta | None] = field(default_factory=list)
    clearances: dict[str, Lineage | None] = field(default_factory=dict)
    """What a preflight lets through; where nothing is said, all."""
    passes: bool = True
    waits: int = 0
    stopping: bool = False
    disk_full: bool = False
    not_ready: str = ""
    unmendable: set[str] = field(default_factory=set)
    repairs: list[str] = field(default_factory=list)
    after_run: Callable[[str], None] = lambda _name: None
    rings: list[frozenset[str]] = field(default_factory=list)

    keeper: Memory = field(default_factory=Memory)
    orders: list[tuple[str, datetime]] = field(default_factory=list)
    rehearse: Callable[[Lineage], Outcome] | None = None
    limits: Limits = ELSEWHERE
    account: list[str] = field(default_factory=list)
    """What is said of one that can be set aside."""
    registers: bool = True
    """Whether there is an account."""
    crew: Crew = field(default_factory=Inline)
    at_a_time: int = 1
    configuration: Callable[[Lineage], str] = str

    def certbot(self, lineage: Lineage, permit: Permit, /) -> Outcome:
        """One run."""
        self.runs.append(lineage.name)
        self.permits.append(permit)
        outcome = self.outcomes.get(lineage.name, OK)
        if outcome is not None and permit.refusal:
            return Outcome(Failure.BUDGET, permit.refusal)
        if outcome is not None:
            self.orders.append((lineage.name, self.time))
        if outcome is OK:
            self.held[lineage.name] = bundle(lineage.name, issue([str(name) for name in lineage.identifiers]))
        self.after_run(lineage.name)
        return outcome or Outcome()

    def preflight(self, lineage: Lineage, _held: Bundle | None, _now: datetime, /) -> Clearance:
        """A look at the names."""
        return Clearance(self.clearances.get(lineage.name, lineage))

    def registered(self) -> bool:
        """Whether there is an account."""
        return self.registers

    def ready(self, _alone: bool = True, /) -> Sequence[str]:
        """The checkup of the folders."""
        if self.not_ready:
            raise OperationalError(self.not_ready)
        return []

    def drop_account(self) -> Sequence[str]:
        """Once."""
        done, self.account = self.account, []
        return done

    def before(self, lineage: Lineage, /) -> Sequence[str]:
        """The checkup of a lineage."""
        if lineage.name in self.unmendable:
            raise OperationalError(f"Cannot mend the lineage {lineage.name}: Permission denied.")
        done, self.repairs = self.repairs, []
        return done

    def after(self, lineage: Lineage, /) -> Bundle:
        """The assertion after a run."""
        if lineage.name not in self.held:
            raise ValueError("there is no certificate")
        return self.held[lineage.name]

    def read(self, lineage: Lineage, /) -> Bundle | None:
        """What certbot keeps of a lineage."""
        return self.held.get(lineage.name)

    def publish(self, lineage: Lineage, /) -> Bundle | None:
        """Publish what differs."""
        held = self.held.get(lineage.name)
        if held is None or self.published.get(lineage.name) == held:
            return None
        if self.disk_full:
            raise OperationalError(f"Cannot write {lineage.name}.pem: No space left on device.")
        if held.not_after <= self.time:
            raise ValueError("the certificate expired")
        self.published[lineage.name] = held
        return held

    def wait_for_load_balancer(self) -> bool:
        """The wait for the load balancer."""
        self.waits += 1
        return self.passes

    def wait(self, timeout: float, /) -> frozenset[str]:
        """A sleep, which takes no time of ours; the loop is stopped when nobody rings any more."""
        self.time += timedelta(seconds=timeout)
        if not self.rings:
            self.stopping = True
            return frozenset({"stop"})
        return self.rings.pop(0)

    def issuer(self) -> Issuer:
        """A loop that begins."""
        edges = Edges(
            certbot=self.certbot,
            checkup=self,
            publisher=PublisherOf(self),
            load_balancer=LoadBalancerOf(self),
            sleep=self,
            crew=self.crew,
            keeper=self.keeper,
            rehearse=self.rehearse,
            configuration=self.configuration,
            promise=self.promises.append,
            now=lambda: self.time,
            random=lambda: 0.0,
            preflight=self.preflight,
        )
        issuer = Issuer("ca.example", INTERVAL, edges, self.limits, self.at_a_time)
        issuer.want(self.lineages)
        return issuer

    def run(self) -> None:
        """The loop around such an issuer, until it is stopped."""
        issuer = self.issuer()
        directory = Directory("https://ca.example/directory")
        lineages = {directory: self.lineages}
        Loop(
            lambda: lineages,
            Issuers(lambda _: issuer),
            lambda: None,
            self,
            self.promises.append,
            lambda: self.time,
            NobodyAsks(),
        ).run()


@dataclass
class PublisherOf:
    """The publisher of a world."""

    world: World

    def held(self, lineage: Lineage, /) -> Bundle | None:
        """What certbot keeps."""
        return self.world.read(lineage)

    def publish(self, lineage: Lineage, /) -> Bundle | None:
        """Publish what differs."""
        return self.world.publish(lineage)


@dataclass
class LoadBalancerOf:
    """The load balancer of a world."""

    world: World

    def wait(self, _patient: bool = True, /) -> bool:
        """Wait for it."""
        return self.world.wait_for_load_balancer()


class NobodyAsks:
    """A desk that no operator comes to."""

    is_waiting = False

    def take(self) -> None:
        """Nothing."""

    def obey(self, _issuers: Iterable[Issuer], /) -> None:
        """Nothing."""

    def conclude(self) -> timedelta | None:
        """Nothing."""
        return None


def world(domains: str) -> World:
    """A world in which *domains* are wanted and everything works."""
    return World(parse_domains(domains).lineages)


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    """The lines that an operator sees as errors, since the last look."""
    told = [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]
    log.clear()
    return told
