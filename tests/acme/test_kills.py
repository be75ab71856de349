"""SIGKILL at every step of an issuance and of a renewal, of certbot alone and of the whole container."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from letsencrypt.certonly import Directory
from letsencrypt.control import Verb
from letsencrypt.state_file import state_folder
from proxy_agent.tls.bundle import Bundle, parse_bundle
from tests.acme.container import Container
from tests.acme.fault_proxy import Endpoint, FaultProxy, Seen
from tests.acme.processes import descendants, is_certbot, kill
from tests.acme.test_process import running

pytestmark = [pytest.mark.acme, pytest.mark.slow]

NAME = "killed.example"
REQUESTS = (
    *((Endpoint.DIRECTORY, 2), (Endpoint.NONCE, 1), (Endpoint.ORDER, 1), (Endpoint.AUTHORIZATION, 1)),
    *((Endpoint.CHALLENGE, 1), (Endpoint.AUTHORIZATION, 2), (Endpoint.FINALIZE, 1), (Endpoint.ORDER_POLL, 1)),
    (Endpoint.CERTIFICATE, 1),
)
"""Each answered by Pebble, and the answer lost; the first look at the directory is the preflight's."""
OURS = (
    *("rename STATE/state.json", "rename STATE/NAME.run", "remove STATE/NAME.run"),
    *("open certs/X", "open certs/X empty", "rename certs/NAME.pem"),
)
"""Changes that the loop makes: state, journal, bundle. Only all of the container can be killed there."""
FIRST = (
    *("open ACCOUNT/X/private_key.json empty", "open ACCOUNT/X/meta.json", "open ACCOUNT/X/regr.json empty"),
    *("mkdir CONFIG/renewal", "open STATE/NAME.run", "open TOKENS/X empty", "remove TOKENS/X", "mkdir CONFIG/archive"),
    *("open CONFIG/renewal/NAME.conf", "open CONFIG/renewal/NAME.conf empty", "mkdir CONFIG/archive/NAME"),
    *("mkdir CONFIG/live/NAME", "symlink CONFIG/live/NAME/cert.pem", "symlink CONFIG/live/NAME/fullchain.pem"),
    *("open CONFIG/live/NAME/cert.pem empty", "open CONFIG/archive/NAME/privkey1.pem empty"),
    *("open CONFIG/live/NAME/fullchain.pem", "open CONFIG/live/NAME/fullchain.pem empty"),
    "open CONFIG/live/NAME/README",
)
"""Changes that certbot makes as it issues."""
AGAIN = (
    *("open CONFIG/renewal/NAME.conf.new empty", "rename CONFIG/renewal/NAME.conf", "open STATE/NAME.run"),
    *("open TOKENS/X", "open CONFIG/archive/NAME/privkey2.pem empty", "open CONFIG/archive/NAME/cert2.pem"),
    *("open CONFIG/archive/NAME/fullchain2.pem empty", "symlink CONFIG/live/NAME/previous_cert.pem"),
    *("remove CONFIG/live/NAME/cert.pem", "symlink CONFIG/live/NAME/cert.pem", "remove CONFIG/live/NAME/privkey.pem"),
    *("symlink CONFIG/live/NAME/privkey.pem", "symlink CONFIG/live/NAME/chain.pem"),
    *("remove CONFIG/live/NAME/fullchain.pem", "symlink CONFIG/live/NAME/fullchain.pem"),
    "remove CONFIG/live/NAME/previous_fullchain.pem",
)
"""Changes that certbot makes as it renews."""


@contextlib.contextmanager
def reader(bundle: Path) -> Iterator[None]:
    """As the load balancer, read *bundle* all along; fails if it is ever no bundle, or gone, or older than before."""
    faults: list[str] = []
    end = threading.Event()

    def read() -> None:
        newest = None
        while not end.wait(0.002):
            try:
                found = parse_bundle(NAME, bundle.read_bytes())
            except FileNotFoundError:
                if newest:
                    faults.append("it is gone")
                continue
            except ValueError as error:
                faults.append(str(error))
                continue
            if newest and found.not_before < newest:
                faults.append("it is an older one")
            newest = found.not_before

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    assert faults == []


