"""The nine invariants of the agent; those that need the binary stand again in tests/haproxy/test_invariants.py."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy_agent.certificates import Found
from proxy_agent.daemon.errors import Skipped
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.decision import World, decide
from proxy_agent.routing.model import Service
from proxy_agent.routing.render import CRT_LIST, TLS_MAP
from proxy_agent.server_states import RunningServer
from proxy_agent.tls.bundle import Bundle
from tests.examples import examples
from tests.unit.agent.fakes import NOW, RENDERER, SELF_SIGNED, SETTINGS, FakeDisk, FakeHAProxy, House, bundle, service

SERVICES = (
    service("shop", "a.test,b.test", "10.0.0.2", "10.0.0.1"),
    service("blog", "b.test,https://c.test"),
    service("api", "http://a.test", "2001:db8::1"),
)
BUNDLES = (bundle("issued/a", "b.test", "a.test"), bundle("issued/b", "b.test"), bundle("issued/c", "*.test"))
RESYNC = timedelta(seconds=60)


@pytest.fixture
def house(caplog: pytest.LogCaptureFixture) -> House:
    """An agent and a HAProxy that serve a.test with a certificate, and a log that is still empty."""
    caplog.set_level(logging.INFO)
    house = House()
    house.boot()
    house.containers.known = (service("shop", "a.test"),)
    house.issue("a", "a.test")
    house.look()
    house.haproxy.journal.clear()
    caplog.clear()
    return house


# 1


def files_of(services: list[Service], bundles: list[Bundle]) -> dict[str, bytes]:
    """All that is rendered for a world that lists its parts in this order."""
    found = Found({"issued": tuple(bundles)}, None, (), frozenset())
    world = World(tuple(services), found, SELF_SIGNED, {}, {}, NOW)
    return dict(decide(world, RENDERER, str, "/state/default.pem", SETTINGS).desired.configuration.files)


@settings(max_examples=examples(30))
@given(st.permutations(SERVICES), st.permutations(BUNDLES))
def test_1_same_world_same_bytes(services: list[Service], bundles: list[Bundle]) -> None:
    """Same world, same bytes: everything rendered is sorted."""
    turned = [replace(item, containers=item.containers[::-1]) for item in services]
    assert files_of(turned, bundles) == files_of(list(SERVICES), list(BUNDLES))


# 2


def test_2_nothing_to_do(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing to do: no action, no log line."""
    writes = house.disk.writes
    for _ in range(3):
        house.now += RESYNC
        house.look()
    assert (house.haproxy.journal, house.disk.writes - writes, caplog.messages) == ([], 0, [])


# 3


def test_3_a_rejected_configuration(house: House) -> None:
    """A rejected configuration leaves the running one, and the next good one is taken without a restart."""
    house.haproxy.refused_line = b"backend bad"
    house.containers.known = (service("bad", "x.test"),)
    for _ in range(3):
        house.look()
        assert house.haproxy.maps[TLS_MAP].keys() == {"a.test"}
    house.containers.known = (service("good", "y.test"),)
    house.look()
    assert house.haproxy.maps[TLS_MAP].keys() == {"y.test"}


# 4


def test_4_what_is_named_exists(house: House) -> None:
    """A file that a running configuration names exists as long as it runs: write, then reload, then remove."""
    seen: list[set[str]] = []
    load = house.haproxy.reload

    def watched_reload() -> object:
        seen.append({line.path for line in house.haproxy.crt_list} - house.disk.stored.keys())
        return load()

    house.haproxy.reload = watched_reload  # type: ignore[method-assign, assignment]  # a witness between two steps
    house.certificates.sources["issued"] = ()
    house.issue("b", "b.test")
    house.containers.known = (service("shop", "a.test"), service("new", "b.test"))
    house.look()
    assert seen == [set()], "the old bundle is there until the new configuration runs"
    assert house.disk.certificate_path("issued/a") not in house.disk.stored, "and then it is removed"


# 5


def bad_container(house: House) -> None:
    """A container that no network joins with HAProxy."""
    (shop,) = house.containers.known
    lost = replace(shop.containers[0], name="shop-2", address=None, unreachable="no network in common")
    house.containers.known = (replace(shop, containers=(*shop.containers, lost)),)


def bad_label(house: House) -> None:
    """A VIRTUAL_HOST that would break HAProxy's syntax, if it got there."""
    house.containers.known += (service("bad", "x.test\n    server evil 192.0.2.1"),)


def bad_file(house: House) -> None:
    """A bundle that cannot be read."""
    house.certificates.skipped = (Skipped("x.pem", "there is no private key in it"),)
    house.certificates.doubtful = frozenset({"issued/x"})


