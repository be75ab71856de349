"""proxy_agent.agent: what becomes of certificates from look to look."""

from datetime import timedelta

import pytest

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.render import REDIRECT_MAP, TLS_MAP
from tests.unit.agent.fakes import SELF_SIGNED, House, bundle, service

SHOP = service("shop", "a.test")
MINUTE = timedelta(seconds=60)


def test_a_certificate_takes_effect_and_redirects(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A host is redirected from the moment it has a certificate, without a reload."""
    house.containers.known = (SHOP,)
    house.look()
    house.haproxy.journal.clear()
    caplog.clear()
    new = house.issue("a", "a.test")
    status = house.look()
    assert "reload" not in house.haproxy.journal
    assert house.haproxy.serves("a.test") == new.serial
    assert house.haproxy.maps[REDIRECT_MAP] == {"a.test": "hsts"}
    assert caplog.messages == [
        f"Clients of a.test now get the certificate issued/a, valid until {new.not_after:%Y-%m-%d %H:%M} UTC.",
        "a.test: http redirected to https, https served by shop (10.0.0.1:80)",
    ]
    assert [(item.name, item.served) for item in status.certificates] == [("issued/a", True), ("self-signed", True)]


def test_a_certificate_that_haproxy_refuses_costs_itself(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The old one stays, others are taken, and the reason is said once."""
    old = house.issue("a", "a.test")
    house.look()
    caplog.clear()
    house.haproxy.too_weak = {house.issue("a", "a.test").fingerprint}
    other = house.issue("b", "b.test")
    problems = [house.look().problems for _ in range(4)][-1]
    assert problems == ("issued/a: ee key too small",)
    assert house.haproxy.serves("a.test") == old.serial
    assert house.haproxy.serves("b.test") == other.serial
    assert caplog.messages.count("issued/a: ee key too small") == 1
    assert not [message for message in caplog.messages if "Mended" in message]


def test_two_certificates_that_haproxy_refuses_cost_themselves(house: House) -> None:
    """Each is replaced by the last good one under its name."""
    old = [house.issue("a", "a.test"), house.issue("b", "b.test")]
    house.look()
    house.haproxy.too_weak = {house.issue("a", "a.test").fingerprint, house.issue("b", "b.test").fingerprint}
    for _ in range(4):
        house.look()
    assert [house.haproxy.serves("a.test"), house.haproxy.serves("b.test")] == [item.serial for item in old]


def test_a_refused_certificate_that_arrives_with_a_new_service_costs_itself(house: House) -> None:
    """The service is served a moment later, with the certificate that was good before."""
    old = house.issue("a", "a.test")
    house.look()
    house.haproxy.too_weak = {house.issue("a", "a.test").fingerprint}
    house.containers.known = (SHOP,)
    problems = [house.look().problems for _ in range(4)][-1]
    assert problems == ("issued/a: ee key too small",)
    assert house.haproxy.serves("a.test") == old.serial
    assert house.haproxy.maps[TLS_MAP].keys() == {"a.test"}


def test_an_unreadable_certificate_leaves_the_last_good_one(house: House) -> None:
    """A file that turned bad changes nothing but the status."""
    good = house.issue("a", "a.test")
    house.look()
    house.certificates.sources["issued"] = ()
    house.certificates.skipped = (Skipped("a.pem", "there is no private key in it"),)
    house.certificates.doubtful = frozenset({"issued/a"})
    assert house.look().problems == ("a.pem: there is no private key in it",)
    assert house.haproxy.serves("a.test") == good.serial


def test_an_unreadable_folder_leaves_all_its_certificates(house: House) -> None:
    """Nothing found because nothing could be read is not nothing there."""
    good = [house.issue(name, f"{name}.test") for name in "abc"]
    house.look()
    house.haproxy.journal.clear()
    house.certificates.sources["issued"] = ()
    house.certificates.doubtful = frozenset({"issued/"})
    house.look()
    assert house.haproxy.journal == []
    assert [house.haproxy.serves(f"{name}.test") for name in "abc"] == [item.serial for item in good]


@pytest.mark.parametrize("names", [("d.test",), ("192.0.2.1",)])
def test_a_default_certificate_that_turned_bad_stays_the_default(house: House, names: tuple[str, ...]) -> None:
    """The user's own default, too, is replaced only by something that can be used."""
    default = bundle("custom/default", *names)
    house.certificates.sources["custom"] = (default,)
    house.look()
    house.haproxy.journal.clear()
    house.certificates.sources["custom"] = ()
    house.certificates.doubtful = frozenset({"custom/default"})
    house.look()
    assert house.haproxy.serial(None) == default.serial
    assert house.haproxy.journal == []


def test_a_default_certificate_that_is_gone_makes_way(house: House) -> None:
    """Without it, the agent's own answers again."""
    house.certificates.sources["custom"] = (bundle("custom/default", "d.test"),)
    house.look()
    house.certificates.sources["custom"] = ()
    house.look()
    assert house.haproxy.serial(None) == SELF_SIGNED.serial


def test_a_default_certificate_that_haproxy_refuses_leaves_the_one_before(house: House) -> None:
    """And the reason is in the status."""
    weak = bundle("custom/default", "d.test")
    house.haproxy.too_weak = {weak.fingerprint}
    house.certificates.sources["custom"] = (weak,)
    problems = [house.look().problems for _ in range(3)][-1]
    assert problems == ("custom/default: ee key too small",)
    assert house.haproxy.serial(None) == SELF_SIGNED.serial


def test_an_expired_certificate_is_served_and_reported(house: House) -> None:
    """Nothing better covers its names; the operator reads it, and the host stays redirected."""
    expired = house.issue("a", "a.test", days=-1)
    status = house.look()
    assert house.haproxy.serves("a.test") == expired.serial
    assert status.problems == ("issued/a: expired on 2026-11-21 12:00 UTC, and nothing newer covers its names",)


def test_a_certificate_that_clients_do_not_get_is_an_error_until_they_do(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """What a handshake showed is what is said, for as long as it is so."""
    house.haproxy.shows_anyway = {"a.test": 5}
    house.issue("a", "a.test")
    sentence = "A handshake for issued/a showed another certificate, and a reload did not help."
    assert [house.look().problems for _ in range(3)] == [(sentence,)] * 3
    assert house.haproxy.journal.count("reload") == 1
    house.haproxy.shows_anyway = {}
    assert house.look().problems == ()
    assert caplog.messages == [sentence, "Mended: what clients get"]


def test_a_certificate_that_seemed_to_expire_counts_again_once_the_clock_is_right(house: House) -> None:
    """A clock may be a year ahead for a moment: what was thought then is not what is true now."""
    house.containers.known = (SHOP,)
    house.issue("a", "a.test")
    calm = house.look()
    house.now += timedelta(days=1000)
    assert "issued/a: expired" in "".join(house.look().problems)
    house.now -= timedelta(days=1000)
    assert house.look().problems == calm.problems == ()
