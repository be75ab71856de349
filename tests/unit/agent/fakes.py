"""Stand-ins for what the agent stands between: Docker, folders of certificates, the state folder and HAProxy.

They keep the contracts of the Protocols in memory. The HAProxy among them loads what the state folder holds, answers
handshakes from what it loaded, and refuses what a test tells it to refuse; the state folder fails a test that removes
what is still named.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from proxy_agent import settings as agent_settings
from proxy_agent.agent import Agent
from proxy_agent.certificates import Found
from proxy_agent.daemon.errors import OperationalError, Skipped
from proxy_agent.perform import Performer
from proxy_agent.routing.extra import Extra
from proxy_agent.routing.model import Container, ServerState, Service
from proxy_agent.routing.render import CONFIGURATION, CRT_LIST, DEFAULT_LIST, MAPS, TICKET_KEYS, Inserts, Templates
from proxy_agent.routing.wanted import Request
from proxy_agent.runtime import CrtListLine, Running, RuntimeRefusal, Verdict
from proxy_agent.server_states import RunningServer
from proxy_agent.status import Status
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.tls.names import DnsName, Identifier, covers, parse_identifier
from proxy_agent.tls.ticket_keys import TicketKey
from tests.certificate_authority import CertificateAuthority

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUTHORITY = CertificateAuthority(NOW)
TEMPLATES = Path(__file__).resolve().parents[3] / "haproxy"
STATE = Path("/state")
SETTINGS = agent_settings.load(
    {"ENABLE_IPV6": "no", "DEFAULT_CERT_SANS": "localhost", "RESYNC_INTERVAL": "60s", "ROUTE_GRACE": "0s"}
)
RENDERER = Templates(TEMPLATES, SETTINGS)


def bundle(name: str, *names: str, days: int = 60) -> Bundle:
    """A real bundle, with a key and a serial number of its own."""
    return parse_bundle(name, AUTHORITY.issue(*names, not_after=NOW + timedelta(days=days)).bundle_pem)


@cache
def _parsed(pem: bytes) -> Bundle:
    """What HAProxy makes of it: with hundreds, only once."""
    return parse_bundle("", pem)


SELF_SIGNED = bundle("self-signed", "localhost")


def service(name: str, virtual_host: str, *addresses: str) -> Service:
    """A service with a container at each address, or at one where none is given."""
    return Service(
        name,
        tuple(
            Container(f"{name}-{number}", {"VIRTUAL_HOST": virtual_host}, (80,), ip_address(address))
            for number, address in enumerate(addresses or ("10.0.0.1",), start=1)
        ),
    )


class FakeContainers:
    """Docker, which knows what a test tells it, or fails."""

    def __init__(self) -> None:
        self.known: tuple[Service, ...] = ()
        self.failure = ""

    def services(self) -> tuple[Service, ...]:
        """What was told."""
        if self.failure:
            raise OperationalError(self.failure)
        return self.known


class FakeSurroundings:
    """Pages of the operator's and ports of other programs, as a test says."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.skipped: tuple[Skipped, ...] = ()
        self.taken: dict[int, str] = {}

    def inserts(self) -> tuple[Inserts, tuple[Skipped, ...]]:
        """What was told."""
        return Inserts(dict(self.pages)), self.skipped

    def taken_ports(self, ports: Iterable[int]) -> Mapping[int, str]:
        """Those of *ports* that were told to be taken."""
        return {port: self.taken[port] for port in sorted(ports) if port in self.taken}


