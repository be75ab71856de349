"""The edge to the running HAProxy: its runtime API and its master CLI (HAProxy management guide, 9.3 and 9.4).

On the wire a command is one line, a payload follows ``<<`` and ends at an empty line, and the answer ends with the
connection. There is no exit code: what went well is known by its words. One connection serves one command, because a
connection stays with its worker when a reload starts another.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy_agent.commands import Commands, exchange
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.fingerprints import Fingerprints
from proxy_agent.routing.model import ServerState
from proxy_agent.routing.render import TICKET_KEYS
from proxy_agent.server_states import RunningServer, parse_server_states, without_those_set_aside

_TIMEOUT = 10.0
_RELOAD_TIMEOUT = 120.0
"""A reload with ten thousand certificates takes seconds."""
_PAYLOAD_LIMIT = 30_000
"""Below ``tune.bufsize 32768``, with room for the command."""

_IDLE_WITHIN = "200ms"
"""How long a look waits for the last requests of a server; whoever takes longer is forgotten at a later one."""

_LONGEST_WORDS = 300
_SUCCESS = "Success!"
_CREATED = "Transaction created"
_MAP_LINE = re.compile(r"0x[0-9a-f]+ (\S+) (.*)")
_CRT_LIST_LINE = re.compile(r"(\S+):(\d+)(?: \[([^\]]*)\])?(?: (.*))?")
_WORKER = re.compile(r"^Pid: (\d+)$", re.MULTILINE)
_OPEN_TRANSACTION = re.compile(r"^\*(\S+)$", re.MULTILINE)
_TICKET_KEY = re.compile(r"^\d+\.\d+ (\S+)$", re.MULTILINE)
_CONFIGURATION = re.compile(r"^COMPANION_CONFIGURATION=(\S+)$", re.MULTILINE)


class RuntimeRefusal(OperationalError):
    """HAProxy answered a runtime command otherwise than with success; what it served before, it still serves."""


class RuntimeUnreachable(OperationalError):
    """HAProxy is not there, or does not answer in time."""


@dataclass(frozen=True, order=True)
class CrtListLine:
    """One line of the running crt-list."""

    path: str
    number: int
    """Its place, by which it is deleted: a path may stand in several lines."""
    names: tuple[str, ...]
    options: str = ""


@dataclass(frozen=True)
class Running:
    """What the current worker has in memory, as it says itself."""

    worker: int
    """Its process id: a change means that it was reloaded or restarted."""
    configuration: str
    """The identity in the configuration that it was started with."""
    certificates: Mapping[str, str]
    """Fingerprint of each loaded certificate, by path."""
    crt_list: tuple[CrtListLine, ...]
    maps: Mapping[str, Mapping[str, str]]
    servers: Mapping[str, Mapping[str, RunningServer]] = field(default_factory=dict)
    """By backend and name."""
    ticket_keys: tuple[str, ...] = field(default=(), repr=False)
    """What it encrypts session tickets with, the oldest first; none where it was started without."""


@dataclass(frozen=True)
class Verdict:
    """What HAProxy thinks of a configuration."""

    accepted: bool
    reasons: str = ""


class Runtime:
    """Speaks to one HAProxy. Not for several writers at a time: the agent is the only one."""

    def __init__(self, folder: Path, crt_list: str, maps: Iterable[str]) -> None:
        self._admin = Commands(folder / "admin.sock", _TIMEOUT)
        self._master = folder / "master.sock"
        self._server_state = folder / "servers.state"
        self._crt_list = crt_list
        self._maps = tuple(maps)
        self._fingerprints = Fingerprints()

    def running(self) -> Running | None:
        """What the worker holds now; None while there is none to ask."""
        try:
            found = _WORKER.search(self._ask("show info"))
            worker = int(found[1]) if found else 0
            paths = re.findall(r"^[^#*\s]\S*$", self._ask("show ssl cert"), re.MULTILINE)
            configuration = _CONFIGURATION.search(self._ask("show env COMPANION_CONFIGURATION"))
            return Running(
                worker=worker,
                configuration=configuration[1] if configuration else "",
                certificates=self._fingerprints.of(paths, worker, self._ask),
                crt_list=tuple(self._crt_list_lines()),
                maps={path: self._map(path) for path in self._maps},
                servers=parse_server_states(self._ask("show servers state")),
                ticket_keys=tuple(_TICKET_KEY.findall(self._ask(f"show tls-keys {TICKET_KEYS}"))),
            )
        except RuntimeUnreachable:
            return None

    def load_certificate(self, path: str, pem: bytes) -> None:
        """Make *pem* what HAProxy uses as *path*, from the next handshake on; raises RuntimeRefusal."""
        if not self._fingerprints.forget(path):
            self._ask(f"new ssl cert {path}")
        setting = f"set ssl cert {path} <<\n{pem.decode('ascii').strip()}\n"
        if _CREATED not in self._ask(setting):
            self._clear_the_way(path)
            self._demand(setting, _CREATED)
        try:
            self._demand(f"commit ssl cert {path}", _SUCCESS)
        except RuntimeRefusal:
            self._ask(f"abort ssl cert {path}")
            raise

    def _clear_the_way(self, path: str) -> None:
        """Put right what may keep a certificate from being set: the full list is long where there are thousands."""
        listing = self._ask("show ssl cert")
        for stale in _OPEN_TRANSACTION.findall(listing):
            # The only writer died in the middle of one; it blocks all others until it is aborted.
            self._ask(f"abort ssl cert {stale}")
        if path not in listing.split():
            self._demand(f"new ssl cert {path}", "New empty certificate store")

    def unload_certificate(self, path: str) -> None:
        """Forget a certificate that no line of the crt-list names any more; raises RuntimeRefusal."""
        self._fingerprints.forget(path)
        # With the path: a refusal ends in "can't be deleted!".
        self._demand(f"del ssl cert {path}", f"'{path}' deleted!")

    def add_to_crt_list(self, path: str, names: Iterable[str], options: str = "") -> None:
        """Answer for *names* with the certificate *path* too; raises RuntimeRefusal."""
        handshake = f" [{options}]" if options else ""
        self._demand(f"add ssl crt-list {self._crt_list} <<\n{path}{handshake} {' '.join(names)}\n", _SUCCESS)

    def remove_from_crt_list(self, line: CrtListLine) -> None:
        """Take one line out of the running crt-list; raises RuntimeRefusal."""
        self._demand(f"del ssl crt-list {self._crt_list} {line.path}:{line.number}", "deleted in crtlist")

    def replace_map(self, path: str, entries: Mapping[str, str]) -> None:
        """Exchange the content of a map in one step, so that no request sees half of it; raises RuntimeRefusal."""
        version = re.search(r"New version created: (\d+)", self._ask(f"prepare map {path}"))
        if not version:
            raise RuntimeRefusal(f"HAProxy would not prepare a new version of {path}.")
        for payload in _payloads(entries):
            if answer := self._ask(f"add map @{version[1]} {path} <<\n{payload}").strip():
                raise RuntimeRefusal(f"HAProxy refused entries of {path}: {answer[:_LONGEST_WORDS]}")
        if answer := self._ask(f"commit map @{version[1]} {path}").strip():
            raise RuntimeRefusal(f"HAProxy would not use the new version of {path}: {answer[:_LONGEST_WORDS]}")

    def add_server(self, backend: str, server: str, parameters: str, state: ServerState = "ready") -> None:
        """Have one more server, which is taken to be up until its check says otherwise; raises RuntimeRefusal."""
        self._demand(f"add server {backend}/{server} {parameters}", "New server registered.")
        if "check" in parameters.split():
            self._demand_silence(f"enable health {backend}/{server}")
        if state != "maint":
            self.set_server_state(backend, server, state)

    def move_server(self, backend: str, server: str, address: str, port: int) -> None:
        """Send requests for a server elsewhere from now on, where it is taken to be up; raises RuntimeRefusal."""
        self._demand(f"set server {backend}/{server} addr {address} port {port}", "changed")
        self._demand_silence(f"set server {backend}/{server} health up")

    def set_server_state(self, backend: str, server: str, state: ServerState) -> None:
        """Let a server take requests or not; those that it has go on. Raises RuntimeRefusal."""
        self._demand_silence(f"set server {backend}/{server} state {state}")

    def remove_server(self, backend: str, server: str) -> None:
        """Send a server nothing new, and forget it if it is idle; else a later call does. Raises RuntimeRefusal."""
        self._demand_silence(f"set server {backend}/{server} state maint")
        self._ask(f"wait {_IDLE_WITHIN} srv-removable {backend}/{server}")
        answer = self._ask(f"del server {backend}/{server}")
        if "deleted" not in answer and "still" not in answer:
            raise RuntimeRefusal(
                f"HAProxy would not forget the server {backend}/{server}: {answer.strip()[:_LONGEST_WORDS]!r}."
            )

    def add_ticket_key(self, line: str) -> None:
        """Decrypt session tickets with one more key, in place of the oldest; raises RuntimeRefusal."""
        if "updated" not in self._ask(f"set ssl tls-key {TICKET_KEYS} {line}"):
            # Its words are not repeated: the key may be among them.
            raise RuntimeRefusal("HAProxy would not take a new key for session tickets.")

    def reload(self) -> Verdict:
        """Start a worker on the configuration on disk and wait until it serves, or until HAProxy says why not.

        On refusal the old worker goes on. Raises OperationalError where the master cannot be asked.
        """
        try:
            # Read by the new worker (configuration manual, "server-state-file"): it does not begin by sending requests
            # to servers that are known to be down, nor without the addresses that DNS gave. What gets no requests is
            # left out: the new configuration says itself what is to stay so.
            self._server_state.write_text(without_those_set_aside(self._ask("show servers state")))
            answer = exchange(self._master, "reload", _RELOAD_TIMEOUT)
        except OSError as error:
            raise OperationalError(f"HAProxy's master process does not answer a reload: {error}.") from error
        verdict, _, messages = answer.partition("--\n")
        return Verdict("Success=1" in verdict, messages)

    def _crt_list_lines(self) -> Iterator[CrtListLine]:
        for text in self._ask(f"show ssl crt-list -n {self._crt_list}").splitlines():
            if match := _CRT_LIST_LINE.fullmatch(text.strip()):
                yield CrtListLine(match[1], int(match[2]), tuple((match[4] or "").split()), match[3] or "")

    def _map(self, path: str) -> Mapping[str, str]:
        lines = self._ask(f"show map {path}").splitlines()
        return {match[1]: match[2] for line in lines if (match := _MAP_LINE.fullmatch(line))}

    def _demand_silence(self, command: str) -> None:
        if answer := self._ask(command).strip():
            raise RuntimeRefusal(f"HAProxy answered {command!r} with {answer[:_LONGEST_WORDS]!r}.")

    def _demand(self, command: str, sign_of_success: str) -> None:
        answer = self._ask(command).strip()
        if sign_of_success not in answer:
            raise RuntimeRefusal(f"HAProxy answered {command.splitlines()[0]!r} with {answer[:_LONGEST_WORDS]!r}.")

    def _ask(self, command: str) -> str:
        try:
            return self._admin.ask(command)
        except OSError as error:
            raise RuntimeUnreachable(f"HAProxy does not answer on its runtime socket: {error}.") from error


def _payloads(entries: Mapping[str, str]) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for key, value in entries.items():
        line = f"{key} {value}\n"
        if size + len(line) > _PAYLOAD_LIMIT:
            yield "".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield "".join(lines)
