"""Everything outside that an issuer needs, as the Protocols that the edges are fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from letsencrypt.lineages import Lineage
from letsencrypt.permit import Permit
from letsencrypt.preflight_gate import Clearance, cleared, untold
from letsencrypt.recovery import Looking, Nowhere
from letsencrypt.runner import Outcome
from letsencrypt.state import Keeper
from proxy_agent.tls.bundle import Bundle

T = TypeVar("T")


class CertbotRunner(Protocol):
    """runner.Certbot with the command line filled in."""

    def __call__(self, lineage: Lineage, permit: Permit, /) -> Outcome:
        """One run for *lineage*, to its end, which orders only if *permit* says so."""
        ...


class Checkup(Protocol):
    """checkup.Checkup."""

    def ready(self, alone: bool = True, /) -> Sequence[str]:
        """Make sure that a run can keep what it obtains; what was mended, or OperationalError."""
        ...

    def registered(self) -> bool:
        """Whether there is an account."""
        ...

    def drop_account(self) -> Sequence[str]:
        """Set aside an account that the CA does not know; what was done, or OperationalError."""
        ...

    def before(self, lineage: Lineage, /) -> Sequence[str]:
        """Mend *lineage*; what was done, or OperationalError."""
        ...

    def after(self, lineage: Lineage, /) -> Bundle:
        """What is held for exactly the wanted names, or ValueError."""
        ...


class Publisher(Protocol):
    """publish.Publisher."""

    def held(self, lineage: Lineage, /) -> Bundle | None:
        """What certbot holds; ValueError if it is damaged."""
        ...

    def publish(self, lineage: Lineage, /) -> Bundle | None:
        """Publish what differs; ValueError if it is not fit to serve, OperationalError if it cannot be written."""
        ...


class LoadBalancer(Protocol):
    """loadbalancer.LoadBalancer."""

    def wait(self, patient: bool = True, /) -> bool:
        """Wait until challenges come through, or only look; False if they still do not."""
        ...


class Crew(Protocol):
    """crew.Crew."""

    def start(self, work: Callable[[], T], then: Callable[[T], None], /) -> None:
        """Do *work* aside."""
        ...

    def conclude(self, patience: float = 0.0, /) -> bool:
        """Hand what ended to its *then*; whether anything did."""
        ...


class Sleep(Protocol):
    """proxy_agent.daemon.wakeup.Wakeup."""

    @property
    def stopping(self) -> bool:
        """Whether the container has to end."""
        ...


def never(_name: str) -> bool:
    """Where nobody is exempt from anything."""
    return False


@dataclass(frozen=True)
class Edges:
    """Everything outside that an issuer needs."""

    certbot: CertbotRunner
    checkup: Checkup
    publisher: Publisher
    load_balancer: LoadBalancer
    sleep: Sleep
    crew: Crew
    keeper: Keeper
    configuration: Callable[[Lineage], str]
    """A digest of all that certbot is asked for a lineage."""
    promise: Callable[[timedelta | None], None]
    """Tells the health check how long the loop may be silent now: for a sleep so long, or None for one step of work."""
    now: Callable[[], datetime]
    random: Callable[[], float]
    rehearse: Callable[[Lineage], Outcome] | None = None
    """Has another server validate the names, where failures cost nothing and nothing is issued."""
    looking: Looking = field(default_factory=Nowhere)
    """What shows, while all wait, that a fault of the CA or of DNS has passed."""
    preflight: Callable[[Lineage, Bundle | None, datetime], Clearance] = cleared
    """What to order of a lineage, of which so much is held, after a look at its names; done aside."""
    is_exempt: Callable[[str], bool] = never
    """Whether the CA counts an order for this lineage in none of its limits."""
    tell: Callable[[Lineage, Clearance], None] = untold
    """Says what was seen in that look."""
