"""What the loop needs of the world outside; each is fitted by the module that is named alike."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from proxy_agent import perform
from proxy_agent.certificates import Found
from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.model import Service
from proxy_agent.routing.render import Inserts
from proxy_agent.routing.wanted import Request
from proxy_agent.runtime import Running
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import Identifier


class Containers(Protocol):
    """Docker, as far as the agent needs it."""

    def services(self) -> tuple[Service, ...]: ...


class Certificates(Protocol):
    """The folders that certificates come from."""

    def found(self) -> Found: ...
    def self_signed(self, names: tuple[Identifier, ...], now: datetime) -> Bundle: ...
    def ask_for(self, wanted: tuple[Request, ...]) -> None: ...


class Surroundings(Protocol):
    """What else the operator put there; see proxy_agent.surroundings for the contracts."""

    def inserts(self) -> tuple[Inserts, tuple[Skipped, ...]]: ...
    def taken_ports(self, ports: Iterable[int]) -> Mapping[int, str]: ...


class Runtime(perform.Runtime, Protocol):
    """The running HAProxy."""

    def running(self) -> Running | None: ...


class Deployment(perform.Deployment, Protocol):
    """The state folder."""

    default_certificate: Path

    def files(self) -> Mapping[str, bytes]: ...
    def certificates(self) -> Mapping[str, bytes]: ...
    def certificate_path(self, name: str) -> str: ...
    def certificate_name(self, path: str) -> str: ...
    def remember(self, services: tuple[Service, ...]) -> None: ...
    def remembered(self) -> tuple[Service, ...]: ...
