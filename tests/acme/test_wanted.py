"""What containers want is obtained like what DOMAINS names; real certbot against real Pebble."""

import json
from collections.abc import Iterable, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from letsencrypt.certonly import Directory
from tests.acme.container import Container, Patient
from tests.acme.pebble import Authorities, Authority, Dns
from tests.waiting import until

pytestmark = pytest.mark.acme

KID, HMAC_KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture(scope="session")
def other(authorities: Authorities) -> Authority:
    """An authority that wants to know its customers."""
    return authorities.start(externalAccountBindingRequired=True, externalAccountMACKeys={KID: HMAC_KEY})


def want(container: Container, *certificates: Mapping[str, object]) -> None:
    """What the agent writes."""
    fresh = container.wanted.with_name("fresh")
    fresh.write_text(json.dumps({"version": 1, "certificates": certificates}))
    fresh.replace(container.wanted)


def look_until_published(container: Container, loop: Patient, names: Iterable[str]) -> tuple[str, ...]:
    """Let the loop look until all *names* are there; what it says meanwhile."""
    said: list[str] = []

    def look() -> bool:
        said.extend(loop.cycle().sentences)
        return all((container.certs / f"{name}.pem").exists() for name in names)

    until(look, f"certificates for {names}; {said}", within=60, pause=0.2)
    return tuple(said)


def test_each_list_is_one_certificate_and_stays_when_it_is_no_longer_wanted(
    container: Container, authority: Authority
) -> None:
    """Two lists are two orders; a container that leaves and returns costs none, and its certificate stays meanwhile."""
    shop = {"names": ["shop.example", "www.shop.example"], "for": ["shop/web"]}
    blog = {"names": ["blog.example"], "for": ["blog/web"]}
    want(container, blog, shop)
    orders = authority.orders()
    with container.started("main.example, blog.example", f"--server {authority.directory}") as loop:
        look_until_published(container, loop, ["main.example", "shop.example"])
        assert container.lineages(authority) == {"main.example", "shop.example"}, "DOMAINS has blog.example already"
        authority.verify(container.published("shop.example").pem, "www.shop.example")
        assert authority.orders() == orders + 2
        want(container)
        loop.cycle()
        want(container, shop)
        assert loop.cycle().sentences == ()
    (container.certs / "shop.example.pem").unlink()
    with container.started("", f"--server {authority.directory}") as loop:
        said = look_until_published(container, loop, ["shop.example"])
    assert [sentence.partition(":")[0] for sentence in said] == [
        "Published the certificate for shop.example, www.shop.example"
    ]
    assert authority.orders() == orders + 2


def test_a_name_that_fails_costs_its_own_list(container: Container, authority: Authority, dns: Dns) -> None:
    """The others are issued, and one line says what is wrong and whose name it is."""
    dns.break_name("gone.example")
    try:
        want(
            container,
            {"names": ["gone.example"], "for": ["blog/web"]},
            {"names": ["fine.example"], "for": ["shop/web"]},
        )
        with container.started("", f"--server {authority.directory}") as loop:
            said = look_until_published(container, loop, ["fine.example"])
        failures = [sentence for sentence in said if sentence.startswith("No certificate")]
        assert len(failures) == 1
        assert failures[0].startswith("No certificate for gone.example (wanted by blog/web) from ")
    finally:
        dns.mend_name("gone.example")


def test_options_of_a_container_are_obeyed(container: Container, authority: Authority, other: Authority) -> None:
    """Another server with keys for an account there, a kind of key, a profile: all for this one certificate alone."""
    container.settings["ALLOWED_ACME_SERVERS"] = other.directory
    want(
        container,
        {
            "names": ["custom.example"],
            "for": ["shop/web"],
            "server": other.directory,
            "eab_kid": KID,
            "eab_hmac_key": HMAC_KEY,
            "key": "rsa-3072",
            "profile": "shortlived",
            "email": "shop@example.com",
            "reuse_key": True,
        },
        {"names": ["plain.example"], "for": ["blog/web"]},
    )
    with container.started("", f"--server {authority.directory}") as loop:
        look_until_published(container, loop, ["custom.example", "plain.example"])
    bundle = container.published("custom.example")
    other.verify(bundle.pem, "custom.example")
    authority.verify(container.published("plain.example").pem, "plain.example")
    key = load_pem_x509_certificate(bundle.pem[bundle.pem.index(b"-----BEGIN CERT") :]).public_key()
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 3072
    assert round((bundle.not_after - bundle.not_before).total_seconds() / 3600) == 160
    assert container.lineages(authority) == {"plain.example"}
    kept = Directory(other.directory, KID).config_folder(container.letsencrypt)
    assert (kept / "renewal" / "custom.example.conf").exists()


def test_nothing_is_asked_of_a_ca_that_the_operator_does_not_allow(
    container: Container, authority: Authority, other: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither for names outside ALLOWED_DOMAINS nor at a server outside ALLOWED_ACME_SERVERS."""
    container.settings["ALLOWED_DOMAINS"] = "*.inside.example"
    want(
        container,
        {"names": ["outside.example"], "for": ["a"]},
        {"names": ["b.inside.example"], "for": ["b"], "server": other.directory},
        {"names": ["c.inside.example"], "for": ["c"]},
    )
    orders = authority.orders(), other.orders()
    with container.started("", f"--server {authority.directory}") as loop:
        look_until_published(container, loop, ["c.inside.example"])
    assert (authority.orders(), other.orders()) == (orders[0] + 1, orders[1])
    refusals = [message for message in caplog.messages if message.startswith("No certificate is obtained")]
    assert refusals == [
        "No certificate is obtained for what a container wants: a: outside.example is outside ALLOWED_DOMAINS.",
        f"No certificate is obtained for what a container wants: b: b.inside.example: the ACME server "
        f"{other.directory} is neither this stack's nor in ALLOWED_ACME_SERVERS.",
    ]
