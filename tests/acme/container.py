"""A letsencrypt container without a container: its volumes are folders, and it runs in the test's own process."""

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from letsencrypt.certonly import Directory
from letsencrypt.control import Control, Order, Verb
from letsencrypt.forks import COMMAND, ForkServer
from letsencrypt.issuer import Report
from letsencrypt.loop import Loop
from letsencrypt.settings import load
from letsencrypt.state import State
from letsencrypt.state_file import StateFile, state_folder
from letsencrypt.wiring import wire
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.tls.bundle import Bundle, parse_bundle
from tests.acme.fault_proxy import FaultProxy
from tests.acme.pebble import LOOPBACK, Authority

Server = Authority | FaultProxy


@contextlib.contextmanager
def files_end_after(size: int) -> Iterator[None]:
    """As on a full disk, no file that this process or a child writes grows beyond *size* bytes (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class SharedForks:
    """A process that has imported certbot, for all containers that run under the conditions of this moment.

    One that is to run under others, which a process keeps as it began under them, has a process of its own.
    """

    def __init__(self) -> None:
        self._conditions = self._now()
        self._server = ForkServer(COMMAND)

    def server(self) -> ForkServer | None:
        """It, where it fits."""
        return self._server if self._now() == self._conditions else None

    def _now(self) -> tuple[object, ...]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return environ, resource.getrlimit(resource.RLIMIT_FSIZE)


class Patient:
    """A loop that is waited for."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def cycle(self) -> Report:
        """Look at everything once, until all that is due was attempted; the pause is the one after that."""
        begun = self._loop.cycle()
        settled = self._loop.settle()
        return Report(begun.sentences + settled.sentences, settled.pause)

    def run(self) -> None:
        """As long as it is not stopped."""
        self._loop.run()


class Container:
    """What is mounted into it, and ways to start it; only one at a time, as the challenge port is one."""

    def __init__(self, folder: Path, challenge_port: int, dns_port: int, forks: SharedForks | None = None) -> None:
        self.letsencrypt = folder / "etc"
        self.certs = folder / "certs"
        self.run = folder / "run"
        for volume in (self.letsencrypt, self.certs, self.run):
            volume.mkdir()
        self.wanted = folder / "wanted.json"
        self.email = "admin@example.com"
        self.settings: dict[str, str] = {}
        """Further variables."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.wakeup: Callable[[], Wakeup] = Wakeup
        """What its loop sleeps with."""
        self._port = challenge_port
        self._dns_port = dns_port
        self._forks = forks

    def forward(self, by: timedelta) -> None:
        """Have its clock, though not certbot's, be so far ahead from now on."""
        self.now = lambda: datetime.now(UTC) + by

    def environ(self, domains: str, options: str) -> dict[str, str]:
        """Its environment; the load balancer is the challenge server itself."""
        return {
            "DOMAINS": domains,
            "OPTIONS": options,
            "EMAIL": self.email,
            "LOAD_BALANCER_SERVICE_NAME": f"{LOOPBACK}:{self._port}",
            "CHALLENGE_PORT": str(self._port),
            "PROBE_PORT": str(self._port),
            "RESOLVER_PORT": str(self._dns_port),
            "LETSENCRYPT_FOLDER": str(self.letsencrypt),
            "CERTS_FOLDER": str(self.certs),
            "RUN_FOLDER": str(self.run),
            "WANTED_FILE": str(self.wanted),
            **self.settings,
        }

    @contextlib.contextmanager
    def started(self, domains: str, options: str) -> Iterator[Patient]:
        """The loop of a container that just started, with its challenge server answering."""
        settings = load(self.environ(domains, options))
        forks = self._forks.server() if self._forks else None
        server, loop = wire(settings, self.wakeup(), self.now, lambda: 0.0, forks)
        server.start()
        try:
            yield Patient(loop)
        finally:
            server.stop()

    def cycle(self, domains: str, authority: Server, *options: str) -> Report:
        """Start it with *authority* as its server, let it look at everything once, and stop it."""
        with self.started(domains, " ".join(["--server", authority.directory, *options])) as loop:
            return loop.cycle()

    def ask(self, verb: Verb, name: str, *words: str) -> None:
        """What the commands of that name do: leave a wish, which the next cycle finds."""
        Control(self.run / "control").ask(Order(verb, name, words))

    def published(self, name: str) -> Bundle:
        """The bundle that the load balancer sees for the lineage *name*."""
        return parse_bundle(name, (self.certs / f"{name}.pem").read_bytes())

    def state(self, authority: Server) -> State:
        """What is remembered of *authority*."""
        state, _ = StateFile(state_folder(Directory(authority.directory), self.letsencrypt)).load(self.now())
        assert state is not None
        return state

    def config(self, authority: Server) -> Path:
        """Where certbot keeps things for *authority*."""
        return Directory(authority.directory).config_folder(self.letsencrypt)

    def forget_advice(self, authority: Server, name: str) -> None:
        """Let certbot ask for renewal information again, which it does every six hours."""
        conf = self.config(authority) / "renewal" / f"{name}.conf"
        conf.write_text(conf.read_text().partition("[acme_renewal_info]")[0])

    def lineages(self, authority: Server) -> set[str]:
        """What certbot believes to have."""
        return {conf.stem for conf in (self.config(authority) / "renewal").glob("*.conf")}
