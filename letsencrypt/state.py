"""What is remembered of one ACME directory, so that a restart begins where the last process ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from letsencrypt.budget import Spent
from letsencrypt.standing import Standing
from proxy_agent.daemon.moments import Moment, Pause


class Record(BaseModel):
    """One lineage."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    names: tuple[str, ...]
    configuration: str
    """A digest of all that certbot is asked for it; not the words themselves, there may be secrets among them."""
    services: tuple[str, ...] = ()
    """Who asked for it; nobody where DOMAINS did."""
    wanted: bool = True
    standing: Standing
    last_run: Moment | None = None


class Ailment(BaseModel):
    """What is known of a name that the CA could not validate, and that others are ordered without meanwhile."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempts: NonNegativeInt
    not_before: Moment
    pause: Pause
    reason: str


class State(BaseModel):
    """Everything about one directory; unknown fields are those of a later release, and passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1]
    directory: str
    """The host, for people."""
    standing: Standing | None = None
    """What holds up all lineages."""
    scopes: Mapping[str, Moment] = {}
    """Rate limits of the CA that are spent, and until when."""
    lineages: Mapping[str, Record] = {}
    ailing: Mapping[str, Ailment] = {}
    """By name."""
    spent: tuple[Spent, ...] = ()
    """The orders of the last seven days."""


@dataclass(frozen=True)
class Interrupted:
    """A run that began, and of whose end nothing is known."""

    begun: datetime
    ordered: bool
    finalized: bool
    """Whether a certificate may have been issued."""


class Keeper(Protocol):
    """state_file.StateFile."""

    def load(self, now: datetime, /) -> tuple[State | None, str]:
        """What was saved, and a sentence if that is of no use; OperationalError if that cannot be told."""
        ...

    def lost(self, now: datetime, /) -> tuple[datetime, ...]:
        """When the state was lost."""
        ...

    def save(self, state: State, /) -> None:
        """Write it; OperationalError."""
        ...

    def begin(self, name: str, now: datetime, /) -> Path:
        """A journal for a run; OperationalError."""
        ...

    def end(self, name: str, /) -> None:
        """Remove it."""
        ...

    def interrupted(self, now: datetime, /) -> Mapping[str, Interrupted]:
        """The runs whose journals were left."""
        ...


def parse_state(content: bytes) -> State:
    """Read the file; raises ValueError with what is wrong, not with what it holds."""
    try:
        return State.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"{place or 'the file'}: {problem['msg']}") from None


def format_state(state: State) -> bytes:
    """The file, for the same state always the same bytes."""
    return state.model_dump_json(indent=1, exclude_defaults=True).encode() + b"\n"