class FakeCertificates:
    """The folders that certificates come from."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[Bundle, ...]] = {"custom": (), "issued": (), "live": ()}
        self.skipped: tuple[Skipped, ...] = ()
        self.doubtful: frozenset[str] = frozenset()
        self.unread: frozenset[str] = frozenset()
        self.asked_for: list[tuple[Request, ...]] = []
        """What was asked of letsencrypt, each time."""
        self.failure = ""

    def ask_for(self, wanted: tuple[Request, ...]) -> None:
        """Tell letsencrypt."""
        if self.failure:
            raise OperationalError(self.failure)
        self.asked_for.append(wanted)

    def found(self) -> Found:
        """What lies there."""
        default = next((item for item in self.sources["custom"] if item.name == "custom/default"), None)
        return Found(dict(self.sources), default, self.skipped, self.doubtful, self.unread)

    def self_signed(self, _names: tuple[Identifier, ...], _now: datetime) -> Bundle:
        """Always the same one."""
        return SELF_SIGNED


class FakeDisk:
    """The state folder."""

    def __init__(self) -> None:
        self.configuration = STATE / "current" / CONFIGURATION
        self.default_certificate = STATE / "default.pem"
        self.generations: dict[Path, dict[str, bytes]] = {}
        self.current: Path | None = None
        self.stored: dict[str, bytes] = {}
        self.services: tuple[Service, ...] = ()
        self.failure = ""
        self.writes = 0
        self.named_by_worker: Callable[[], set[str]] = set

    # What the agent asks of it

    def files(self) -> Mapping[str, bytes]:
        """The current configuration."""
        return dict(self.generations[self.current]) if self.current else {}

    def certificates(self) -> Mapping[str, bytes]:
        """The bundles."""
        return dict(self.stored)

    def certificate_path(self, name: str) -> str:
        """Where a bundle is kept."""
        return str(STATE / "certificates" / f"{name}.pem")

    def certificate_name(self, path: str) -> str:
        """What is kept there."""
        return str(Path(path).relative_to(STATE).with_suffix("")).removeprefix("certificates/")

    def store_certificates(self, bundles: Mapping[str, bytes]) -> None:
        """Keep bundles."""
        self._written()
        self.stored |= bundles

    def remove_certificate(self, path: str) -> None:
        """Forget a bundle, which nothing may name."""
        self._written()
        listed = self.files().get(CRT_LIST, b"") + self.files().get(DEFAULT_LIST, b"")
        named = {*listed.decode().split(), *self.named_by_worker()}
        assert path not in named, f"{path} is removed while a configuration names it"
        self.stored.pop(path, None)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the current configuration."""
        self._written()
        assert self.current
        self.generations[self.current][name] = content
        if name == CRT_LIST:
            paths = {line.split()[0].decode() for line in content.splitlines()}
            assert paths <= self.stored.keys(), "a crt-list names a bundle that is not there"

    def stage(self, files: Mapping[str, bytes], identity: str) -> Path:
        """Put a configuration beside the current one."""
        self._written()
        staged = next(path for n in range(9) if (path := STATE / f"{identity}.{n}") not in self.generations)
        self.generations[staged] = dict(files)
        return staged

    def commit(self, staged: Path) -> Path | None:
        """Make it current."""
        self._written()
        previous, self.current = self.current, staged
        return previous

    def discard(self, generation: Path) -> None:
        """Remove it."""
        assert generation != self.current
        del self.generations[generation]

    def prune(self) -> None:
        """Remove all but the current one."""
        self.generations = {path: files for path, files in self.generations.items() if path == self.current}

    def remember(self, services: tuple[Service, ...]) -> None:
        """Keep Docker's last answer."""
        self.services = services

    def remembered(self) -> tuple[Service, ...]:
        """It."""
        return self.services

    def _written(self) -> None:
        self.writes += 1
        if self.failure:
            raise OperationalError(self.failure)