def bad_certificate(house: House) -> None:
    """A bundle that can be read, and that HAProxy refuses."""
    house.haproxy.too_weak = {house.issue("x", "x.test").fingerprint}


@pytest.mark.parametrize("go_bad", [bad_container, bad_label, bad_file, bad_certificate])
def test_5_one_bad_thing_costs_itself(house: House, go_bad: Callable[[House], None]) -> None:
    """One bad container, label, PEM or domain costs that one, with a reason the operator can see, never the rest."""
    go_bad(house)
    house.containers.known += (service("new", "n.test"),)
    new = house.issue("n", "n.test")
    problems = [house.look().problems for _ in range(4)][-1]
    assert len(problems) == 1
    assert house.haproxy.maps[TLS_MAP].keys() == {"a.test", "n.test"}
    assert house.haproxy.serves("n.test") == new.serial
    assert house.haproxy.serves("a.test") != SELF_SIGNED.serial


# 6


class Deaf(Wakeup):
    """A wakeup that no event ever reaches; the world changes while it sleeps."""

    def __init__(self, while_asleep: list[Callable[[], object]]) -> None:
        super().__init__()
        self.longest = 0.0
        self._while_asleep = while_asleep

    def wait(self, timeout: float) -> frozenset[str]:
        """Sleep to the end, without being rung."""
        self.longest = max(self.longest, timeout)
        if self._while_asleep:
            self._while_asleep.pop(0)()
        else:
            self.stop()
        return frozenset()


def test_6_a_lost_event(house: House) -> None:
    """A lost event costs at most one resync interval."""
    deaf = Deaf([lambda: house.issue("b", "b.test"), lambda: setattr(house.containers, "known", ())])
    looks: list[tuple[int, set[str]]] = []
    house.agent.run(deaf, lambda status: looks.append((len(status.certificates), set(house.haproxy.maps[TLS_MAP]))))
    assert looks == [(2, {"a.test"}), (3, {"a.test"}), (3, set())]
    assert deaf.longest == RESYNC.total_seconds()


# 7


def docker_fails(house: House) -> None:
    """Docker answers with an error."""
    house.containers.failure = "Docker cannot be asked for containers: Connection refused."


def folder_fails(house: House) -> None:
    """The folder of issued certificates cannot be read."""
    house.certificates.sources["issued"] = ()
    house.certificates.doubtful = frozenset({"issued/"})


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("fail", [docker_fails, folder_fails])
def test_7_an_error_is_no_empty_answer(house: House, fail: Callable[[House], None], restarted: bool) -> None:
    """An empty answer caused by an error never replaces a working set."""
    fail(house)
    if restarted:
        house.haproxy.kill()
        house.boot()
    for _ in range(10):
        house.look()
    assert house.haproxy.maps[TLS_MAP].keys() == {"a.test"}
    assert house.haproxy.serves("a.test") != SELF_SIGNED.serial


# 8


def test_8_a_certificate_never_reloads(house: House) -> None:
    """A certificate swap never reloads; only new frontends and backends do."""
    house.issue("a", "a.test", "more.test")
    house.issue("b", "b.test")
    house.look()
    house.certificates.sources["custom"] = (bundle("custom/default", "d.test"),)
    house.look()
    house.certificates.sources["issued"] = ()
    house.look()
    assert "reload" not in house.haproxy.journal
    assert len(house.haproxy.journal) > 5
    house.containers.known += (service("new", "n.test"),)
    house.look()
    assert house.haproxy.journal.count("reload") == 1


# 9


