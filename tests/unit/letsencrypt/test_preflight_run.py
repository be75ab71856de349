"""A preflight as a whole, with DNS, web servers and the CA played by fakes of the Protocols it declares."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

import pytest

from letsencrypt.directory import DirectoryFacts
from letsencrypt.preflight import Address, Kind, Probe, Reply
from letsencrypt.preflight_run import Preflight, together
from letsencrypt.resolver import ServerFailed, Unanswered
from proxy_agent.tls.names import Identifier, parse_identifier
from tests.unit.letsencrypt.certificates import NOW

HOST, ROUTER = ip_address("9.9.9.9"), ip_address("192.168.1.1")
KNOWN = DirectoryFacts(caa_identities=("ca.net",))
FORBIDS, ALLOWS = b"\0\x05issueother.net", b"\0\x05issueca.net"


@dataclass
class World:
    """What there is to see."""

    dns: dict[str, Sequence[Address] | Unanswered] = field(default_factory=dict)
    records: dict[str, bytes | Unanswered] = field(default_factory=dict)
    replies: dict[Address, Reply] = field(default_factory=dict)
    facts: DirectoryFacts = KNOWN
    time: datetime = NOW
    reads: int = 0
    asked: list[str] = field(default_factory=list)
    offered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dns.setdefault("ca.net", (HOST,))

    def addresses(self, name: str) -> Sequence[Address] | None:
        """DNS."""
        found = self.dns.get(name)
        if isinstance(found, Unanswered):
            raise found
        return found

    def caa(self, name: str) -> tuple[bytes, ...]:
        """More DNS."""
        self.asked.append(name)
        found = self.records.get(name, b"")
        if isinstance(found, Unanswered):
            raise found
        return (found,) if found else ()

    def probe(self, _name: Identifier, address: Address, token: str, _content: bytes) -> Probe:
        """The web."""
        assert token in self.offered
        return Probe(address, self.replies.get(address, Reply.TOKEN))

    @contextlib.contextmanager
    def offering(self, token: str, _content: bytes) -> Iterator[None]:
        """The webroot."""
        self.offered.add(token)
        yield
        self.offered.remove(token)

    def directory(self) -> DirectoryFacts:
        """The CA."""
        self.reads += 1
        return self.facts

    def preflight(self, host: str = "ca.net", probe_limit: float = 5) -> Preflight:
        """One on behalf of the CA at *host*."""
        return Preflight(host, self.directory, self, self, self, lambda: self.time, probe_limit)

    def kinds(self, *names: str, host: str = "ca.net") -> list[tuple[str, Kind]]:
        """What is found out about *names*."""
        verdicts = self.preflight(host).look([parse_identifier(name) for name in names])
        return [(verdict.name, verdict.kind) for verdict in verdicts]


def test_a_name_that_leads_here_is_fine() -> None:
    """One verdict for each of its addresses, in the sequence of the names, and no token stays behind."""
    world = World({"b.net": (HOST,), "a.net": (HOST, ip_address("2620:fe::fe"))})
    assert world.kinds("b.net", "a.net", "9.9.9.9") == [
        ("b.net", Kind.FINE),
        ("a.net", Kind.FINE),
        ("a.net", Kind.FINE),
        ("9.9.9.9", Kind.FINE),
    ]
    assert world.offered == set()


def test_each_step_finds_its_fault() -> None:
    """A name that no CA takes, one that DNS does not know or fails for, one that leads elsewhere, one that is
    forbidden: each costs itself only.
    """
    world = World(
        {
            "broken.net": ServerFailed("SERVFAIL"),
            "silent.net": Unanswered("silence"),
            "away.net": (HOST, ip_address("1.1.1.1")),
            "inside.net": (ROUTER,),
            "a.forbidden.net": (HOST,),
            "unsure.net": (HOST,),
        },
        {"forbidden.net": FORBIDS, "net": ALLOWS, "unsure.net": Unanswered("silence")},
        {ip_address("1.1.1.1"): Reply.OTHER},
    )
    names = ("nas.local", "missing.net", "broken.net", "silent.net", "inside.net", "a.forbidden.net", "unsure.net")
    verdicts = world.kinds(*names, "away.net")
    assert sorted(verdicts) == sorted(
        [
            ("nas.local", Kind.DEFINITE),
            ("missing.net", Kind.DEFINITE),
            ("broken.net", Kind.DEFINITE),
            ("silent.net", Kind.DOUBTFUL),
            ("inside.net", Kind.DOUBTFUL),
            ("a.forbidden.net", Kind.FINE),
            ("a.forbidden.net", Kind.DEFINITE),
            ("unsure.net", Kind.FINE),
            ("unsure.net", Kind.DOUBTFUL),
            ("away.net", Kind.FINE),
            ("away.net", Kind.DEFINITE),
        ]
    )
    assert {"a.forbidden.net", "forbidden.net"} <= set(world.asked)


@pytest.mark.parametrize("address", [None, (), (ROUTER,)])
def test_at_a_private_ca_nothing_is_definite(address: Sequence[Address] | None) -> None:
    """It asks other DNS servers from another network; CAA is its own affair, and private addresses are in order."""
    world = World({"inside.lan": (ROUTER,)}, {"away.net": FORBIDS}, {HOST: Reply.OTHER})
    if address is not None:
        world.dns["ca.lan"] = address
    world.dns["away.net"] = (HOST,)
    assert world.kinds("inside.lan", "away.net", "missing.lan", host="ca.lan:14000") == [
        ("inside.lan", Kind.FINE),
        ("away.net", Kind.DOUBTFUL),
        ("missing.lan", Kind.DOUBTFUL),
    ]
    assert world.asked == []


def test_no_name_is_blamed_for_dns_that_fails() -> None:
    """Where the CA's own name cannot be looked up either, that is all there is to say."""
    world = World({"ca.net": ServerFailed("SERVFAIL"), "a.net": ServerFailed("SERVFAIL")})
    assert world.kinds("a.net", "b.net") == [("DNS", Kind.DOUBTFUL)]


