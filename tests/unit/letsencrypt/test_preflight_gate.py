"""What is ordered after a preflight, and what is said about it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from letsencrypt.lineages import Lineage
from letsencrypt.preflight import CA, CLOCK, DNS, Kind, Mode, Verdict
from letsencrypt.preflight_gate import Clearance, Gate, cleared, decide
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import Identifier, parse_identifier
from tests.unit.letsencrypt.certificates import NOW, bundle, issue


@dataclass
class World:
    """Names that are unwell, and how much."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    general: tuple[Verdict, ...] = ()
    looks: int = 0

    def look(self, names: Iterable[Identifier], /) -> tuple[Verdict, ...]:
        """One preflight."""
        self.looks += 1
        kinds = {str(name): self.kinds.get(str(name), Kind.FINE) for name in names}
        said = (Verdict(name, kind, f"{name} is {kind.name.lower()}.") for name, kind in kinds.items())
        return (*self.general, *said)


def lineage(*names: str, service: str = "shop") -> Lineage:
    """A lineage that a container wants, or DOMAINS if no service does."""
    identifiers = tuple(parse_identifier(name) for name in names)
    return Lineage(names[0], identifiers, services=(service,) if service else ())


def held(*names: str, days: float = 200) -> Bundle:
    """A certificate for *names* that was issued 400 days ago."""
    return bundle(names[0], issue(names, NOW + timedelta(days=days)))


def ordered(clearance: Clearance) -> list[str] | None:
    """The names that are ordered."""
    return [str(name) for name in clearance.lineage.identifiers] if clearance.lineage else None


AB = lineage("a.net", "b.net")
BAD_B = {"b.net": Kind.DEFINITE}


def test_doubts_keep_nobody_from_ordering() -> None:
    """Only what is definite does."""
    gate = Gate(World({"a.net": Kind.DOUBTFUL}), "strict", None)
    assert gate(AB, None, NOW).lineage == AB


def test_a_name_that_fails_blocks_its_lineage_or_is_left_out() -> None:
    """It is left out where containers want it or ALLOW_SUBSET says so; never the only one."""
    of_domains = lineage("a.net", "b.net", service="")
    for allowed, asked, result in (
        (None, AB, ["a.net"]),
        (None, of_domains, None),
        (True, of_domains, ["a.net"]),
        (False, AB, None),
        (True, lineage("b.net"), None),
    ):
        clearance = Gate(World(BAD_B), "strict", allowed)(asked, None, NOW)
        assert ordered(clearance) == result
        assert clearance.left_out == ({"b.net"} if result else frozenset())


@pytest.mark.parametrize(
    ("certificate", "result"),
    [
        (None, ["a.net"]),
        (held("a.net"), ["a.net"]),
        (held("a.net", "b.net"), None),
        (held("b.net"), None),
        (held("a.net", "b.net", days=81), None),
        (held("a.net", "b.net", days=79), ["a.net"]),
        (held("a.net", "b.net", days=-1), ["a.net"]),
    ],
)
def test_a_name_with_a_good_certificate_does_not_lose_it(certificate: Bundle | None, result: list[str] | None) -> None:
    """A name that is unwell for a while is not dropped from what is held, unless that ends soon anyway."""
    assert ordered(Gate(World(BAD_B), "strict", None)(AB, certificate, NOW)) == result


@pytest.mark.parametrize(("days", "result"), [(101, None), (79, ["a.net", "b.net"]), (-1, None)])
def test_a_certificate_that_runs_out_is_ordered_all_the_same(days: float, result: list[str] | None) -> None:
    """In its last sixth: a preflight that is mistaken must not let it expire. Once it has expired, nothing is lost."""
    clearance = Gate(World(BAD_B), "strict", False)(AB, held("a.net", "b.net", days=days), NOW)
    assert ordered(clearance) == result
    assert clearance.reason == "b.net is definite."


def test_the_order_keeps_everything_else_of_the_lineage() -> None:
    """Its name, options and sequence, so that the same lineage grows again when the name heals."""
    verdicts = World({"a.net": Kind.DEFINITE}).look(AB.identifiers)
    clearance = decide(AB, verdicts, None, NOW, subset_allowed=True)
    assert clearance.lineage == Lineage("a.net", (parse_identifier("b.net"),), services=("shop",))
    assert decide(AB, World().look(AB.identifiers), held("b.net"), NOW, subset_allowed=True).lineage == AB


@pytest.mark.parametrize(("mode", "looks"), [("warn", 1), ("off", 0)])
def test_other_modes_order_all(mode: Mode, looks: int) -> None:
    """``warn`` looks and says, ``off`` does not even look; so does a loop without a preflight."""
    world = World(BAD_B)
    assert Gate(world, mode, None)(AB, None, NOW).lineage == AB
    assert world.looks == looks
    assert cleared(AB, None, NOW) == Clearance(AB)


def looked(gate: Gate, asked: Lineage, certificate: Bundle | None) -> Clearance:
    """What an attempt does: look, and then tell."""
    clearance = gate(asked, certificate, NOW)
    gate.tell(asked, clearance)
    return clearance


def test_each_change_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A lineage that waits is one error for each name, a doubt one warning, and the end of either is said."""
    caplog.set_level(logging.INFO)
    world = World({"b.net": Kind.DEFINITE, "a.net": Kind.DOUBTFUL})
    gate = Gate(world, "strict", None)
    both = held("a.net", "b.net")
    for _ in range(2):
        looked(gate, AB, both)
    world.kinds.clear()
    for _ in range(2):
        looked(gate, AB, both)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "a.net is doubtful."),
        ("ERROR", "No certificate for a.net, b.net (wanted by shop) is ordered for now: b.net is definite."),
        ("INFO", "Mended: the names of a.net, b.net"),
        ("INFO", "Mended: the order for a.net, b.net"),
    ]


def test_what_is_left_out_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The rest is ordered, so it is no error; in ``warn`` it is a doubt like any other."""
    looked(Gate(World(BAD_B), "strict", None), AB, None)
    looked(Gate(World(BAD_B), "warn", None), AB, None)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "A name is left out of the certificate for a.net, b.net (wanted by shop) for now: b.net is definite.",
        ),
        ("WARNING", "b.net is definite."),
    ]


def test_what_all_names_need_is_said_once_for_all(caplog: pytest.LogCaptureFixture) -> None:
    """DNS and the clock, for however many lineages; that the CA is down is what certbot's run says."""
    world = World(general=(Verdict(CA, Kind.DOUBTFUL, "Down."), Verdict(CLOCK, Kind.DOUBTFUL, "Late.")))
    gate = Gate(world, "strict", None)
    for asked in (AB, lineage("c.net")):
        assert looked(gate, asked, None).lineage == asked
    assert caplog.messages == ["Late."]


def test_dns_that_fails_mends_no_name(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known of names meanwhile; afterwards what is still wrong is not said again."""
    caplog.set_level(logging.INFO)
    world = World(BAD_B)
    gate = Gate(world, "strict", False)
    looked(gate, AB, None)
    world.kinds, world.general = {}, (Verdict(DNS, Kind.DOUBTFUL, "DNS is down."),)
    looked(gate, AB, None)
    world.kinds, world.general = BAD_B, ()
    looked(gate, AB, None)
    assert caplog.messages == [
        "No certificate for a.net, b.net (wanted by shop) is ordered for now: b.net is definite.",
        "DNS is down.",
        "Mended: DNS and clock",
    ]
