"""What a run of certbot may do, decided before it begins."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from letsencrypt.schedule import Failure


@dataclass(frozen=True)
class Permit:
    """What a run of certbot may do."""

    journal: Path | None = None
    """Where it notes that it orders, before it does so."""
    refusal: str = ""
    """Why it must not order, as a part of a sentence; looking is free."""
    failure: Failure = Failure.BUDGET
    """What a refusal counts as."""
    until: datetime | None = None
    """When that is over, where it is known."""
    renewal: bool = False
    """Whether there is a certificate for exactly these names already."""
    words: tuple[str, ...] = ()
    """Further options of certbot's for this run."""
    ask_anew: bool = False
    """Whether something came between the CA's last advice to renew and the renewal, perhaps."""
