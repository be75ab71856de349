"""proxy_agent.tls.selfsigned."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy_agent.tls.bundle import parse_bundle
from proxy_agent.tls.names import parse_identifier
from proxy_agent.tls.selfsigned import LIFETIME, is_current, make_self_signed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAMES = tuple(map(parse_identifier, ("localhost", "*.local.test", "192.0.2.1", "2001:db8::1")))
MADE = parse_bundle("self-signed", make_self_signed(NAMES, NOW))


def test_it_is_a_bundle_for_names_and_addresses() -> None:
    """Key and leaf fit together, and every name and address that was asked for is in it."""
    assert MADE.identifiers == set(NAMES)
    assert MADE.chain_length == 0


def test_it_is_good_from_an_hour_ago_for_as_long_as_browsers_allow() -> None:
    """A client whose clock is a little behind accepts it too."""
    assert MADE.not_before == NOW - timedelta(hours=1)
    assert MADE.not_after == NOW + LIFETIME


def test_it_is_a_server_certificate_and_no_ca() -> None:
    """Whoever trusts it trusts one server, not an issuer of further certificates."""
    certificate = x509.load_pem_x509_certificate(MADE.pem[MADE.pem.index(b"-----BEGIN CERTIFICATE") :])
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_no_two_share_a_key() -> None:
    """Each installation has a key of its own."""
    assert make_self_signed(NAMES, NOW) != make_self_signed(NAMES, NOW)


@pytest.mark.parametrize(("age", "current"), [(0.0, True), (0.66, True), (0.67, False), (2.0, False)])
def test_it_is_made_anew_in_the_last_third_of_its_life(age: float, current: bool) -> None:
    """Long before it expires, and not earlier."""
    assert is_current(MADE, NAMES, NOW + LIFETIME * age) is current


def test_it_is_made_anew_when_its_names_change() -> None:
    """The order of names does not matter; one more or one fewer does."""
    assert is_current(MADE, NAMES[::-1], NOW)
    assert not is_current(MADE, NAMES[1:], NOW)
    assert not is_current(MADE, (*NAMES, parse_identifier("a.test")), NOW)
