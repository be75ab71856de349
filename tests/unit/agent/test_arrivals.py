"""proxy_agent.arrivals: many certificates at once, and everything else meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from proxy_agent.arrivals import AT_EACH_LOOK
from proxy_agent.daemon.wakeup import Wakeup
from proxy_agent.reconcile import AT_ONCE
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
    arrive(house, *many(2 * AT_EACH_LOOK + 10))
    assert [len(some) for some in until_all_are_there(house)] == [AT_EACH_LOOK, AT_EACH_LOOK, 10]
    assert house.haproxy.serves(f"m{2 * AT_EACH_LOOK:03}.test") == ANY.serial
    assert house.haproxy.worker == worker


def test_a_service_that_starts_meanwhile_does_not_wait(house: House) -> None:
    """It is served by the look after its start, with most of the certificates still to come."""
    arrive(house, *many(3 * AT_EACH_LOOK))
    house.look()
    house.containers.known = (service("shop", "a.test"),)
    assert {route.host for route in house.look().routes} == {"a.test"}
    assert len(house.haproxy.loaded) < 3 * AT_EACH_LOOK


def test_a_name_is_redirected_to_tls_once_its_certificate_is_there(house: House) -> None:
    """In each look the disk, the maps and the worker agree, as after any other."""
    house.containers.known = (service("shop", ",".join(f"m{n:03}.test" for n in range(AT_EACH_LOOK + 1))),)
    arrive(house, *many(AT_EACH_LOOK + 1))
    house.look()
    redirected = set(house.haproxy.maps[REDIRECT_MAP])
    assert redirected == {name for line in house.haproxy.crt_list for name in line.names}
    assert len(redirected) == AT_EACH_LOOK
    assert len(house.disk.files()[CRT_LIST].splitlines()) == AT_EACH_LOOK
    house.look()
    assert len(house.haproxy.maps[REDIRECT_MAP]) == AT_EACH_LOOK + 1


def test_what_waits_is_neither_missing_nor_asked_for(house: House) -> None:
    """Nobody obtains a second certificate because the operator's own is on its way."""
    custom = tuple(replace(item, name=item.name.replace("issued", "custom")) for item in many(AT_EACH_LOOK + 1))
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
    arrive(house, *many(2 * AT_EACH_LOOK))
    naps = Naps(3)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [0.0, 60.0, 60.0]


def test_names_without_a_valid_certificate_come_first(house: House) -> None:
    """Then renewals, and of those the one whose predecessor expires first."""
    old = [bundle(f"issued/o{n}", f"o{n}.test") for n in range(AT_EACH_LOOK)]
    soon, late = bundle("issued/soon", "soon.test", days=3), bundle("issued/late", "late.test", days=1)
    arrive(house, *old, soon, late)
    assert sum(len(some) for some in until_all_are_there(house)) == len(old) + 2
    house.now = NOW + timedelta(days=2)
    new = bundle("issued/z-new", "new.test")
    renewed = [bundle(item.name, *map(str, item.identifiers)) for item in (*old, soon, late)]
    arrive(house, *renewed, new)
    first, second = until_all_are_there(house)
    assert {"late", "z-new", "soon"} <= set(first)
    assert len(first) == AT_EACH_LOOK
    assert {*first, *second} == {item.name.removeprefix("issued/") for item in (*renewed, new)}


def test_a_renewal_that_waits_leaves_its_predecessor_in_place(house: House) -> None:
    """Clients get the one or the other."""
    hosts = [f"o{n}.test" for n in range(AT_EACH_LOOK + 1)]
    old, new = ([bundle(f"issued/{host}", host) for host in hosts] for _ in range(2))
    arrive(house, *old)
    list(until_all_are_there(house))
    arrive(house, *new)
    house.look()
    served = {house.haproxy.serves(host) for host in hosts}
    assert len(served - {item.serial for item in old}) == AT_EACH_LOOK
    assert len(served - {item.serial for item in new}) == 1


def test_certificates_that_win_no_name_do_not_take_the_places_of_others(house: House) -> None:
    """They are never installed, so they would take them for ever."""
    custom = tuple(replace(item, name=item.name.replace("issued", "custom")) for item in many(AT_EACH_LOOK + 1))
    house.certificates.sources["custom"] = custom
    arrive(house, *many(AT_EACH_LOOK + 1))
    assert [len(some) for some in until_all_are_there(house)] == [AT_EACH_LOOK, 1]
    assert {line.path.split("/")[-2] for line in house.haproxy.crt_list} == {"custom"}


def test_more_than_a_reload_is_worth_come_with_one(house: House) -> None:
    """One by one they would take many times as long."""
    arrive(house, *many(AT_ONCE + 1))
    house.look()
    assert house.haproxy.journal == ["reload"]
    assert len(house.haproxy.crt_list) == AT_ONCE + 1
    house.haproxy.journal.clear()
    house.look()
    assert house.haproxy.journal == []


def test_one_bad_certificate_among_so_many_costs_that_one(house: House) -> None:
    """HAProxy refuses all of them, so it is offered each, in shares; containers are seen to all the time."""
    house.haproxy.too_weak = {OTHER.fingerprint}
    bad = replace(OTHER, name="issued/m0-bad")
    arrive(house, *many(AT_ONCE + 1), bad)
    assert house.look().problems == ()
    house.containers.known = (service("shop", "a.test"),)
    # With the bad one in its share, the first configuration that has the service is refused too.
    assert "a.test" in {route.host for _ in range(3) for route in house.look().routes}
    naps = Naps(AT_ONCE // AT_EACH_LOOK + 5)
    house.agent.run(naps, lambda _: None)
    assert naps.slept[-1] == 60.0
    assert len(house.haproxy.crt_list) == AT_ONCE + 1
    assert house.look().problems == ("issued/m0-bad: ee key too small",)
    assert max(len(house.disk.stored) - AT_ONCE - 1, 0) == 1, "the default certificate, and nothing that was refused"


def test_refused_certificates_do_not_make_the_others_wait(house: House) -> None:
    """Each costs a look, and no look is put off because of it."""
    house.haproxy.too_weak = {OTHER.fingerprint, (third := bundle("issued/third", "third.test")).fingerprint}
    arrive(house, OTHER, third, *many(3))
    naps = Naps(4)
    house.agent.run(naps, lambda _: None)
    assert naps.slept == [0.0, 0.0, 60.0, 60.0]
    assert len(house.haproxy.crt_list) == 3
