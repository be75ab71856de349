"""Where a lineage stands between two attempts, and what is wanted of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from letsencrypt.schedule import Failure
from proxy_agent.daemon.moments import Moment, Pause


class Standing(BaseModel):
    """Where a lineage or the whole directory stands: when it may be tried next, and what failed since it was well.

    Each kind of failure counts for itself: an hour without network must not use up the quick tries of a validation.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    not_before: Moment
    pause: Pause = timedelta()
    """From the last attempt to not_before."""
    attempts: Mapping[Failure, NonNegativeInt] = {}
    failure: Failure | None = None
    reason: str = ""
    repeated: bool = False
    """Whether the last attempt failed just as the one before."""
    by_ca: bool = False
    """Whether the CA said how long to wait, which not even the operator may cut short."""

    def failed(self, failure: Failure, reason: str) -> "Standing":
        """The same after one more *failure*; when to go on is left to the caller."""
        attempts = {**self.attempts, failure: self.attempts.get(failure, 0) + 1}
        repeated = (failure, reason) == (self.failure, self.reason)
        changes = {"attempts": attempts, "failure": failure, "reason": reason, "repeated": repeated}
        return self.model_copy(update=changes)

    def at(self, moment: datetime) -> "Standing":
        """The same, to be tried again from *moment* on."""
        return self.model_copy(update={"not_before": moment})


@dataclass(frozen=True)
class Ask:
    """What is wanted of one lineage, as far as its time depends on it."""

    configuration: str
    """Another one means another attempt: what failed before says nothing about it."""
    scopes: frozenset[str] = frozenset()
    """The rate limits of the CA that its order would count in."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps a lineage from being tried now."""

    failure: Failure
    reason: str
