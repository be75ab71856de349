"""A real HAProxy with the real agent beside it, in a folder and on ports of its own; only Docker is made up."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryptography import x509

from proxy_agent import settings as agent_settings
from proxy_agent.agent import Agent
from proxy_agent.certificates import Certificates
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole
from proxy_agent.deployment import Deployment
from proxy_agent.given_certificates import given_certificates
from proxy_agent.listener import Listener
from proxy_agent.perform import Performer
from proxy_agent.process import check_configuration
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.render import CRT_LIST, MAPS, Templates
from proxy_agent.runtime import Running, Runtime
from proxy_agent.session_tickets import SessionTickets
from proxy_agent.settings import Settings
from proxy_agent.status import Status
from proxy_agent.surroundings import Surroundings
from proxy_agent.trials import Trials
from tests.certificate_authority import CertificateAuthority, Issued
from tests.visits import Visits, visiting
from tests.waiting import until

TEMPLATES = Path(__file__).resolve().parents[2] / "haproxy"


class FakeContainers:
    """Docker, which here knows what a test tells it, or fails as a test tells it."""

    def __init__(self) -> None:
        self.known: tuple[Service, ...] = ()
        self.failure = ""

    def services(self) -> tuple[Service, ...]:
        """What was told."""
        if self.failure:
            raise OperationalError(self.failure)
        return self.known


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def received(self) -> Mapping[str, Any]:
        """What the origin says it was asked."""
        received: Mapping[str, Any] = json.loads(self.body)
        return received

    @property
    def forwarded(self) -> list[tuple[str, str]]:
        """The header fields that the origin saw."""
        return [(name, value) for name, value in self.received["headers"]]


class Proxy:
    """One HAProxy and one agent; the test is the loop that makes the agent look."""

    def __init__(self, folder: Path, authority: CertificateAuthority, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.authority = authority
        self.containers = FakeContainers()
        self.templates = TEMPLATES
        self.later = timedelta()
        """How far the agent's clock is ahead."""
        self.environment = {
            "STATE_FOLDER": str(folder / "state"),
            "RUN_FOLDER": str(folder / "run"),
            "CERTS_FOLDER": str(folder / "issued"),
            "CERT_FOLDER": str(folder / "custom"),
            "LIVE_FOLDER": str(folder / "live"),
            "WANTED_FOLDER": str(folder),
            "DEFAULT_CERT_SANS": "localhost,127.0.0.1",
            "ENABLE_IPV6": "no",
            "ROUTE_GRACE": "0s",
            "ERRORS_FOLDER": str(folder / "errors"),
            "HTPASSWD_FOLDER": str(folder / "htpasswd"),
            # Others run HAProxy on this host too.
            "STATS_PORT": "0",
            **environment,
        }
        self.settings = agent_settings.load(self.environment)
        for path in (
            self.settings.issued_folder,
            self.settings.custom_folder,
            self.settings.live_folder,
            self.settings.errors_folder,
        ):
            path.mkdir()
        self.settings.run_folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (folder / "haproxy.log").open("ab")

    @cached_property
    def agent(self) -> Agent:
        """The agent with its real edges, but for Docker."""
        return self.another_agent(self.settings)

    def another_agent(
        self, settings: Settings, deployment: Deployment | None = None, listener: Listener | None = None
    ) -> Agent:
        """An agent that knows nothing of what the others here did, as after its restart."""
        deployment = deployment or self.deployment
        listener = listener or Listener(settings.https_port, settings.enable_proxy_protocol)
        return Agent(
            settings,
            Templates(self.templates, settings),
            self.containers,
            Certificates(
                settings.custom_folder,
                settings.issued_folder,
                settings.live_folder,
                settings.state_folder / "self-signed.pem",
                settings.wanted_folder / "wanted.json",
                given_certificates(settings),
            ),
            deployment,
            self.runtime,
            Performer(deployment, self.runtime, listener, check_configuration),
            lambda: datetime.now(UTC) + self.later,
            Surroundings(
                settings.errors_folder,
                settings.htpasswd_folder,
                settings.ca_cert_file or settings.ca_cert,
                settings.enable_ipv6,
            ),
            Trials(settings, settings.run_folder, check_configuration).extra,
            SessionTickets(settings.state_folder / "tickets.json").keys,
        )

    @cached_property
    def deployment(self) -> Deployment:
        """The state folder."""
        return Deployment(self.settings.state_folder)

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime API of whatever HAProxy runs now."""
        run = self.settings.run_folder
        return Runtime(run, CRT_LIST, MAPS)

    # The life of the process

    def boot(self) -> None:
        """Start everything, as the container does: prepare, HAProxy, the agent's first look."""
        self.another_agent(self.settings).prepare()
        self.start()
        self.look()

    def start(self, held: Mapping[str, str] | None = None) -> None:
        """Start HAProxy as the service definition does, on the sockets of hold() if any; wait until it answers."""
        (self.settings.run_folder / "servers.state").write_text("1\n")
        configuration = self.settings.state_folder / "current" / "haproxy.cfg"
        master = f"{self.settings.run_folder}/master.sock,mode,600,level,admin"
        self._process = subprocess.Popen(
            ["haproxy", "-W", "-db", "-S", master, "-f", configuration],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **(held or {})},
            pass_fds=[int(told.removeprefix("fd@")) for told in (held or {}).values()],
        )
        until(self._answers, "HAProxy on its sockets")

    def kill(self) -> None:
        """End master and worker at once, as a crash does."""
        assert self._process
        worker = self.worker
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        until(lambda: not Path(f"/proc/{worker}").exists(), "end of the worker")

    def close(self) -> None:
        """End what was started."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"HAProxy ended: {self.log}"
        with contextlib.suppress(OperationalError):
            Listener(self.settings.https_port, self.settings.enable_proxy_protocol).check()
            return self.runtime.running() is not None
        return False

    @property
    def log(self) -> str:
        """What HAProxy wrote so far."""
        return (self.folder / "haproxy.log").read_text()

    # The agent

    def look(self) -> Status:
        """One cycle of the agent; a worker that it replaced has taken its last connection when this returns."""
        before = self.runtime.running()
        status = self.agent.cycle()
        after = self.runtime.running()
        if before and after and before.worker != after.worker:
            until(lambda: self._accepts_no_more(before.worker), "end of the worker that was replaced", pause=0.005)
        return status

    def _accepts_no_more(self, worker: int) -> bool:
        """Whether a former worker has closed its listeners; it may still serve what it accepted before."""
        links: set[str] = set()
        try:
            for descriptor in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    links.add(str(descriptor.readlink()))
        except FileNotFoundError:
            return True
        listening = _listening_inodes(self.settings.http_port) | _listening_inodes(self.settings.https_port)
        return links.isdisjoint(f"socket:[{inode}]" for inode in listening)

    def look_until_calm(self) -> Status:
        """As many cycles as the loop would follow up at once: until two in a row tell the same."""
        status = self.look()
        for _ in range(8):
            before, status = status, self.look()
            if status.problems == before.problems and status.certificates == before.certificates:
                return status
        raise AssertionError(f"the agent does not come to rest: {status.problems}")

    @property
    def running(self) -> Running:
        """What the worker holds."""
        running = self.runtime.running()
        assert running
        return running

    @property
    def worker(self) -> int:
        """The worker's process id, as ``show info`` tells it."""
        lines = self.ask("show info").splitlines()
        return next(int(line.removeprefix("Pid: ")) for line in lines if line.startswith("Pid: "))

    def ask(self, command: str) -> str:
        """One runtime API command, past the agent."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.settings.run_folder / "admin.sock"))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    # Its world

    def publish(self, name: str, *hosts: str, **how: Any) -> Issued:
        """Publish a bundle as the letsencrypt container does."""
        issued = self.authority.issue(*hosts, **how)
        self.publish_bytes(name, issued.bundle_pem)
        return issued

    def publish_bytes(self, name: str, content: bytes) -> None:
        """Publish whatever it is under the name of a bundle."""
        write_whole(self.settings.issued_folder / f"{name}.pem", content)

    def unpublish(self, name: str) -> None:
        """Take a bundle away."""
        (self.settings.issued_folder / f"{name}.pem").unlink()

    def serve(self, *services: Service) -> None:
        """Have these services, and no others, run beside HAProxy."""
        self.containers.known = services

    # Its clients

    def handshake(self, server_name: str | None, trusted: bool = True, alpn: tuple[str, ...] = ()) -> ssl.SSLSocket:
        """An open TLS connection; where *trusted*, its certificate must come from the authority and fit the name."""
        context = self.authority.client_context()
        if not trusted:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        connection = socket.create_connection(("127.0.0.1", self.settings.https_port), timeout=10)
        try:
            return context.wrap_socket(connection, server_hostname=server_name)
        except OSError:
            connection.close()
            raise

    def certificate(self, server_name: str | None) -> x509.Certificate:
        """The certificate that a client is shown, whether it trusts it or not."""
        with self.handshake(server_name, trusted=False) as tls:
            shown = tls.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown)

    def serial(self, server_name: str | None) -> int:
        """Its serial number."""
        return self.certificate(server_name).serial_number

    def plain(
        self, host: str, path: str = "/", method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request in clear text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.http_port, timeout=10)
        return _exchange(connection, method, path, {"Host": host, **(headers or {})})

    def tls(
        self,
        host: str,
        path: str = "/",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        trusted: bool = True,
    ) -> Answer:
        """A request through TLS, which must show a good certificate for *host* where *trusted*."""
        connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
        connection.sock = self.handshake(host.partition(":")[0].lower(), trusted)
        return _exchange(connection, method, path, {"Host": host, **(headers or {})})


Start = Callable[..., Proxy]
"""Starts a proxy with settings."""

_ANSWERS = 20


def visitors(proxy: Proxy, host: str, path: str = "/", number: int = 3) -> AbstractContextManager[Visits]:
    """Clients that ask for *host* over and over, each time by a new connection with a certificate that must be good."""

    def visit(visits: Visits, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                answer = proxy.tls(host, path)
            except (OSError, http.client.HTTPException) as error:
                visits.failures.append(repr(error))
            else:
                if answer.status == 200:
                    visits.answered += 1
                else:
                    visits.failures.append(f"{answer.status} {answer.body!r}")

    return visiting([visit] * number, _ANSWERS)


def _listening_inodes(port: int) -> set[str]:
    """The sockets that listen on a port of this host, as /proc/net/tcp names them (proc_net_tcp: state 0A)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {fields[9] for fields in lines if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")}


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    try:
        connection.request(method, path, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def service(name: str, virtual_host: str, *ports: int) -> Service:
    """A service with a container for each of *ports* on this host."""
    containers = tuple(
        Container(f"{name}-{number}", {"VIRTUAL_HOST": virtual_host}, (port,), ip_address("127.0.0.1"))
        for number, port in enumerate(ports, start=1)
    )
    return Service(name, containers)


@contextlib.contextmanager
def proxy_in_a_folder(authority: CertificateAuthority, **environment: str) -> Iterator[Proxy]:
    """A proxy that does not run yet, and that is gone with its folder when the block ends."""
    with contextlib.ExitStack() as stack:
        # Short, because a path of a Unix socket has at most 107 characters.
        folder = Path(mkdtemp(prefix="hap-"))
        stack.callback(shutil.rmtree, folder)
        ports = {name: str(stack.enter_context(reserved_port())) for name in ("HTTP_PORT", "HTTPS_PORT")}
        proxy = Proxy(folder, authority, {**ports, **environment})
        stack.callback(proxy.close)
        yield proxy


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that HAProxy can bind, because both set SO_REUSEPORT, and that nobody else is given meanwhile."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("0.0.0.0", 0))
        port: int = reserved.getsockname()[1]
        yield port
