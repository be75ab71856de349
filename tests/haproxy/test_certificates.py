"""Certificates, as clients of a running HAProxy get them."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.certificate_authority import CertificateAuthority, Issued
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import Proxy, service, visitors
from tests.haproxy.worlds import service_with
from tests.waiting import until


def loaded(proxy: Proxy) -> list[str]:
    """The certificates in the worker's memory, by the end of their paths."""
    return sorted(Path(path).name for path in proxy.running.certificates)


def stored(proxy: Proxy) -> list[str]:
    """The bundles on disk, by the end of their paths."""
    return sorted(Path(path).name for path in proxy.deployment.certificates())


def weak_key() -> rsa.RSAPrivateKey:
    """A key that we can read and HAProxy refuses."""
    return rsa.generate_private_key(65537, 1024)


def test_before_anything_is_issued_the_default_certificate_answers(proxy: Proxy) -> None:
    """TLS works from the first second, for any name and for none, with the names that were asked for."""
    certificate = proxy.certificate(None)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["127.0.0.1"]
    assert {proxy.serial(name) for name in ("localhost", "unknown.test")} == {certificate.serial_number}


def test_the_default_certificate_is_the_same_after_a_restart(proxy: Proxy) -> None:
    """Who has trusted it once does not have to do so again."""
    before = proxy.serial(None)
    proxy.kill()
    proxy.boot()
    assert proxy.serial(None) == before


def test_a_published_bundle_is_served_without_a_reload(proxy: Proxy) -> None:
    """The worker is the same one, and a client that knows the root alone trusts what it gets: the chain is there."""
    worker = proxy.worker
    issued = proxy.publish("a", "a.test")
    status = proxy.look()
    assert proxy.worker == worker
    with proxy.handshake("a.test") as tls:
        assert tls.version() == "TLSv1.3"
    assert proxy.serial("a.test") == issued.serial
    assert [(item.name, item.served) for item in status.certificates] == [("issued/a", True), ("self-signed", True)]


def test_swapping_certificates_fails_no_request(proxy: Proxy, shop: Origin) -> None:
    """While clients come and go, ten renewals and as many new names cost not one of them."""
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.publish("a", "a.test")
    proxy.look()
    worker = proxy.worker
    with visitors(proxy, "a.test") as visits:
        for number in range(10):
            renewed = proxy.publish("a", "a.test")
            proxy.publish(f"other-{number}", f"{number}.test")
            proxy.look()
            assert proxy.serial("a.test") == renewed.serial
        visits.go_on()
    assert visits.failures == []
    assert proxy.worker == worker


def test_a_renewed_certificate_is_on_disk_too(proxy: Proxy) -> None:
    """What the worker learned is what the next one starts with."""
    proxy.publish("a", "a.test")
    proxy.look()
    renewed = proxy.publish("a", "a.test")
    proxy.look()
    assert proxy.deployment.certificates()[proxy.deployment.certificate_path("issued/a")] == renewed.bundle_pem
    proxy.kill()
    proxy.start()
    assert proxy.serial("a.test") == renewed.serial


