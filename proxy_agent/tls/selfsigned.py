"""Self-signed certificates: what HTTPS answers with while no name matches, or before any CA has answered."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy_agent.tls.bundle import Bundle
from proxy_agent.tls.names import Identifier

LIFETIME = timedelta(days=397)
"""What browsers still accept of a certificate that a user chose to trust (CA/Browser Forum ballot SC31)."""
_REMAKE_WITHIN = LIFETIME / 3
_BACKDATED = timedelta(hours=1)
"""Tolerates clients whose clock is behind."""


def make_self_signed(identifiers: Sequence[Identifier], now: datetime) -> bytes:
    """A new ECDSA P-256 key and a certificate for *identifiers*, as PEM: key, then leaf."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "haproxy-acme-companion default certificate")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in identifiers]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + certificate.public_bytes(serialization.Encoding.PEM)


def is_current(bundle: Bundle, identifiers: Sequence[Identifier], now: datetime) -> bool:
    """Whether *bundle* still does: the same names, and more than a third of its life left."""
    return bundle.identifiers == frozenset(identifiers) and now < bundle.not_after - _REMAKE_WITHIN


def _general_name(identifier: Identifier) -> x509.GeneralName:
    return x509.DNSName(identifier) if isinstance(identifier, str) else x509.IPAddress(identifier)