def test_a_ca_that_cannot_be_reached_is_said_beside_the_names() -> None:
    """The names are looked at all the same, but nothing is known about CAA then."""
    world = World({"a.net": (HOST,)}, {"a.net": FORBIDS}, facts=DirectoryFacts("no connection comes about"))
    assert world.kinds("a.net") == [("the CA", Kind.DOUBTFUL), ("a.net", Kind.FINE)]


def test_the_directory_is_asked_now_and_then() -> None:
    """Once in five minutes, and at each look while it fails; many lineages do not make many requests."""
    world = World()
    preflight = world.preflight()
    for seconds, reads in ((0, 1), (1, 1), (301, 2), (302, 2), (-1000, 3)):
        world.time = NOW + timedelta(seconds=seconds)
        preflight.look([])
        assert world.reads == reads
    world.facts = DirectoryFacts("down")
    world.time += timedelta(hours=1)
    for _ in range(2):
        preflight.look([])
    assert world.reads == 5


@pytest.mark.slow
def test_who_is_late_is_left_behind() -> None:
    """A server that never ends its answer costs a doubt about its own name, and the others nothing."""
    release = threading.Event()

    class Slow(World):
        def probe(self, name: Identifier, address: Address, token: str, content: bytes) -> Probe:
            if name == "slow.net":
                release.wait(20)
            return super().probe(name, address, token, content) if name != "slow.net" else Probe(address, Reply.TOKEN)

    world = Slow({"slow.net": (HOST,), "a.net": (HOST,)})
    verdicts = world.preflight(probe_limit=2).look([parse_identifier("slow.net"), parse_identifier("a.net")])
    release.set()
    assert [(verdict.kind, verdict.sentence) for verdict in verdicts] == [
        (Kind.DOUBTFUL, "slow.net: what answers at 9.9.9.9 could not be checked in time."),
        (Kind.FINE, "a.net at 9.9.9.9 passes challenges on."),
    ]


def test_bugs_are_not_swallowed_by_threads() -> None:
    """An exception that nobody expects ends the caller, not only the thread."""

    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together({"a": fail}, 5)
    assert together({number: lambda number=number: number for number in range(100)}, 5) == {  # type: ignore[misc]
        number: number for number in range(100)
    }
