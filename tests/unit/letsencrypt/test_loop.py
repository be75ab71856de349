"""The loop over all ACME servers, and what is looked after at each moment."""

import json
import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from letsencrypt.admission import Admission, parse_allowed
from letsencrypt.certonly import PRODUCTION, STAGING, Directory, Options
from letsencrypt.control import Control, Order, Verb
from letsencrypt.crew import RING
from letsencrypt.desk import Desk
from letsencrypt.discovery import Discovery, source_of
from letsencrypt.issuer import RESYNC, Issuer, Report
from letsencrypt.issuers import Issuers
from letsencrypt.lineages import Lineage, parse_domains
from letsencrypt.loop import Loop
from letsencrypt.manual import Commissions
from letsencrypt.publish import Publisher
from letsencrypt.records import Records
from letsencrypt.revocation import Revocations
from letsencrypt.revoker import Revoker
from letsencrypt.runner import Outcome
from letsencrypt.settings import load
from letsencrypt.state_file import StateFile
from letsencrypt.succession import Succession
from letsencrypt.wanted import WantedFile
from proxy_agent.tls.names import Identifier
from tests.unit.letsencrypt.certificates import NOW


@dataclass
class Clock:
    """Time, spent in sleeps of the loop; what a test plans happens at its second."""

    time: datetime = NOW
    plans: dict[int, Callable[[], None]] = field(default_factory=dict)
    stopping: bool = False
    rings: dict[int, str] = field(default_factory=dict)
    promises: list[timedelta | None] = field(default_factory=list)
    healed: set[int] = field(default_factory=set)
    """The seconds at which a fault is over."""

    def now(self) -> datetime:
        """The time."""
        return self.time

    @property
    def seconds(self) -> int:
        """Since the beginning."""
        return round((self.time - NOW).total_seconds())

    def wait(self, timeout: float, /) -> frozenset[str]:
        """Sleep."""
        self.time += timedelta(seconds=timeout)
        for second in [second for second in self.plans if second <= self.seconds]:
            self.plans.pop(second)()
        ring = self.rings.pop(self.seconds, "")
        return frozenset({ring} if ring else ())

    def stop(self) -> None:
        """End the loop."""
        self.stopping = True


class FakeIssuer(Issuer):
    """Records what it is told."""

    def __init__(self, journal: list[tuple[int, str]], clock: Clock, host: str, running: set[str]) -> None:
        self._journal = journal
        self._clock = clock
        self._of = host
        self._records = Records(StateFile(Path("/nowhere")), host, clock.now, lambda: 0.0)
        self._names: tuple[str, ...] = ()
        self.running = running

    def want(self, lineages: object) -> None:
        """Remember."""
        assert isinstance(lineages, tuple)
        self._names = tuple(str(lineage) for lineage in lineages)

    def cycle(self) -> Report:
        """Say what was wanted."""
        self._journal.append((self._clock.seconds, f"{self._of}: {'; '.join(self._names)}"))
        return Report((self._of,), RESYNC)

    def look_again(self) -> bool:
        """As soon as the test says so."""
        return self._clock.seconds in self._clock.healed

    def advance(self, _patience: float = 0.0) -> Report:
        """Conclude."""
        self._journal.append((self._clock.seconds, f"{self._of}: advance"))
        return Report((), RESYNC)

    @property
    def under_way(self) -> set[str]:
        """What has an attempt."""
        return self.running

    def settle(self) -> Report:
        """Say so."""
        self._journal.append((self._clock.seconds, f"{self._of}: settle"))
        return Report((), RESYNC)

    @property
    def names(self) -> tuple[str, ...]:
        """What was wanted last."""
        return self._names

    def retry(self, name: str) -> str:
        """Say so."""
        self._journal.append((self._clock.seconds, f"{self._of}: retry {name}"))
        return "Tried."

    def forget(self, name: str) -> None:
        """Say so."""
        self._journal.append((self._clock.seconds, f"{self._of}: forget {name}"))

    def retry_now(self) -> None:
        """Say so."""
        self._journal.append((self._clock.seconds, f"{self._of}: again"))


