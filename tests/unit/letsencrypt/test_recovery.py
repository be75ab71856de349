"""Faults that pass while all wait: seen by cheap looks, with a try at once, and never a storm of either."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from letsencrypt.lineages import parse_domains
from letsencrypt.recovery import LONGEST_PAUSE, Outside, Recovery
from letsencrypt.resolver import Resolver
from letsencrypt.schedule import Failure
from letsencrypt.timetable import Timetable
from tests.ports import free_port
from tests.unit.letsencrypt.certificates import NOW

SECOND = timedelta(seconds=1)
URL = "https://ca.example/new-order"


@dataclass
class House:
    """A timetable and a world that a recovery looks at, second by second."""

    names: str = "a.example"
    time: datetime = NOW
    well: bool = True
    """Whether the CA answers."""
    dns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lineages = {lineage.name: lineage for lineage in parse_domains(self.names).lineages}
        self.timetable = Timetable(lambda: self.time, lambda: 0.0)
        self.recovery = Recovery(self.timetable, self, lambda: self.time)

    def answers(self, url: str, /) -> bool:
        """One look at the CA."""
        self.asked.append(url)
        return self.well

    def addresses(self, name: str, /) -> tuple[str, ...]:
        """One look at DNS."""
        self.asked.append(name)
        return self.dns.get(name, ())

    def fail(self, failure: Failure, name: str = "a.example", retry_after: timedelta | None = None) -> None:
        """A try that ended so."""
        self.recovery.failed(name, URL)
        self.timetable.failed(name, failure, "no", retry_after)

    def rest(self, seconds: int) -> int | None:
        """After how many seconds something may be tried; None if not before the end."""
        for passed in range(1, seconds + 1):
            self.time += SECOND
            if self.recovery.look(self.lineages):
                assert self.timetable.due(self.lineages)
                return passed
        return None


OF_ALL = [Failure.NETWORK, Failure.BUSY]


@pytest.mark.parametrize("failure", [*OF_ALL, Failure.SERVER])
def test_the_end_of_a_fault_is_a_try_at_once(failure: Failure) -> None:
    """The address that failed is looked at each five seconds, and the first good answer ends the pause."""
    house = House(well=False)
    house.fail(failure)
    assert house.rest(22) is None
    assert house.asked == [URL] * 4
    house.well = True
    assert house.rest(10) == 3


def test_looks_become_rarer_and_no_rarer_than_ten_seconds() -> None:
    """After a minute; however long it lasts."""
    house = House(well=False)
    for _ in range(6):
        house.fail(Failure.BUSY)
    house.rest(60)
    assert len(house.asked) == 12
    house.rest(600)
    assert len(house.asked) == 12 + 60
    house.well = True
    assert (house.rest(60) or 60) <= LONGEST_PAUSE.total_seconds()


@pytest.mark.parametrize("failure", [*OF_ALL, Failure.SERVER])
def test_what_the_ca_asked_for_is_kept(failure: Failure) -> None:
    """After a Retry-After nobody looks, whatever there would be to see."""
    house = House()
    house.fail(failure, retry_after=timedelta(minutes=2))
    assert house.rest(119) is None
    assert house.asked == []


@pytest.mark.parametrize(
    "failure", [Failure.AFTER_FINALIZE, Failure.RATE_LIMITED, Failure.REFUSED, Failure.BUDGET, Failure.CRASH]
)
def test_what_no_look_can_see_waits(failure: Failure) -> None:
    """A pause that has another reason than a fault of the CA's or of DNS stays as it is."""
    house = House(well=False)
    house.fail(failure)
    house.well = True
    assert house.rest(30) is None
    assert house.asked == []


def test_what_a_look_never_saw_is_tried_ever_later() -> None:
    """Where all answers but the try itself, three tries come early, after 5, 10 and 20 seconds, and no more; when the
    directory was well in between, it begins anew.
    """
    house = House()
    pauses = []
    for _ in range(4):
        house.fail(Failure.NETWORK)
        pauses.append(house.rest(29))
    assert pauses == [5, 10, 20, None]
    house.time = house.timetable.directory.not_before
    house.timetable.well("a.example", timedelta())
    house.rest(1)
    house.fail(Failure.NETWORK)
    assert house.rest(29) == 5


def test_one_lineage_is_not_tried_early_for_what_nobody_saw() -> None:
    """An error inside the CA about one lineage, while its address answers, keeps its pause: many would order much."""
    house = House()
    house.fail(Failure.SERVER)
    assert house.rest(59) is None


