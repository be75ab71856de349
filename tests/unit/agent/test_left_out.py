"""Raw lines that HAProxy takes alone but not in the whole, between stand-ins for the world."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from proxy_agent.routing.extra import Extra, Section
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.render import CONFIGURATION
from tests.unit.agent.fakes import House, service

SHOP = service("shop", "a.test")
LINES = {"option httpclose": ("option httpclose",)}
WITH_LINES = Service(
    "raw",
    (
        Container(
            "raw-1", {"VIRTUAL_HOST": "raw.test", "EXTRA_SETTINGS": "option httpclose"}, (80,), ip_address("10.0.0.9")
        ),
    ),
)


@pytest.fixture
def house() -> House:
    """An agent beside a HAProxy that runs, with nothing to serve yet."""
    house = House()
    house.boot()
    return house


def test_lines_that_make_haproxy_refuse_everything_are_left_out(house: House) -> None:
    """Although it took each alone; all else is served, and it is said until somebody changes them."""
    house.haproxy.refused_line = b"    option httpclose"
    house.containers.known, house.extra = (SHOP, WITH_LINES), Extra(of_containers=LINES)
    house.look()
    statuses = [house.look() for _ in range(3)]
    assert all({route.host for route in status.routes} == {"a.test", "raw.test"} for status in statuses)
    (sentence,) = {problem for status in statuses for problem in status.problems}
    assert sentence.startswith("raw settings: left out for now, HAProxy refuses the configuration that holds them: ")
    house.haproxy.refused_line = b"\0"
    house.extra = Extra(sections={Section("defaults"): ("retries 5",)}, of_containers=LINES)
    assert house.look().problems == ()
    assert b"    option httpclose" in house.disk.files()[CONFIGURATION]


def test_lines_that_were_left_out_are_tried_again_after_a_resync(house: House) -> None:
    """What made HAProxy refuse them may be gone."""
    house.haproxy.refused_line = b"    option httpclose"
    house.containers.known, house.extra = (SHOP, WITH_LINES), Extra(of_containers=LINES)
    house.look()
    assert len(house.look().problems) == 1
    house.haproxy.refused_line = b"\0"
    house.now += timedelta(seconds=61)
    assert house.look().problems == ()
    assert b"    option httpclose" in house.disk.files()[CONFIGURATION]


def test_a_start_leaves_out_lines_that_haproxy_refuses(house: House) -> None:
    """They never keep it from coming up."""
    house.haproxy.kill()
    house.disk.current, house.disk.generations, house.disk.services = None, {}, (SHOP, WITH_LINES)
    house.haproxy.refused_line = b"    option httpclose"
    house.extra = Extra(of_containers=LINES)
    house.another_agent().prepare()
    assert b"option httpclose\n" not in house.disk.files()[CONFIGURATION]
    assert b"# raw\n" in house.disk.files()[CONFIGURATION]


def test_lines_of_the_backend_that_haproxy_complains_of_are_left_out_alone(house: House) -> None:
    """By the number of a line in its configuration; two that are wrong are found one after the other."""
    texts = ("option httpclose", "retries 5", "retries 6")
    services = [
        Service(
            f"raw{number}",
            (
                Container(
                    f"raw{number}-1",
                    {"VIRTUAL_HOST": f"raw{number}.test", "EXTRA_SETTINGS": text},
                    (80,),
                    ip_address("10.0.0.9"),
                ),
            ),
        )
        for number, text in enumerate(texts)
    ]
    house.haproxy.refused_lines = (b"    retries 5", b"    retries 6")
    house.containers.known, house.extra = tuple(services), Extra(of_containers={text: (text,) for text in texts})
    problems = [house.look().problems for _ in range(4)][-1]
    assert [problem.partition(" left out")[0] for problem in problems] == [
        "EXTRA_SETTINGS: 'retries 5'",
        "EXTRA_SETTINGS: 'retries 6'",
    ]
    assert b"    option httpclose" in house.disk.files()[CONFIGURATION]
    assert b"    retries 5" not in house.disk.files()[CONFIGURATION]


def test_lines_are_not_left_out_for_a_certificate_that_haproxy_refuses(house: House) -> None:
    """Once it is known what was wrong, they are back."""
    house.haproxy.too_weak = {house.issue("b", "b.test").fingerprint}
    house.containers.known, house.extra = (SHOP, WITH_LINES), Extra(of_containers=LINES)
    problems = [house.look().problems for _ in range(6)][-1]
    assert len(problems) == 1
    assert "issued/b" in problems[0]
    assert b"    option httpclose" in house.disk.files()[CONFIGURATION]
