"""proxy_agent.arrivals: many certificates at once, and everything else meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy_agent.arrivals import FEWEST
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.routing.render import CRT_LIST, REDIRECT_MAP
from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import DnsName
from tests.unit.agent.fakes import NOW, House, bundle, service

ANY, OTHER = bundle("issued/any", "any.test"), bundle("issued/other", "other.test")


@pytest.fixture
def house() -> House:
    """An agent beside a HAProxy that runs."""
    house = House()
    house.boot()
    house.haproxy.journal.clear()
    return house


def many(number: int, model: Bundle = ANY) -> tuple[Bundle, ...]:
    """So many bundles, each for a name of its own; what is in them does not matter here."""
    names = [f"m{n:03}" for n in range(number)]
    return tuple(
        replace(model, name=f"issued/{name}", identifiers=frozenset({DnsName(f"{name}.test")})) for name in names
    )


def arrive(house: House, *bundles: Bundle) -> None:
    """These are published, and no others."""
    house.certificates.sources["issued"] = bundles


def loads(house: House) -> list[str]:
    """The bundles that were loaded since this was asked last, by their stems."""
    paths = [entry.partition(" ")[2] for entry in house.haproxy.journal if entry.startswith("load_certificate")]
    house.haproxy.journal.clear()
    return [path.rpartition("/")[2].removesuffix(".pem") for path in paths]


def until_all_are_there(house: House) -> Iterator[list[str]]:
    """What each look loads, as long as one does."""
    while loaded := (house.look(), loads(house))[1]:
        yield loaded


def test_a_look_takes_its_share_and_the_next_one_goes_on(house: House) -> None:
    """Without a reload, until all are served."""
    worker = house.haproxy.worker
    arrive(house, *many(2 * FEWEST + 10))
    assert [len(some) for some in until_all_are_there(house)] == [FEWEST, FEWEST, 10]
    assert house.haproxy.serves(f"m{2 * FEWEST:03}.test") == ANY.serial
    assert house.haproxy.worker == worker


def test_a_service_that_starts_meanwhile_does_not_wait(house: House) -> None:
    """It is served by the look after its start, with most of the certificates still to come."""
    arrive(house, *many(3 * FEWEST))
    house.look()
    house.containers.known = (service("shop", "a.test"),)
    assert {route.host for route in house.look().routes} == {"a.test"}
    assert len(house.haproxy.loaded) < 3 * FEWEST


def test_a_name_is_redirected_to_tls_once_its_certificate_is_there(house: House) -> None:
    """In each look the disk, the maps and the worker agree, as after any other."""
    house.containers.known = (service("shop", ",".join(f"m{n:03}.test" for n in range(FEWEST + 1))),)
    arrive(house, *many(FEWEST + 1))
    house.look()
    redirected = set(house.haproxy.maps[REDIRECT_MAP])
    assert redirected == {name for line in house.haproxy.crt_list for name in line.names}
    assert len(redirected) == FEWEST
    assert len(house.disk.files()[CRT_LIST].splitlines()) == FEWEST
    house.look()
    assert len(house.haproxy.maps[REDIRECT_MAP]) == FEWEST + 1


def test_what_waits_is_neither_missing_nor_asked_for(house: House) -> None:
    """Nobody obtains a second certificate because the operator's own is on its way."""
    custom = tuple(replace(item, name=item.name.replace("issued", "custom")) for item in many(FEWEST + 1))
    hosts = ",".join(str(name) for item in custom for name in item.identifiers)
    house.containers.known = (service("shop", hosts),)
    house.certificates.sources["custom"] = custom
    house.certificates.asked_for.clear()
    assert house.look().problems == ()
    assert house.certificates.asked_for == [()]