class FakeTickets:
    """Keys of session tickets, as a test says."""

    def __init__(self) -> None:
        self.known: tuple[TicketKey, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()

    def keys(self, _now: datetime) -> tuple[tuple[TicketKey, ...], tuple[Skipped, ...]]:
        """What was told."""
        return self.known, self.skipped


class FakeHAProxy:
    """HAProxy with its runtime API, its master, its checker and its TLS listener."""

    def __init__(self, disk: FakeDisk) -> None:
        self._disk = disk
        self.loaded: dict[str, bytes] = {}
        self.default = ""
        self.crt_list: list[CrtListLine] = []
        self.maps: dict[str, dict[str, str]] = {}
        self.servers: dict[str, dict[str, RunningServer]] = {}
        self.backends: set[str] = set()
        self.configuration = ""
        self.ticket_keys: tuple[str, ...] = ()
        self.worker = 0
        self.journal: list[str] = []
        """What was asked of it, in order, but for questions."""
        self.too_weak: set[str] = set()
        """Fingerprints of certificates that it refuses, as HAProxy does with short keys."""
        self.refused_line = b"\0"
        """It accepts no configuration that contains this."""
        self.refused_lines: tuple[bytes, ...] = ()
        """Lines that it refuses with their number."""
        self.port_taken = False
        self.refuses: set[str] = set()
        """Runtime commands that fail, by the name of the method."""
        self.busy = False
        """Whether servers have requests that they have not answered."""
        self.seconds = 0.0
        """On the clock of whoever gives it work: only loading takes time."""
        self.seconds_for_one = 0.04
        """Certificate that is loaded."""
        self.shows_anyway: dict[str | None, int] = {}
        """Serials that a handshake shows whatever is loaded."""
        disk.named_by_worker = lambda: {line.path for line in self.crt_list}

    # What a test asks of it

    def start(self) -> None:
        """Start on what is current, as its supervisor does; fails the test where it would not."""
        verdict = self.check(self._disk.configuration)
        assert verdict.accepted, f"HAProxy does not start: {verdict.reasons}"
        self._load()

    def kill(self) -> None:
        """It is gone, with everything that was only in its memory."""
        self.worker, self.loaded, self.crt_list, self.maps, self.servers = 0, {}, [], {}, {}

    def serves(self, server_name: str) -> int:
        """The serial that clients of a name get."""
        return self.serial(server_name)

    # What the agent asks of it

    def running(self) -> Running | None:
        """What it holds."""
        if not self.worker:
            return None
        fingerprints = {path: _parsed(pem).fingerprint for path, pem in self.loaded.items()}
        maps = {path: dict(entries) for path, entries in self.maps.items()}
        servers = {backend: dict(entries) for backend, entries in self.servers.items()}
        return Running(
            self.worker, self.configuration, fingerprints, tuple(self.crt_list), maps, servers, self.ticket_keys
        )

    def load_certificate(self, path: str, pem: bytes) -> None:
        """Use it from now on."""
        self._asked("load_certificate", path)
        self.seconds += self.seconds_for_one
        if path in {self.default, *(line.path for line in self.crt_list)}:
            self._use(pem)
        self.loaded[path] = pem

    def unload_certificate(self, path: str) -> None:
        """Forget it, which no line may name."""
        self._asked("unload_certificate", path)
        assert path not in [line.path for line in self.crt_list], "in use, can't be deleted!"
        del self.loaded[path]

    def add_to_crt_list(self, path: str, names: Iterable[str], options: str = "") -> None:
        """One more line, of a certificate that is loaded."""
        self._asked("add_to_crt_list", path)
        assert path in self.loaded, "certificate is empty!"
        self._use(self.loaded[path])
        number = max((line.number for line in self.crt_list), default=0) + 1
        self.crt_list.append(CrtListLine(path, number, tuple(names), options))

    def remove_from_crt_list(self, line: CrtListLine) -> None:
        """One line fewer."""
        self._asked("remove_from_crt_list", line.path)
        if line not in self.crt_list:
            raise RuntimeRefusal("no such line")
        self.crt_list.remove(line)

    def replace_map(self, path: str, entries: Mapping[str, str]) -> None:
        """A new content."""
        self._asked("replace_map", path)
        self.maps[path] = dict(entries)

    def add_server(self, backend: str, server: str, parameters: str, state: ServerState) -> None:
        """One more server of a backend that is there."""
        self._asked("add_server", f"{backend}/{server}")
        assert backend in self.backends, "No such backend."
        assert server not in self.servers.get(backend, {}), "Already exists a server with the same name in backend."
        address, _, port = parameters.split(maxsplit=1)[0].rpartition(":")
        self.servers.setdefault(backend, {})[server] = RunningServer(address, int(port), state)

    def move_server(self, backend: str, server: str, address: str, port: int) -> None:
        """Another address."""
        self._asked("move_server", f"{backend}/{server}")
        assert server in self.servers[backend], "No such server."
        self.servers[backend][server] = self.servers[backend][server]._replace(address=address, port=port)

    def set_server_state(self, backend: str, server: str, state: ServerState) -> None:
        """Requests for it, or none."""
        self._asked("set_server_state", f"{backend}/{server} {state}")
        self.servers[backend][server] = self.servers[backend][server]._replace(state=state)

    def remove_server(self, backend: str, server: str) -> None:
        """One server fewer, or one that gets nothing new, where it is busy."""
        self._asked("remove_server", f"{backend}/{server}")
        if self.busy:
            self.servers[backend][server] = self.servers[backend][server]._replace(state="maint")
        else:
            del self.servers[backend][server]

    def add_ticket_key(self, line: str) -> None:
        """One more key in place of the oldest."""
        self._asked("add_ticket_key", line)
        self.ticket_keys = (*self.ticket_keys[1:], line)

    def reload(self) -> Verdict:
        """A new worker on what is current, unless that fails."""
        self.journal.append("reload")
        if self.port_taken:
            return Verdict(False, "[ALERT] (1) : cannot bind socket (Address in use)")
        verdict = self.check(self._disk.configuration)
        if verdict.accepted:
            self._load()
        return verdict

    def check(self, configuration: Path) -> Verdict:
        """What ``haproxy -c`` says."""
        current = configuration == self._disk.configuration
        files = self._disk.files() if current else self._disk.generations[configuration.parent]
        if not files:
            return Verdict(False, "[ALERT] (1) : no configuration")
        if self.refused_line in files[CONFIGURATION]:
            return Verdict(False, "[NOTICE] (1) : hello\n[ALERT] (1) : unknown keyword")
        for number, text in enumerate(files[CONFIGURATION].splitlines(), start=1):
            if text in self.refused_lines:
                return Verdict(False, f"[ALERT] (1) : config : parsing [/x/haproxy.cfg:{number}] : it is wrong")
        for line in (files[CRT_LIST] + files[DEFAULT_LIST]).decode().splitlines():
            pem = self._disk.stored.get(line.split()[0])
            if pem is None:
                return Verdict(False, f"[ALERT] (1) : unable to stat {line}")
            if _parsed(pem).fingerprint in self.too_weak:
                return Verdict(False, f"[ALERT] (1) : ee key too small {line}")
        return Verdict(True)

    def serial(self, server_name: str | None) -> int:
        """What a handshake shows."""
        if server_name in self.shows_anyway:
            return self.shows_anyway[server_name]
        if not self.worker:
            raise OperationalError("The TLS listener did not complete a handshake.")
        wanted = parse_identifier(server_name) if server_name else None
        paths = (line.path for line in self.crt_list if wanted and any(covers(DnsName(n), wanted) for n in line.names))
        return _parsed(self.loaded[next(paths, self.default)]).serial

    def _use(self, pem: bytes) -> None:
        """Only a certificate that a listener needs is looked at closely, as in HAProxy."""
        if _parsed(pem).fingerprint in self.too_weak:
            raise RuntimeRefusal("ee key too small")

    def _asked(self, command: str, about: str) -> None:
        assert self.worker
        self.journal.append(f"{command} {about}")
        if command in self.refuses:
            raise RuntimeRefusal(f"HAProxy refuses {command}.")

    def _load(self) -> None:
        files = self._disk.files()
        lines = [line.split() for line in files[CRT_LIST].decode().splitlines()]
        self.default = files[DEFAULT_LIST].decode().split()[0]
        self.crt_list = [CrtListLine(line[0], number, tuple(line[1:])) for number, line in enumerate(lines, start=1)]
        self.loaded = {path: self._disk.stored[path] for path in (*(line[0] for line in lines), self.default)}
        self.maps = {path: dict(line.split(" ", 1) for line in files[path].decode().splitlines()) for path in MAPS}
        self.ticket_keys = tuple(files.get(TICKET_KEYS, b"").decode().splitlines())
        identity = re.search(rb"COMPANION_CONFIGURATION (\S+)", files[CONFIGURATION])
        assert identity
        self.configuration = identity[1].decode()
        self.backends, self.servers = set(), {}
        backend = ""
        for word, name, *rest in (line.split() for line in files[CONFIGURATION].decode().splitlines() if " " in line):
            if word == "backend":
                backend = name
                self.backends.add(backend)
            elif word == "server" and backend != "letsencrypt":
                address, _, port = rest[0].rpartition(":")
                state: ServerState = "maint" if "disabled" in rest else "ready"
                self.servers.setdefault(backend, {})[name] = RunningServer(address, int(port), state)
        self.worker += 1


class House:
    """An agent with everything around it."""

    def __init__(self) -> None:
        self.containers = FakeContainers()
        self.certificates = FakeCertificates()
        self.surroundings = FakeSurroundings()
        self.disk = FakeDisk()
        self.haproxy = FakeHAProxy(self.disk)
        self.now = NOW
        self.settings = SETTINGS
        self.extra = Extra()
        self.tickets = FakeTickets()
        self.agent = self.another_agent()

    def another_agent(self) -> Agent:
        """An agent that remembers nothing but what the disk does, as after its restart."""
        performer = Performer(self.disk, self.haproxy, self.haproxy, self.haproxy.check, lambda: self.haproxy.seconds)
        return Agent(
            self.settings,
            RENDERER,
            self.containers,
            self.certificates,
            self.disk,
            self.haproxy,
            performer,
            lambda: self.now,
            self.surroundings,
            lambda _: self.extra,
            self.tickets.keys,
        )

    def boot(self) -> None:
        """The container starts: prepare, then HAProxy, then the agent."""
        self.another_agent().prepare()
        self.haproxy.start()
        self.agent = self.another_agent()
        self.look()

    def look(self) -> Status:
        """One cycle."""
        return self.agent.cycle()

    def issue(self, name: str, *names: str, days: int = 60) -> Bundle:
        """A new bundle in the folder of issued ones, in place of one of the same name."""
        new = bundle(f"issued/{name}", *names, days=days)
        others = (item for item in self.certificates.sources["issued"] if item.name != new.name)
        self.certificates.sources["issued"] = (*others, new)
        return new
