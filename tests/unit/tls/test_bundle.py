"""proxy_agent.tls.bundle."""

import base64
import itertools
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.tls.bundle import check_issued, parse_bundle
from proxy_agent.tls.names import DnsName, parse_identifier
from tests.certificate_authority import CertificateAuthority, Issued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUTHORITY = CertificateAuthority(NOW)
SAMPLE = AUTHORITY.issue("a.test", "*.a.test", serial=0xABC)
OTHER = CertificateAuthority(NOW).issue("b.test")
UNKNOWN_KEY_TYPE = b"""\
-----BEGIN PRIVATE KEY-----
%s
-----END PRIVATE KEY-----
""" % base64.b64encode(bytes.fromhex("3014020100300906072a0304050607080404deadbeef"))

UNFIT = {
    "nothing": b"",
    "garbage": b"garbage\0\xff",
    "no key": SAMPLE.leaf_and_chain_pem,
    "no certificate": SAMPLE.private_key_pem,
    "two keys": SAMPLE.private_key_pem + OTHER.private_key_pem + SAMPLE.leaf_pem,
    "another key": OTHER.private_key_pem + SAMPLE.leaf_and_chain_pem,
    "no leaf": SAMPLE.private_key_pem + SAMPLE.chain_pem,
    "a damaged key": SAMPLE.private_key_pem.replace(b"MIG", b"AAA") + SAMPLE.leaf_pem,
    "a key of an unknown type": UNKNOWN_KEY_TYPE + SAMPLE.leaf_pem,
    "a damaged certificate": SAMPLE.private_key_pem + SAMPLE.leaf_pem.replace(b"MII", b"AAA"),
    "no names": AUTHORITY.issue().bundle_pem,
    "no host's name": AUTHORITY.issue("not a name").bundle_pem,
}