def test_9_served_is_what_a_handshake_showed(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What we say is served is what a real handshake on the listener showed."""
    renewed = house.issue("a", "a.test")
    house.haproxy.shows_anyway = {"a.test": 5}
    (shown, _) = house.look().certificates
    assert (shown.name, shown.served) == ("issued/a", False)
    assert not [message for message in caplog.messages if "now get" in message]
    house.haproxy.shows_anyway = {"a.test": renewed.serial}
    (shown, _) = house.look().certificates
    assert (shown.name, shown.served) == ("issued/a", True)


# All of them, in whatever order the world changes and fails


def servers_on(disk: FakeDisk) -> dict[str, dict[str, RunningServer]]:
    """The servers that a HAProxy would have that starts now."""
    named_by_worker = disk.named_by_worker
    haproxy = FakeHAProxy(disk)
    haproxy.start()
    disk.named_by_worker = named_by_worker
    return haproxy.servers


COMMANDS = [
    "remove_from_crt_list",
    "replace_map",
    "unload_certificate",
    "add_server",
    "move_server",
    "set_server_state",
    "remove_server",
]
"""Runtime commands that HAProxy may refuse without a fault of a certificate's."""


class AnyWorld(RuleBasedStateMachine):
    """Services and certificates come, change and go; Docker, disk and HAProxy fail and come back."""

    ON_TLS: ClassVar = {"a.test": "a.test", "https://b.test": "b.test"}
    """What is served on the TLS listener, by the VIRTUAL_HOST that asks for it."""

    @initialize()
    def boot(self) -> None:
        """Everything starts."""
        self.house = House()
        self.house.boot()

    @rule(
        asked=st.lists(
            st.tuples(
                st.sampled_from(["a.test", "https://b.test", "http://c.test", "bad:"]),
                st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::3"]), min_size=1, max_size=3),
            ),
            max_size=3,
        )
    )
    def services_change(self, asked: list[tuple[str, list[str]]]) -> None:
        """Other containers run, or more, or fewer, or elsewhere."""
        known = (service(f"service-{number}", host, *addresses) for number, (host, addresses) in enumerate(asked))
        self.house.containers.known = tuple(known)

    @rule(
        name=st.sampled_from("abc"),
        names=st.sets(st.sampled_from(["a.test", "b.test"]), min_size=1),
        weak=st.booleans(),
    )
    def certificate_arrives(self, name: str, names: set[str], weak: bool) -> None:
        """A new or renewed bundle, which HAProxy may refuse."""
        new = self.house.issue(name, *sorted(names))
        if weak:
            self.house.haproxy.too_weak.add(new.fingerprint)

    @rule(name=st.sampled_from("abc"))
    def certificate_goes(self, name: str) -> None:
        """A bundle is taken away."""
        left = tuple(item for item in self.house.certificates.sources["issued"] if item.name != f"issued/{name}")
        self.house.certificates.sources["issued"] = left

    @rule(command=st.sampled_from(COMMANDS))
    def command_fails(self, command: str) -> None:
        """HAProxy refuses a runtime command from now on."""
        self.house.haproxy.refuses.add(command)

    @rule(taken=st.booleans())
    def port(self, taken: bool) -> None:
        """Reloads fail, or work again."""
        self.house.haproxy.port_taken = taken

    @rule(busy=st.booleans())
    def requests_linger(self, busy: bool) -> None:
        """Servers take long to answer, or not."""
        self.house.haproxy.busy = busy

    @rule(failure=st.sampled_from(["", "No space left on device."]))
    def disk(self, failure: str) -> None:
        """The disk is full, or not."""
        self.house.disk.failure = failure

    @rule(failure=st.sampled_from(["", "Connection refused."]))
    def docker(self, failure: str) -> None:
        """Docker is away, or not."""
        self.house.containers.failure = failure

    @rule()
    def agent_restarts(self) -> None:
        """It forgets what it learned."""
        self.house.agent = self.house.another_agent()

    @precondition(lambda self: self.house.haproxy.worker)
    @rule()
    def haproxy_restarts(self) -> None:
        """It comes up on what is on disk, whatever state that is in."""
        self.house.haproxy.kill()
        self.house.haproxy.start()

    @rule()
    def look(self) -> None:
        """The agent does what it can."""
        self.house.look()

    @rule()
    def calm_returns(self) -> None:
        """Faults end, and after a resync everything is as it should be, and nothing is left to be done."""
        house = self.house
        house.haproxy.port_taken, house.haproxy.busy, house.disk.failure, house.containers.failure = (
            False,
            False,
            "",
            "",
        )
        house.haproxy.refuses.clear()
        house.now += RESYNC
        for _ in range(10):
            house.look()
        house.haproxy.journal.clear()
        writes = house.disk.writes
        house.look()
        assert (house.haproxy.journal, house.disk.writes) == ([], writes)
        hosts = {item.containers[0].settings["VIRTUAL_HOST"] for item in house.containers.known}
        assert house.haproxy.maps[TLS_MAP].keys() == {self.ON_TLS[host] for host in hosts & self.ON_TLS.keys()}
        assert house.haproxy.servers == servers_on(house.disk)
        assert {server for pool in house.haproxy.servers.values() for server in pool.values()} == {
            RunningServer(str(container.address), 80)
            for item in house.containers.known
            for container in item.containers
            if container.settings["VIRTUAL_HOST"] != "bad:"
        }
        issued = house.certificates.sources["issued"]
        good = [item for item in issued if item.fingerprint not in house.haproxy.too_weak]
        for name in {str(name) for item in good for name in item.identifiers}:
            assert house.haproxy.serves(name) != SELF_SIGNED.serial

    @invariant()
    def what_is_named_exists(self) -> None:
        """On disk, at every moment."""
        named = {line.split()[0].decode() for line in self.house.disk.files()[CRT_LIST].splitlines()}
        assert named <= self.house.disk.stored.keys()


TestAnyWorld = AnyWorld.TestCase
TestAnyWorld.settings = settings(max_examples=examples(40), stateful_step_count=20)
