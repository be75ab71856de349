"""What can be done to HAProxy and to the files it reads, one action for each step."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy_agent.routing.render import Configuration
from proxy_agent.runtime import CrtListLine
from proxy_agent.server_changes import ServerAction
from proxy_agent.session_tickets import AddTicketKey
from proxy_agent.tls.bundle import Bundle


@dataclass(frozen=True)
class StoreCertificate:
    """Write a bundle to disk."""

    path: str
    bundle: Bundle


@dataclass(frozen=True)
class LoadCertificate:
    """Give a bundle to the running worker, new or in place of its predecessor."""

    path: str
    bundle: Bundle


@dataclass(frozen=True)
class AddCrtListLine:
    """Have the running worker choose a bundle for names; only now does it say whether it can use a new one."""

    path: str
    names: tuple[str, ...]
    bundle: Bundle
    options: str = ""


@dataclass(frozen=True)
class RemoveCrtListLine:
    """Have the running worker forget a choice."""

    line: CrtListLine


@dataclass(frozen=True)
class ReplaceMap:
    """Exchange a map of the running worker."""

    path: str
    entries: Mapping[str, str]


@dataclass(frozen=True)
class WriteFile:
    """Make a file of the current configuration agree with what the runtime API changed."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Deploy:
    """Stage, check, commit and load a whole configuration."""

    configuration: Configuration


@dataclass(frozen=True)
class Verify:
    """Prove by a handshake that a bundle is what clients get."""

    server_name: str | None
    bundle: Bundle
    news: bool = True
    """Whether clients got another one before, which is worth a line in the log."""


@dataclass(frozen=True)
class ForgetCertificate:
    """Unload a bundle that nothing names any more, and remove its file."""

    path: str
    loaded: bool


Action = (
    StoreCertificate
    | LoadCertificate
    | AddCrtListLine
    | RemoveCrtListLine
    | ReplaceMap
    | WriteFile
    | Deploy
    | Verify
    | ForgetCertificate
    | ServerAction
    | AddTicketKey
)
