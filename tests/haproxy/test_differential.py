"""After any sequence of events, what runs equals what a start from nothing gives in the same world.

``pytest --timeout=0 --hypothesis-profile=deep tests/haproxy/test_differential.py`` looks at many more sequences.
"""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from proxy_agent.routing.model import Container, Service
from proxy_agent.tls.ticket_keys import ROTATION
from tests.certificate_authority import CertificateAuthority
from tests.examples import examples
from tests.haproxy.origin import serving
from tests.haproxy.proxy import Proxy, proxy_in_a_folder

pytestmark = pytest.mark.slow

HOSTS = ("a.test", "b.test", "x.c.test", "*.c.test", "d.test")
ASKED = ("a.test", "b.test", "x.c.test", "y.c.test", "d.test", "nobody.test")
PATHS = ("/", "/app/x")
FURTHER: tuple[Mapping[str, str], ...] = (
    {},
    {"VIRTUAL_PATH": "/app/"},
    {"HTTPS_METHOD": "noredirect"},
    {"BALANCE": "source"},
    {"SSL_POLICY": "Mozilla-Modern"},
    {"COOKIE": "SRV insert"},
    {"EXTRA_ROUTE_SETTINGS": "weight 50"},
    {"CERT_NAME": "one"},
    {"HSTS": "off"},
    {"EXTRA_SETTINGS": "nonsense"},
)
KEPT = ("self-signed.pem", "tickets.json")
"""What a start from nothing makes anew by chance."""

service_names = st.sampled_from(["shop", "blog", "api"])
hosts = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True)
stems = st.sampled_from(["one", "two", "three"])
states: st.SearchStrategy[Mapping[str, Any]] = st.sampled_from(
    [{}, {"health": "healthy"}, {"health": "unhealthy"}, {"health": "starting"}, {"paused": True}, {"leaving": True}]
)


@dataclass(frozen=True)
class Snapshot:
    """All of what runs, what is on disk, and what clients get."""

    configuration: str
    certificates: Mapping[str, str]
    crt_list: frozenset[tuple[str, frozenset[str], str]]
    maps: Mapping[str, Mapping[str, str]]
    servers: Mapping[str, tuple[str, ...]]
    ticket_keys: tuple[str, ...]
    files: Mapping[str, bytes]
    stored: Mapping[str, bytes]
    serials: Mapping[str | None, int]
    answers: Mapping[tuple[str, str, str], tuple[int, str]]
    status: Mapping[str, Any]


def snapshot(proxy: Proxy) -> Snapshot:
    """What *proxy* is, once its agent has nothing left to do."""
    status = proxy.look_until_calm()
    running = proxy.running
    requests = [(scheme, host, path) for scheme in ("http", "https") for host in ASKED for path in PATHS]
    return Snapshot(
        configuration=running.configuration,
        certificates=running.certificates,
        crt_list=frozenset((line.path, frozenset(line.names), line.options) for line in running.crt_list),
        maps=running.maps,
        servers=servers(proxy),
        ticket_keys=running.ticket_keys,
        files=proxy.deployment.files(),
        stored=proxy.deployment.certificates(),
        serials={name: proxy.serial(name) for name in (None, *ASKED)},
        answers={request: answer(proxy, *request) for request in requests},
        status=status.model_dump(exclude={"cycle_at", "stale_after", "containers_as_of"}),
    )


def servers(proxy: Proxy) -> Mapping[str, tuple[str, ...]]:
    """Address, port, weight and standing of each server; HAProxy knows two ways of being out of rotation."""
    standing = {backend: dict(entries) for backend, entries in proxy.running.servers.items()}
    found = {}
    for line in proxy.ask("show servers state").splitlines()[2:]:
        words = line.split()
        if words and words[1] != "letsencrypt":
            state = standing[words[1]][words[3]].state
            found[f"{words[1]}/{words[3]}"] = (words[4], words[18], words[7], words[5], state)
    return found


def answer(proxy: Proxy, scheme: str, host: str, path: str) -> tuple[int, str]:
    """The status of an answer and where it leads."""
    told = proxy.plain(host, path) if scheme == "http" else proxy.tls(host, path, trusted=False)
    location = next((value for name, value in told.headers.items() if name.lower() == "location"), "")
    return told.status, location


