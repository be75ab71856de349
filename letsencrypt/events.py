"""Events of certificates, for people and programs who want to be told, and what they are derived from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from letsencrypt.expiry import Nearness
from letsencrypt.timetable import Standing


class Kind(StrEnum):
    """The kinds of events."""

    ISSUED = "issued"
    """A certificate is published that is the first one for these names."""
    RENEWED = "renewed"
    FAILING = "failing"
    """For long."""
    EXPIRING = "expiring"
    """In its last sixth, in its last twelfth, and expired."""
    RATE_LIMITED = "rate-limited"
    """The CA said so, or our own count of what it allows."""
    RECOVERED = "recovered"
    """What was failing, rate-limited or expiring is well."""
    TEST = "test"
    """The operator's own."""


class Event(BaseModel):
    """One event; the field names are those of the JSON document, and stay."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """The same however often it is sent."""
    event: Kind
    time: AwareDatetime
    lineage: str = ""
    """Empty where it is about everything that comes from *source*."""
    names: tuple[str, ...] = ()
    source: str = ""
    """The host of the ACME server."""
    not_after: AwareDatetime | None = None
    """Of what is published."""
    reason: str = ""
    attempts: int = 0
    """Failures in a row."""
    next_try: AwareDatetime | None = None
    text: str = ""
    """One sentence for people."""
    live: str = ""
    """certbot's folder of the certificate."""


@dataclass(frozen=True)
class Certificate:
    """What is published under one name."""

    fingerprint: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Seen:
    """One lineage that is wanted."""

    lineage: str
    names: tuple[str, ...]
    directory: str
    """The key of its ACME server in Snapshot.directories."""
    standing: Standing
    live: str = ""


@dataclass(frozen=True)
class Directory:
    """One ACME server."""

    host: str
    standing: Standing | None = None
    """What holds up all lineages."""


@dataclass(frozen=True)
class Snapshot:
    """All that is known at one moment."""

    seen: tuple[Seen, ...] = ()
    directories: Mapping[str, Directory] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    """Lineages that are or were wanted lately."""
    complete: bool = True
    """Whether all could be read: what is missing is gone then."""


class Trouble(BaseModel):
    """Something that lasts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    since: AwareDatetime
    told: Mapping[Kind, AwareDatetime] = {}
    last: AwareDatetime
    """When it was last tried in vain."""


class Remembered(BaseModel):
    """One lineage."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fingerprint: str = ""
    names: tuple[str, ...] = ()
    near: Nearness = Nearness.FAR
    """What was told of this certificate."""
    warned: bool = False
    """Whether something bad was told, and not yet that it is over."""
    trouble: Trouble | None = None


class Memory(BaseModel):
    """What was seen and told, up to the last look."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lineages: Mapping[str, Remembered] = {}
    directories: Mapping[str, Trouble] = {}