class House:
    """A loop with its file."""

    def __init__(self, folder: Path, domains: str = "", allowed: str = "") -> None:
        self.path = folder / "wanted.json"
        self.clock = Clock()
        self.journal: list[tuple[int, str]] = []
        self.running: set[str] = set()
        """Lineages that have an attempt under way."""
        self.control = Control(folder / "control")
        self.known: list[Set[Identifier] | None] = []
        """What is known to be wanted, at the end of each cycle."""
        self.tidied: list[int] = []
        admission = Admission(parse_domains(domains).lineages, Directory(PRODUCTION), parse_allowed(allowed))
        commissions = Commissions(folder / "issue.json", admission.domains, Options(directory=admission.directory))
        self.discovery = Discovery(WantedFile(self.path), admission, self.clock.now, commissions.wishes)
        revocations = Revocations(folder / "letsencrypt")
        revoker = Revoker(revocations, folder, folder / "work", self.revoke, self.clock.now, lambda: 0.0)
        desk = Desk(
            self.control,
            self.discovery.lineages,
            commissions,
            revoker,
            Succession(admission.directory, (), lambda _: Publisher(folder, folder, self.clock.now), self.clock.now),
            lambda name: f"Forgot {name}.",
            self.clock.now,
        )
        self.loop = Loop(
            self.discovery.lineages,
            Issuers(
                lambda directory: FakeIssuer(
                    self.journal, self.clock, directory.host.partition("-")[2][:7], self.running
                )
            ),
            self.tidy,
            self.clock,
            self.clock.promises.append,
            self.clock.now,
            desk,
        )

    def tidy(self) -> None:
        """Note what is known then."""
        self.known.append(self.discovery.names())
        self.tidied.append(self.clock.seconds)

    def revoke(self, _words: Sequence[str], _folder: Path) -> Outcome:
        """Nothing is revoked here."""
        raise AssertionError

    def want(self, *certificates: dict[str, object]) -> None:
        """Write the file."""
        fresh = self.path.with_name("fresh")
        fresh.write_text(json.dumps({"version": 1, "certificates": certificates}))
        fresh.replace(self.path)

    def spoil(self) -> None:
        """Write what is no such file."""
        self.path.write_text("nonsense")

    def run(self, seconds: int) -> list[tuple[int, str]]:
        """What happens in so many seconds."""
        self.clock.plans[seconds] = self.clock.stop
        self.loop.run()
        settled = [event for event in self.journal if event[1].endswith(": settle")]
        assert self.journal[-len(settled) :] == settled, "each issuer once, at the end"
        return self.journal[: -len(settled)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One that knows no domains."""
    return House(tmp_path)


def test_what_is_wanted_is_looked_after_within_seconds(house: House) -> None:
    """A list that appears in the middle of a long sleep ends it as soon as it has settled; one that leaves, at once."""
    house.clock.plans[100] = lambda: house.want({"names": ["a.test"], "for": ["shop"]})
    house.clock.plans[200] = house.want
    assert house.run(280) == [(0, "v02.api: "), (103, "v02.api: a.test"), (200, "v02.api: ")]


def test_each_server_has_an_issuer_of_its_own(house: House) -> None:
    """A rehearsal is looked after beside the rest."""
    house.want({"names": ["a.test"]}, {"names": ["b.test"], "staging": True})
    assert house.run(10) == [
        (0, "v02.api: "),
        (3, "v02.api: a.test"),
        (3, f"{Directory(STAGING).host.partition('-')[2][:7]}: b.test"),
    ]


def test_domains_are_looked_after_at_once(tmp_path: Path) -> None:
    """They need not settle, and nothing wanted is no reason to look again before the time."""
    assert House(tmp_path, "a.test; b.test").run(280) == [(0, "v02.api: a.test; b.test")]


def test_sighup_reaches_every_issuer(house: House) -> None:
    """And the next cycle follows at once."""
    house.clock.rings[50] = "SIGHUP"
    assert house.run(60) == [(0, "v02.api: "), (50, "v02.api: again"), (50, "v02.api: ")]


def test_a_fault_that_is_over_ends_the_sleep(house: House) -> None:
    """The next cycle follows within the second."""
    house.clock.healed = {40}
    assert house.run(60) == [(0, "v02.api: "), (40, "v02.api: ")]


def test_a_sleep_is_promised_with_its_length(house: House) -> None:
    """The looks in between are not worth a sign of life each."""
    house.run(250)
    assert house.clock.promises == [RESYNC]


def test_refusals_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each name outside the white list, naming the service, for as long as it lasts."""
    caplog.set_level(logging.INFO)
    house = House(tmp_path, allowed="a.test")
    house.want({"names": ["a.test"], "for": ["shop"]}, {"names": ["evil.test"], "for": ["blog/web"]})
    house.clock.plans[20] = lambda: house.want({"names": ["evil.test"], "for": ["blog/web"]})
    house.clock.plans[30] = house.want
    house.run(60)
    assert caplog.messages == [
        "No certificate is obtained for what a container wants: blog/web: evil.test is outside ALLOWED_DOMAINS.",
        "Mended: what containers want",
    ]


def test_a_broken_file_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What it said last goes on, and one line says what is wrong."""
    house.want({"names": ["a.test"]})
    house.clock.plans[10] = house.spoil
    assert house.run(20) == [(0, "v02.api: "), (3, "v02.api: a.test")]
    assert caplog.messages == [f"{house.path} cannot be used: it is no JSON."]


def test_equal_wishes_of_other_services_are_no_news(house: House) -> None:
    """A copy that starts elsewhere wakes nobody."""
    house.want({"names": ["a.test"], "for": ["shop"]})
    house.clock.plans[10] = lambda: house.want({"names": ["a.test"], "for": ["blog", "shop"]})
    assert len(house.run(60)) == 2
    [lineages] = house.discovery.lineages().values()
    assert isinstance(lineages[0], Lineage)
    assert lineages[0].services == ("blog", "shop")


@pytest.mark.parametrize(
    ("environ", "looked_after"),
    [
        ({"DOMAINS": "a.test"}, ["a.test", "b.test"]),
        ({"DOMAINS": "a.test", "AUTO_DOMAINS": "no"}, ["a.test"]),
        ({"DOMAINS": "a.test", "ALLOWED_DOMAINS": "c.test"}, ["a.test"]),
        ({"DOMAINS": "a.test", "OPTIONS": "--csr x"}, []),
    ],
)
def test_the_settings_decide_what_is_looked_after(
    environ: dict[str, str], looked_after: list[str], tmp_path: Path
) -> None:
    """DOMAINS always, what containers want unless that is switched off, and nothing while OPTIONS is refused."""
    house = House(tmp_path)
    house.want({"names": ["b.test"]})
    lineages = source_of(load({**environ, "WANTED_FILE": str(house.path)}), house.clock.now).lineages
    lineages()
    house.clock.wait(3)
    assert [lineage.name for each in lineages().values() for lineage in each] == looked_after


def test_what_is_wanted_is_known_whether_granted_or_not(tmp_path: Path) -> None:
    """Nothing before there is a file; then all of it and DOMAINS; nothing again while it cannot be used."""
    house = House(tmp_path, domains="a.test", allowed="b.test")
    house.clock.plans[10] = lambda: house.want({"names": ["b.test", "c.test"]})
    house.clock.plans[20] = house.spoil
    house.clock.rings[30] = "look"
    house.run(40)
    at_the_stop = None
    assert house.known == [None, {"a.test", "b.test", "c.test"}, None, at_the_stop]


def test_wishes_are_obeyed_within_a_second(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each ends the sleep, reaches whom it is about, and is answered in the log; what is wanted is not forgotten."""
    caplog.set_level(logging.INFO)
    house = House(tmp_path, "a.test")
    wishes = (Order(Verb.RETRY, "a.test"), Order(Verb.FORGET, "a.test"), Order(Verb.FORGET, "b.test"))
    house.clock.plans = {10 * n: partial(house.control.ask, wish) for n, wish in enumerate((*wishes, wishes[0]), 1)}
    house.clock.plans[25] = lambda: house.control.ask(Order(Verb.RETRY, "b.test"))

    assert [event for event in house.run(45) if "v02.api: a.test" not in event] == [
        (10, "v02.api: retry a.test"),
        (30, "v02.api: forget b.test"),
        (40, "v02.api: retry a.test"),
    ]
    assert caplog.messages[-5:] == [
        "Tried.",
        "Asked to forget a.test: the certificate a.test is not forgotten, as it is still wanted.",
        "Asked to retry b.test: nobody wants a certificate 'b.test'.",
        "Forgot b.test.",
        "Tried.",
    ]


def test_what_ends_is_concluded_at_once(house: House) -> None:
    """A ring ends no sleep and looks at nothing anew; at the end what is under way is waited for."""
    house.clock.rings[50] = RING
    assert house.run(60) == [(0, "v02.api: "), (50, "v02.api: advance")]


def test_a_clock_that_was_set_back_lengthens_no_sleep(house: House) -> None:
    """Nobody is promised more than the longest sleep."""

    def set_back() -> None:
        house.clock.time -= timedelta(hours=1)
        house.clock.plans[-3540] = house.clock.stop

    house.clock.plans[50] = set_back
    assert house.run(100_000) == [(0, "v02.api: "), (-3550, "v02.api: ")]


def test_many_ends_are_tidied_up_after_every_two_seconds(house: House) -> None:
    """At the end of a sleep at the latest; nothing ended, nothing to tidy up."""
    for second in (50, 51, 52, 53, 60):
        house.clock.rings[second] = RING
    house.run(61)
    assert house.tidied == [0, 50, 52, 54, 60, 61]


def test_what_is_under_way_is_looked_at_every_second(house: House) -> None:
    """Time alone may change what can begin."""
    house.clock.plans[50] = lambda: house.running.add("a.test")
    house.clock.plans[53] = house.running.clear
    assert house.run(60) == [(0, "v02.api: "), *((second, "v02.api: advance") for second in (50, 51, 52))]


def test_wishes_wait_for_the_end_of_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is done to a lineage that has an attempt under way; others' wishes are obeyed meanwhile."""
    caplog.set_level(logging.INFO)
    house = House(tmp_path, "a.test; b.test")
    house.running.update({"a.test", "gone.test"})
    house.control.ask(Order(Verb.RETRY, "a.test"))
    house.control.ask(Order(Verb.FORGET, "gone.test"))
    house.control.ask(Order(Verb.RETRY, "b.test"))
    house.clock.plans[10] = house.running.clear

    told = [event for event in house.run(20) if event[1].startswith(("v02.api: retry", "v02.api: forget"))]
    assert told == [(0, "v02.api: retry b.test"), (10, "v02.api: forget gone.test"), (10, "v02.api: retry a.test")]