@pytest.mark.parametrize("damage", ["garbage", "half", "foreign key", "no chain", "nothing"])
def test_a_bad_bundle_changes_nothing_and_is_said_once(
    proxy: Proxy, authority: CertificateAuthority, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one serves on, the reason is one line in the log, and the next good one is taken."""
    good = proxy.publish("a", "a.test")
    proxy.look()
    worker = proxy.worker
    new, other = authority.issue("a.test"), authority.issue("a.test")
    content = {
        "garbage": b"\xff\0garbage",
        "half": new.bundle_pem[: len(new.bundle_pem) // 4],
        "foreign key": other.private_key_pem + new.leaf_and_chain_pem,
        "no chain": new.private_key_pem + new.chain_pem,
        "nothing": b"",
    }[damage]
    proxy.publish_bytes("a", content)
    problems = [proxy.look().problems for _ in range(3)]
    assert proxy.serial("a.test") == good.serial
    (problem,) = problems[0]
    assert "a.pem: " in problem
    assert problems == [(problem,)] * 3
    assert caplog.messages.count(problem) == 1
    proxy.publish_bytes("a", new.bundle_pem)
    assert proxy.look().problems == ()
    assert proxy.serial("a.test") == new.serial
    assert proxy.worker == worker


def test_a_bad_bundle_is_no_loss_over_a_restart(proxy: Proxy) -> None:
    """The last good one was kept, and is what everything starts with."""
    good = proxy.publish("a", "a.test")
    proxy.look()
    proxy.publish_bytes("a", b"garbage")
    proxy.look()
    proxy.kill()
    proxy.boot()
    assert proxy.serial("a.test") == good.serial


def test_a_removed_bundle_is_forgotten(proxy: Proxy) -> None:
    """By the listener, by the worker's memory and by the disk; the others stay."""
    proxy.publish("a", "a.test")
    kept = proxy.publish("b", "b.test")
    proxy.look()
    worker = proxy.worker
    proxy.unpublish("a")
    proxy.look()
    assert proxy.serial("a.test") == proxy.serial(None)
    assert proxy.serial("b.test") == kept.serial
    assert loaded(proxy) == stored(proxy) == ["b.pem", "default.pem"]
    assert proxy.worker == worker


def test_a_name_moves_between_bundles_without_a_gap(proxy: Proxy, shop: Origin) -> None:
    """Its visitors see the one certificate or the other, and never one that they do not trust."""
    proxy.serve(service("shop", "b.test", shop.port))
    proxy.publish("a", "a.test", "b.test")
    proxy.look()
    worker = proxy.worker
    with visitors(proxy, "b.test") as visits:
        for _ in range(5):
            alone = proxy.publish("b", "b.test")
            proxy.publish("a", "a.test")
            proxy.look()
            assert proxy.serial("b.test") == alone.serial
            together = proxy.publish("a", "a.test", "b.test")
            proxy.unpublish("b")
            proxy.look()
            assert proxy.serial("b.test") == proxy.serial("a.test") == together.serial
            visits.go_on(5)
    assert visits.failures == []
    assert proxy.worker == worker


def test_a_wildcard_serves_one_level(proxy: Proxy) -> None:
    """What a client would not accept, the default certificate answers."""
    issued = proxy.publish("wild", "*.wild.test")
    proxy.look()
    with proxy.handshake("x.wild.test"):
        pass
    assert proxy.serial("x.wild.test") == issued.serial
    assert proxy.serial("wild.test") == proxy.serial("y.x.wild.test") == proxy.serial(None)


def test_a_name_of_its_own_beats_a_wildcard(proxy: Proxy) -> None:
    """Whichever is loaded first."""
    wild = proxy.publish("wild", "*.wild.test")
    own = proxy.publish("own", "own.wild.test")
    proxy.look()
    assert (proxy.serial("own.wild.test"), proxy.serial("other.wild.test")) == (own.serial, wild.serial)


def test_the_default_certificate_never_hides_a_better_one(proxy: Proxy) -> None:
    """Though it carries the very name that is asked for."""
    issued = proxy.publish("localhost", "localhost")
    proxy.look()
    assert proxy.serial("localhost") == issued.serial != proxy.serial(None)


def test_a_default_certificate_of_the_users_replaces_ours_and_makes_way_again(
    proxy: Proxy, authority: CertificateAuthority
) -> None:
    """At runtime, for unknown names and for none; its own names it serves as well."""
    ours, worker = proxy.serial(None), proxy.worker
    default = authority.issue("d.test")
    (proxy.settings.custom_folder / "default.crt").write_bytes(default.leaf_and_chain_pem)
    (proxy.settings.custom_folder / "default.key").write_bytes(default.private_key_pem)
    proxy.look()
    assert {proxy.serial(name) for name in (None, "unknown.test", "d.test")} == {default.serial}
    (proxy.settings.custom_folder / "default.crt").unlink()
    (proxy.settings.custom_folder / "default.key").unlink()
    proxy.look()
    assert {proxy.serial(name) for name in (None, "unknown.test", "d.test")} == {ours}
    assert proxy.worker == worker


def test_a_certificate_for_an_address_answers_who_connects_to_it(proxy: Proxy) -> None:
    """Such a client sends no name; it checks the address, and is content."""
    proxy.publish("address", "127.0.0.1")
    proxy.look()
    with proxy.handshake("127.0.0.1") as tls:
        assert tls.getpeercert()["subjectAltName"] == (("IP Address", "127.0.0.1"),)  # type: ignore[index]


def test_the_users_own_certificate_beats_an_issued_one_beats_the_hosts(
    proxy: Proxy, authority: CertificateAuthority
) -> None:
    """For one name; taking each away brings the next one forward."""
    custom, issued, live = authority.issue("a.test"), proxy.publish("a", "a.test"), authority.issue("a.test")
    (proxy.settings.custom_folder / "a.pem").write_bytes(custom.bundle_pem)
    lineage = proxy.settings.live_folder / "a.test"
    lineage.mkdir()
    (lineage / "privkey.pem").write_bytes(live.private_key_pem)
    (lineage / "fullchain.pem").write_bytes(live.leaf_and_chain_pem)
    proxy.look()
    assert proxy.serial("a.test") == custom.serial
    (proxy.settings.custom_folder / "a.pem").unlink()
    proxy.look()
    assert proxy.serial("a.test") == issued.serial
    proxy.unpublish("a")
    proxy.look()
    assert proxy.serial("a.test") == live.serial


def test_rsa_and_long_lists_of_names_pass_the_runtime_api(proxy: Proxy) -> None:
    """The largest bundle that we take is one that HAProxy takes."""
    names = [f"host-{number}.rather-a-long-name-for-a-host.test" for number in range(460)]
    issued = proxy.publish("many", *names, private_key=rsa.generate_private_key(65537, 2048))
    assert 30_000 < len(issued.bundle_pem) < 32_000
    worker = proxy.worker
    assert proxy.look().problems == ()
    assert {proxy.serial(names[0]), proxy.serial(names[-1])} == {issued.serial}
    assert proxy.worker == worker


# Certificates that HAProxy refuses


def test_a_new_certificate_that_haproxy_refuses_costs_itself(proxy: Proxy) -> None:
    """It is neither on a list nor on disk, the others are taken, and nothing was reloaded."""
    worker = proxy.worker
    proxy.publish("weak", "weak.test", private_key=weak_key())
    good = proxy.publish("good", "good.test")
    (problem,) = proxy.look_until_calm().problems
    assert problem.startswith("issued/weak: ")
    assert "ee key too small" in problem
    assert proxy.serial("good.test") == good.serial
    assert loaded(proxy) == stored(proxy) == ["default.pem", "good.pem"]
    assert proxy.worker == worker


def test_a_renewal_that_haproxy_refuses_leaves_the_old_certificate(proxy: Proxy) -> None:
    """On disk too."""
    good = proxy.publish("a", "a.test")
    proxy.look()
    proxy.publish("a", "a.test", private_key=weak_key())
    proxy.look_until_calm()
    assert proxy.serial("a.test") == good.serial
    proxy.kill()
    proxy.start()
    assert proxy.serial("a.test") == good.serial


def test_a_refused_certificate_does_not_hold_up_a_new_service(proxy: Proxy, shop: Origin) -> None:
    """Both arrive in one look: the service is served, and the certificate costs itself."""
    proxy.publish("weak", "weak.test", private_key=weak_key())
    proxy.publish("a", "a.test")
    proxy.serve(service("shop", "a.test", shop.port))
    (problem,) = proxy.look_until_calm().problems
    assert "ee key too small" in problem
    assert proxy.tls("a.test").status == 200


@pytest.mark.parametrize("booted_before", [True, False])
def test_a_container_starts_with_a_refused_certificate_in_its_folder(
    stopped: Proxy, shop: Origin, booted_before: bool
) -> None:
    """A mistake in a folder does not keep a host down, be it its first start or not."""
    if booted_before:
        stopped.boot()
        stopped.kill()
    stopped.publish("weak", "weak.test", private_key=weak_key())
    stopped.publish("a", "a.test")
    stopped.serve(service("shop", "a.test", shop.port))
    stopped.boot()
    (problem,) = stopped.look_until_calm().problems
    assert "ee key too small" in problem
    assert stopped.tls("a.test").status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_protocols_are_refused(proxy: Proxy) -> None:
    """TLS 1.2 is the oldest that is spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", proxy.settings.https_port), timeout=10) as connection,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        context.wrap_socket(connection)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", proxy.settings.https_port), timeout=10) as connection,
        context.wrap_socket(connection) as tls,
    ):
        assert tls.version() == "TLSv1.2"


def test_a_container_names_its_certificate(proxy: Proxy, shop: Origin) -> None:
    """CERT_NAME: handshakes for its host show that file, and the host counts as covered."""
    chosen = proxy.authority.issue("elsewhere.test")
    (proxy.settings.custom_folder / "mine.pem").write_bytes(chosen.bundle_pem)
    proxy.publish("a", "a.test")
    proxy.serve(service_with("shop", shop.port, VIRTUAL_HOST="a.test", CERT_NAME="mine"))
    assert proxy.look_until_calm().problems == ()
    assert proxy.serial("a.test") == chosen.serial
    assert proxy.plain("a.test").status == 301


def test_a_container_brings_its_certificate_along(proxy: Proxy, shop: Origin) -> None:
    """SSL_CERT serves its host until something better covers it, and goes with the container."""
    brought = proxy.authority.issue("a.test")
    proxy.serve(service_with("shop", shop.port, VIRTUAL_HOST="a.test", SSL_CERT=brought.bundle_pem.decode()))
    assert proxy.look_until_calm().problems == ()
    assert proxy.serial("a.test") == brought.serial
    better = proxy.publish("a", "a.test")
    assert proxy.look_until_calm().problems == ()
    assert proxy.serial("a.test") == better.serial
    proxy.serve()
    assert proxy.look_until_calm().problems == ()


def publish_many(proxy: Proxy, number: int) -> list[Issued]:
    """Many bundles, m0.test and so on, of one key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return [proxy.publish(f"m{n}", f"m{n}.test", private_key=key) for n in range(number)]


def test_hundreds_come_in_shares_and_services_in_between(proxy: Proxy, shop: Origin) -> None:
    """A service that starts is served by the next look; no certificate costs a request or a reload."""
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.publish("a", "a.test")
    proxy.look()
    issued = publish_many(proxy, 300)
    with visitors(proxy, "a.test") as visits:
        proxy.look()
        proxy.serve(service("shop", "a.test,b.test", shop.port))
        proxy.look()
        assert proxy.plain("b.test").status == 200
        assert len(loaded(proxy)) < 300, "the rest is still to come"
        worker = proxy.worker
        until(lambda: sum(bool(item.served) for item in proxy.look().certificates) == 302, "proof of all", within=60)
    assert visits.failures == []
    assert proxy.worker == worker
    assert [proxy.serial(f"m{n}.test") for n in (0, 150, 299)] == [issued[n].serial for n in (0, 150, 299)]


def test_a_weak_one_among_hundreds_costs_itself_alone(proxy: Proxy, shop: Origin) -> None:
    """HAProxy is offered each by itself, and without a reload; what it refuses is not left for the next start."""
    proxy.serve(service("shop", "a.test", shop.port))
    proxy.publish("a", "a.test")
    proxy.look()
    worker = proxy.worker
    issued = publish_many(proxy, 610)
    proxy.publish("weak", "weak.test", private_key=weak_key(), not_after=datetime.now(UTC) + timedelta(days=3))
    with visitors(proxy, "a.test") as visits:
        until(lambda: sum(bool(item.served) for item in proxy.look().certificates) == 612, "proof of all", within=60)
        (problem,) = proxy.look().problems
    assert "issued/weak" in problem
    assert visits.failures == []
    assert proxy.worker == worker
    assert [proxy.serial(f"m{n}.test") for n in (0, 609)] == [issued[n].serial for n in (0, 609)]
    proxy.kill()
    proxy.boot()
    assert [proxy.serial(f"m{n}.test") for n in (0, 609)] == [issued[n].serial for n in (0, 609)]
