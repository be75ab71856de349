"""Bundles: a private key, the leaf it belongs to and the chain above it, as one PEM that HAProxy can load."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from proxy_agent.tls.names import Identifier, covers, parse_dns_name

_KEY_BOUNDARY = re.compile(rb"-----(BEGIN|END) (?:[A-Z]+ )?PRIVATE KEY-----")
_CERTIFICATE_BOUNDARY = re.compile(rb"-----(BEGIN|END) CERTIFICATE-----")
_REHEARSALS = re.compile(r"\(STAGING\)|Fake LE |Pebble ")
"""In the issuers of Let's Encrypt's staging server (https://letsencrypt.org/docs/staging-environment) and Pebble's."""
_MOST_RSA_BITS = 8192
"""A signature takes the cube of that: longer keys would hold up whoever reads them, and each client's handshake."""
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for content that it does not understand; most of it is no ValueError."""


@dataclass(frozen=True)
class Bundle:
    """A key with its certificate and chain that belong together, checked when it was parsed."""

    name: str
    """The lineage or the file stem that it comes from."""
    pem: bytes
    """Key, leaf, chain in that order, without blank lines: the runtime API ends a payload at one."""
    identifiers: frozenset[Identifier]
    """The names of the subject alternative name extension; never the common name (RFC 9525 section 2)."""
    serial: int
    fingerprint: str
    """SHA-1 of the leaf in upper-case hexadecimal, as ``show ssl cert`` prints it; no security rests on it."""
    issuer: str
    not_before: datetime
    not_after: datetime
    chain_length: int
    """Certificates above the leaf; 0 for a self-signed one or where the issuer is missing."""

    @property
    def rehearsal(self) -> bool:
        """Whether browsers do not trust it and are not meant to: self-signed, or from a staging or test directory."""
        return self.chain_length == 0 or bool(_REHEARSALS.search(self.issuer))

    def covers(self, name: Identifier) -> bool:
        """Whether a client that asks for *name* accepts this certificate's names."""
        return any(covers(identifier, name) for identifier in self.identifiers)


def parse_bundle(name: str, pem: bytes) -> Bundle:
    """Read a bundle whose parts stand in any order; raises ValueError with the reason when they do not fit.

    The leaf is the certificate that carries the key's public half; the chain is put in order from it (RFC 8446
    section 4.4.2) and what does not belong to it is left out. Expiry is not judged here: an expired certificate
    is still the best answer where there is no other.
    """
    key = _private_key(pem)
    certificates = _certificates(pem)
    leaf = _leaf(key, certificates)
    chain = _chain(leaf, certificates)
    identifiers = _identifiers(leaf)
    if not identifiers:
        raise ValueError("the certificate names no host: its subject alternative name is empty")
    return Bundle(
        name=name,
        pem=_joined(key, [leaf, *chain]),
        identifiers=identifiers,
        serial=leaf.serial_number,
        fingerprint=leaf.fingerprint(hashes.SHA1()).hex().upper(),
        issuer=leaf.issuer.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_length=len(chain),
    )


def check_issued(bundle: Bundle, names: Iterable[Identifier], now: datetime) -> None:
    """Assert what must hold of a certificate that a CA issued for *names*; raises ValueError with the reason."""
    if bundle.chain_length == 0:
        raise ValueError("the certificate of its issuer is missing from the chain")
    missing = sorted(str(name) for name in names if not bundle.covers(name))
    if missing:
        raise ValueError(f"the certificate does not cover {', '.join(missing)}")
    if bundle.not_after <= now:
        raise ValueError(f"the certificate expired on {bundle.not_after:%Y-%m-%d %H:%M} UTC")


def _private_key(pem: bytes) -> PrivateKeyTypes:
    blocks = list(_blocks(pem, _KEY_BOUNDARY))
    if not blocks:
        raise ValueError("there is no private key in it")
    if len(blocks) > 1:
        raise ValueError("there is more than one private key in it")
    try:
        # To prove that RSA's numbers are prime takes some hundred times as long as a signature, which shows as well
        # that the key is of use. HAProxy asks for no such proof either.
        key = serialization.load_pem_private_key(blocks[0] + b"\n", password=None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size <= _MOST_RSA_BITS:
            scheme = padding.PKCS1v15(), hashes.SHA256()
            key.public_key().verify(key.sign(b"", *scheme), b"", *scheme)
    except TypeError:
        raise ValueError("the private key is protected by a passphrase; store it without one") from None
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise ValueError("the private key cannot be read") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size > _MOST_RSA_BITS:
        raise ValueError(f"the private key has {key.key_size} bits: {_MOST_RSA_BITS} are the most for RSA")
    return key


def _blocks(pem: bytes, boundary: re.Pattern[bytes]) -> Iterator[bytes]:
    """What stands between a beginning and the next end, both included, in one pass whatever there is in it."""
    begun: int | None = None
    for found in boundary.finditer(pem):
        if found[1] == b"BEGIN":
            begun = found.start() if begun is None else begun
        elif begun is not None:
            yield pem[begun : found.end()]
            begun = None


def _certificates(pem: bytes) -> list[x509.Certificate]:
    blocks = list(_blocks(pem, _CERTIFICATE_BOUNDARY))
    if not blocks:
        raise ValueError("there is no certificate in it")
    try:
        return [_certificate(block) for block in blocks]
    except (*_UNREADABLE, TypeError) as error:
        raise ValueError("a certificate in it cannot be read") from error


def _certificate(block: bytes) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(block)
    # Names are read no earlier than they are asked for, and some cannot be.
    _ = certificate.subject, certificate.issuer
    return certificate


def _leaf(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> x509.Certificate:
    wanted = _subject_public_key_info(key)
    for certificate in certificates:
        if _subject_public_key_info(certificate) == wanted:
            return certificate
    raise ValueError("the private key does not belong to the certificate")


def _subject_public_key_info(owner: PrivateKeyTypes | x509.Certificate) -> bytes | None:
    """The public half that *owner* carries; None where it is of a type that cryptography does not know."""
    try:
        public_key = owner.public_key()
    except _UNREADABLE:
        return None
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _chain(leaf: x509.Certificate, certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    chain: list[x509.Certificate] = []
    current = leaf
    while issuer := next((c for c in certificates if c not in (leaf, *chain) and _issued(current, c)), None):
        chain.append(issuer)
        current = issuer
    return chain


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, TypeError, InvalidSignature):
        return False
    return True


def _identifiers(leaf: x509.Certificate) -> frozenset[Identifier]:
    """The names a host can have: all others are of no use here, and some would be a second word in a crt-list."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    except _UNREADABLE as error:
        raise ValueError("its extensions cannot be read") from error
    identifiers: set[Identifier] = set()
    for name in names.get_values_for_type(x509.DNSName):
        with contextlib.suppress(ValueError):
            identifiers.add(parse_dns_name(name))
    ips = names.get_values_for_type(x509.IPAddress)
    return frozenset(identifiers.union(ip for ip in ips if not hasattr(ip, "prefixlen")))


def _joined(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> bytes:
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)