def test_a_fault_that_comes_and_goes_costs_no_storm_of_orders() -> None:
    """From the fourth early try on each waits longer, however often the address is well in between."""
    house = House()
    tries = 0
    for second in range(3600):
        house.well = second % 10 >= 5
        if second == 0 or house.timetable.due(house.lineages):
            tries += second > 0
            house.fail(Failure.NETWORK)
        house.rest(1)
    assert tries <= 15


@pytest.mark.parametrize("failure", [Failure.PREFLIGHT, Failure.VALIDATION])
def test_dns_that_heals_is_a_try_at_once(failure: Failure) -> None:
    """A name that led nowhere when it failed is tried within ten seconds after it leads anywhere."""
    house = House("a.example, www.a.example", dns={"a.example": ("192.0.2.1",)})
    house.fail(failure)
    assert house.rest(20) is None
    house.dns["www.a.example"] = ("192.0.2.1",)
    assert (house.rest(20) or 20) <= 10


def test_a_name_that_moves_is_looked_at_anew_but_not_ordered_anew() -> None:
    """Another address mends what a preflight saw; a CA that refused is asked again only where DNS had failed."""
    tried = []
    for failure in (Failure.PREFLIGHT, Failure.VALIDATION):
        house = House(dns={"a.example": ("192.0.2.1",)})
        house.fail(failure)
        assert house.rest(10) is None
        house.dns["a.example"] = ("192.0.2.2",)
        tried.append(house.rest(10) is not None)
    assert tried == [True, False]


def test_many_names_are_looked_up_in_turns() -> None:
    """At most some 60 questions at one moment, and each name within seconds."""
    names = [f"n{number}.example" for number in range(200)]
    house = House("; ".join(names))
    for name in names:
        house.fail(Failure.PREFLIGHT, name)
    most = 0
    for _ in range(6):
        before = len(house.asked)
        house.rest(1)
        most = max(most, len(house.asked) - before)
    assert most <= 60
    assert set(house.asked) == set(names)


def test_a_new_try_is_a_new_watch() -> None:
    """What was seen of an earlier fault says nothing of the next one."""
    house = House(well=False)
    house.fail(Failure.NETWORK)
    house.rest(10)
    house.well = True
    assert house.rest(10) == 5
    house.fail(Failure.NETWORK)
    house.time = house.timetable.directory.not_before
    house.timetable.well("a.example", timedelta(hours=1))
    assert house.rest(60) is None


class _Ca(BaseHTTPRequestHandler):
    """Answers as it is told."""

    def __init__(self, answer: tuple[int, dict[str, str], bytes], *rest: object) -> None:
        self._answer = answer
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """One answer."""
        status, headers, body = self._answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("status", "headers", "is_well"),
    [
        (405, {"Content-Type": "application/problem+json"}, True),
        (404, {"Content-Type": "application/problem+json"}, True),
        (204, {"Replay-Nonce": "abc"}, True),
        (200, {"Content-Type": "application/json"}, True),
        (200, {"Content-Type": "text/html"}, False),
        (405, {"Content-Type": "text/html"}, False),
        (500, {"Content-Type": "application/problem+json"}, False),
        (503, {"Content-Type": "text/html"}, False),
        (429, {"Content-Type": "application/problem+json"}, False),
    ],
)
def test_an_acme_server_is_known_by_how_it_refuses(status: int, headers: dict[str, str], is_well: bool) -> None:
    """A problem document or a nonce is its answer to a plain GET; a login page or an error inside it is none."""
    server = HTTPServer(("127.0.0.1", free_port()), partial(_Ca, (status, headers, b"{}")))
    with server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/new-order"
        assert outside().answers(url) is is_well


def test_nobody_is_no_answer() -> None:
    """Neither at an address, nor at the directory, nor from DNS."""
    nobody = outside()
    assert not nobody.answers(f"http://127.0.0.1:{free_port()}/new-order")
    assert not nobody.answers("")
    assert nobody.addresses("a.example") == ()


def outside() -> Outside:
    """The world, with a directory and a DNS server that do not exist."""
    now: Callable[[], datetime] = lambda: NOW  # noqa: E731
    port = free_port()
    return Outside(f"https://127.0.0.1:{port}/dir", Resolver((("127.0.0.1", port),)), now)