def _der_of(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def _rsa_pem_of(der: bytes) -> bytes:
    return b"-----BEGIN RSA PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END RSA PRIVATE KEY-----\n"


def _pem_of(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("order", list(itertools.permutations(["private_key_pem", "leaf_pem", "chain_pem"])))
def test_parts_may_stand_in_any_order(order: tuple[str, ...]) -> None:
    """Whatever order a file has, the bundle is key, leaf, chain."""
    content = b"".join(getattr(SAMPLE, part) for part in order)
    assert parse_bundle("a", content).pem == SAMPLE.bundle_pem


def test_it_knows_what_the_leaf_says() -> None:
    """Names, serial, fingerprint, issuer and times are the leaf's own."""
    bundle = parse_bundle("issued/a", SAMPLE.bundle_pem)
    assert bundle.name == "issued/a"
    assert bundle.identifiers == {"a.test", "*.a.test"}
    assert bundle.serial == 0xABC
    assert bundle.fingerprint == SAMPLE.certificate.fingerprint(hashes.SHA1()).hex().upper()
    assert bundle.issuer == "CN=Test Intermediate"
    assert (bundle.not_before, bundle.not_after) == (NOW - timedelta(days=400), NOW + timedelta(days=90))
    assert bundle.chain_length == 1


def test_blank_lines_comments_and_line_ends_are_gone() -> None:
    """The runtime API ends a payload at a blank line: none is left, whoever edited the file with whatever."""
    untidy = b"Bag Attributes\n\n\n" + SAMPLE.bundle_pem.replace(b"\n", b"\r\n").replace(b"-----\r\n", b"-----\r\n\r\n")
    bundle = parse_bundle("a", untidy)
    assert bundle.pem == SAMPLE.bundle_pem
    assert b"\n\n" not in bundle.pem


def test_old_key_formats_are_read() -> None:
    """The ``BEGIN RSA PRIVATE KEY`` of older tools is as good as PKCS #8, and comes out as that."""
    key = rsa.generate_private_key(65537, 2048)
    issued = AUTHORITY.issue("a.test", private_key=key)
    traditional = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert b"BEGIN RSA PRIVATE KEY" in traditional
    assert parse_bundle("a", issued.leaf_and_chain_pem + traditional).pem == issued.bundle_pem


def test_an_rsa_key_that_does_not_sign_is_refused() -> None:
    """Its public half alone says nothing of the private one."""
    key = rsa.generate_private_key(65537, 2048)
    issued = AUTHORITY.issue("a.test", private_key=key)
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert parse_bundle("a", issued.leaf_pem + _rsa_pem_of(der)).pem == issued.private_key_pem + issued.leaf_pem
    numbers = key.private_numbers()
    for number in (numbers.d, numbers.p, numbers.dmp1):
        good = number.to_bytes((number.bit_length() + 7) // 8)
        der = der.replace(good, bytes([*good[:-1], good[-1] ^ 2]))
    with pytest.raises(ValueError, match="the private key cannot be read"):
        parse_bundle("a", issued.leaf_pem + _rsa_pem_of(der))


def test_an_rsa_key_too_long_to_sign_with_is_refused() -> None:
    """Whoever brings one would hold up everybody: it is not even tried."""
    factor = 2**4600 + 1
    public = rsa.RSAPublicNumbers(65537, factor * factor)
    numbers = rsa.RSAPrivateNumbers(factor, factor, 3, 3, 3, 3, public)
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with pytest.raises(ValueError, match="the private key has 9201 bits: 8192 are the most for RSA"):
        parse_bundle("a", SAMPLE.leaf_pem + pem)


def test_rsa_keys_are_read_in_no_time() -> None:
    """To prove the primes of each takes 40 ms of two thousand bits: thousands would make a start take minutes."""
    pem = AUTHORITY.issue("a.test", private_key=rsa.generate_private_key(65537, 4096)).bundle_pem
    begun = time.process_time()
    for _ in range(10):
        parse_bundle("a", pem)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("what", ["RSA PRIVATE KEY", "CERTIFICATE"])
def test_beginnings_without_an_end_are_passed_over_once(what: str) -> None:
    """Looking for the end of each anew takes a look at the world ten seconds for one file."""
    begun = time.process_time()
    _parse(SAMPLE.private_key_pem + f"-----BEGIN {what}-----\n".encode() * 9000)
    assert time.process_time() - begun < 1


def test_the_chain_is_put_in_order_from_the_leaf() -> None:
    """Leaf, intermediate, root: whatever order they came in."""
    issued = AUTHORITY.issue("a.test")
    shuffled = issued.private_key_pem + AUTHORITY.root_pem + issued.leaf_pem + AUTHORITY.intermediate_pem
    bundle = parse_bundle("a", shuffled)
    assert bundle.pem == issued.private_key_pem + issued.leaf_pem + AUTHORITY.intermediate_pem + AUTHORITY.root_pem
    assert bundle.chain_length == 2


def test_unrelated_certificates_are_left_out() -> None:
    """What does not lead up from the leaf is not sent to clients."""
    bundle = parse_bundle("a", OTHER.leaf_pem + SAMPLE.bundle_pem + OTHER.chain_pem)
    assert bundle.pem == SAMPLE.bundle_pem


def test_a_repeated_leaf_stands_in_it_once() -> None:
    """``cat cert.pem fullchain.pem`` is a common accident."""
    assert parse_bundle("a", SAMPLE.leaf_pem + SAMPLE.bundle_pem).pem == SAMPLE.bundle_pem


def test_addresses_are_identifiers_too() -> None:
    """A certificate for an IP address covers that address."""
    bundle = parse_bundle("a", AUTHORITY.issue("192.0.2.1", "2001:db8::1", "a.test").bundle_pem)
    assert bundle.identifiers == {IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"), "a.test"}
    assert bundle.covers(IPv4Address("192.0.2.1"))
    assert not bundle.covers(IPv4Address("192.0.2.2"))


def test_names_are_compared_in_lower_case() -> None:
    """A CA may write capitals; names have none."""
    assert parse_bundle("a", AUTHORITY.issue("WWW.A.test").bundle_pem).covers(DnsName("www.a.test"))


def test_a_name_that_no_host_can_have_is_left_out() -> None:
    """Text in a certificate that would be a second word or line of the crt-list never becomes one."""
    names = ["good.test", "two words.test", "line\n/etc/shadow", "!good.test", "[alpn]", "", "#a"]
    bundle = parse_bundle("a", AUTHORITY.issue(*names).bundle_pem)
    assert bundle.identifiers == {"good.test"}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("nothing", "no private key"),
        ("garbage", "no private key"),
        ("no key", "no private key"),
        ("no certificate", "no certificate"),
        ("two keys", "more than one private key"),
        ("another key", "does not belong to the certificate"),
        ("no leaf", "does not belong to the certificate"),
        ("a damaged key", "the private key cannot be read"),
        ("a key of an unknown type", "the private key cannot be read"),
        ("a damaged certificate", "a certificate in it cannot be read"),
        ("no names", "names no host"),
        ("no host's name", "names no host"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(what: str, reason: str) -> None:
    """Missing, doubled, foreign and damaged parts are each called by their name."""
    with pytest.raises(ValueError, match=reason):
        parse_bundle("a", UNFIT[what])


def test_a_passphrase_is_refused_with_what_to_do() -> None:
    """HAProxy would ask for it at a terminal that is not there."""
    locked = SAMPLE.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(ValueError, match="passphrase; store it without one"):
        parse_bundle("a", locked + SAMPLE.leaf_and_chain_pem)


def test_a_key_type_that_we_do_not_know_is_refused() -> None:
    """A certificate with a public key of an unknown type costs that certificate, not the agent."""
    unknown = _der_of(SAMPLE.leaf_pem).replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0901"))
    with pytest.raises(ValueError, match="does not belong to the certificate"):
        parse_bundle("a", SAMPLE.private_key_pem + _pem_of(unknown))
    assert parse_bundle("a", _pem_of(unknown) + SAMPLE.bundle_pem).pem == SAMPLE.bundle_pem


def test_a_bundle_truncated_anywhere_is_refused_or_only_lacks_its_chain() -> None:
    """A half-written file raises ValueError and nothing else, at every length at which it can have been cut."""
    for length in range(len(SAMPLE.bundle_pem)):
        try:
            bundle = parse_bundle("a", SAMPLE.bundle_pem[:length])
        except ValueError:
            continue
        assert (bundle.serial, bundle.chain_length) == (SAMPLE.serial, 0) or length == len(SAMPLE.bundle_pem) - 1


@given(st.data())
def test_a_damaged_bundle_raises_value_error_only(data: st.DataObject) -> None:
    """Whatever bytes stand in a file, the agent that reads it goes on."""
    damaged = bytearray(SAMPLE.bundle_pem)
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    _parse(bytes(damaged))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.data())
def test_a_certificate_with_damaged_content_raises_value_error_only(data: st.DataObject) -> None:
    """The same where the text is good PEM and the damage is in what it encodes."""
    der = bytearray(_der_of(SAMPLE.leaf_pem))
    for place in data.draw(st.lists(st.integers(0, len(der) - 1), min_size=1, max_size=3)):
        der[place] = data.draw(st.integers(0, 255))
    _parse(SAMPLE.private_key_pem + _pem_of(bytes(der)) + SAMPLE.chain_pem)


def test_a_name_that_cannot_be_read_is_refused() -> None:
    """As one with a string of bits in the place of text."""
    der = _der_of(SAMPLE.leaf_pem)
    damaged = der.replace(b"\x0c\x11Test Intermediate", b"\x03\x11Test Intermediate")
    assert damaged != der
    with pytest.raises(ValueError, match="a certificate in it cannot be read"):
        parse_bundle("a", SAMPLE.private_key_pem + _pem_of(damaged) + SAMPLE.chain_pem)


def test_a_doubled_extension_is_refused() -> None:
    """Two lists of names leave open which one counts (RFC 5280 section 4.2)."""
    extension = SAMPLE.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.public_bytes()
    der = _der_of(SAMPLE.leaf_pem)
    names = x509.SubjectAlternativeName([x509.DNSName("c" * (len(extension) - 4))]).public_bytes()
    doubled = der.replace(bytes.fromhex("0603551d23"), bytes.fromhex("0603551d11")).replace(extension, names)
    with pytest.raises(ValueError, match="its extensions cannot be read"):
        parse_bundle("a", SAMPLE.private_key_pem + _pem_of(doubled))


def _parse(content: bytes) -> None:
    try:
        bundle = parse_bundle("a", content)
    except ValueError:
        return
    for identifier in bundle.identifiers:
        assert parse_identifier(str(identifier)) == identifier, "a name from a damaged certificate is still a clean one"


# What a CA issued


def _issued(issued: Issued, *names: str, at: datetime = NOW) -> None:
    check_issued(parse_bundle("a", issued.bundle_pem), map(parse_identifier, names), at)


def test_a_good_certificate_passes() -> None:
    """Its chain is there, its names are those asked for, and its time is not over."""
    _issued(AUTHORITY.issue("a.test", "*.b.test", "192.0.2.1"), "a.test", "x.b.test", "192.0.2.1")


def test_a_missing_name_is_named() -> None:
    """A certificate that lacks what was asked for is not taken for it."""
    with pytest.raises(ValueError, match=r"does not cover 192\.0\.2\.1, c\.test"):
        _issued(AUTHORITY.issue("a.test"), "c.test", "a.test", "192.0.2.1")


def test_a_missing_chain_is_seen() -> None:
    """Browsers hide a missing intermediate, other clients fail: it is refused."""
    issued = AUTHORITY.issue("a.test")
    with pytest.raises(ValueError, match="missing from the chain"):
        check_issued(parse_bundle("a", issued.private_key_pem + issued.leaf_pem), [], NOW)


def test_expiry_is_judged_to_the_second() -> None:
    """A certificate is good until its last moment, and not in it."""
    end = NOW + timedelta(days=7)
    issued = AUTHORITY.issue("a.test", not_after=end)
    _issued(issued, "a.test", at=end - timedelta(seconds=1))
    with pytest.raises(ValueError, match="expired on 2026-11-29 12:00 UTC"):
        _issued(issued, "a.test", at=end)


def test_parsing_does_not_judge_expiry() -> None:
    """An expired certificate is still the best answer where there is no other."""
    expired = AUTHORITY.issue("a.test", not_after=NOW - timedelta(days=1))
    assert parse_bundle("a", expired.bundle_pem).not_after < NOW
