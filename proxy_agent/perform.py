"""Carrying out a plan: the one place that changes HAProxy and the files it reads."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from proxy_agent.actions import (
    Action,
    AddCrtListLine,
    Deploy,
    ForgetCertificate,
    LoadCertificate,
    RemoveCrtListLine,
    ReplaceMap,
    StoreCertificate,
    Verify,
    WriteFile,
)
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.handshakes import Handshakes, Listener
from proxy_agent.routing.model import ServerState
from proxy_agent.routing.render import CONFIGURATION, Configuration
from proxy_agent.runtime import CrtListLine, RuntimeRefusal, Verdict
from proxy_agent.server_changes import AddServer, MoveServer, RemoveServer, ServerAction, SetServerState
from proxy_agent.session_tickets import AddTicketKey
from proxy_agent.tls.bundle import Bundle

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """What is needed of a running HAProxy; see proxy_agent.runtime for the contracts."""

    def load_certificate(self, path: str, pem: bytes) -> None: ...
    def unload_certificate(self, path: str) -> None: ...
    def add_to_crt_list(self, path: str, names: Iterable[str], options: str) -> None: ...
    def remove_from_crt_list(self, line: CrtListLine) -> None: ...
    def replace_map(self, path: str, entries: Mapping[str, str]) -> None: ...
    def add_server(self, backend: str, server: str, parameters: str, state: ServerState) -> None: ...
    def move_server(self, backend: str, server: str, address: str, port: int) -> None: ...
    def set_server_state(self, backend: str, server: str, state: ServerState) -> None: ...
    def remove_server(self, backend: str, server: str) -> None: ...
    def add_ticket_key(self, line: str) -> None: ...
    def reload(self) -> Verdict: ...


class Deployment(Protocol):
    """What is needed of the state folder; see proxy_agent.deployment for the contracts."""

    configuration: Path

    def store_certificates(self, bundles: Mapping[str, bytes]) -> None: ...
    def remove_certificate(self, path: str) -> None: ...
    def write(self, name: str, content: bytes) -> None: ...
    def stage(self, files: Mapping[str, bytes], identity: str) -> Path: ...
    def commit(self, staged: Path) -> Path | None: ...
    def discard(self, generation: Path) -> None: ...
    def prune(self) -> None: ...


class CertificateRefused(OperationalError):
    """HAProxy cannot use a bundle; what it served under that path it still serves."""

    def __init__(self, bundle: Bundle, reason: str) -> None:
        super().__init__(f"HAProxy refuses the certificate {bundle.name}: {reason}")
        self.bundle = bundle
        self.reason = reason


class ConfigurationRefused(OperationalError):
    """HAProxy does not accept a configuration; the one before it is current again and still runs."""

    def __init__(self, configuration: Configuration, reasons: str, by_check: bool = False) -> None:
        super().__init__(f"HAProxy refuses the new configuration, the one before stays in service: {_gist(reasons)}")
        self.configuration = configuration
        self.gist = _gist(reasons)
        self.reasons = reasons
        self.by_check = by_check
        """Whether ``haproxy -c`` said so: then its text is at fault, not a port that is taken."""


class Performer:
    """Carries out actions in order; the first that fails ends the plan, and the next look makes a new one."""

    def __init__(
        self,
        deployment: Deployment,
        runtime: Runtime,
        listener: Listener,
        check: Callable[[Path], Verdict],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deployment = deployment
        self._runtime = runtime
        self._handshakes = Handshakes(listener, clock)
        self._check = check
        self._clock = clock
        self.seconds = 0.0
        """How long the last plan took that was carried out."""

    @property
    def seen(self) -> Mapping[str, int]:
        """Serial number that the last handshake showed, by the name of the bundle that it was to show."""
        return self._handshakes.seen

    @property
    def unfinished(self) -> bool:
        """Whether the last plan had more to verify than one look may take; the next plan has it again."""
        return self._handshakes.postponed

    def perform(
        self, actions: Sequence[Action], previous: Mapping[str, bytes], running: bool, more_to_come: bool = False
    ) -> None:
        """Carry out *actions*; *previous* are the bundles on disk before, by path; *running*: HAProxy is there.

        Where there is *more_to_come* at the next look, proofs take less of the time of this one. Raises
        CertificateRefused, ConfigurationRefused, or OperationalError where the disk or HAProxy fails.
        """
        begun = self._clock()
        self._handshakes.begin(short=more_to_come)
        try:
            self._carry_out(actions, previous, running)
        except ConfigurationRefused:
            # A bundle may be the reason: with the old ones back, the next look offers each new one to the worker alone.
            self._put_back([action.path for action in actions if isinstance(action, StoreCertificate)], previous)
            raise
        self.seconds = self._clock() - begun

    def _carry_out(self, actions: Sequence[Action], previous: Mapping[str, bytes], running: bool) -> None:
        for are_stores, group in groupby(enumerate(actions), lambda item: isinstance(item[1], StoreCertificate)):
            if are_stores:
                stores = (action for _, action in group if isinstance(action, StoreCertificate))
                self._deployment.store_certificates({store.path: store.bundle.pem for store in stores})
                continue
            for number, action in group:
                try:
                    self._act(action, previous, running)
                except RuntimeRefusal as error:
                    # The disk is ahead of the worker by exactly this: a reload brings the two together.
                    log.warning("%s Reloading instead.", error)
                    self._reload()
                    self._carry_out(_left_after_reload(actions[number:]), previous, running)
                    return

    def accepts_current(self) -> bool:
        """Whether HAProxy would start on what is current."""
        return self._check(self._deployment.configuration).accepted

    def _act(self, action: Action, previous: Mapping[str, bytes], running: bool) -> None:
        match action:
            case LoadCertificate(path, bundle):
                with self._judging(path, bundle, previous):
                    self._runtime.load_certificate(path, bundle.pem)
            case AddCrtListLine(path, names, bundle, options):
                with self._judging(path, bundle, previous):
                    self._runtime.add_to_crt_list(path, names, options)
            case RemoveCrtListLine(line):
                self._runtime.remove_from_crt_list(line)
            case AddServer() | MoveServer() | SetServerState() | RemoveServer():
                self._change_server(action)
            case ReplaceMap() | AddTicketKey():
                self._change_values(action)
            case WriteFile(name, content):
                self._deployment.write(name, content)
            case Deploy(configuration):
                self._deploy(configuration, running)
            case Verify():
                self._handshakes.verify(action, self._reload)
            case ForgetCertificate(path, loaded):
                if loaded:
                    self._runtime.unload_certificate(path)
                self._deployment.remove_certificate(path)

    def _change_values(self, action: ReplaceMap | AddTicketKey) -> None:
        match action:
            case ReplaceMap(path, entries):
                self._runtime.replace_map(path, entries)
            case AddTicketKey(line):
                self._runtime.add_ticket_key(line)

    def _change_server(self, action: ServerAction) -> None:
        match action:
            case AddServer(backend, server, parameters, state):
                self._runtime.add_server(backend, server, parameters, state)
            case MoveServer(backend, server, address, port):
                self._runtime.move_server(backend, server, address, port)
            case SetServerState(backend, server, state):
                self._runtime.set_server_state(backend, server, state)
            case RemoveServer(backend, server):
                self._runtime.remove_server(backend, server)

    @contextlib.contextmanager
    def _judging(self, path: str, bundle: Bundle, previous: Mapping[str, bytes]) -> Iterator[None]:
        try:
            yield
        except RuntimeRefusal as error:
            # Left on disk, it would make the next reload fail for everybody.
            self._put_back([path], previous)
            raise CertificateRefused(bundle, str(error)) from error

    def _put_back(self, paths: Iterable[str], previous: Mapping[str, bytes]) -> None:
        before = {path: previous.get(path) for path in paths}
        if known := {path: pem for path, pem in before.items() if pem is not None}:
            self._deployment.store_certificates(known)
        for path in before.keys() - known.keys():
            self._deployment.remove_certificate(path)

    def _deploy(self, configuration: Configuration, running: bool) -> None:
        staged = self._deployment.stage(configuration.files, configuration.identity)
        verdict = self._check(staged / CONFIGURATION)
        if not verdict.accepted:
            self._deployment.discard(staged)
            raise ConfigurationRefused(configuration, verdict.reasons, by_check=True)
        before = self._deployment.commit(staged)
        if running:
            verdict = self._runtime.reload()
            if not verdict.accepted:
                # "haproxy -c" does not see a port that is taken or a lack of descriptors.
                refusal = ConfigurationRefused(configuration, verdict.reasons)
                if before is None:
                    # Nothing to go back to: what is staged here stays, with its bundles, for the next start.
                    raise OperationalError(str(refusal))
                self._deployment.commit(before)
                self._deployment.discard(staged)
                raise refusal
        self._deployment.prune()

    def _reload(self) -> None:
        verdict = self._runtime.reload()
        if not verdict.accepted:
            raise OperationalError(f"HAProxy refuses to reload what is on disk: {_gist(verdict.reasons)}")


def _left_after_reload(actions: Iterable[Action]) -> tuple[Action, ...]:
    """What remains to be done once a new worker has read everything from disk."""
    return tuple(
        ForgetCertificate(action.path, loaded=False) if isinstance(action, ForgetCertificate) else action
        for action in actions
        if not isinstance(action, RemoveCrtListLine | ReplaceMap | ServerAction | AddTicketKey)
    )


def _gist(reasons: str) -> str:
    """The lines of HAProxy's output that name a fault, without its counters and prefixes."""
    alerts = [line.split(" : ", 1)[-1].strip() for line in reasons.splitlines() if "[ALERT]" in line]
    return "; ".join(alerts) or " ".join(reasons.split()) or "it gave no reason"