@dataclass
class Attempt:
    """A container that is killed in an issuance, or in a renewal."""

    container: Container
    proxy: FaultProxy
    environ: pytest.MonkeyPatch
    first: Bundle | None = None
    """What was published before a renewal."""
    orders: int = 0
    """How many were placed before all this."""

    def begin(self, renewal: bool) -> None:
        """Where it is a renewal, have a certificate that is due."""
        if renewal:
            self.container.cycle(NAME, self.proxy)
            self.first = self.container.published(NAME)
            self.proxy.authority.advise_renewal_now(self.first.pem)
            self.container.forget_advice(self.proxy, NAME)
        self.proxy.seen.clear()
        self.orders = self.proxy.authority.orders()

    def die_at_request(self, endpoint: Endpoint, nth: int, container: bool) -> None:
        """Kill when Pebble has answered the *nth* request for *endpoint*, and before that is known."""
        deaths: list[Endpoint] = []
        root = [os.getpid()]

        def watch(seen: Seen) -> None:
            if seen.endpoint is endpoint and self.proxy.count(endpoint) == nth:
                deaths.append(endpoint)
                below = [pid for pid in descendants(root[0]) if container or is_certbot(pid)]
                kill(*root if container else (), *below)

        self.proxy.watch = watch
        try:
            self._run_in_process(root) if container else self.container.cycle(NAME, self.proxy)
        finally:
            self.proxy.watch = lambda _seen: None
        assert deaths == [endpoint]

    def die_at_change(self, change: str, container: bool) -> None:
        """Kill just before *change* is made, or just after an empty file was."""
        folders = self._folders()
        plan = change.replace("NAME", NAME)
        for short, folder in folders.items():
            plan = plan.replace(short, str(folder.relative_to(self.container.letsencrypt.parent)))
        self.environ.setenv("DEADLY", f"{self.container.letsencrypt.parent}|{plan}")
        if container:
            self.environ.setenv("DEADLY_ROOT", "")
            self._run_in_process([])
            self.environ.delenv("DEADLY_ROOT")
        else:
            self.container.cycle(NAME, self.proxy)
            assert self.container.state(self.proxy).lineages[NAME].standing.failure is not None
        self.environ.delenv("DEADLY")

    def check(self) -> None:
        """After the next start: one valid certificate, at most one order wasted, and then peace."""
        self.container.ask(Verb.RETRY, NAME)
        self.container.cycle(NAME, self.proxy)
        assert self.container.lineages(self.proxy) == {NAME}
        config = self.container.config(self.proxy)
        assert [path.name for kind in ("live", "archive") for path in (config / kind).glob("*/")] == [NAME, NAME]
        bundle = self.container.published(NAME)
        self.proxy.authority.verify(bundle.pem, NAME)
        orders = self.proxy.authority.orders() - self.orders
        assert 1 <= orders <= 2
        assert bundle != self.first
        report = self.container.cycle(NAME, self.proxy)
        assert report.sentences == ()
        assert self.proxy.authority.orders() - self.orders == orders
        assert list((self.container.run / "webroot/.well-known/acme-challenge").iterdir()) == []

    def _folders(self) -> dict[str, Path]:
        config = self.container.config(self.proxy)
        return {
            "STATE": state_folder(Directory(self.proxy.directory), self.container.letsencrypt),
            "TOKENS": self.container.run / "webroot/.well-known/acme-challenge",
            "ACCOUNT": config / "accounts" / self.proxy.host / "dir",
            "CONFIG": config,
        }

    def _run_in_process(self, root: list[int]) -> None:
        """As a container of its own, which has to die."""
        with running(self.container, NAME, f"--server {self.proxy.directory}") as program:
            root[:] = [program.process.pid]
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(60)
            assert program.process.returncode == -signal.SIGKILL, program.words()
            kill(*(pid for pid in descendants(program.process.pid)))


@pytest.fixture
def attempt(container: Container, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """A fresh one."""
    return Attempt(container, proxy, monkeypatch)


each_victim = ("certbot", "container")


@pytest.mark.parametrize("renewal", [False, True], ids=["issue", "renew"])
@pytest.mark.parametrize(
    ("where", "victim"),
    [(where, each_victim[number % 2]) for number, where in enumerate(REQUESTS)],
    ids=lambda each: each if isinstance(each, str) else f"{each[0].name.lower()}-{each[1]}",
)
def test_killed_at_a_request(attempt: Attempt, where: tuple[Endpoint, int], victim: str, renewal: bool) -> None:
    """One lineage, one valid certificate, at most one order wasted; what is served was a whole bundle all along."""
    attempt.begin(renewal)
    with reader(attempt.container.certs / f"{NAME}.pem"):
        attempt.die_at_request(*where, container=(victim == "container") is not renewal)
        attempt.check()


@pytest.mark.parametrize(
    ("change", "victim", "renewal"),
    [
        *((change, "container", renewal) for change in OURS for renewal in (False, True)),
        *((change, each_victim[number % 2], False) for number, change in enumerate(FIRST)),
        *((change, each_victim[number % 2], True) for number, change in enumerate(AGAIN)),
    ],
)
def test_killed_at_a_change_of_a_file(attempt: Attempt, change: str, victim: str, renewal: bool) -> None:
    """The same, between any two changes on the volumes."""
    attempt.begin(renewal)
    with reader(attempt.container.certs / f"{NAME}.pem"):
        attempt.die_at_change(change, victim == "container")
        attempt.check()