class Naps(Wakeup):
    """A wakeup that notes how long the loop wants to sleep, and stops it in the end."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.slept: list[float] = []
        self._looks = looks

    def wait(self, timeout: float) -> frozenset[str]:
        """Do not sleep."""
        self.slept.append(timeout)
        if len(self.slept) == self._looks:
            self.stop()
        return frozenset()


def test_between_the_shares_nobody_sleeps(house: House) -> None:
    """And as long as ever after the last."""
    arrive(house, *many(2 * FEWEST))
    naps = Naps(3)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [0.0, 60.0, 60.0]


def test_names_without_a_valid_certificate_come_first(house: House) -> None:
    """Then renewals, and of those the one whose predecessor expires first."""
    old = [bundle(f"issued/o{n}", f"o{n}.test") for n in range(FEWEST)]
    soon, late = bundle("issued/soon", "soon.test", days=3), bundle("issued/late", "late.test", days=1)
    arrive(house, *old, soon, late)
    assert sum(len(some) for some in until_all_are_there(house)) == len(old) + 2
    house.now = NOW + timedelta(days=2)
    new = bundle("issued/z-new", "new.test")
    renewed = [bundle(item.name, *map(str, item.identifiers)) for item in (*old, soon, late)]
    arrive(house, *renewed, new)
    first, second = until_all_are_there(house)
    assert {"late", "z-new", "soon"} <= set(first)
    assert len(first) == FEWEST
    assert {*first, *second} == {item.name.removeprefix("issued/") for item in (*renewed, new)}


def test_a_renewal_that_waits_leaves_its_predecessor_in_place(house: House) -> None:
    """Clients get the one or the other."""
    hosts = [f"o{n}.test" for n in range(FEWEST + 1)]
    old, new = ([bundle(f"issued/{host}", host) for host in hosts] for _ in range(2))
    arrive(house, *old)
    list(until_all_are_there(house))
    arrive(house, *new)
    house.look()
    served = {house.haproxy.serves(host) for host in hosts}
    assert len(served - {item.serial for item in old}) == FEWEST
    assert len(served - {item.serial for item in new}) == 1


def test_what_is_served_stays_whatever_became_of_it(house: House) -> None:
    """Somebody puts others in the place of more than a share: all are put right, and none is without a line."""
    hosts = [f"o{n}.test" for n in range(3 * FEWEST)]
    arrive(house, *(bundle(f"issued/{host}", host) for host in hosts))
    list(until_all_are_there(house))
    right = {host: house.haproxy.serves(host) for host in hosts}
    house.haproxy.loaded |= dict.fromkeys((path for path in house.haproxy.loaded if "/issued/" in path), OTHER.pem)
    house.look()
    assert len(house.haproxy.crt_list) == len(hosts)
    list(until_all_are_there(house))
    assert {host: house.haproxy.serves(host) for host in hosts} == right


def test_certificates_that_win_no_name_do_not_take_the_places_of_others(house: House) -> None:
    """They are never installed, so they would take them for ever."""
    custom = tuple(replace(item, name=item.name.replace("issued", "custom")) for item in many(FEWEST + 1))
    house.certificates.sources["custom"] = custom
    arrive(house, *many(FEWEST + 1))
    assert [len(some) for some in until_all_are_there(house)] == [FEWEST, 1]
    assert {line.path.split("/")[-2] for line in house.haproxy.crt_list} == {"custom"}


def test_the_share_follows_the_pace_of_the_machine(house: House) -> None:
    """What took a fraction of the time that it may take is followed by more, but not by many times as much."""
    house.haproxy.seconds_for_one = 1 / 512
    arrive(house, *many(2000))
    assert [len(some) for some in until_all_are_there(house)] == [FEWEST, 4 * FEWEST, 16 * FEWEST, 950]
    assert "reload" not in house.haproxy.journal


def test_a_machine_that_is_slow_all_at_once_gets_less(house: House) -> None:
    """Containers do not wait for as many certificates as it took before."""
    house.haproxy.seconds_for_one = 1 / 128
    arrive(house, *many(1000))
    shares = until_all_are_there(house)
    assert [len(next(shares)) for _ in range(2)] == [FEWEST, 4 * FEWEST]
    house.haproxy.seconds_for_one = 1 / 32
    assert [len(some) for some in shares] == [256, *[64] * 7, 46]


def test_a_renewal_does_not_wait_behind_strangers(house: House) -> None:
    """Whatever they lack, and though its predecessor is good for weeks."""
    arrive(house, bundle("issued/a", "a.test"))
    house.look()
    renewed = bundle("issued/a", "a.test")
    arrive(house, *many(4 * FEWEST), renewed)
    house.look()
    assert house.haproxy.serves("a.test") == renewed.serial


def test_nor_a_new_name_behind_renewals(house: House) -> None:
    """Whatever is about to expire."""
    old, new = ([bundle(f"issued/o{n}", f"o{n}.test", days=1) for n in range(2 * FEWEST)] for _ in range(2))
    arrive(house, *old)
    list(until_all_are_there(house))
    arrive(house, *new, OTHER)
    house.look()
    assert house.haproxy.serves("other.test") == OTHER.serial


def test_what_is_not_read_yet_is_waited_for_by_nobody(house: House) -> None:
    """The next look follows at once; what is found already is served."""
    arrive(house, ANY)
    house.certificates.unread = frozenset({"issued/b"})
    naps = Naps(2)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [0.0, 0.0]
    assert house.haproxy.serves("any.test") == ANY.serial
    house.certificates.unread = frozenset()
    naps = Naps(1)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [60.0]


def test_letsencrypt_is_asked_for_nothing_that_may_be_among_the_unread(house: House) -> None:
    """What it obtained itself is among the wanted in any case."""
    house.containers.known = (service("shop", "a.test"),)
    house.certificates.asked_for.clear()
    house.certificates.unread = frozenset({"custom/a"})
    house.look()
    assert house.certificates.asked_for == []
    house.certificates.unread = frozenset({"issued/a"})
    house.look()
    assert len(house.certificates.asked_for) == 1


def test_one_bad_certificate_among_many_costs_that_one(house: House) -> None:
    """HAProxy is offered each by itself; containers are seen to all the time."""
    house.haproxy.too_weak = {OTHER.fingerprint}
    bad = replace(OTHER, name="issued/m0-bad")
    arrive(house, *many(10 * FEWEST), bad)
    assert house.look().problems == ()
    house.containers.known = (service("shop", "a.test"),)
    # With the bad one in its share, the first configuration that has the service is refused too.
    assert "a.test" in {route.host for _ in range(3) for route in house.look().routes}
    naps = Naps(15)
    house.agent.run(naps, lambda _: None)
    assert naps.slept[-1] == 60.0
    assert len(house.haproxy.crt_list) == 10 * FEWEST
    assert house.look().problems == ("issued/m0-bad: ee key too small",)
    assert len(house.disk.stored) == 10 * FEWEST + 1, "the default certificate, and nothing that was refused"


def test_refused_certificates_do_not_make_the_others_wait(house: House) -> None:
    """Each costs a look, and no look is put off because of it."""
    house.haproxy.too_weak = {OTHER.fingerprint, (third := bundle("issued/third", "third.test")).fingerprint}
    arrive(house, OTHER, third, *many(3))
    naps = Naps(4)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [0.0, 0.0, 60.0, 60.0]
    assert len(house.haproxy.crt_list) == 3