class Installation(RuleBasedStateMachine):
    """A HAProxy with its agent, and everything that may happen around them."""

    authority = CertificateAuthority()

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self.proxy = self._stack.enter_context(proxy_in_a_folder(self.authority))
        self.ports = [self._stack.enter_context(serving(name)).port for name in ("red", "blue")]
        self.services: dict[str, Service] = {}
        self.good: dict[str, bytes] = {}
        """The last good bundle of each file that ever was one, as long as the file is there."""
        self.made = 0
        self.lost = False
        """Whether something is missing in the state folder since the last look."""

    @initialize()
    def boot(self) -> None:
        """It runs, with nothing to serve."""
        self.proxy.boot()

    # Containers

    @rule(name=service_names, on=hosts, further=st.sampled_from(FURTHER), number=st.integers(1, 3))
    def run_service(self, name: str, on: list[str], further: Mapping[str, str], number: int) -> None:
        """A service starts, or is made anew with other settings."""
        self.services[name] = self._service(name, {"VIRTUAL_HOST": ",".join(on), **further}, number)

    @precondition(lambda self: self.services)
    @rule(number=st.integers(0, 4), choice=st.randoms(use_true_random=False))
    def scale(self, number: int, choice: Any) -> None:
        """One has more or fewer containers; with none it is gone."""
        name = choice.choice(sorted(self.services))
        if number:
            before = self.services[name].containers[:number]
            more = self._service(name, before[0].settings, number).containers[len(before) :]
            self.services[name] = Service(name, (*before, *more))
        else:
            del self.services[name]

    @precondition(lambda self: self.services)
    @rule(state=states, choice=st.randoms(use_true_random=False))
    def change_health(self, state: Mapping[str, Any], choice: Any) -> None:
        """A container falls ill, recovers, is paused or told to stop."""
        name = choice.choice(sorted(self.services))
        first, *others = self.services[name].containers
        changed = replace(first, **{"health": "none", "paused": False, "leaving": False, **state})
        self.services[name] = Service(name, (changed, *others))

    def _service(self, name: str, environment: Mapping[str, str], number: int) -> Service:
        self.made += 1
        return Service(
            name,
            tuple(
                Container(f"{name}-{n}", environment, (self.ports[n % 2],), ip_address("127.0.0.1"), created=self.made)
                for n in range(1, number + 1)
            ),
        )

    # Certificates

    @rule(stem=stems, on=hosts, own=st.booleans())
    def certify(self, stem: str, on: list[str], own: bool) -> None:
        """A certificate is issued or renewed, perhaps for other names; or one of the operator's own appears."""
        self._write(f"{'custom' if own else 'issued'}/{stem}", self.authority.issue(*on).bundle_pem)

    @rule(stem=stems, own=st.booleans())
    def take_away(self, stem: str, own: bool) -> None:
        """A certificate is gone."""
        file = f"{'custom' if own else 'issued'}/{stem}"
        (self.proxy.folder / f"{file}.pem").unlink(missing_ok=True)
        self.good.pop(file, None)

    @rule(stem=stems, garbage=st.sampled_from([b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n"]))
    def spoil(self, stem: str, garbage: bytes) -> None:
        """A file turns bad."""
        (self.proxy.folder / "issued" / f"{stem}.pem").write_bytes(garbage)

    @rule(present=st.booleans())
    def change_default(self, present: bool) -> None:
        """The operator's own default certificate comes or goes."""
        if present:
            self._write("custom/default", self.authority.issue("default.test").bundle_pem)
        else:
            self.take_away("default", own=True)

    def _write(self, file: str, pem: bytes) -> None:
        (self.proxy.folder / f"{file}.pem").write_bytes(pem)
        self.good[file] = pem

    # The agent and HAProxy

    @rule()
    def look(self) -> None:
        """The agent looks once."""
        self.proxy.serve(*self.services.values())
        self.proxy.look()
        self.lost = False

    @rule()
    def look_without_docker(self) -> None:
        """It cannot ask Docker."""
        self.proxy.containers.failure = "Docker cannot be asked."
        self.proxy.look()
        self.proxy.containers.failure = ""

    @rule()
    def restart_agent(self) -> None:
        """Another agent goes on where that one was."""
        vars(self.proxy).pop("agent", None)

    @rule(meanwhile=st.booleans())
    def crash(self, meanwhile: bool) -> None:
        """HAProxy is started anew on what is on disk; where that is lost, not before the agent has looked."""
        self.proxy.kill()
        if meanwhile or self.lost:
            self.look()
        self.proxy.start()

    @rule(lost=st.sampled_from(["current", "default.pem", "services.json", "certificates", "generations", "."]))
    def lose(self, lost: str) -> None:
        """Somebody removes a part of the state folder, or all of it."""
        self.lost = True
        path = self.proxy.settings.state_folder / lost
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            kept = {name: (self.proxy.settings.state_folder / name).read_bytes() for name in KEPT}
            shutil.rmtree(path, ignore_errors=True)
            self._put_back(kept)

    @rule()
    def meddle(self) -> None:
        """Somebody speaks to HAProxy past the agent, and leaves a transaction open."""
        self.proxy.ask("add map maps/tls.map evil.test be_none")
        self.proxy.ask("clear map maps/plain.map")
        path = self.proxy.deployment.default_certificate
        self.proxy.ask(f"set ssl cert {path} <<\n{self.authority.issue('evil.test').bundle_pem.decode()}\n")

    @rule()
    def pass_time(self) -> None:
        """Hours go by."""
        self.proxy.later = min(self.proxy.later + ROTATION, timedelta(days=5))

    # The comparison

    def teardown(self) -> None:
        """Mend what history may rightly count for, and compare."""
        try:
            for file, pem in self.good.items():
                # While a file is bad, what it held before is served: a start from nothing cannot know that.
                (self.proxy.folder / f"{file}.pem").write_bytes(pem)
            self.proxy.serve(*self.services.values())
            live = snapshot(self.proxy)
            cold = self._from_nothing()
            note(f"services: {self.services}")
            assert live == cold
        finally:
            self._stack.close()

    def _from_nothing(self) -> Snapshot:
        state = self.proxy.settings.state_folder
        kept = {name: (state / name).read_bytes() for name in KEPT}
        self.proxy.kill()
        shutil.rmtree(state)
        self._put_back(kept)
        vars(self.proxy).pop("agent", None)
        self.proxy.boot()
        return snapshot(self.proxy)

    def _put_back(self, kept: Mapping[str, bytes]) -> None:
        self.proxy.settings.state_folder.mkdir(exist_ok=True)
        for name, content in kept.items():
            (self.proxy.settings.state_folder / name).write_bytes(content)


TestInstallation = Installation.TestCase
TestInstallation.settings = settings(
    max_examples=examples(5),
    stateful_step_count=12,
    # Each step takes a while, so a failure is told as it was found.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
